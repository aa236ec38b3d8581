"""The life of a call, whatever its streams do: told to be lost once each time, found once, and ended once."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from alertsite.calls import HeardCall, HeardStream, Job, Patience, Phase
from alertsite.reporter import CallReporter
from analysis import CallBank
from analysis.audio import Encoding
from analysis.ingest.events import Audio, Gap, Start
from analysis.media import Refused

START = Start("pcm", "c", "a-stream", Encoding.LINEAR16, 8000, ("caller",))
PATIENCE = Patience(continuous_s=2, held_s=4, another_s=3, resume_s=3, look_s=1)


class Told:
    """Keeps what a call tells of its streams."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def started(self, protocol: str, reason: str = "") -> None:
        self.kinds.append("started")

    def lost(self, protocol: str, reason: str) -> None:
        self.kinds.append("lost")


class Scene:
    """One call, and all the streams that it ever had."""

    def __init__(self) -> None:
        self.told = Told()
        self.connected = True  # the latest stream is
        self.heard: list[Audio | Gap] = []
        self.dismissed: list[Refused] = []
        self.call = HeardCall(START, PATIENCE, self.put, self.end)
        self.call.reporter = cast(CallReporter, self.told)
        self.streams = [self.stream()]
        self.call.begin(self.streams[0])
        self.call.opened()

    def stream(self) -> HeardStream:
        return HeardStream(self.call, START, self.dismissed.append)

    def put(self, job: Job, given: Any) -> None:
        """As the bank's thread does, but at once, and keeping the audio instead of hearing it."""
        if isinstance(given, Audio | Gap):
            self.heard.append(given)
        else:
            job(cast(CallBank, None), given)

    def end(self, call: HeardCall, reason: str) -> Coroutine[Any, Any, None]:
        call.end_begins()
        self.told.kinds.append("ended")
        return asyncio.sleep(0)

    async def do(self, step: str) -> None:
        match step:
            case "speak":
                self.streams[-1].write(Audio(b"new"))
                is_heard = Audio(b"new") in self.heard
                assert is_heard == (self.connected and self.call.phase is not Phase.ENDING)
                self.heard.clear()
            case "an old one speaks" if len(self.streams) > 1:
                self.streams[0].write(Audio(b"old"))
                assert self.heard == []
            case "look" if not self.call.look():
                await self.end(self.call, "lost")
            case "break":
                self.connected = False
                await self.streams[-1].close("lost")
            case "an old one breaks" if len(self.streams) > 1:
                await self.streams[0].close("lost")
            case "another" if self.call.takes_another:
                self.connected = True
                self.streams.append(self.stream())
                self.call.go_on(self.streams[-1])
                self.call.tell_started("resumed")
            case "stop":
                await self.streams[-1].close("stop")


@given(
    st.lists(
        st.sampled_from(
            ["speak", "look", "look", "look", "break", "another", "an old one speaks", "an old one breaks"]
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_whatever_its_streams_do_a_call_is_lost_found_and_ended_in_turn(steps: list[str], stops: bool) -> None:
    async def play() -> None:
        scene = Scene()
        for step in [*steps, "stop"] if stops else steps:
            await scene.do(step)
        story = " ".join(scene.told.kinds)
        assert re.fullmatch(r"started( lost started)*( lost)?( ended)?", story), story
        over = scene.call.phase is Phase.ENDING
        assert over == story.endswith("ended")
        assert (scene.call.phase is Phase.LOST) == story.endswith("lost")
        if not over:
            assert scene.call.look() or scene.call.phase is Phase.LOST

    asyncio.run(play())
