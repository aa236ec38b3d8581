"""What is counted over the calls that were heard: the figures of the accuracy benchmark, each beside its target."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import faults
from benchmarks.calls import CHANNELS, LabelledCall
from benchmarks.conditions import AGENT, ERL_DB, OTHER_SOUND_FROM_S, OTHER_SOUND_S, SNR_DB
from benchmarks.heard import Calls, Heard
from benchmarks.impairments import Fill
from benchmarks.scoring import Bin, Score, add, calibration, frame_score, score

HOUR_S = 3600
EVENTS = (
    "overlap",
    "interrupt",
    "long_pause",
    "silence/quiet",
    "silence/one_way",
    "silence/digital",
    "silence/hold",
    "volume_spike",
    "speaker_change",
)
LEAST_F1 = {
    "speech": {"20 dB": 0.95, "10 dB": 0.90, "5 dB": 0.85},
    "overlap": {"clean": 0.93, "10 dB": 0.88, "echo": 0.90},
    "interrupt": {"clean": 0.93, "10 dB": 0.88, "echo": 0.90},
    "long_pause": {"clean": 0.95},
}
MOST_CALLED_SPEECH = {"hold music": 0.10, "tones": 0.05}


class Row(NamedTuple):
    """A figure: what it is of, and what it should be at least or at most; over how many it was counted.

    A figure of nothing is None.
    """

    name: str
    figure: float | None
    least: float | None = None
    most: float | None = None
    of: int | None = None

    @property
    def missed(self) -> bool:
        """It is not what it should be."""
        if self.figure is None:
            return False
        return (self.least is not None and self.figure < self.least) or (
            self.most is not None and self.figure > self.most
        )

    def record(self) -> dict[str, float | None]:
        """For JSON."""
        return {key: value for key, value in self._asdict().items() if key != "name" and value is not None}


def speech(calls: Calls) -> dict[str, dict[str, float]]:
    """Frame F1 of engine and peers, by condition in which the peers have listened to speech."""
    figures: dict[str, dict[str, float]] = {}
    for name in ("clean", "clean, 16 kHz", *(f"{snr_db} dB" for snr_db in SNR_DB)):
        heard = calls[name]
        figures[name] = {"engine": _frame_f1((one.speech, one.call) for one in heard)}
        for peer in heard[0].peers:
            figures[name][peer] = _frame_f1((one.peers[peer], one.call) for one in heard)
    return figures


def _frame_f1(pairs: Iterable[tuple[NDArray[np.bool_], LabelledCall]]) -> float:
    total = Score()
    for found, call in pairs:
        truth = call.speech
        frames = min(found.shape[1], truth.shape[1])
        total += frame_score(found[:, :frames], truth[:, :frames])
    return round(total.f1, 3)


def events(calls: Calls) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores of each event in each condition that has it."""
    groups = {
        "clean": calls["clean"],
        "10 dB": calls["10 dB"],
        "echo": _echoing(calls),
        "one side": calls["one side"],
        "hold music": calls["hold music"],
        "mono": calls["mono"],
    }
    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for name, heard in groups.items():
        scores = add(score(one.spans("event"), one.call.labels) for one in heard)
        minutes = sum(one.call.seconds for one in heard) / 60
        for type in EVENTS:
            result = scores.get(type, Score())
            if result.hits + result.misses:
                figures.setdefault(type, {})[name] = {
                    "f1": round(result.f1, 3),
                    "recall": round(result.recall, 3),
                    "falsePerMinute": round(result.false / minutes, 2),
                    "onsetErrorMs": result.onset_error_ms if result.hits else None,
                    "labels": result.hits + result.misses,
                    "target": LEAST_F1.get(type, {}).get(name),
                }
    return figures


def event_rows(calls: Calls) -> list[Row]:
    """What is asked of events beside their F1."""
    clean = add(score(one.spans("event"), one.call.labels) for one in calls["clean"])
    spikes, minutes = clean.get("volume_spike", Score()), _seconds(calls["clean"]) / 60
    talk = sum((clean.get(type, Score()) for type in ("overlap", "interrupt", "long_pause")), Score())
    onset_ms = talk.onset_error_ms if talk.hits else None
    return [
        Row("onset error of overlaps, interrupts and pauses, median, ms", onset_ms, most=60.0, of=talk.hits),
        Row("volume spikes found", spikes.recall, least=0.95, of=spikes.hits + spikes.misses),
        Row("false volume spikes a minute", spikes.false / minutes, most=0.1),
    ]


def sounds(calls: Calls) -> dict[str, dict[str, float]]:
    """Share of hold music, after its first 8 s, and of tones that is called speech."""
    figures: dict[str, dict[str, float]] = {}
    for name, skipped_s in (("hold music", 8), ("tones", 0)):
        part = slice((OTHER_SOUND_FROM_S + skipped_s) * 50, (OTHER_SOUND_FROM_S + OTHER_SOUND_S) * 50)
        heard = calls[name]
        figures[name] = {"engine": round(float(np.mean([one.speech[AGENT, part] for one in heard])), 3)}
        for peer in heard[0].peers:
            figures[name][peer] = round(float(np.mean([one.peers[peer][AGENT, part] for one in heard])), 3)
    return figures


