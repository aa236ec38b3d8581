"""What is held back as a repeat: properties of `policy.decide` over random streams of alerts."""

import json

from hypothesis import given
from hypothesis import strategies as st

from alerts.policy import MAX_TRACKED, Cooldowns, Decision, decide, dump, load

COOLDOWN_MS = 5000
ALERTS = st.lists(
    st.tuples(
        st.sampled_from(["call_event", "anomaly", "call_summary", "connection"]),
        st.sampled_from(["overlap", "silence"]),
        st.sampled_from(["caller", "agent"]),
        st.integers(0, 4),
        st.integers(0, 4000),
    ),
    max_size=60,
)


def decided(stream: list[tuple[str, str, str, int, int]]) -> list[tuple[int, Decision]]:
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
def test_a_rise_in_severity_is_always_sent(stream: list[tuple[str, str, str, int, int]]) -> None:
    highest_since_sent: dict[tuple[str, ...], int] = {}
    for (*key, severity, _), (_, decision) in zip(stream, decided(stream), strict=True):
        if severity > highest_since_sent.get(tuple(key), -1):
            assert not decision.suppressed
        if not decision.suppressed:
            highest_since_sent[tuple(key)] = severity


@given(ALERTS)
def test_what_is_held_back_is_counted_on_the_next_one_sent(stream: list[tuple[str, str, str, int, int]]) -> None:
    held: dict[tuple[str, ...], int] = {}
    for (*key, _, _), (_, decision) in zip(stream, decided(stream), strict=True):
        if decision.suppressed:
            held[tuple(key)] = held.get(tuple(key), 0) + 1
        else:
            assert decision.suppressed_count == held.pop(tuple(key), 0)


@given(ALERTS)
def test_without_a_rise_two_sent_alerts_are_a_cooldown_apart(stream: list[tuple[str, str, str, int, int]]) -> None:
    last: dict[tuple[str, ...], tuple[int, int]] = {}
    for (*key, severity, _), (now_ms, decision) in zip(stream, decided(stream), strict=True):
        if decision.suppressed or key[0] in ("call_summary", "connection"):
            continue
        if tuple(key) in last and last[tuple(key)][1] >= severity:
            assert now_ms - last[tuple(key)][0] >= COOLDOWN_MS
        last[tuple(key)] = (now_ms, severity)


@given(ALERTS)
def test_summaries_and_connections_are_never_held_back(stream: list[tuple[str, str, str, int, int]]) -> None:
    for (type_, *_), (_, decision) in zip(stream, decided(stream), strict=True):
        assert type_ in ("call_event", "anomaly") or not decision.suppressed


def test_exactly_the_cooldown_passes_and_a_millisecond_less_does_not() -> None:
    event = ("call_event", "overlap", "all", 1)
    assert [decision.suppressed for _, decision in decided([(*event, 0), (*event, 4999)])] == [False, True]
    assert [decision.suppressed for _, decision in decided([(*event, 0), (*event, 5000)])] == [False, False]


def test_a_repeat_names_the_alert_it_repeats() -> None:
    event = ("call_event", "overlap", "all", 1)
    repeat = decided([(*event, 0), (*event, 100), (*event, 100)])[2][1]
    assert repeat == Decision(suppressed=True, repeat_of="0", suppressed_count=0)


def test_the_state_of_a_call_stays_bounded_whatever_kinds_are_posted() -> None:
    cooldowns: Cooldowns = {}
    for number in range(3 * MAX_TRACKED):
        _, cooldowns = decide("id", "anomaly", f"kind {number}", "", 1, cooldowns, number, COOLDOWN_MS)
    assert len(cooldowns) == MAX_TRACKED
