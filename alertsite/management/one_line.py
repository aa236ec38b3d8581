"""Commands whose errors are one line on stderr and exit code 2, without the usage above it."""

import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser


class OneLineCommand(BaseCommand):
    """A command that says what is wrong about its call in one line; `--help` has the usage."""

    def create_parser(self, prog_name: str, subcommand: str, **more: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **more)

        def error(message: str) -> NoReturn:
            sys.stderr.write(f"{parser.prog}: {message}\n")
            sys.exit(2)

        parser.error = error  # type: ignore[method-assign]  # Django makes the parser; this is all that differs
        return parser