def anomalies(calls: Calls) -> dict[str, dict[str, float | None]]:
    """Of each type of anomaly, over all calls: how many of those clearly there were found, and false ones an hour."""
    heard = _all(calls)
    scores = add(faults.score(one.call, one.anomalies()) for one in heard)
    hours = _seconds(heard) / HOUR_S
    return {
        type: {
            "labels": one.hits + one.misses,
            "recall": round(one.recall, 3) if one.hits + one.misses else None,
            "falsePerHour": round(one.false / hours, 2),
        }
        for type, one in scores.items()
    }


def anomaly_rows(calls: Calls) -> list[Row]:
    """What is asked of anomalies."""
    clean, clipped = calls["polite"], calls["clipped"]
    false_anomalies = sum(len(one.anomalies()) for one in clean) / _seconds(clean) * HOUR_S
    found = [_on_each_channel(one, "distortion") for one in clipped]
    return [
        Row("false anomalies in an hour of clean calls", false_anomalies, most=1.0, of=len(clean)),
        *_echo_rows(calls),
        Row("clipping of 6 dB or more found", _mean(found), least=0.95, of=len(found)),
        *_dropout_rows(calls),
    ]


def _echo_rows(calls: Calls) -> Iterator[Row]:
    delays_off_ms: list[float] = []
    for erl_db in ERL_DB:
        found = []
        for one in calls[f"ERL {erl_db} dB"]:
            echo = one.call.damage.echo
            assert echo is not None
            heard = [anomaly for anomaly in one.anomalies("echo") if anomaly["channel"] == CHANNELS[echo.channel]]
            far_s = _talk_ends(one.call.speech[1 - echo.channel], seconds=20)
            found.append(any(anomaly["detectedAt"] <= far_s * 1000 for anomaly in heard))
            delays_off_ms += [abs(anomaly["metadata"]["delayMs"] - echo.delay_ms) for anomaly in heard]
        least = 0.95 if erl_db <= 26 else None
        yield Row(f"echo of ERL {erl_db} dB found within 20 s of far speech", _mean(found), least=least, of=len(found))
    near = [off_ms <= 20 for off_ms in delays_off_ms]
    yield Row("echo delays right within 20 ms", _mean(near), least=0.95, of=len(near))
    others = [one for one in _all(calls) if not one.call.damage.echo]
    false = sum(len(one.anomalies("echo")) for one in others)
    yield Row("false echoes in 10 h", false / _seconds(others) * 10 * HOUR_S, most=1.0, of=len(others))


def _talk_ends(speech: NDArray[np.bool_], seconds: float) -> float:
    """When somebody has talked for so long, s."""
    talked = np.flatnonzero(np.cumsum(speech) >= seconds * 50)
    return float(talked[0] + 1) / 50 if len(talked) else len(speech) / 50


def _on_each_channel(heard: Heard, type: str) -> float:
    channels = {anomaly["channel"] for anomaly in heard.anomalies(type)}
    return len(channels & set(heard.call.channels)) / len(heard.call.channels)


def _dropout_rows(calls: Calls) -> Iterator[Row]:
    """Share of the losses beside speech that are among the intervals of the dropouts found, and intervals in which
    nothing was lost, also in calls that lose nothing at all."""
    false, heard = 0, [*calls["polite"]]
    for fill in Fill:
        lossy = calls[f"lost, {fill}"]
        hits = [hit for one in lossy for hit in _losses_found(one)]
        told = fill is not Fill.COMFORT
        yield Row(f"lost packets found, {fill}", _mean(hits), least=0.98 if told else None, of=len(hits))
        heard += lossy if told else []
    for one in heard:
        for lost, found in _losses(one):
            false += sum(not any(_meet(interval, loss) for loss in lost) for interval in found)
    yield Row("false losses a minute", false / _seconds(heard) * 60, most=0.2, of=len(heard))


def _losses_found(heard: Heard) -> Iterator[bool]:
    for channel, (lost, found) in enumerate(_losses(heard)):
        for start, end in lost:
            if heard.call.speech[channel, start // 20 : end // 20].all():
                yield any(_meet(interval, (start, end)) for interval in found)


def _losses(heard: Heard) -> Iterator[tuple[Sequence[tuple[int, int]], list[tuple[int, int]]]]:
    """By channel, where packets were lost and where the engine says so, ms."""
    for channel, name in enumerate(heard.call.channels):
        told = [anomaly for anomaly in heard.anomalies("dropouts") if anomaly["channel"] == name]
        found = [(start, end) for anomaly in told for start, end in anomaly["metadata"]["intervals"]]
        yield heard.call.lost[channel] if heard.call.lost else [], found


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def confidences(calls: Calls) -> dict[str, list[Bin]]:
    """Of each type of anomaly, how often findings of like confidence are right; of all types at last."""
    told = [found for one in _all(calls) for found in faults.judged(one.call, one.anomalies())]
    by_type = {type: [(sure, right) for of, sure, right in told if of == type] for type in faults.ANOMALIES}
    by_type["all"] = [(sure, right) for _, sure, right in told]
    return {type: calibration(found) for type, found in by_type.items() if found}


def _all(calls: Calls) -> list[Heard]:
    return [one for heard in calls.values() for one in heard]


def _echoing(calls: Calls) -> list[Heard]:
    return [one for erl_db in ERL_DB for one in calls[f"ERL {erl_db} dB"]]


def _seconds(heard: Sequence[Heard]) -> float:
    return sum(one.call.seconds for one in heard)


def _mean(found: Sequence[float]) -> float | None:
    return float(np.mean(found)) if found else None


def rows_record(rows: Iterable[Row]) -> Mapping[str, Any]:
    """Rows for JSON, by name."""
    return {row.name: row.record() for row in rows}
