"""What is wrong with the audio of a labelled call, by what was done to it: which anomalies are true of it."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.calls import HOPS_PER_S, LabelledCall
from benchmarks.impairments import Fill
from benchmarks.scoring import Score

ANOMALIES = (
    "echo",
    "background_noise",
    "distortion",
    "dropouts",
    "excessive_silence",
    "volume_inconsistency",
    "wrong_format",
)

NOISY_BELOW_DB = 20.0
INCONSISTENT_ABOVE_DB = 10.0
SILENT_ABOVE_PERCENT = 50.0
ECHO_BELOW_DB = 30.0
MINUTE_S = 60


class Truth(NamedTuple):
    """Whether an anomaly is true of a channel; if that is not `clear`, missing it or finding it counts neither way."""

    true: bool
    clear: bool = True


NOT = Truth(False)
UNCLEAR = Truth(False, clear=False)

Record = dict[str, Any]
"""An anomaly as the program tells it."""


def truth(call: LabelledCall, type: str, channel: str) -> Truth | None:
    """Whether an anomaly of this type is true of this channel (`all` for excessive_silence); None if nobody knows.

    Clear is what is 2 dB (echo, noise), 3 dB (volume) or 5 percent points (silence) beyond the limit.
    """
    place = call.channels.index(channel) if channel in call.channels else 0
    damage = call.damage
    match type:
        case "echo":
            echo = damage.echo
            return _beyond(ECHO_BELOW_DB - echo.erl_db, 2.0) if echo and echo.channel == place else NOT
        case "background_noise":
            return _noise(call, place)
        case "distortion":
            return None if call.raised_voices else Truth(place in damage.clipped)
        case "dropouts":
            lossy = damage.loss
            return None if lossy and lossy.fill is Fill.COMFORT else Truth(lossy is not None)
        case "excessive_silence":
            return None if damage.misread else _beyond(most_silent_percent(call) - SILENT_ABOVE_PERCENT, 5.0)
        case "volume_inconsistency":
            return _volume(call, place)
        case "wrong_format":
            return Truth(damage.misread is not None and damage.misread.channel == place)
    raise ValueError(f"an anomaly {type!r}, of which nothing is known")


def most_silent_percent(call: LabelledCall) -> float:
    """Share of the most silent minute in which nobody talks; 0 in a call of less."""
    silent = ~call.active.any(axis=0)
    so_far = np.concatenate([[0], np.cumsum(silent)])[::HOPS_PER_S]
    minutes = so_far[MINUTE_S:] - so_far[:-MINUTE_S]
    return float(minutes.max(initial=0)) / (MINUTE_S * HOPS_PER_S) * 100


def _beyond(margin: float, clear_from: float) -> Truth:
    return Truth(margin > 0, clear=abs(margin) >= clear_from)


def _noise(call: LabelledCall, place: int) -> Truth | None:
    damage = call.damage
    if any(other[0] == place for other in damage.other):
        return None  # music and tones are what they are
    if damage.step and damage.step.channel == place:
        return UNCLEAR  # a soft voice is nearer to its room
    return _beyond(NOISY_BELOW_DB - damage.snr_db, 2.0) if damage.noise else NOT


def _volume(call: LabelledCall, place: int) -> Truth | None:
    if call.raised_voices or call.damage.other:
        return None
    step = call.damage.step
    return _beyond(abs(step.db) - INCONSISTENT_ABOVE_DB, 3.0) if step and step.channel == place else NOT


def judged(call: LabelledCall, anomalies: Iterable[Record]) -> Iterator[tuple[str, float, bool]]:
    """Of each anomaly found of which the truth is known: type, confidence, and whether it is right."""
    for anomaly in anomalies:
        known = truth(call, anomaly["type"], anomaly["channel"])
        if known is not None and known != UNCLEAR:
            yield anomaly["type"], anomaly["confidence"], known.true


def score(call: LabelledCall, anomalies: Iterable[Record]) -> dict[str, Score]:
    """Hits and misses by type, each looked for once on each channel; what is false counts as often as it is found."""
    found = [(anomaly["type"], anomaly["channel"]) for anomaly in anomalies]
    scores = {}
    for type in ANOMALIES:
        score = scores[type] = Score()
        whole = "all" if len(call.channels) > 1 else call.channels[0]
        for channel in [whole] if type == "excessive_silence" else call.channels:
            known = truth(call, type, channel)
            if known is None or not known.clear:
                continue
            times = found.count((type, channel))
            score.hits += known.true and times > 0
            score.misses += known.true and not times
            score.false += 0 if known.true else times
    return scores
