"""Audio as bytes turned into samples: the encodings and the recordings that the engine takes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from analysis.resampling import check_rate

Samples = NDArray[np.int16]


class Encoding(StrEnum):
    """How one sample is written: signed 16-bit little-endian PCM, or G.711."""

    LINEAR16 = "linear16"
    MULAW = "mulaw"
    ALAW = "alaw"

    @property
    def sample_width(self) -> int:
        """Bytes a sample."""
        return 2 if self is Encoding.LINEAR16 else 1

    @property
    def silence(self) -> bytes:
        """One sample of an idle line."""
        return {Encoding.LINEAR16: b"\0\0", Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5"}[self]


class AudioError(ValueError):
    """A recording that can't be heard, or not to its end: one sentence that names file and value."""


def _mulaw_table() -> Samples:
    """The 256 values of µ-law, ITU-T G.711 table 2, on the 16-bit scale (±32124)."""
    code = ~np.arange(256) & 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = ((2 * mantissa + 33 << exponent) - 33) * 4
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> Samples:
    """The 256 values of A-law, ITU-T G.711 table 1, on the 16-bit scale (±32256)."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    linear = (2 * mantissa + 1) * 8
    magnitude = np.where(exponent == 0, linear, (linear + 256) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_G711 = {Encoding.MULAW: _mulaw_table(), Encoding.ALAW: _alaw_table()}


def decode(data: bytes, encoding: Encoding) -> Samples:
    """Whole samples as int16 (n,)."""
    if encoding is Encoding.LINEAR16:
        return np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)
    return np.take(_G711[encoding], np.frombuffer(data, dtype=np.uint8), mode="clip")


def to_int16(samples: NDArray[np.int16] | NDArray[np.float32] | NDArray[np.float64]) -> Samples:
    """Samples as int16: floats are -1..1 and clipped there; `ValueError` for another type, NaN, infinity."""
    if samples.dtype == np.int16:
        return samples.astype(np.int16, copy=False)
    if samples.dtype not in (np.float32, np.float64):
        raise ValueError(f"samples are {samples.dtype}: int16 and float32 are heard")
    finite = np.isfinite(samples)
    if not finite.all():
        at = int(np.argmin(finite))
        raise ValueError(f"sample {at} is {samples.flat[at]}: no sound")
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV file opened for hearing it piece by piece.

    Attributes:
        sample_rate: Hz, as the file says.
        channels: 1 or 2.
        encoding: of the bytes that `blocks` gives, whatever the file's own format is.
        samples: samples a channel that the file holds.
        missing_bytes: how many fewer bytes of audio there are than the header says.
    """

    path: Path
    sample_rate: int
    channels: int
    encoding: Encoding
    samples: int
    missing_bytes: int
    _format: "_Format"
    _offset: int

    @property
    def duration_ms(self) -> int:
        """Length of the audio that is there."""
        return self.samples * 1000 // self.sample_rate

    def blocks(self, block_ms: int = 200) -> Iterator[bytes]:
        """The audio in pieces: whole samples in `encoding`, channels interleaved.

        Raises `AudioError` at a float that is no number, and at the end of a truncated file, when all
        that is there has been given.
        """
        step = max(1, self.sample_rate * block_ms // 1000)
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for first in range(0, self.samples, step):
                count = min(step, self.samples - first) * self.channels
                yield self._convert(file.read(count * self._format.width), first)
        if self.missing_bytes:
            raise AudioError(f"{self.path}: truncated, {self.missing_bytes} bytes of audio are missing")

    def _convert(self, raw: bytes, first: int) -> bytes:
        try:
            return self._format.convert(raw)
        except ValueError as error:
            raise AudioError(f"{self.path}: in the block at sample {first}: {error}") from None


_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
_TO_THE_END = 0xFFFFFFFF  # written as a size by programs that can't go back, such as into a pipe


@dataclass(frozen=True, slots=True)
class _Format:
    """How a WAV file writes a sample: format tag and bytes."""

    tag: int
    width: int

    @property
    def encoding(self) -> Encoding:
        return {_ALAW: Encoding.ALAW, _MULAW: Encoding.MULAW}.get(self.tag, Encoding.LINEAR16)

    def convert(self, raw: bytes) -> bytes:
        """Bytes of the file as bytes in `encoding`."""
        if self.encoding is not Encoding.LINEAR16 or (self.tag, self.width) == (_PCM, 2):
            return raw
        return self._samples(raw).astype("<i2").tobytes()

    def _samples(self, raw: bytes) -> Samples:
        if self.tag == _FLOAT:
            return to_int16(np.frombuffer(raw, dtype=f"<f{self.width}").astype(np.float64))
        if self.width == 1:  # 8 bits are unsigned, all else is signed
            return (np.frombuffer(raw, dtype=np.uint8).astype(np.int16) - 128) * np.int16(256)
        highest = np.frombuffer(raw, dtype=np.uint8).reshape(-1, self.width)[:, -2:]
        return np.ascontiguousarray(highest).view("<i2")[:, 0]


_WIDTHS = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8), _ALAW: (1,), _MULAW: (1,)}


