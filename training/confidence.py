"""Fits the confidences of anomalies: `python -m training.confidence` prints offset and slope for each.

Calls are generated with a measure on either side of the limit, as noise at 14 to 26 dB. A finding is right if the
truth that the call was made by is beyond the limit. The logistic curve of being right over the finding's margin is
fitted by maximum likelihood, with a weak pull towards a slope of 0.5 where hardly any finding is wrong.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from analysis import CallBank
from analysis.findings import Anomaly, State
from training.material import Clip, active_level_dbov, voices

RATE_HZ = 8000
CALL_S = 40
CALLS_AT_ONCE = 40
SPEECH_DBOV = -24.0
ROOM_DBOV = -75.0
_FULL_SCALE = 32768.0

Sound = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """A call and the truth about its first channel, in the measure of an anomaly's metadata."""

    samples: NDArray[np.int16]
    truth: float


def _monologue(clips: list[Clip], rng: np.random.Generator, seconds: int, dbov: float) -> Sound:
    """Utterances of one voice at a level, with pauses of 0.3 to 1.2 s."""
    gain = 10 ** ((dbov - active_level_dbov(np.concatenate(clips[:30]), RATE_HZ)) / 20) * _FULL_SCALE
    sound = np.zeros(seconds * RATE_HZ)
    at = int(rng.uniform(0.3, 1.0) * RATE_HZ)
    while at < len(sound):
        clip = clips[rng.integers(len(clips))][: len(sound) - at]
        sound[at : at + len(clip)] = clip * gain
        at += len(clip) + int(rng.uniform(0.3, 1.2) * RATE_HZ)
    return sound


def _call(first: Sound, rng: np.random.Generator) -> NDArray[np.int16]:
    """The sound beside a party that only listens."""
    room = 10 ** (ROOM_DBOV / 20) * _FULL_SCALE
    stereo = np.column_stack([first, np.zeros_like(first)]) + rng.standard_normal((len(first), 2)) * room
    return np.clip(np.rint(stereo), -32768, 32767).astype(np.int16)


def noisy(clips: list[Clip], rng: np.random.Generator) -> Case:
    """White noise at 14 to 26 dB; the truth is its distance below the clean voice, dB."""
    snr_db = rng.uniform(14, 26)
    speech = _monologue(clips, rng, CALL_S, SPEECH_DBOV)
    level_dbov = active_level_dbov((speech / _FULL_SCALE).astype(np.float32), RATE_HZ)
    noise = rng.standard_normal(len(speech)) * 10 ** ((level_dbov - snr_db) / 20) * _FULL_SCALE
    return Case(_call(speech + noise, rng), snr_db)


def stepped(clips: list[Clip], rng: np.random.Generator) -> Case:
    """A voice that becomes 6 to 16 dB quieter after 40 s; the truth is that step, dB."""
    step_db = rng.uniform(6, 16)
    before = _monologue(clips, rng, CALL_S, SPEECH_DBOV + 4)
    after = _monologue(clips, rng, CALL_S, SPEECH_DBOV + 4 - step_db)
    return Case(_call(np.concatenate([before, after]), rng), step_db)


def found(cases: list[Case], type: str) -> Iterator[tuple[Case, Anomaly]]:
    """Each finding of a type on the first channel, with the case that it is in."""
    bank = CallBank()
    for number, case in enumerate(cases):
        bank.open(str(number))
        bank.push(str(number), case.samples)
    findings = bank.tick()
    for number in range(len(cases)):
        findings += [(str(number), finding) for finding in bank.close(str(number))]
    for call_id, finding in findings:
        anomaly = finding.event
        over = isinstance(anomaly, Anomaly) and finding.state is State.CLOSED
        if over and (anomaly.type, anomaly.channel) == (type, "caller"):
            yield cases[int(call_id)], anomaly


def fit(margins: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Offset and slope of the most likely logistic curve."""

    def unlikelihood(curve: NDArray[np.float64]) -> float:
        score = np.where(right, 1.0, -1.0) * (curve[0] + curve[1] * margins)
        return float(np.logaddexp(0.0, -score).sum() + np.square(curve - [0.0, 0.5]).sum() / 2)

    offset, slope = minimize(unlikelihood, np.array([0.0, 0.5])).x
    return float(offset), float(slope)


def main(calls: int) -> None:
    """Generate, hear and fit."""
    rng = np.random.default_rng(8)
    speakers = [voice.clips(RATE_HZ) for voice in voices("train") if voice.recorded]
    measures: tuple[tuple[str, Callable[..., Case], str, float, float], ...] = (
        ("background_noise", noisy, "snrDb", 20.0, -1.0),
        ("volume_inconsistency", stepped, "differenceDb", 10.0, 1.0),
    )
    for type, make, measure, limit, sign in measures:
        margins, right = [], []
        for _ in range(0, calls, CALLS_AT_ONCE):
            cases = [make(speakers[rng.integers(len(speakers))], rng) for _ in range(CALLS_AT_ONCE)]
            for case, anomaly in found(cases, type):
                margins.append(sign * (anomaly.metadata[measure] - limit))
                right.append(sign * (case.truth - limit) > 0)
        offset, slope = fit(np.array(margins), np.array(right))
        share = np.mean(right)
        sys.stdout.write(f"{type}: {len(right)} findings, {share:.2f} right, offset {offset:.2f}, slope {slope:.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
