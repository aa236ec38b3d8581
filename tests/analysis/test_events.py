"""Overlap, interruption and long pause: exactly what their definitions say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.findings import State
from benchmarks import definitions
from tests.analysis.voices import FRAME, LOOK_AHEAD_MS, babble, call, channel, closed, hear, room, spans, to_samples


def test_two_talkspurts_at_once_for_200_ms_are_an_overlap() -> None:
    found = hear(call(6000, [(1000, 3000)], [(2800, 4000)]))
    assert spans(found, "overlap") == [("all", 2800, 200, "low")]
    assert closed(found, "overlap")[0].detected_at == 3000 + LOOK_AHEAD_MS


def test_a_shorter_one_is_none() -> None:
    assert spans(hear(call(6000, [(1000, 3000)], [(2820, 4000)])), "overlap") == []


def test_an_overlap_is_raised_at_1_s_and_at_2_5_s_and_closed_with_its_length() -> None:
    found = [f for f in hear(call(8000, [(1100, 7000)], [(2000, 5000)])) if f.event.type == "overlap"]
    assert [(f.state, f.event.severity, f.event.duration) for f in found] == [
        (State.OPENED, "low", 200),
        (State.RAISED, "medium", 1000),
        (State.RAISED, "high", 2500),
        (State.CLOSED, "high", 3000),
    ]
    assert {f.key for f in found} == {"overlap:all:2000"}
    assert {f.event.detected_at for f in found} == {2200 + LOOK_AHEAD_MS}


def test_overlaps_are_not_merged() -> None:
    found = hear(call(8000, [(1000, 6000)], [(2000, 2400), (3000, 3600)]))
    assert spans(found, "overlap") == [("all", 2000, 400, "low"), ("all", 3000, 600, "low")]


def test_who_yields_to_another_who_speaks_on_was_interrupted() -> None:
    found = hear(call(7000, [(1000, 3000)], [(2500, 5000)]))
    (event,) = closed(found, "interrupt")
    assert (event.channel, event.timestamp, event.duration) == ("caller", 2500, 500)
    assert event.metadata == {"by": "agent"}
    assert event.severity == "medium", "one step up, as the agent interrupts"
    assert event.detected_at == 3320 + LOOK_AHEAD_MS, "the first frame beyond 300 ms after the caller yielded"
    assert [f.state for f in found if f.event.type == "interrupt"] == [State.OPENED, State.CLOSED]


def test_the_callers_interruption_is_graded_as_the_overlap() -> None:
    found = hear(call(9000, [(3000, 7000)], [(1000, 4500)]))
    assert spans(found, "interrupt") == [("agent", 3000, 1500, "medium")]
    assert closed(found, "interrupt")[0].metadata == {"by": "caller"}


def test_an_agents_interruption_of_2_5_s_is_critical() -> None:
    found = hear(call(9000, [(1000, 5500)], [(2500, 7000)]))
    assert spans(found, "interrupt") == [("caller", 2500, 3000, "critical")]


@pytest.mark.parametrize(
    "agent",
    [(2000, 2600), (2720, 5000), (1080, 5000), (2000, 3300)],
    ids=["backchannel", "at the end", "at the start", "yields too"],
)
def test_what_only_looks_like_an_interruption_is_none(agent: tuple[int, int]) -> None:
    assert spans(hear(call(7000, [(1000, 3000)], [agent])), "interrupt") == []


def test_3_s_without_speech_are_a_long_pause_once_there_was_speech() -> None:
    found = hear(call(12000, [(4000, 5000)], [(8000, 9000)]))
    assert spans(found, "long_pause") == [("all", 5000, 3000, "low"), ("all", 9000, 3000, "low")]
    assert [event.detected_at for event in closed(found, "long_pause")] == [8000 + LOOK_AHEAD_MS, 12000]


def test_a_pause_is_raised_at_6_and_10_s_and_closed_with_the_call() -> None:
    found = [f for f in hear(call(13000, [(500, 1500)], [])) if f.event.type == "long_pause"]
    assert [(f.state, f.event.severity, f.event.duration) for f in found] == [
        (State.OPENED, "low", 3000),
        (State.RAISED, "medium", 6000),
        (State.RAISED, "high", 10000),
        (State.CLOSED, "high", 11500),
    ]


def test_a_click_neither_ends_nor_prevents_a_pause() -> None:
    clicked = call(9000, [(500, 1500)], [])
    clicked[4400 * 8 : 4440 * 8, 0] = np.rint(babble(40))
    found = hear(clicked)
    assert spans(found, "long_pause") == [("all", 1500, 7500, "medium")]
    (opened, *_) = [f for f in found if f.event.type == "long_pause"]
    assert opened.event.detected_at > 4500, "the click had to be told from speech first"


def test_a_mono_calls_events_bear_its_own_name() -> None:
    found = hear(to_samples(channel(9000, [(500, 1500)])), channels=("mixed",))
    assert {f.event.channel for f in found} == {"mixed"}
    assert spans(found, "long_pause") == [("mixed", 1500, 7500, "medium")]


run = st.tuples(st.integers(1, 60), st.integers(1, 90))
party = st.lists(run, max_size=6)


def activity(runs: list[tuple[int, int]], frames: int) -> list[bool]:
    active: list[bool] = [False] * 5
    for gap, length in runs:
        active += [False] * gap + [True] * length
    return (active + [False] * frames)[:frames]


def render(active: list[bool], seed: int) -> np.ndarray:
    sound = room(len(active) * 20, seed)
    return np.where(np.repeat(active, FRAME), babble(len(active) * 20, seed), sound)


@settings(deadline=None, max_examples=60)
@given(party, party, st.integers(0, 200))
def test_events_are_those_of_the_definitions(
    caller: list[tuple[int, int]], agent: list[tuple[int, int]], rest: int
) -> None:
    frames = 10 + max(sum(map(sum, caller)), sum(map(sum, agent))) + rest
    actives = [activity(caller, frames), activity(agent, frames)]
    found = hear(to_samples(*(render(active, seed) for seed, active in enumerate(actives))))
    a, b = (definitions.talkspurts(active, 20) for active in actives)

    def heard(type: str, channel: str) -> list[definitions.Label]:
        events = [e for e in closed(found, type) if e.channel == channel]
        return [definitions.Label(e.timestamp, e.timestamp + e.duration) for e in events]

    assert heard("overlap", "all") == definitions.overlaps(a, b)
    assert heard("interrupt", "caller") == definitions.interruptions(a, b)
    assert heard("interrupt", "agent") == definitions.interruptions(b, a)
    assert heard("long_pause", "all") == definitions.long_pauses(a + b, frames * 20)
    changes = definitions.floor_changes(a, b)
    for who, name in enumerate(("caller", "agent")):
        assert heard("speaker_change", name) == [label for taker, label in changes if taker == who]
