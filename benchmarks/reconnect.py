"""A reconnect storm: how long until clients that all come back at once, and each missed alerts, are current.

Run it alone: `python -m benchmarks.reconnect [--clients 1000] [--missed 300] [--calls 1 50]`. The server is the real
`serve`, with auth on, every client a user of its own, and the database on disk; before each storm it is started anew,
so that nothing is in its memory. Prints a table, then one JSON line. Exits with 1 if a client came short.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time

import django

import tests.environment  # noqa: F401  # the settings' variables, which have to be there before they are read

os.environ["DJANGO_SETTINGS_MODULE"] = "alertsite.settings"
django.setup()

from tests.live import LiveServer  # noqa: E402  # reads the settings
from tests.storm import Storm, post_missed, storm  # noqa: E402

LIMIT_S = 10.0


def one_call_each(server: LiveServer, clients: int, missed: int, calls: int) -> Storm:
    """Each comes back to one of some calls, by `lastSeq`."""
    post_missed(server, f"of {calls}", calls, missed)
    server.restart()
    asked = [{"type": "subscribe", "callId": f"of {calls} {number}", "lastSeq": 0} for number in range(calls)]
    return asyncio.run(storm(server, clients, missed, lambda number: asked[number % calls]))


def every_call(server: LiveServer, clients: int, missed: int) -> Storm:
    """Each comes back to the stream of every call, by `since`."""
    since = int(time.time() * 1000)
    post_missed(server, "of all", 10, missed // 10)
    server.restart()
    there = since + 30_000  # which reaches 30 s further back; no two clients were there at the same moment
    asked = [{"type": "resume", "since": there - number} for number in range(clients)]
    return asyncio.run(storm(server, clients, missed // 10 * 10, lambda number: asked[number]))


def row(name: str, result: Storm) -> dict[str, float | int | str]:
    figures = {share: round(result.percentile(share), 2) for share in (0.5, 0.99, 1.0)} if result.took_s else {}
    times = {"p50S": figures.get(0.5), "p99S": figures.get(0.99), "lastS": figures.get(1.0)}
    cpu = {"serverCpuS": round(result.server_cpu_s, 2)}
    return {"storm": name, "current": len(result.took_s), "short": len(result.short), **times, **cpu}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--missed", type=int, default=300, help="alerts, by each client")
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 50], help="that the clients are spread over")
    given = parser.parse_args()
    server = LiveServer({"ALERT_COOLDOWN_MS": "0"})
    try:
        storms = {
            f"{calls} call{'s' * (calls > 1)}": one_call_each(server, given.clients, given.missed, calls)
            for calls in given.calls
        }
        storms["every call"] = every_call(server, given.clients, given.missed)
    finally:
        server.stop()
        shutil.rmtree(server.folder)
    rows = [row(name, result) for name, result in storms.items()]
    print(f"{given.clients} clients come back at once, {given.missed} alerts missed by each; limit {LIMIT_S:.0f} s")
    for figures in rows:
        told = ", ".join(f"{name} {value}" for name, value in figures.items() if name != "storm")
        print(f"{figures['storm']:>12}: {told}")
    print(json.dumps({"benchmark": "reconnect", "clients": given.clients, "missed": given.missed, "storms": rows}))
    return 1 if any(result.short for result in storms.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