def open_recording(path: str | Path) -> Recording:
    """Open a WAV file: 8, 16, 24 or 32-bit PCM, float, µ-law or A-law, one or two channels.

    Raises `AudioError` if it is none, holds no audio or can't be heard, and `OSError` as `open` does.
    A file that ends early is opened; its `blocks` say so at their end.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        _check_riff(path, file.read(12))
        fmt: bytes | None = None
        while len(header := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                return _recording(path, fmt, file, length, size)
            if name == b"fmt ":
                fmt = file.read(min(length, 40))
                length -= len(fmt)
            file.seek(length + _padding(header), 1)
    raise AudioError(f"{path}: truncated, it ends after {size} bytes without a data chunk")


def _check_riff(path: Path, start: bytes) -> None:
    if not start:
        raise AudioError(f"{path}: empty file")
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        raise AudioError(f"{path}: not a WAV file, it starts with {start!r}")


def _padding(header: bytes) -> int:
    """Chunks begin at even positions."""
    return header[4] & 1


def _recording(path: Path, fmt: bytes | None, file: BinaryIO, length: int, size: int) -> Recording:
    if fmt is None:
        raise AudioError(f"{path}: no fmt chunk before the audio")
    layout, channels, sample_rate = _read_format(path, fmt)
    offset = file.tell()
    there = size - offset
    claimed = there if length == _TO_THE_END else length
    samples = min(there, claimed) // (layout.width * channels)
    if samples == 0:
        raise AudioError(f"{path}: holds no audio, {min(there, claimed)} bytes of {claimed}")
    missing = max(0, claimed - there)
    return Recording(path, sample_rate, channels, layout.encoding, samples, missing, layout, offset)


def _read_format(path: Path, fmt: bytes) -> tuple[_Format, int, int]:
    """Format, channels and rate, Hz, of a fmt chunk."""
    if len(fmt) < 16:
        raise AudioError(f"{path}: truncated, its fmt chunk has {len(fmt)} bytes of at least 16")
    tag, channels, sample_rate, _, block, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == _EXTENSIBLE and len(fmt) >= 26:
        (tag,) = struct.unpack_from("<H", fmt, 24)  # the first two bytes of the subformat's GUID
    if tag not in _WIDTHS:
        raise AudioError(f"{path}: unknown encoding, format tag 0x{tag:04x}")
    if channels not in (1, 2):
        raise AudioError(f"{path}: {channels} channels, 1 or 2 can be heard")
    width = (bits + 7) // 8
    if width not in _WIDTHS[tag] or block != width * channels:
        raise AudioError(f"{path}: {bits} bits a sample in blocks of {block} bytes are not a known layout")
    try:
        check_rate(sample_rate)
    except ValueError as error:
        raise AudioError(f"{path}: {error}") from None
    return _Format(tag, width), channels, sample_rate
