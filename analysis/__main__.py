"""The offline listener: `python -m analysis FILE` hears a recording as a live call would be heard."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from analysis.audio import AudioError, Recording, open_recording
from analysis.bank import CallBank, CallStats
from analysis.features import FRAME_MS
from analysis.findings import Heard, State
from analysis.frames import FrameLog
from analysis.report import describe, summary_record, summary_text

_CALL = "recording"
_MONO = ("mixed",)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _channel_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2 or len(set(names)) < 2 or "" in names or "all" in names:
        raise argparse.ArgumentTypeError(f"{text!r} is not two different names, such as caller,agent")
    return names


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m analysis", description="Hears a recorded call (WAV).")
    parser.add_argument("file", metavar="FILE", help="the recording, one or two channels")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a report")
    parser.add_argument(
        "--channels",
        type=_channel_names,
        default=("caller", "agent"),
        metavar="A,B",
        help="names of a two-channel recording's channels (default: caller,agent); one channel is 'mixed'",
    )
    parser.add_argument(
        "--frames",
        type=Path,
        metavar="OUT.npz",
        help="also write speech, its probability and the level of every 20 ms of each channel",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code: 0 fine, 1 the file can't be heard, 2 the call was wrong."""
    options = _arguments(argv)
    try:
        recording = open_recording(options.file)
    except AudioError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{options.file}: {error.strerror}")
    names = options.channels if recording.channels == 2 else _MONO
    log = FrameLog(recording.channels) if options.frames else None
    if log and (trouble := _cannot_write(options.frames)):
        return _fail(trouble)
    failed = _listen(recording, names, log, as_json=options.json)
    return _saved(log, options.frames) or failed if log else failed


def _cannot_write(path: Path) -> str | None:
    """Why frames cannot be written there, before the recording is heard in vain."""
    try:
        path.open("ab").close()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def _saved(log: FrameLog, path: Path) -> int:
    try:
        log.save(path)
    except OSError as error:
        return _fail(f"{path}: {error.strerror}")
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


def _listen(recording: Recording, names: tuple[str, ...], log: FrameLog | None, *, as_json: bool) -> int:
    if as_json:
        _print_record(_stream_record(recording, names))
    events: list[Heard] = []
    trouble: Exception | None = None
    bank = CallBank(observers=[log] if log else [])
    bank.open(_CALL, recording.sample_rate, names, recording.encoding)
    for event_or_error in _events(recording, bank):
        if not isinstance(event_or_error, AudioError):
            events.append(event_or_error)
            if as_json:
                _print_record(event_or_error.record())
        else:
            trouble = event_or_error
    _conclude(recording, bank.stats(_CALL), events, as_json=as_json)
    return _fail(str(trouble)) if trouble else 0


def _conclude(recording: Recording, stats: CallStats, events: list[Heard], *, as_json: bool) -> None:
    if as_json:
        _print_record(summary_record(stats, events))
    else:
        heading = f"{recording.path.name}: {recording.channels} channel(s), {recording.sample_rate} Hz"
        sys.stdout.write(f"{heading}\n{summary_text(stats, events)}\n\n{describe(stats, events)}")
    sys.stdout.flush()


def _events(recording: Recording, bank: CallBank) -> Iterator[Heard | AudioError]:
    """Each event when it closes; a fault of the file comes where it is met, what was heard is kept."""
    try:
        for heard_ms, block in _with_position(recording):
            bank.push(_CALL, block)
            yield from (finding.event for _, finding in bank.tick() if finding.state is State.CLOSED)
            _show_progress(heard_ms, recording.duration_ms)
    except AudioError as error:
        yield error
    finally:
        _clear_progress()
    yield from (finding.event for finding in bank.close(_CALL) if finding.state is State.CLOSED)


def _with_position(recording: Recording) -> Iterator[tuple[int, bytes]]:
    samples = 0
    for block in recording.blocks():
        samples += len(block) // (recording.encoding.sample_width * recording.channels)
        yield samples * 1000 // recording.sample_rate, block


def _stream_record(recording: Recording, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "record": "stream",
        "file": str(recording.path),
        "sampleRate": recording.sample_rate,
        "channels": list(names),
        "durationMs": recording.duration_ms,
    }


def _print_record(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")


def _show_progress(heard_ms: int, duration_ms: int) -> None:
    width = 40
    if sys.stderr.isatty() and heard_ms % 1000 < 10 * FRAME_MS:
        done = width * heard_ms // max(1, duration_ms)
        sys.stderr.write(f"\r[{'#' * done}{'.' * (width - done)}] {heard_ms // 1000}/{duration_ms // 1000} s")
        sys.stderr.flush()


def _clear_progress() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def _run() -> int:
    try:
        return main()
    except BrokenPipeError:  # the reader has enough; keep the interpreter from flushing into the pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(_run())
