"""`manage.py revoke`: tokens that let nobody in any more."""

import argparse
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser

from alerts import credentials
from alerts.models import LONGEST_JTI, LONGEST_NAME


def user(text: str) -> str:
    """A user's name; a token may name one who is not in the database."""
    return _bounded(text, LONGEST_NAME)


def jti(text: str) -> str:
    """A token's id."""
    return _bounded(text, LONGEST_JTI)


def _bounded(text: str, longest: int) -> str:
    if not 1 <= len(text) <= longest:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(text)} characters, not 1 to {longest}")
    return text


class Command(BaseCommand):
    help = "Revoke tokens; sockets that they opened close within a second, on every process."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--user", metavar="U", type=user, help="every token of U that was issued until now")
        which.add_argument("--jti", metavar="J", type=jti, help="the token with the claim jti J")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["user"] is not None:
            credentials.revoke_user(options["user"])
            known = User.objects.filter(username=options["user"]).exists()
            note = "" if known else " (no user in the database has that name)"
            self.stdout.write(f"tokens of {options['user']} issued until now are revoked{note}")
        else:
            credentials.revoke_token(options["jti"])
            self.stdout.write(f"the token {options['jti']} is revoked")
