"""`manage.py token`: prints a JWT."""

import argparse
import re
from typing import Any

from django.core.management.base import CommandParser

from alerts.credentials import SCOPES, mint
from alertsite.management.one_line import OneLineCommand

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def lifetime(text: str) -> int:
    """Seconds of `30s`, `15m`, `1h`, `7d`."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no lifetime like 30s, 15m, 1h or 7d")
    return int(match[1]) * UNITS_S[match[2]]


def scopes(text: str) -> list[str]:
    """The scopes named, separated by spaces."""
    named = text.split()
    wrong = [scope for scope in named if scope not in SCOPES]
    if wrong or not named:
        raise argparse.ArgumentTypeError(f"{' '.join(wrong) or text!r} is no scope; there are {', '.join(SCOPES)}")
    return named


def calls(text: str) -> list[str]:
    """The call ids named, separated by commas; `*` is every call."""
    named = [call.strip() for call in text.split(",") if call.strip()]
    if not named:
        raise argparse.ArgumentTypeError(f"{text!r} names no call")
    return named


class Command(OneLineCommand):
    help = "Print a token that lets NAME in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the user's name, written into the token")
        parser.add_argument("--calls", type=calls, help="call ids, by commas, or '*'; without, the database decides")
        parser.add_argument("--scope", type=scopes, default=["subscribe"], help="subscribe, acknowledge, publish")
        parser.add_argument("--lifetime", type=lifetime, default=3600, help="30s, 15m, 1h (default), 7d")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(mint(options["name"], options["lifetime"], options["scope"], options["calls"]))
