"""Which alerts are sent and which are held back as repeats. Pure: it is told the time and keeps nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NEVER_HELD_BACK = frozenset({"call_summary", "connection", "disconnection"})
MAX_TRACKED = 256  # keys a call, since posted kinds are free text; full means alerts of further keys are all sent


@dataclass(frozen=True, slots=True)
class Sent:
    """The last alert sent under one cooldown key, and how many repeats of it were held back since."""

    at_ms: int
    severity: int
    alert_id: str
    held_back: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one alert: held back as a repeat of another, or sent with the count of those."""

    suppressed: bool
    repeat_of: str | None
    suppressed_count: int


Cooldowns = Mapping[str, Sent]


def decide(
    alert_id: str,
    type_: str,
    kind: str,
    channel: str,
    severity: int,
    cooldowns: Cooldowns,
    now_ms: int,
    cooldown_ms: int,
) -> tuple[Decision, Cooldowns]:
    """Decide about one alert of a call.

    Args:
        alert_id: the alert's id.
        type_, kind, channel: with the call, the cooldown key.
        severity: its rank; one above the last sent under the key always passes.
        cooldowns: the call's state, from `load` or an earlier decision.
        now_ms: wall time, Unix ms. It may be earlier than before: processes overtake each other, clocks are set back.
        cooldown_ms: how far from a sent alert its repeats are held back; exactly that far passes.

    Returns:
        The decision and the state after it.
    """
    if type_ in NEVER_HELD_BACK:
        return Decision(False, None, 0), cooldowns
    key = json.dumps((type_, kind, channel))  # whatever characters they have, no two keys are one
    last = cooldowns.get(key)
    if last and _near(last, now_ms, cooldown_ms) and severity <= last.severity:
        held = Sent(last.at_ms, last.severity, last.alert_id, last.held_back + 1)
        return Decision(True, last.alert_id, 0), {**cooldowns, key: held}
    decision = Decision(False, None, last.held_back if last else 0)
    if last is None and len(cooldowns) >= MAX_TRACKED:
        cooldowns = _still_needed(cooldowns, now_ms, cooldown_ms)
        if len(cooldowns) >= MAX_TRACKED:
            return decision, cooldowns
    return decision, {**cooldowns, key: Sent(now_ms, severity, alert_id)}


def _near(sent: Sent, now_ms: int, cooldown_ms: int) -> bool:
    """Whether it was sent less than a cooldown ago; or hence, or else a clock set back would hold alerts back for
    as long as it was set back."""
    return abs(now_ms - sent.at_ms) < cooldown_ms


def _still_needed(cooldowns: Cooldowns, now_ms: int, cooldown_ms: int) -> Cooldowns:
    """The state without the keys that say nothing any more: the next alert is sent, and has no repeats to count."""
    return {key: sent for key, sent in cooldowns.items() if sent.held_back or _near(sent, now_ms, cooldown_ms)}


def load(stored: Mapping[str, Any]) -> Cooldowns:
    """The state from the JSON kept on the call's row."""
    return {key: Sent(*fields) for key, fields in stored.items()}


def dump(cooldowns: Cooldowns) -> dict[str, Any]:
    """The state as JSON for the call's row."""
    return {key: [sent.at_ms, sent.severity, sent.alert_id, sent.held_back] for key, sent in cooldowns.items()}
