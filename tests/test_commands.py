"""The commands' promises: exit codes, and errors of one line that name the file or the value."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live import ROOT, LiveServer, an_alert
from tests.rights.people import second_server

SAMPLE = "samples/call.wav"


def manage(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False)


WRONG_CALLS = {
    ("token",): "NAME",
    ("token", "ann", "--lifetime", "5y"): "5y",
    ("token", "ann", "--scope", "subscribe fly"): "fly",
    ("token", "ann", "--calls", ","): "','",
    ("serve", "--workers", "2"): "2",
    ("stream", SAMPLE, "--url", "ws://127.0.0.1:1/elsewhere/"): "/elsewhere/",
    ("stream", SAMPLE, "--dialect", "morse"): "morse",
    ("stream", SAMPLE, "--speed", "0"): "0",
    ("watch", "--url", "nowhere"): "nowhere",
}


@pytest.mark.parametrize("words", WRONG_CALLS, ids=" ".join)
def test_a_wrong_call_is_exit_code_2_and_one_line_naming_the_value(words: tuple[str, ...]) -> None:
    done = manage(*words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert WRONG_CALLS[words] in done.stderr


FAILURES = {
    ("stream", "no-such-file.wav"): "no-such-file.wav",
    ("stream", "README.md"): "README.md",
    ("serve", "--port", "99999"): "99999",
}


@pytest.mark.parametrize("words", FAILURES, ids=" ".join)
def test_a_failure_is_exit_code_1_and_one_line_naming_the_file_or_value(words: tuple[str, ...]) -> None:
    done = manage(*words)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert FAILURES[words] in done.stderr


def test_a_database_that_is_not_prepared_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = manage("serve", DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "manage.py migrate" in done.stderr


BAD_SETTINGS = {
    "ALERT_COOLDOWN_MS": "soon",
    "ALERT_MAX_SUBSCRIBERS": "0",
    "ALERT_ENABLE_AUTH": "maybe",
    "ALERT_SERVER_JWT_SECRET": "short",
    "PUBLIC_URL": "alerts.example.com",
    "ALERT_ALLOWED_ORIGINS": "*",
    "DATABASE_URL": "oracle://somewhere",
    "PORT": "http",
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_setting_that_cannot_be_read_stops_the_start_with_its_name(name: str) -> None:
    done = manage("check", **{name: BAD_SETTINGS[name]})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert name in done.stderr


def test_a_recording_cut_short_is_heard_as_far_as_it_goes_and_said_to_be(tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes((ROOT / SAMPLE).read_bytes()[:200_000])
    done = subprocess.run(
        [sys.executable, "-m", "analysis", str(cut), "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert '"type": "overlap"' in done.stdout


@pytest.mark.parametrize("words", [[], ["--call", "call-1"]], ids=["every call", "one call"])
def test_watch_shows_what_came_while_its_server_was_away_and_nothing_twice(own_server: Any, words: list[str]) -> None:
    server: LiveServer = own_server()
    other = second_server(server)
    command = [sys.executable, "manage.py", "watch", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        try:
            assert watching.stdout is not None
            assert watching.stderr is not None
            assert "connected" in watching.stderr.readline()
            server.post(an_alert(kind="a", message="before"))
            assert "before" in watching.stdout.readline()
            server.stop()
            other.post(an_alert(kind="b", message="meanwhile"), an_alert("call-2", message="of another call"))
            server.restart()
            assert "meanwhile" in watching.stdout.readline()
            server.post(an_alert(kind="c", message="after"))
            assert ("after" if words else "of another call") in watching.stdout.readline()
        finally:
            watching.send_signal(signal.SIGINT)
            other.stop()


def test_watch_says_which_call_it_may_not_see(server: LiveServer) -> None:
    token = manage("token", "outsider").stdout.strip()
    done = manage("watch", "--call", "red-call", "--token", token, PORT=str(server.port))
    assert (done.returncode, done.stdout) == (1, "")
    assert "red-call" in done.stderr.splitlines()[-1]
