"""`manage.py run`, what `make run` comes to: everything a newcomer needs, from an empty database on."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from alerts.access import EVERY_CALL
from alerts.credentials import mint
from alertsite.demo import play_sample
from alertsite.management.commands.serve import listen_and_serve

TOKEN_LIFETIME_S = 24 * 3600


class Command(BaseCommand):
    help = "Migrate, make the account `admin`, serve on this machine, and play the sample call (DEMO=0: don't)."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        login = self._admin()

        async def beside_the_server() -> None:
            self._tell(login)
            if settings.DEMO:
                await play_sample(settings.PORT)

        listen_and_serve(self, "127.0.0.1", settings.PORT, background=beside_the_server)

    def _admin(self) -> str:
        """The account `admin`, made if it is not there; a password changed since is left alone."""
        users = get_user_model().objects
        admin = users.filter(username="admin").first()
        if admin is None:
            users.create_superuser("admin", password=settings.DEMO_PASSWORD)
        elif not admin.check_password(settings.DEMO_PASSWORD):
            return "admin, with the password you gave it"
        return f"admin / {settings.DEMO_PASSWORD}"

    def _tell(self, login: str) -> None:
        for label, value in (
            ("Page:", f"http://127.0.0.1:{settings.PORT}/"),
            ("Login:", login),
            ("Token:", mint("admin", TOKEN_LIFETIME_S, ["subscribe"], [EVERY_CALL])),
            ("Watch:", f"PORT={settings.PORT} .venv/bin/python manage.py watch"),
        ):
            self.stdout.write(f"{label:<7}{value}")
        self.stdout.flush()
