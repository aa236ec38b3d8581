"""What a newcomer gets: `make run` in a fresh copy, nothing else. They read the lines, open the page, press Ctrl-C."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from playwright.async_api import Browser, Page, expect
from websockets.asyncio.client import connect

from alertsite.demo import SAMPLE
from alertsite.player import play
from tests.live import ROOT, bearer, free_port

CALLS_AT_ONCE = 50
OURS = ("ALERT_", "DJANGO_", "MEDIA_", "DEMO", "DATABASE_", "PORT", "PUBLIC_", "VIRTUAL_ENV", "MAKE", "MFLAGS")


def fresh_copy(folder: Path) -> Path:
    """The files of the project, as a clone would have them, with what is not committed yet."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def a_newcomers_environment() -> dict[str, str]:
    """This process's environment without anything that alertsite reads."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


class MakeRun:
    """`make run` in a folder, in a session of its own so that it can get the Ctrl-C of a terminal."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.started = time.monotonic()
        with (folder / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                ["make", "run"],
                cwd=folder,
                env=a_newcomers_environment() | {"PORT": str(self.port)} | env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        self.told = self._read_lines(self.process.stdout)
        self.ready_after_s = time.monotonic() - self.started

    def _read_lines(self, output: IO[str]) -> dict[str, str]:
        told: dict[str, str] = {}
        for line in output:
            label, _, value = line.partition(":")
            told[label] = value.strip()
            if label == "Watch":
                return told
        raise AssertionError(f"make run ended: {(self.folder / 'stderr').read_text()}")

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def ws(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def env_file(self) -> dict[str, str]:
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def processes(self) -> list[str]:
        """What is left of its session."""
        listed = subprocess.run(["ps", "-s", str(self.process.pid), "-o", "args="], capture_output=True, text=True)
        return listed.stdout.splitlines()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    run = MakeRun(fresh_copy(tmp_path_factory.mktemp("newcomer")))
    yield run
    run.ctrl_c()


async def test_a_client_with_the_printed_token_soon_gets_alerts_of_the_sample_call(running: MakeRun) -> None:
    async with connect(running.ws("/ws/alerts"), additional_headers=bearer(running.told["Token"])) as client:
        assert json.loads(await client.recv())["type"] == "connected"
        alert = json.loads(await asyncio.wait_for(client.recv(), 60))
    print(f"first alert {time.monotonic() - running.started - running.ready_after_s:.1f} s after the printed lines")
    assert alert["callId"].startswith("sample-")
    assert (alert["type"], alert["title"]) == ("call_event", "Speaker Change")


async def test_the_page_shows_the_call_and_its_alerts_and_breaks_no_rule_of_its_policy(
    running: MakeRun, browser: Browser
) -> None:
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await sign_in(page, running)
    await expect(page.locator("#connection")).to_contain_text("Live")
    await expect(page.locator("#calls li[data-call-id^='sample-']")).to_have_count(1, timeout=40_000)
    await expect(page.locator("#alerts li[data-alert-id]").first).to_contain_text("sample-", timeout=60_000)
    shown = await page.locator("#alerts li[data-alert-id]").count()
    await expect(page.locator("#alerts li[data-alert-id]")).not_to_have_count(shown, timeout=60_000)
    assert complaints == []


async def sign_in(page: Page, running: MakeRun) -> None:
    name, _, password = running.told["Login"].partition(" / ")
    await page.goto(running.told["Page"])
    await page.fill("input[name=username]", name)
    await page.fill("input[name=password]", password)
    await page.click("button[type=submit]")


async def test_fifty_calls_at_once_are_heard_without_a_lost_frame(running: MakeRun) -> None:
    calls = [f"load-{number}" for number in range(CALLS_AT_ONCE)]
    url, token = running.ws("/media/twilio/"), running.env_file()["MEDIA_TOKEN"]
    played = await asyncio.gather(*(play(SAMPLE, url, dialect="twilio", call_id=call, token=token) for call in calls))
    ended: dict[str, Any] = {}
    for _ in range(300):
        ended = {match[1]: match for match in map(re.compile(ENDED).search, running.log.splitlines()) if match}
        if ended.keys() >= set(calls):
            break
        await asyncio.sleep(0.1)
    assert [ended[call].group("heard", "missing", "late") for call in calls] == [
        (str(one.sent_ms), "0/0", "0/0") for one in played
    ]
    medians, worst = zip(*((int(ended[call]["median"]), int(ended[call]["worst"])) for call in calls), strict=True)
    print(f"{CALLS_AT_ONCE} calls at once: lag median {sorted(medians)[len(medians) // 2]} ms, worst {max(worst)} ms")


ENDED = (
    r"call (load-\d+) ended \(stop\): heard (?P<heard>\d+) ms, missing (?P<missing>\S+) ms, late (?P<late>\S+) ms, "
    r"lag median (?P<median>\d+) ms, worst (?P<worst>\d+) ms"
)


def test_the_secrets_are_in_a_file_that_nobody_else_may_read(running: MakeRun) -> None:
    assert stat.S_IMODE((running.folder / ".env").stat().st_mode) == 0o600
    secrets = running.env_file()
    assert len(secrets["ALERT_SERVER_JWT_SECRET"]) >= 32
    assert running.told["Login"] == f"admin / {secrets['DEMO_PASSWORD']}"


def test_the_watch_line_is_a_command_that_shows_alerts(running: MakeRun) -> None:
    watching = subprocess.Popen(
        running.told["Watch"],
        shell=True,
        cwd=running.folder,
        env=a_newcomers_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert watching.stdout is not None
    try:
        assert re.match(r"\d\d:\d\d:\d\d  \w+ +sample-\S+( \S+)?  [\w ]+: .+", watching.stdout.readline())
    finally:
        os.killpg(watching.pid, signal.SIGINT)
        watching.stdout.close()
        watching.wait(10)


def test_a_second_start_keeps_the_secrets_and_ctrl_c_leaves_nothing_running(running: MakeRun) -> None:
    before = running.env_file()
    again = MakeRun(running.folder, DEMO="0")
    print(f"second start: {again.ready_after_s:.1f} s to the printed lines")
    assert again.env_file() == before
    assert again.told["Login"] == running.told["Login"]
    again.ctrl_c()
    assert again.processes() == []
    with socket.create_server(("127.0.0.1", again.port)):
        pass


def test_without_venv_one_line_says_what_to_install(tmp_path: Path) -> None:
    fresh_copy(tmp_path)
    python = tmp_path / "python-without-venv"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    done = subprocess.run(["make", "run", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


def test_a_port_that_is_taken_is_one_line_and_exit_code_1(running: MakeRun) -> None:
    python = running.folder / ".venv/bin/python"
    done = subprocess.run(
        [python, "manage.py", "serve", "--port", str(running.port)],
        cwd=running.folder, env=a_newcomers_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(running.port) in done.stderr
