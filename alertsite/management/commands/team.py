"""`manage.py team`: who sees the same calls."""

import argparse
import re
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from alerts.models import Team


def slug(text: str) -> str:
    """The name of a team as it may be written in addresses."""
    if not re.fullmatch(r"[-a-zA-Z0-9_]{1,64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no slug: 1 to 64 letters, digits, - and _")
    return text


class Command(BaseCommand):
    help = "Make a team if it is not there, add and remove members, and print who is in it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", metavar="SLUG", type=slug, help="the team's name")
        parser.add_argument("--add", metavar="U", action="append", default=[], help="a user's name; may be repeated")
        parser.add_argument("--remove", metavar="U", action="append", default=[], help="a user's name; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():  # an unknown user changes nothing
            team, _ = Team.objects.get_or_create(slug=options["slug"])
            team.members.add(*self._users(options["add"]))
            team.members.remove(*self._users(options["remove"]))
        for name in team.members.order_by("username").values_list("username", flat=True):
            self.stdout.write(name)

    def _users(self, names: list[str]) -> list[User]:
        users = {user.username: user for user in User.objects.filter(username__in=names)}
        for name in names:
            if name not in users:
                raise CommandError(f"there is no user {name!r}")
        return [users[name] for name in names]
