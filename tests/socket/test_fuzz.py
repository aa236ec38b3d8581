"""Random and mutated messages, in both versions: only documented answers come, and nothing of them stays.

`FUZZ_MESSAGES` says how many (`make fuzz`: 200,000); `FUZZ_SEED` repeats a run.
"""

import asyncio
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.alerts.test_subscribers import until_closed
from tests.live import LiveServer, bearer, watcher_token
from tests.socket.conftest import V2
from tests.socket.test_limits import MIB, resident_bytes

MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "10000"))
SEED = int(os.environ.get("FUZZ_SEED", random.randrange(2**32)))
A_SOCKET = 95  # messages; more malformed ones within a minute are too many
AT_ONCE = 4
CALLS = [f"fuzz-{number}" for number in range(20)]
ANSWERS = {"subscribed", "unsubscribed", "resumed", "authenticated", "pong", "error"}
ERRORS = {
    "bad_json",
    "bad_request",
    "unknown_type",
    "call_not_allowed",
    "invalid_token",
    "subject_mismatch",
    "forbidden",
}


class WatchedServer(LiveServer):
    """The production server, with its tasks counted."""

    def command(self) -> list[str]:
        return ["-m", "tests.socket.watched_server", str(self.port), str(self.folder / "tasks")]

    def holds(self) -> dict[str, int]:
        """What it has open: tasks of its loop, and files and sockets."""
        descriptors = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return {"tasks": int(Path(self.folder / "tasks").read_text()), "descriptors": descriptors}

    async def comes_to_hold(self, expected: dict[str, int]) -> None:
        """Waits until it holds no more than that."""
        for _ in range(300):
            held = self.holds()
            if all(held[name] <= expected[name] for name in expected):
                return
            await asyncio.sleep(0.1)
        pytest.fail(f"held {expected} before and {held} after")


@pytest.fixture(scope="module")
def watched() -> Iterator[WatchedServer]:
    server = WatchedServer()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


class Babble:
    """What a client might say, by chance, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.token = watcher_token(*CALLS)

    def message(self) -> str | bytes:
        kinds = (self.request, self.request, self.mutated, self.mutated, self.any_json, self.any_text, self.any_bytes)
        message = self.random.choice(kinds)()
        return message.encode() if isinstance(message, str) and self.random.random() < 0.2 else message

    def request(self) -> str:
        chance = self.random
        kind = chance.choice(("subscribe", "unsubscribe", "ping", "auth", "resume", "acknowledge", "", "connected"))
        frame: dict[str, Any] = {"type": kind}
        for name, values in (
            ("callId", (*CALLS[:5], "hidden", "", "x" * 257, "a\nb", "é", None, 5)),
            ("ref", ("r", 1, 0, -1, "r" * 128, "r" * 129, 2**53, 2**60, 1.5, None, True, [], {})),
            ("lastSeq", (0, 0, -1, 2**63, "1", None, 0.0)),
            ("since", (0, 1795366834123, -1, "now", None)),
            ("id", ("019aaf63-66f5-7d52-8b2f-9d3c3a1f6a10", "", "x" * 36, None, 5)),
            ("note", ("mine", "n" * 4001, "a\0b", None)),
            ("token", (self.token, "", "a.b.c", watcher_token(name="another"), None, "x" * 5000)),
        ):
            if chance.random() < 0.5:
                frame[name] = chance.choice(values)
        return json.dumps(frame, ensure_ascii=chance.random() < 0.5)

    def mutated(self) -> str:
        letters = list(self.request())
        for _ in range(self.random.randint(1, 4)):
            place = self.random.randrange(len(letters))
            letters[place : place + self.random.choice((0, 1, 1, 5))] = self.random.choice(
                ["", '"', "{", "}", "\\", "\0", "é", "\\ud800", "9" * 30, "null", letters[place] * 2]
            )
        return "".join(letters)

    def any_json(self, depth: int = 0) -> str:
        chance = self.random
        inner = [self.any_json(depth + 1) for _ in range(chance.randint(0, 3))] if depth < 4 else []
        pairs = (f"{json.dumps(chance.choice(('type', 'callId', 'ref', 'x')))}:{value}" for value in inner)
        scalars = ["null", "1e400", "-0", '"ping"', '"\\u0000"', "[" * 2000, f"[{','.join(inner)}]"]
        return chance.choice([*scalars, "{" + ",".join(pairs) + "}"])

    def any_text(self) -> str:
        letters = ("".join(map(chr, range(128))), "é漢😀\u2028")
        return "".join(self.random.choices(self.random.choice(letters), k=self.random.randint(0, 300)))

    def any_bytes(self) -> bytes:
        return self.random.randbytes(self.random.randint(0, 300))


async def babble_in_version_1(server: LiveServer, babble: Babble) -> None:
    """Nothing but pongs comes back, until a message is too big."""
    async with connect(server.ws("/"), additional_headers=bearer(watcher_token())) as socket:
        # who sends too big a message before this was said is closed at once, and never hears it
        assert json.loads(await socket.recv())["type"] == "connected"
        for _ in range(A_SOCKET):
            await socket.send(babble.message())
        await socket.send(" " * (64 * 1024 + 1))
        frames, closed = await until_closed(socket)
    assert {frame["type"] for frame in frames} <= {"pong"}
    assert closed[0] == 1009


async def babble_in_version_2(server: LiveServer, babble: Babble) -> None:
    """Every message has one answer, and each answer is one of those that are documented."""
    async with connect(server.ws("/"), additional_headers=bearer(babble.token), subprotocols=V2) as socket:
        assert json.loads(await socket.recv())["type"] == "connected"
        for _ in range(A_SOCKET):
            await socket.send(babble.message())
        await socket.send('{"type":"ping","ref":"the end"}')
        answers = [json.loads(await asyncio.wait_for(socket.recv(), 30)) for _ in range(A_SOCKET + 1)]
    assert answers[-1]["type"] == "pong"
    assert answers[-1]["ref"] == "the end"
    assert {answer["type"] for answer in answers} <= ANSWERS
    assert {answer["code"] for answer in answers if answer["type"] == "error"} <= ERRORS


async def babble_for(server: LiveServer, messages: int, seed: int) -> None:
    """So many messages or some more, half of them in each version, on a few sockets at once."""

    async def one_after_another(place: int) -> None:
        babble = Babble(seed + place)
        for number in range(-(-messages // A_SOCKET // AT_ONCE)):
            talk = (babble_in_version_1, babble_in_version_2)[(number + place) % 2]
            await talk(server, babble)

    async with asyncio.TaskGroup() as group:
        for place in range(AT_ONCE):
            group.create_task(one_after_another(place))


async def test_whatever_a_client_says_only_documented_answers_come_and_nothing_stays(watched: WatchedServer) -> None:
    print(f"FUZZ_SEED={SEED}")
    await babble_for(watched, 1000, SEED - AT_ONCE)  # what the process needs once
    before, memory = watched.holds(), resident_bytes(watched)
    await babble_for(watched, MESSAGES, SEED)
    await watched.comes_to_hold(before)
    growth = resident_bytes(watched) - memory
    print(f"{MESSAGES} messages: {growth / MIB:.1f} MiB more; {before} before, {watched.holds()} after")
    assert growth < 16 * MIB
    assert "Traceback" not in watched.log
