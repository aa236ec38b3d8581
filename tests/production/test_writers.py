"""Several processes that write at once: one policy, one sequence and one first acknowledgement between them."""

import json
import os
import random
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.alerts.audit import audit
from tests.live import ROOT
from tests.services import Postgres

PROCESSES = 3
COOLDOWN_MS = 5000


class Reporter:
    """One `tests.production.reporter`."""

    def __init__(self, number: int, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.production.reporter", str(number)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def say(self, value: Any) -> None:
        assert self.process.stdin is not None
        print(json.dumps(value), file=self.process.stdin, flush=True)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def env(postgres: Postgres) -> dict[str, str]:
    env = os.environ | {"DATABASE_URL": postgres.url(), "ALERT_COOLDOWN_MS": str(COOLDOWN_MS)}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=env, check=True)
    return env


def test_processes_that_report_and_acknowledge_at_once_lose_double_and_miscount_nothing(env: dict[str, str]) -> None:
    with ExitStack() as stack:
        reporters = [stack.enter_context(closing(Reporter(number, env))) for number in range(PROCESSES)]
        assert [reporter.hear() for reporter in reporters] == ["ready\n"] * PROCESSES
        for reporter in reporters:
            reporter.say(100)
        stored = [(UUID(id_), seq) for reporter in reporters for id_, seq in json.loads(reporter.hear())]
        for reporter in reporters:
            reporter.say(100)
        again = [json.loads(reporter.hear()) for reporter in reporters]
        sent = random.Random(1).sample([str(id_) for id_, seq in stored if seq is not None], 60)
        for reporter in reporters:
            reporter.say(sent)
        answers = [json.loads(reporter.hear()) for reporter in reporters]
    with psycopg.connect(env["DATABASE_URL"]) as client:
        alerts = [*(id_ for id_, _ in stored), *(UUID(id_) for id_ in again[0].values())]
        audit(lambda query: client.execute(query).fetchall(), alerts, COOLDOWN_MS)
        changed = client.execute(
            "SELECT c.last_update, array_agg(a.update_no ORDER BY a.update_no)"
            " FROM alerts_alert a JOIN alerts_call c ON c.id = a.call_id"
            " WHERE a.version = 2 AND a.acknowledged_by <> '' GROUP BY c.id"
        ).fetchall()
    assert again == [again[0]] * PROCESSES
    for of_one in zip(*answers, strict=True):
        assert [first for first, *_ in of_one].count(True) == 1
        assert len({(by, at) for _, by, at in of_one}) == 1
    assert sum(last_update for last_update, _ in changed) == len(sent)
    assert all(numbers == list(range(1, last_update + 1)) for last_update, numbers in changed)
