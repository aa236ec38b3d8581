"""What docs/telephony.md shows is what works."""

import asyncio
import re
import sys
import wave
from pathlib import Path

from analysis.ingest.events import Audio
from analysis.media import MediaApp
from tests.ingest.servers import PUBLIC_URL, TOKEN, KeptStreams, serving

PAGE = (Path(__file__).parents[2] / "docs" / "telephony.md").read_text()


async def test_the_sender_on_the_page_is_heard(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    sound = bytes(range(256)) * 20
    with wave.open(str(tmp_path / "call.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(sound)
    sink = KeptStreams()
    async with serving(MediaApp(sink, TOKEN, PUBLIC_URL)) as address:
        words = [str(tmp_path / "call.wav"), f"{address}/media/pcm/?call_id=4711", TOKEN]
        sender = await asyncio.create_subprocess_exec(sys.executable, "-c", program, *words)
        assert await sender.wait() == 0
    (stream,) = sink.streams
    assert (stream.start.call_id, stream.start.sample_rate) == ("4711", 16000)
    assert b"".join(event.data for event in stream.events if isinstance(event, Audio)) == sound
    assert stream.closed_with == ["stop"]
