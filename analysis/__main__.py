"""The offline listener: `python -m analysis FILE` hears a recording as a live call would be heard."""

import argparse
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from analysis.audio import AudioError, Recording, open_recording
from analysis.features import FRAME_MS
from analysis.frames import FrameLog
from analysis.offline import Listening
from analysis.report import describe
from analysis.report_page import page

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
    parser.add_argument(
        "--html",
        type=Path,
        metavar="OUT",
        help="also write the call as one page, with a timeline to zoom into",
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
    outputs = [path for path in (options.frames, options.html) if path]
    if trouble := next(filter(None, map(_cannot_write, outputs)), None):
        return _fail(trouble)
    names = options.channels if recording.channels == 2 else _MONO
    return _listen(
        Listening(recording, names, measure=bool(options.html) or not options.json, log=bool(outputs)), options
    )


def _cannot_write(path: Path) -> str | None:
    """Why frames cannot be written there, before the recording is heard in vain."""
    try:
        path.open("ab").close()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


def _listen(listening: Listening, options: argparse.Namespace) -> int:
    if options.json:
        _print_record(_stream_record(listening))
    for heard in listening.hear(partial(_show_progress, listening.recording)):
        if options.json:
            _print_record(heard.record())
    _clear_progress()
    if options.json:
        _print_record(listening.summary.record(listening.stats))
    else:
        sys.stdout.write(_report(listening))
    sys.stdout.flush()
    if listening.trouble:
        _fail(str(listening.trouble))
    saved = [_saved(listening.log, options.frames), _saved_page(listening, options.html)]
    return 1 if listening.trouble or not all(saved) else 0


def _report(listening: Listening) -> str:
    recording, stats = listening.recording, listening.stats
    heading = f"{recording.path.name}: {recording.channels} channel(s), {recording.sample_rate} Hz"
    table = describe(stats, listening.meters, listening.found)
    return f"{heading}\n{listening.summary.text(stats)}\n\n{table}"


def _saved(log: FrameLog | None, path: Path | None) -> bool:
    if log is None or path is None:
        return True
    try:
        log.save(path)
    except OSError as error:
        _fail(f"{path}: {error.strerror}")
        return False
    return True


def _saved_page(listening: Listening, path: Path | None) -> bool:
    if listening.log is None or path is None:
        return True
    try:
        path.write_text(page(listening), encoding="utf-8")
    except OSError as error:
        _fail(f"{path}: {error.strerror}")
        return False
    return True


def _stream_record(listening: Listening) -> dict[str, Any]:
    recording = listening.recording
    return {
        "record": "stream",
        "file": str(recording.path),
        "sampleRate": recording.sample_rate,
        "channels": list(listening.names),
        "durationMs": recording.duration_ms,
    }


def _print_record(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")


def _show_progress(recording: Recording, heard_ms: int) -> None:
    width = 40
    if sys.stderr.isatty() and heard_ms % 1000 < 10 * FRAME_MS:
        done = width * heard_ms // max(1, recording.duration_ms)
        sys.stderr.write(f"\r[{'#' * done}{'.' * (width - done)}] {heard_ms // 1000}/{recording.duration_ms // 1000} s")
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
