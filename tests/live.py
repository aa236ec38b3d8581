"""A real `manage.py serve` in a process of its own, on a free port with a database of its own."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from alerts.credentials import mint
from tests.services import free_port

ROOT = Path(__file__).parent.parent
MEDIA_TOKEN = "media-token-of-the-tests"
PASSWORD = "a-password-of-the-tests"


def wait_until_listening(port: int, process: subprocess.Popen[Any], within_s: float = 60) -> None:
    """Returns when something accepts on the port; fails if the process ends first."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on {port} after {within_s} s")


class LiveServer:
    """`manage.py serve` with three standing users: admin, mate (of team red) and outsider."""

    def __init__(self, env: Mapping[str, str] | None = None, workers: int = 1, seed: bool = True) -> None:
        self.workers = workers
        self.folder = Path(tempfile.mkdtemp(prefix="alertsite-live-"))
        self.port = free_port()
        self.media_port = free_port() if workers > 1 else self.port
        self.log_path = self.folder / "log"
        self.env = os.environ | {
            "PORT": str(self.port),
            "MEDIA_PORT": str(self.media_port),
            "DATABASE_URL": f"sqlite:///{self.folder / 'db.sqlite3'}",
            "MEDIA_TOKEN": MEDIA_TOKEN,
            **(env or {}),
        }
        if seed:
            subprocess.run([sys.executable, "-m", "tests.seed"], cwd=ROOT, env=self.env, check=True)
        self.process = self._start()

    def command(self) -> list[str]:
        """What Python is to run."""
        return ["manage.py", "serve", "--port", str(self.port), "--workers", str(self.workers)]

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *self.command()],
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
            )
        for port in {self.port, self.media_port}:
            wait_until_listening(port, process)
        return process

    def stop(self, number: int = signal.SIGTERM, within_s: float = 40) -> int:
        """Signals the server and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(within_s)

    def restart(self, number: int = signal.SIGTERM) -> None:
        """Stops it and starts it again on the same port and database."""
        self.stop(number)
        self.process = self._start()

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ws(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What the database holds, read beside the server."""
        url = self.env["DATABASE_URL"]
        if not url.startswith("sqlite:///"):
            with psycopg.connect(url) as client:
                return list(client.execute(query.replace("?", "%s"), values))  # type: ignore[call-overload]
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def alter(self, statement: str, *values: Any) -> None:
        """Changes the database beside the server."""
        url = self.env["DATABASE_URL"]
        if not url.startswith("sqlite:///"):
            with psycopg.connect(url) as client:
                client.execute(statement.replace("?", "%s"), values)  # type: ignore[call-overload]
            return
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as connection, connection:
            connection.execute(statement, values)

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """One REST request: the status and the decoded answer."""
        status, _, answer = self.exchange(method, path, body, token)
        return status, answer

    def exchange(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], Any]:
        """One REST request with headers of its own (`_` for `-`): the status, the headers and the decoded answer."""
        request = urllib.request.Request(self.url(path), method=method)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if body is not None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.headers, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                return error.code, error.headers, json.loads(text) if text.startswith((b"{", b"[")) else text

    def post(self, *alerts: dict[str, Any], token: str | None = None) -> list[dict[str, Any]]:
        """Posts alerts as an engine with every right; they have to be stored."""
        status, answer = self.call("POST", "/api/v1/alerts/", list(alerts), token or publisher_token())
        assert status == 201, answer
        results: list[dict[str, Any]] = answer["results"]
        return results


class DaphneServer(LiveServer):
    """The same by `manage.py runserver`."""

    def command(self) -> list[str]:
        return ["manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"]

    def stop(self, number: int = signal.SIGINT, within_s: float = 40) -> int:
        """It stops at Ctrl-C."""
        return super().stop(number, within_s)


def publisher_token() -> str:
    return mint("engine", 3600, ["publish"], ["*"])


def watcher_token(*calls: str, name: str = "watcher", lifetime_s: int = 3600) -> str:
    return mint(name, lifetime_s, ["subscribe"], list(calls or ("*",)))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def an_alert(call_id: str | None = "call-1", **more: Any) -> dict[str, Any]:
    """An alert that may be posted."""
    about = {} if call_id is None else {"callId": call_id}
    return {"type": "call_event", "severity": "low", "title": "A title", "message": "a message", **about, **more}
