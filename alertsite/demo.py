"""The sample call, played again and again through the real media socket, so that there is something to see."""

import asyncio
import logging
import time

from django.conf import settings

from alertsite.player import PlayError, play

logger = logging.getLogger(__name__)
SAMPLE = settings.BASE_DIR / "samples" / "call.wav"
PAUSE_S = 15


async def play_sample(port: int) -> None:
    """Plays until cancelled, under a new call id each time."""
    while True:
        try:
            await play(
                SAMPLE,
                f"ws://127.0.0.1:{port}/media/twilio/",
                dialect="twilio",
                call_id=f"sample-{time.strftime('%Y%m%d-%H%M%S')}",
                token=settings.MEDIA_TOKEN,
            )
        except PlayError as error:
            logger.warning("the sample call broke off: %s", error)
        await asyncio.sleep(PAUSE_S)
