"""The active speech level of a recording, ITU-T P.56 method B: how loud the voice is while there is one."""

import math

import numpy as np
from numpy.typing import NDArray

_TIME_CONSTANT_S = 0.03
_HANGOVER_S = 0.2
_MARGIN_DB = 15.9
_THRESHOLDS = 2.0 ** np.arange(-15, 0)
_NEVER = -(2**62)  # the sample at which a threshold was last reached: not yet


class ActiveLevel:
    """Measures the active speech level of one channel as its samples come, in constant memory.

    An envelope, twice smoothed with 30 ms, is compared with thresholds 6 dB apart; each counts the samples at which
    it is reached, or was within the last 200 ms. The level is where the mean power over the samples counted is
    15.9 dB above the threshold that counts them.
    """

    def __init__(self, sample_rate: int) -> None:
        g = math.exp(-1 / (_TIME_CONSTANT_S * sample_rate))
        self._filter = np.array([1 - g]), np.array([1.0, -g])
        self._states = [np.zeros(1), np.zeros(1)]
        self._hangover = round(_HANGOVER_S * sample_rate)
        self._active = np.zeros(len(_THRESHOLDS), dtype=np.int64)
        self._reached = np.full(len(_THRESHOLDS), _NEVER)
        self._samples = 0
        self._squares = 0.0

    def push(self, samples: NDArray[np.int16]) -> None:
        """Measure the next samples, of shape (n,), any n."""
        from scipy.signal import lfilter  # takes a second to load, and only the readable report measures so

        if not len(samples):
            return
        x = samples / 32768.0
        envelope = np.abs(x)
        for stage, state in enumerate(self._states):
            envelope, self._states[stage] = lfilter(*self._filter, envelope, zi=state)
        places = np.arange(self._samples, self._samples + len(x))
        for number, threshold in enumerate(_THRESHOLDS):
            last = np.maximum.accumulate(np.where(envelope >= threshold, places, self._reached[number]))
            self._active[number] += np.count_nonzero(places - last <= self._hangover)
            self._reached[number] = last[-1]
        self._samples += len(x)
        self._squares += float(np.dot(x, x))

    def level_dbov(self) -> float | None:
        """The active level, dBov: 0 is a square wave of full scale. None where there was nothing to be heard."""
        if not self._squares:
            return None
        means = 10 * np.log10(self._squares / np.maximum(self._active, 1))
        above = means - 20 * np.log10(_THRESHOLDS)
        above[self._active == 0] = -np.inf
        if above[0] < _MARGIN_DB:
            return None
        low = int(np.flatnonzero(above >= _MARGIN_DB)[-1])
        if low + 1 == len(above) or not math.isfinite(above[low + 1]):
            return float(means[low])
        share = (above[low] - _MARGIN_DB) / (above[low] - above[low + 1])
        return float(means[low] + share * (means[low + 1] - means[low]))

    def activity(self) -> float:
        """The share of time, 0..1, in which there was a voice."""
        level = self.level_dbov()
        if level is None:
            return 0.0
        return self._squares / self._samples / math.pow(10, level / 10)
