"""The binding in one process: a socket that goes while its call is being opened leaves nothing behind."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from alerts import dispatch
from alerts.models import Call
from alertsite.hearing import Hearing
from analysis.audio import Encoding
from analysis.ingest.events import Start


@pytest.fixture
def _writing(transactional_db: None) -> Iterator[None]:
    yield
    dispatch.close(10)


@pytest.mark.usefixtures("_writing")
async def test_a_call_whose_opening_was_cancelled_can_be_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    hearing = Hearing()
    start = Start("pcm", "a-call", "a-stream", Encoding.MULAW, 8000, ("caller",))
    opening = asyncio.create_task(hearing.open(start))
    await asyncio.sleep(0)  # it now waits for the bank
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.gather(*hearing._cleaning)
    stream = await hearing.open(start)
    await stream.close("stop")
    assert not (await Call.objects.aget(call_id="a-call")).active
    assert [record.getMessage() for record in caplog.records] == []
