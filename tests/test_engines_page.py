"""docs/engines.md does what it shows."""

import json
import re
import signal
import subprocess
import sys
from typing import Any

from tests.live import ROOT, LiveServer, publisher_token, watcher_token

PAGE = (ROOT / "docs/engines.md").read_text()
EXAMPLES = dict(re.findall(r"^```(json findings|json summary|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


def alerts_of(server: LiveServer, call_id: str) -> list[dict[str, Any]]:
    page = server.call("GET", f"/api/v1/calls/{call_id}/alerts/", token=watcher_token())[1]
    return list(reversed(page["results"]))


def test_the_posts_that_are_shown_become_alerts(server: LiveServer) -> None:
    for name in ("findings", "summary"):
        path = f"/api/v1/calls/engines-page/{name}/"
        assert server.call("POST", path, json.loads(EXAMPLES[f"json {name}"]), publisher_token())[0] == 201
    assert [alert["kind"] for alert in alerts_of(server, "engines-page")] == [
        "interrupt",
        "echo",
        "mos",
        "negative",
        "summary",
    ]


def test_the_engine_that_is_shown_runs_beside_the_server(server: LiveServer) -> None:
    command = [sys.executable, "-c", EXAMPLES["python"]]
    done = subprocess.run(command, cwd=ROOT, env=server.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "['4711']\nlet go\n"), done.stderr
    (alert,) = alerts_of(server, "4711")
    assert (alert["kind"], alert["title"], alert["actionable"]) == ("keyword", "keyword", True)
    assert server.rows("SELECT active FROM alerts_call WHERE call_id = '4711'") == [(0,)]


BOUND = """
bind("4712", spotter).result(timeout=10)
print("bound", flush=True)
input()
"""


def test_a_call_with_an_engine_beside_the_server_goes_on_while_that_lives_however_often_the_server_starts(
    own_server: Any,
) -> None:
    server: LiveServer = own_server()
    is_active = "SELECT active FROM alerts_call WHERE call_id = '4712'"
    program = EXAMPLES["python"].partition('bind("4711"')[0] + BOUND
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as beside:
        assert beside.stdout is not None
        assert beside.stdout.readline() == b"bound\n"
        server.restart(signal.SIGKILL)
        assert server.rows(is_active) == [(1,)]
        beside.kill()
    server.restart(signal.SIGKILL)
    assert server.rows(is_active) == [(0,)]
