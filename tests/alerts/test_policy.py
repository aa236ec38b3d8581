"""What is held back as a repeat: properties of `policy.decide` over random streams of alerts."""

import json
from collections import Counter
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from alerts import policy
from alerts.policy import MAX_TRACKED, Cooldowns, Decision, decide, dump, load

COOLDOWN_MS = 5000
Stream = list[tuple[str, str, str, int, int]]  # type, kind, channel, severity, and how long after the one before, ms
ALERTS = st.lists(
    st.tuples(
        st.sampled_from(["call_event", "anomaly", "call_summary", "connection"]),
        st.sampled_from(["overlap", "silence"]),
        st.sampled_from(["caller", "agent"]),
        st.integers(0, 4),
        st.integers(0, 4000) | st.just(COOLDOWN_MS) | st.integers(-7200_000, -1),  # clocks are set back, too
    ),
    max_size=60,
)


def decided(stream: Stream) -> list[tuple[int, Decision]]:
    """Each alert's time and decision; the state goes through JSON between them, as on the call's row."""
    cooldowns: Cooldowns = {}
    now_ms, decisions = 0, []
    for number, (type_, kind, channel, severity, wait_ms) in enumerate(stream):
        now_ms += wait_ms
        decision, cooldowns = decide(str(number), type_, kind, channel, severity, cooldowns, now_ms, COOLDOWN_MS)
        cooldowns = load(json.loads(json.dumps(dump(cooldowns))))
        decisions.append((now_ms, decision))
    return decisions


@given(ALERTS)
def test_a_rise_in_severity_is_always_sent(stream: Stream) -> None:
    highest_since_sent: dict[tuple[str, ...], int] = {}
    for (*key, severity, _), (_, decision) in zip(stream, decided(stream), strict=True):
        if severity > highest_since_sent.get(tuple(key), -1):
            assert not decision.suppressed
        if not decision.suppressed:
            highest_since_sent[tuple(key)] = severity


@given(ALERTS)
def test_what_is_held_back_is_counted_on_the_next_one_sent(stream: Stream) -> None:
    held: dict[tuple[str, ...], int] = {}
    for (*key, _, _), (_, decision) in zip(stream, decided(stream), strict=True):
        if decision.suppressed:
            held[tuple(key)] = held.get(tuple(key), 0) + 1
        else:
            assert decision.suppressed_count == held.pop(tuple(key), 0)


@given(ALERTS)
def test_without_a_rise_two_sent_alerts_are_a_cooldown_apart(stream: Stream) -> None:
    last: dict[tuple[str, ...], tuple[int, int]] = {}
    for (*key, severity, _), (now_ms, decision) in zip(stream, decided(stream), strict=True):
        if decision.suppressed or key[0] in ("call_summary", "connection"):
            continue
        if tuple(key) in last and last[tuple(key)][1] >= severity:
            assert abs(now_ms - last[tuple(key)][0]) >= COOLDOWN_MS
        last[tuple(key)] = (now_ms, severity)


@given(ALERTS)
def test_summaries_and_connections_are_never_held_back(stream: Stream) -> None:
    for (type_, *_), (_, decision) in zip(stream, decided(stream), strict=True):
        assert type_ in ("call_event", "anomaly") or not decision.suppressed


@given(ALERTS)
def test_nothing_is_held_back_but_repeats_within_a_cooldown_of_the_last_one_sent(stream: Stream) -> None:
    last: dict[tuple[str, ...], tuple[int, str, int]] = {}
    for number, ((*key, severity, _), (now_ms, decision)) in enumerate(zip(stream, decided(stream), strict=True)):
        if decision.suppressed:
            sent_at, sent, sent_severity = last[tuple(key)]
            assert decision.repeat_of == sent
            assert abs(now_ms - sent_at) < COOLDOWN_MS
            assert severity <= sent_severity
        else:
            last[tuple(key)] = (now_ms, str(number), severity)


def test_a_clock_that_is_set_back_by_hours_holds_nothing_back_for_hours() -> None:
    event = ("call_event", "overlap", "all", 1)
    stream = [(*event, 0), (*event, -7200_000), (*event, 1000)]
    assert [decision.suppressed for _, decision in decided(stream)] == [False, False, True]


def test_exactly_the_cooldown_passes_and_a_millisecond_less_does_not() -> None:
    event = ("call_event", "overlap", "all", 1)
    assert [decision.suppressed for _, decision in decided([(*event, 0), (*event, 4999)])] == [False, True]
    assert [decision.suppressed for _, decision in decided([(*event, 0), (*event, 5000)])] == [False, False]


def test_a_repeat_names_the_alert_it_repeats() -> None:
    event = ("call_event", "overlap", "all", 1)
    repeat = decided([(*event, 0), (*event, 100), (*event, 100)])[2][1]
    assert repeat == Decision(suppressed=True, repeat_of="0", suppressed_count=0)


def test_kinds_and_channels_with_odd_characters_are_no_repeats_of_each_other() -> None:
    stream = [("anomaly", "a", "b\tc", 1, 0), ("anomaly", "a\tb", "c", 1, 1), ("anomaly", 'a", "b', "c", 1, 1)]
    assert [decision.suppressed for _, decision in decided(stream)] == [False, False, False]


def test_the_state_of_a_call_stays_bounded_whatever_kinds_are_posted() -> None:
    cooldowns: Cooldowns = {}
    for number in range(3 * MAX_TRACKED):
        decision, cooldowns = decide("id", "anomaly", f"kind {number}", "", 1, cooldowns, number, COOLDOWN_MS)
        assert not decision.suppressed
    assert len(cooldowns) == MAX_TRACKED


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 4), st.integers(0, 4000)), max_size=60))
def test_no_count_and_no_rise_is_lost_when_there_are_more_kinds_than_the_state_takes(
    stream: list[tuple[str, int, int]],
) -> None:
    with mock.patch.object(policy, "MAX_TRACKED", 3):
        kinds: Stream = [("anomaly", kind, "", severity, wait_ms) for kind, severity, wait_ms in stream]
        decisions = [decision for _, decision in decided(kinds)]
    held: Counter[str] = Counter()
    sent: dict[str, int] = {}
    for (kind, severity, _), decision in zip(stream, decisions, strict=True):
        assert not decision.suppressed or severity <= sent[kind]
        if decision.suppressed:
            held[kind] += 1
        else:
            assert decision.suppressed_count == held.pop(kind, 0)
            sent[kind] = severity


def test_a_kind_that_the_full_state_has_no_room_for_gets_it_when_another_is_a_cooldown_old() -> None:
    cooldowns: Cooldowns = {}
    suppressed = []
    for kind, now_ms in [("old", 0), *((f"{number}", 4000) for number in range(MAX_TRACKED - 1))]:
        _, cooldowns = decide("id", "anomaly", kind, "", 1, cooldowns, now_ms, COOLDOWN_MS)
    for now_ms in (4000, 4001, 5000, 5001):
        decision, cooldowns = decide("id", "anomaly", "new", "", 1, cooldowns, now_ms, COOLDOWN_MS)
        suppressed.append(decision.suppressed)
    assert suppressed == [False, False, False, True]
