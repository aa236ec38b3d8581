"""`manage.py stream`: plays a recording as a live call."""

import asyncio
import contextlib
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from alertsite.management.one_line import OneLineCommand
from alertsite.player import PlayError, play
from analysis.audio import AudioError, open_recording

DIALECTS = ("twilio", "pcm")


class Command(OneLineCommand):
    help = "Play the recording FILE into a media socket, as a phone system would."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="a WAV of one or two channels")
        parser.add_argument("--url", default=f"ws://127.0.0.1:{settings.PORT}/media/twilio/", help="the media socket")
        parser.add_argument("--dialect", choices=DIALECTS, help="how to speak; without, as the URL says")
        parser.add_argument("--call-id", help="the call's id; without, a new one is made")
        parser.add_argument("--token", default=settings.MEDIA_TOKEN, help="the media token (MEDIA_TOKEN)")
        parser.add_argument("--speed", type=float, default=1.0, help="times natural speed (1)")

    def handle(self, *args: Any, **options: Any) -> None:
        dialect = options["dialect"] or self._dialect_of(options["url"])
        if not 0 < options["speed"] <= 1000:
            raise CommandError(f"--speed {options['speed']}: give a number above 0, up to 1000", returncode=2)
        call_id = options["call_id"] or f"{options['file'].stem}-{uuid.uuid4().hex[:8]}"
        try:
            open_recording(options["file"])
        except (AudioError, OSError) as error:
            raise CommandError(_one_line(error)) from error
        with contextlib.suppress(KeyboardInterrupt):
            self._play(dialect, call_id, options)

    def _dialect_of(self, url: str) -> str:
        parts = urlsplit(url).path.split("/")
        if len(parts) < 3 or parts[1] != "media" or parts[2] not in DIALECTS:
            raise CommandError(f"--url {url!r}: not /media/<dialect>/ of {', '.join(DIALECTS)}", returncode=2)
        return parts[2]

    def _play(self, dialect: str, call_id: str, options: dict[str, Any]) -> None:
        self.stderr.write(f"call {call_id}")
        try:
            played = asyncio.run(
                play(
                    options["file"],
                    options["url"],
                    dialect=dialect,
                    call_id=call_id,
                    token=options["token"],
                    speed=options["speed"],
                    on_progress=self._progress if sys.stderr.isatty() else None,
                )
            )
        except (PlayError, AudioError, OSError) as error:
            raise CommandError(_one_line(error)) from error
        self.stdout.write(f"played {played.sent_ms / 1000:.1f} s in {played.frames} frames as call {call_id}")

    def _progress(self, sent_ms: int, total_ms: int) -> None:
        """A bar for the terminal, drawn again as the call goes on."""
        done = "#" * (30 * sent_ms // max(1, total_ms))
        self.stderr.write(f"\r[{done:<30}] {sent_ms / 1000:.0f}/{total_ms / 1000:.0f} s ", ending="")


def _one_line(error: Exception) -> str:
    """What is wrong, with the file's name first where it is about one."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
