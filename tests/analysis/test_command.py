"""`python -m analysis`: records, report, and errors in one line."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import CallAnalyzer
from analysis.findings import State
from tests.analysis.test_audio import MULAW, wav
from tests.analysis.test_invariance import EXPECTED, MS, SAMPLES
from tests.analysis.voices import closed

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analysis", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def records(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    path.write_bytes(wav(SAMPLES.astype("<i2").tobytes(), channels=2))
    return path


def test_json_gives_the_stream_every_event_as_it_closes_and_a_summary(recording: Path) -> None:
    done = run(recording, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    first, *middle, last = records(done.stdout)
    assert first == {
        "record": "stream",
        "file": str(recording),
        "sampleRate": 8000,
        "channels": ["caller", "agent"],
        "durationMs": MS,
    }
    results = [record for record in middle if record["record"] == "result"]
    assert [record["timestamp"] for record in results] == list(range(5000, MS + 1, 5000))
    assert {record["sentiment"]["basis"] for record in results} == {"prosody"}
    assert [record for record in middle if record not in results] == [event.record() for event in closed(EXPECTED)]
    assert set(last) == {"record", "summary", "talkMs", "events", "anomalies", "mosScore"}
    assert last["record"] == "summary"
    for record, counted in (("event", "events"), ("anomaly", "anomalies")):
        assert last[counted] == Counter(r["type"] for r in middle if r["record"] == record)
    assert last["anomalies"]
    assert set(last["talkMs"]) == {"caller", "agent"}
    scored = [record["callQuality"] for record in results if record["callQuality"]]
    assert {quality["basis"] for quality in scored} == {"signal"}
    mean = sum(quality["mosScore"] for quality in scored) / len(scored)
    assert last["mosScore"] == pytest.approx(mean, abs=0.011)


def test_the_report_shows_each_event_at_its_time(recording: Path) -> None:
    done = run(recording, "--channels", "bob,eve")
    assert (done.returncode, done.stderr) == (0, "")
    assert "bob spoke" in done.stdout
    for event in closed(EXPECTED):
        assert f"0:{event.timestamp // 1000:02}.{event.timestamp % 1000:03}" in done.stdout
    assert "interrupted by eve" in done.stdout


def test_a_mono_recordings_channel_is_mixed(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    path.write_bytes(wav(b"\xff\xfe" * 48_000, MULAW, 8))
    first, *middle, last = records(run(path, "--json").stdout)
    assert first["channels"] == ["mixed"]
    assert {record["channel"] for record in middle if record["record"] == "event"} == {"mixed"}
    assert last["talkMs"] == {"mixed": 0}


def test_a_truncated_recording_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(wav(SAMPLES.astype("<i2").tobytes(), channels=2, claim=MS * 8 * 4 + 1000))
    done = run(path, "--json")
    assert done.returncode == 1
    assert done.stderr == f"{path}: truncated, 1000 bytes of audio are missing\n"
    assert [r["record"] for r in records(done.stdout)][-1] == "summary"
    assert [r for r in records(done.stdout) if r["record"] in ("event", "anomaly")] == [
        event.record() for event in closed(EXPECTED)
    ]


def test_a_file_that_is_no_audio_or_not_there_is_one_line_and_exit_1(tmp_path: Path) -> None:
    for path, named in (
        (Path(__file__), "not a WAV file"),
        (tmp_path / "gone.wav", "No such file"),
        (tmp_path, "directory"),
    ):
        done = run(path, "--json")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert str(path) in done.stderr
        assert named in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), "FILE"), (("x.wav", "--frob"), "--frob"), (("x.wav", "--channels", "one"), "'one'")],
)
def test_a_wrong_call_is_one_line_and_exit_2(arguments: tuple[str, ...], named: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert named in done.stderr


@pytest.mark.parametrize("channels", [1, 2])
def test_frames_hold_speech_probability_and_level_of_every_20_ms_at_its_true_time(
    tmp_path: Path, channels: int
) -> None:
    path, out = tmp_path / "call.wav", tmp_path / "out.npz"
    samples = SAMPLES[: 5010 * 8, :channels]  # half a frame is left over
    path.write_bytes(wav(samples.astype("<i2").tobytes(), channels=channels))
    done = run(path, "--json", "--frames", out)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(out) as frames:
        speech, probability, level = frames["speech"], frames["probability"], frames["levelDbov"]
    assert (speech.dtype, probability.dtype, level.dtype) == (np.bool_, np.float32, np.float32)
    assert speech.shape == probability.shape == level.shape == (channels, 250)
    talk_ms = records(done.stdout)[-1]["talkMs"]
    assert [20 * int(row.sum()) for row in speech] == list(talk_ms.values())
    assert abs(int(speech[0].argmax()) - 15) <= 3, "the caller speaks from 300 ms on"
    truth = samples[: 5000 * 8, 0].reshape(-1, 160).astype(float)
    np.testing.assert_allclose(level[0], 20 * np.log10(truth.std(axis=1) / 32768), atol=0.11)
    assert probability[0, 20:110].mean() > 0.9
    assert probability[0, 125:145].mean() < 0.4


def test_frames_that_cannot_be_written_are_said_before_the_recording_is_heard(recording: Path, tmp_path: Path) -> None:
    done = run(recording, "--json", "--frames", tmp_path / "gone" / "out.npz")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path / 'gone' / 'out.npz'}: No such file or directory\n"


def test_a_reader_that_leaves_early_is_no_error(recording: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "analysis", str(recording), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_the_engine_needs_neither_django_nor_the_other_packages() -> None:
    code = (
        "import sys, analysis, analysis.__main__\n"
        "print([m for m in ('django', 'channels', 'alerts', 'alertsite') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "[]\n"


def test_findings_of_one_event_share_a_key_and_open_and_close_once() -> None:
    analyzer = CallAnalyzer()
    found = [f for start in range(0, len(SAMPLES), 777) for f in analyzer.push(SAMPLES[start : start + 777])]
    found += analyzer.finish()
    for key in {finding.key for finding in found}:
        states = [finding.state for finding in found if finding.key == key]
        assert states[0] is State.OPENED
        assert states[-1] is State.CLOSED
        assert set(states[1:-1]) <= {State.RAISED}
    assert np.all([finding.event.detected_at <= MS for finding in found])
