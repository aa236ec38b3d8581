"""Recordings and encodings: every WAV that is promised is read, everything else is one clear error."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.audio import AudioError, Encoding, Recording, decode, open_recording

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


def wav(
    data: bytes, tag: int = PCM, bits: int = 16, channels: int = 1, rate: int = 8000, claim: int | None = None
) -> bytes:
    """A WAV file."""
    block = channels * ((bits + 7) // 8)
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    size = len(data) if claim is None else claim
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def opened(path: Path, data: bytes) -> Recording:
    path.write_bytes(data)
    return open_recording(path)


def samples_of(recording: Recording) -> np.ndarray:
    return decode(b"".join(recording.blocks(block_ms=7)), recording.encoding)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call.wav"


def test_g711_is_decoded_to_the_points_of_its_tables() -> None:
    mulaw = decode(bytes([0x00, 0x80, 0xFF, 0x7F, 0x8F, 0xF0]), Encoding.MULAW)
    assert mulaw.tolist() == [-32124, 32124, 0, 0, 16764, 120]
    alaw = decode(bytes([0x55, 0xD5, 0x2A, 0xAA, 0x45, 0xC5]), Encoding.ALAW)
    assert alaw.tolist() == [-8, 8, -32256, 32256, -264, 264]


@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.ALAW])
def test_g711_codes_of_one_sign_rise_with_their_magnitude(encoding: Encoding) -> None:
    values = np.sort(decode(bytes(range(256)), encoding))
    assert len(np.unique(values)) == (255 if encoding is Encoding.MULAW else 256)
    np.testing.assert_array_equal(values, -values[::-1])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(-32768, 32767), min_size=2, max_size=400),
    st.sampled_from([(PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)]),
    st.sampled_from([1, 2]),
)
def test_wide_samples_survive_the_way_through_a_file(
    path: Path, values: list[int], layout: tuple[int, int], channels: int
) -> None:
    values = values[: len(values) // channels * channels]
    tag, bits = layout
    if tag == FLOAT:
        data = (np.array(values) / 32768).astype(f"<f{bits // 8}").tobytes()
    else:
        data = b"".join((value << (bits - 16)).to_bytes(bits // 8, "little", signed=True) for value in values)
    recording = opened(path, wav(data, tag, bits, channels))
    assert (recording.channels, recording.encoding) == (channels, Encoding.LINEAR16)
    assert samples_of(recording).tolist() == values


def test_8_bits_are_unsigned(path: Path) -> None:
    assert samples_of(opened(path, wav(bytes([0, 128, 255]), bits=8))).tolist() == [-32768, 0, 32512]


@pytest.mark.parametrize(("tag", "encoding"), [(MULAW, Encoding.MULAW), (ALAW, Encoding.ALAW)])
def test_g711_files_give_their_own_bytes(path: Path, tag: int, encoding: Encoding) -> None:
    recording = opened(path, wav(bytes(range(200)), tag, 8, 2))
    assert (recording.encoding, recording.samples, recording.duration_ms) == (encoding, 100, 12)
    assert b"".join(recording.blocks()) == bytes(range(200))


def test_extensible_files_say_their_format_in_the_subformat(path: Path) -> None:
    fmt = struct.pack("<HHIIHH", EXTENSIBLE, 1, 16_000, 32_000, 2, 16)
    fmt += struct.pack("<HHIH", 22, 16, 4, PCM) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST\x03\0\0\0abc\0" + b"data\x04\0\0\0\x01\0\x02\0"
    recording = opened(path, b"RIFF\0\0\0\0WAVE" + body)
    assert recording.sample_rate == 16_000
    assert samples_of(recording).tolist() == [1, 2]


def test_a_size_left_open_means_to_the_end_of_the_file(path: Path) -> None:
    recording = opened(path, wav(b"\1\0" * 100, claim=0xFFFFFFFF))
    assert recording.samples == 100
    assert len(samples_of(recording)) == 100


def test_of_a_truncated_file_what_is_there_is_given_before_the_error(path: Path) -> None:
    recording = opened(path, wav(b"\1\0" * 100, claim=300))
    blocks = recording.blocks(block_ms=5)
    assert b"".join(next(blocks) for _ in range(3)) == b"\1\0" * 100
    with pytest.raises(AudioError, match=r"call\.wav: truncated, 100 bytes"):
        next(blocks)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "empty file"),
        (b"fLaC" + bytes(100), "not a WAV file.*fLaC"),
        (b"RIFF\0\0\0\0AVI ", "not a WAV file"),
        (wav(b"\0\0")[:30], "truncated"),
        (wav(b"\0\0")[:38], "truncated"),
        (wav(b""), "holds no audio, 0 bytes of 0"),
        (wav(b"", claim=1000), "holds no audio, 0 bytes of 1000"),
        (wav(bytes(20), tag=0x55), "0x0055"),
        (wav(bytes(20), channels=0), "0 channels"),
        (wav(bytes(24), channels=3), "3 channels"),
        (wav(bytes(20), bits=40), "40 bits"),
        (wav(bytes(20), rate=4000), "4000 Hz"),
        (wav(bytes(20), rate=0), "0 Hz"),
        (wav(bytes(20), rate=44_101), "44101 Hz"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "no fmt chunk"),
    ],
)
def test_what_cannot_be_heard_is_named(path: Path, data: bytes, named: str) -> None:
    with pytest.raises(AudioError, match=named) as error:
        opened(path, data)
    assert str(error.value).startswith(str(path))


def test_a_float_that_is_no_number_is_named(path: Path) -> None:
    data = np.array([0.1, np.nan, 0.2], "<f4").tobytes()
    with pytest.raises(AudioError, match="sample 1 is nan"):
        list(opened(path, wav(data, FLOAT, 32)).blocks())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_raise_nothing_else(path: Path, data: st.DataObject) -> None:
    whole = bytearray(
        wav(bytes(range(64)), *data.draw(st.sampled_from([(PCM, 16), (PCM, 24), (FLOAT, 32), (MULAW, 8)])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    message = fault_of(path, bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert message is None or (str(path) in message and "\n" not in message)


def fault_of(path: Path, data: bytes) -> str | None:
    """What is said of a file, read to its end."""
    try:
        for _ in opened(path, data).blocks():
            pass
    except AudioError as error:
        return str(error)
    return None
