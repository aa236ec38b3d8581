"""A process that reports at random and acknowledges, when its parent says so; it prints what became of that."""

import json
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import django

CALLS = ("one", "two", "three", "")
NOON = 1_800_000_000_000


def main(number: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "alertsite.settings"
    django.setup()
    print("ready", flush=True)
    count = json.loads(input())
    with ThreadPoolExecutor(3) as threads:
        stored = list(threads.map(report, (number * 3 + thread for thread in range(3)), [count] * 3))
    print(json.dumps([one for some in stored for one in some]), flush=True)
    print(json.dumps(report_again(number, json.loads(input()))), flush=True)
    print(json.dumps(acknowledge([UUID(id_) for id_ in json.loads(input())], f"process {number}")), flush=True)


def report(seed: int, count: int) -> list[tuple[str, int | None]]:
    """Reports in lists of a few, with times that wander: the ids, and the places they got."""
    from alerts import dispatch
    from alerts.writer import Report

    chance, reported = random.Random(seed), []
    at = NOON + chance.randrange(20_000)
    while len(reported) < count:
        reports = []
        for _ in range(chance.randint(1, 8)):
            at += chance.choice((0, 10, 700, 3000, -2000))
            type_ = chance.choice(("call_event", "anomaly", "call_event", "call_summary"))
            kind, channel = chance.choice("xy"), chance.choice(("caller", "agent"))
            reports.append(
                Report(type_, chance.randint(0, 4), "t", "m", chance.choice(CALLS), kind, channel, timestamp=at)
            )
        reported += dispatch.report(*reports).result(60)
    return [(str(stored.id), stored.seq) for stored in reported]


def report_again(seed: int, count: int) -> dict[str, str]:
    """Reports what every process reports, each about a call and in lists of its own: the alerts by external id."""
    from alerts import dispatch
    from alerts.writer import Report

    chance, reported = random.Random(seed), {}
    external_ids = [f"same {number}" for number in range(count)]
    chance.shuffle(external_ids)
    while external_ids:
        some, external_ids = external_ids[:20], external_ids[20:]
        same = [
            Report("anomaly", 2, "t", "m", f"of process {seed}", source="engine", external_id=each) for each in some
        ]
        reported |= {each: str(stored.id) for each, stored in zip(some, dispatch.report(*same).result(60), strict=True)}
    return reported


def acknowledge(alert_ids: list[UUID], by: str) -> list[tuple[bool, str, int]]:
    """Acknowledges all of them at once: whether it was the first, and who was."""
    from alerts import dispatch

    asked = [dispatch.acknowledge(alert_id, by) for alert_id in alert_ids]
    answers = [one.result(60) for one in asked]
    return [(answer.first, answer.by, answer.at) for answer in answers if answer is not None]


if __name__ == "__main__":
    main(int(sys.argv[1]))
