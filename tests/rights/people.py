"""Those who come: a browser with cookies, commands of the machine, and a second server on the same database."""

import http.cookiejar
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.live import PASSWORD, ROOT, LiveServer


class _Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirect as the answer that it is."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Browser:
    """Keeps cookies and signs in as a person does, on the login page."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies), _Stay)

    def get(self, path: str) -> tuple[int, str]:
        return self._open(urllib.request.Request(self._server.url(path)))

    def post(self, path: str, form: Mapping[str, str]) -> tuple[int, str]:
        """Submits a form of the page that was shown at the same path."""
        self.get(path)
        body = urllib.parse.urlencode({**form, "csrfmiddlewaretoken": self.cookie("csrftoken")}).encode()
        return self._open(urllib.request.Request(self._server.url(path), body, method="POST"))

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def cookie(self, name: str) -> str:
        return next((cookie.value or "" for cookie in self._cookies if cookie.name == name), "")

    def sign_in(self, name: str) -> bool:
        """Whether the password of the tests lets this user in."""
        return self.post("/login/", {"username": name, "password": PASSWORD})[0] == 302


def manage(server: LiveServer, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command on the server's database, in a process of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=60
    )


def change(server: LiveServer, statements: str) -> None:
    """Changes rows as any program with the models would, in a process of its own."""
    models = "from django.contrib.auth.models import *; from alerts.models import *; "
    done = manage(server, "shell", "--no-imports", "-c", models + statements)
    assert done.returncode == 0, done.stderr


def second_server(first: LiveServer) -> LiveServer:
    """Another `serve` on the database of one that runs."""
    shared = {name: value for name, value in first.env.items() if name not in ("PORT", "MEDIA_PORT")}
    return LiveServer(shared, seed=False)
