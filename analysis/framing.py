"""From pieces of audio of any size to 20 ms frames: one channel of one call."""

from collections import deque

import numpy as np

from analysis.audio import Encoding, decode
from analysis.features import FRAMES_PER_S
from analysis.resampling import NATIVE_HZ, Resampler, heard_rate
from analysis.rows import Bools
from analysis.spectrum import HOPS


class Track:
    """Audio and gaps as they were pushed, until they are taken as frames.

    Positions are samples at the pushed rate since the channel began; missing samples count. What was
    pushed and not yet taken is kept: take often. A partial last frame is never taken.

    Attributes:
        missing: samples that never came, by `gap` or by `lose`.
        late: samples that came after they had been given up, and were dropped.
    """

    def __init__(self, encoding: Encoding, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.missing = 0
        self.late = 0
        self._encoding = encoding
        self._width = encoding.sample_width
        self._pieces: deque[memoryview | bytes] = deque()
        self._holes: deque[tuple[int, int]] = deque()  # missing samples: [start, end), in order
        self._odd = b""  # half a sample
        self._owed = 0  # samples given up that may still come
        self._received = 0
        self._read = 0
        self._taken_frames = 0
        self._finished = False
        native = sample_rate in NATIVE_HZ
        self._resampler = None if native else Resampler(sample_rate)
        self._resampled: deque[memoryview | bytes] = deque()
        self._resampled_samples = 0
        self.frame_encoding = encoding if native else Encoding.LINEAR16
        self.frame_rate = heard_rate(sample_rate)
        self._frame_samples = self.frame_rate // FRAMES_PER_S
        self._latest = self.frame_encoding.silence * (self._frame_samples // HOPS)

    def push(self, data: bytes) -> None:
        """Append audio: bytes in the track's encoding; half a sample waits for its other half."""
        width = self._width
        if self._odd:
            data, self._odd = self._odd + data, b""
        if len(data) % width:
            data, self._odd = data[:-1], data[-1:]
        if self._owed:
            data = self._drop_late(data)
        if data:
            self._pieces.append(data)
            self._received += len(data) // width

    def gap(self, samples: int) -> None:
        """Append time without audio."""
        self._odd = b""
        already_given_up = min(samples, self._owed)
        self._owed -= already_given_up
        self._append_hole(samples - already_given_up)

    def lose(self, frame: int) -> None:
        """Give up what has not come of the frames before `frame`; it is dropped if it still comes."""
        if self._resampler is None or self._finished:
            needed = -(-frame * self.sample_rate // FRAMES_PER_S)
        else:
            needed = self._resampler.needed(frame * self._frame_samples)
        short = needed - self._received
        if short > 0:
            self._odd = b""
            self._owed += short
            self._append_hole(short)

    def finish(self) -> None:
        """No more will come: what the resampler holds back becomes available."""
        self._finished = True

    @property
    def frames(self) -> int:
        """Complete frames so far, those taken included."""
        if self._resampler is None:
            return self._received // self._frame_samples
        known = self._resampler.total if self._finished else self._resampler.reach
        return known(self._received) // self._frame_samples

    def take(self, frames: int) -> tuple[bytes, bytes, Bools | None]:
        """The next frames: the 10 ms before them and their bytes in `frame_encoding`, and which of them were heard,
        (frames,), or None if all of them were.

        A frame is not heard if more than half of it is missing; missing samples read as an idle line.
        """
        if self._resampler is None:
            data = self._read_audio(frames * self._frame_samples)
        else:
            data = self._read_resampled(self._resampler, frames * self._frame_samples)
        before, self._latest = self._latest, data[-len(self._latest) :]
        return before, data, self._heard(frames)

    def _append_hole(self, samples: int) -> None:
        if samples <= 0:
            return
        start, end = self._received, self._received + samples
        if self._holes and self._holes[-1][1] == start:
            start = self._holes.pop()[0]
        self._holes.append((start, end))
        self._received = end
        self.missing += samples

    def _drop_late(self, data: bytes) -> bytes:
        width = self._width
        late = min(self._owed, len(data) // width)
        self._owed -= late
        self.late += late
        return data[late * width :]

    def _read_audio(self, samples: int) -> bytes:
        """The next samples at the pushed rate, holes filled."""
        at, end = self._read, self._read + samples
        width = self._width
        self._read = end
        if not self._holes:
            return _cut_joined(self._pieces, samples * width)
        parts: list[memoryview | bytes] = []
        for start, stop in self._holes:
            if start >= end:
                break
            if stop > at:
                parts += _cut(self._pieces, max(0, start - at) * width)
                parts.append(self._encoding.silence * (min(stop, end) - max(start, at)))
                at = min(stop, end)
        parts += _cut(self._pieces, (end - at) * width)
        return b"".join(parts)

    def _read_resampled(self, resampler: Resampler, samples: int) -> bytes:
        while self._resampled_samples < samples:
            more = min(self._received - self._read, self.sample_rate)
            made = resampler.push(decode(self._read_audio(more), self._encoding)) if more else resampler.finish()
            self._resampled.append(made.astype("<i2").tobytes())
            self._resampled_samples += len(made)
        self._resampled_samples -= samples
        return _cut_joined(self._resampled, samples * 2)

    def _heard(self, frames: int) -> Bools | None:
        first = self._taken_frames
        self._taken_frames += frames
        if not self._holes:
            return None
        # in units of 1/50 sample, in which frames of every rate are whole
        edges = np.arange(first, first + frames + 1) * self.sample_rate
        missing = np.zeros(frames, dtype=np.int64)
        for start, stop in self._holes:
            inside = np.clip(np.array([start, stop]) * FRAMES_PER_S, edges[0], edges[-1])
            missing += np.diff(np.clip(edges, *inside))
        heard: Bools = missing * 2 <= self.sample_rate
        while self._holes and self._holes[0][1] * FRAMES_PER_S <= edges[-1] and self._holes[0][1] <= self._read:
            self._holes.popleft()
        return heard


def _cut(pieces: deque[memoryview | bytes], size: int) -> list[memoryview | bytes]:
    """Take `size` bytes off the front."""
    parts: list[memoryview | bytes] = []
    while size > 0:
        piece = pieces.popleft()
        if len(piece) > size:
            piece = memoryview(piece)
            pieces.appendleft(piece[size:])
            piece = piece[:size]
        parts.append(piece)
        size -= len(piece)
    return parts


def _cut_joined(pieces: deque[memoryview | bytes], size: int) -> bytes:
    """As `_cut`, in one piece."""
    if size and len(pieces[0]) == size and isinstance(pieces[0], bytes):
        return bytes(pieces.popleft())  # the usual case: as it was pushed, so it is taken
    return b"".join(_cut(pieces, size))
