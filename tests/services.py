"""Programs of the machine that tests start, Redis and PostgreSQL too: found, or the test is skipped and says so."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest


def program(name: str, *more_places: Path) -> str:
    """The program's path. Missing: the test is skipped, or fails where `REQUIRE_SERVICES` is set."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, more_places)])
    found = shutil.which(name, path=places)
    if found is None:
        missing(f"{name} is not installed")
    return found


def missing(told: str) -> NoReturn:
    """Skips the test, or fails it where `REQUIRE_SERVICES` is set."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(told)
    pytest.skip(told)


def node_with(package: str, folder: Path) -> str:
    """The path of Node.js, with a package of npm's in a folder; skipped or failed where that cannot be had."""
    node = program("node")
    npm = [program("npm"), "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), package]
    if subprocess.run(npm, capture_output=True, timeout=120).returncode != 0:
        missing(f"npm cannot install {package}")
    return node


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Service:
    """A server program with a folder of its own, on a free port of this machine."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="alertsite-service-"))
        self.port = free_port()
        self._numbers = count()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str, **options: object) -> None:
        """Starts the program; returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **options)  # type: ignore[call-overload]
        end = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, f"{command[0]} does not answer"
            time.sleep(0.05)

    def start(self) -> None:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def stop(self, number: int = signal.SIGINT) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)

    def remove(self) -> None:
        """Ends it and takes its files away."""
        self.stop()
        shutil.rmtree(self.folder)


class Redis(Service):
    """A Redis server that keeps nothing on disk."""

    def start(self) -> None:
        places = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        self.run(program("redis-server"), *places, "--save", "", "--appendonly", "no", "--databases", "1000")

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(5) == b"+PONG"
        except OSError:
            return False

    def url(self) -> str:
        """An address that no other test uses."""
        return f"redis://127.0.0.1:{self.port}/{next(self._numbers)}"


class Postgres(Service):
    """A PostgreSQL server. It refuses to run as root, so root runs it as its own user."""

    def __init__(self) -> None:
        super().__init__()
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        self._server = program("postgres", *places)
        self._user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(self.folder, "postgres", "postgres")
        subprocess.run(
            [program("initdb", *places), "-D", self.folder / "data", "-U", "tests", "-A", "trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._user,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        settings = ("fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}")
        options = [part for setting in settings for part in ("-c", setting)]
        data = str(self.folder / "data")
        self.run(self._server, "-D", data, "-p", str(self.port), *options, cwd=self.folder, **self._user)

    def _address(self, database: str) -> str:
        return f"postgres://tests@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self._address("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self) -> str:
        """The address of a new, empty database."""
        name = f"tests{next(self._numbers)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name cannot be a parameter
        return self._address(name)
