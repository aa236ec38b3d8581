"""Which alerts are sent and which are held back as repeats. Pure: it is told the time and keeps nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NEVER_HELD_BACK = frozenset({"call_summary", "connection", "disconnection"})
MAX_TRACKED = 256  # per call; posted kinds are free text, so the state needs a bound


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
        now_ms: wall time, Unix ms.
        cooldown_ms: how long after a sent alert its repeats are held back; exactly that long passes.

    Returns:
        The decision and the state after it.
    """
    if type_ in NEVER_HELD_BACK:
        return Decision(False, None, 0), cooldowns
    key = "\t".join((type_, kind, channel))
    last = cooldowns.get(key)
    if last and now_ms - last.at_ms < cooldown_ms and severity <= last.severity:
        held = Sent(last.at_ms, last.severity, last.alert_id, last.held_back + 1)
        return Decision(True, last.alert_id, 0), {**cooldowns, key: held}
    state = _bounded({**cooldowns, key: Sent(now_ms, severity, alert_id)})
    return Decision(False, None, last.held_back if last else 0), state


def _bounded(cooldowns: dict[str, Sent]) -> dict[str, Sent]:
    while len(cooldowns) > MAX_TRACKED:
        del cooldowns[min(cooldowns, key=lambda key: cooldowns[key].at_ms)]
    return cooldowns


def load(stored: Mapping[str, Any]) -> Cooldowns:
    """The state from the JSON kept on the call's row."""
    return {key: Sent(*fields) for key, fields in stored.items()}


def dump(cooldowns: Cooldowns) -> dict[str, Any]:
    """The state as JSON for the call's row."""
    return {key: [sent.at_ms, sent.severity, sent.alert_id, sent.held_back] for key, sent in cooldowns.items()}
