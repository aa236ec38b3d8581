"""How many subscribers there are: each process tells the others its own number through a row that it keeps fresh."""

import asyncio
import contextlib
import uuid

from django.db.models import Sum

from alerts.hub import the_hub
from alerts.models import Attendance
from alerts.threads import in_own_thread
from alerts.writer import now_ms

LOOK_S = 1.0
TOLD_AGAIN_MS = 10_000
GONE_AFTER_MS = 30_000  # a killed process counts no longer
FORGOTTEN_AFTER_MS = 600_000
PROCESS = uuid.uuid4().hex


def subscriber_count() -> int:
    """The subscribers of all processes: of this one as it is now, of others as they told within the last seconds."""
    told = Attendance.objects.filter(told_at__gte=now_ms() - GONE_AFTER_MS).exclude(process=PROCESS)
    return here() + (told.aggregate(all=Sum("subscribers"))["all"] or 0)


def here() -> int:
    """The subscribers of this process."""
    return len(the_hub().subscribers())


_keeper: asyncio.Task[None] | None = None


def keep() -> None:
    """From now on this process's number is told, until its last subscriber has left."""
    global _keeper
    if _keeper is None or _keeper.done():
        _keeper = asyncio.create_task(_keep())


async def _keep() -> None:
    told, told_at = 0, 0
    while told or here():
        await asyncio.sleep(LOOK_S)
        if here() == told and now_ms() - told_at < TOLD_AGAIN_MS:
            continue
        told, told_at = here(), now_ms()
        await _tell(told)


async def stop() -> None:
    """Nothing more is told; this process has no subscribers now."""
    if _keeper is not None:
        _keeper.cancel()
        await asyncio.gather(_keeper, return_exceptions=True)
        await _tell(0)


async def _tell(subscribers: int) -> None:
    with contextlib.suppress(Exception):  # the database is away: nobody can read the number either
        await in_own_thread(_write)(subscribers)


def _write(subscribers: int) -> None:
    """This process's row; with nobody here there is none."""
    if subscribers:
        now = {"subscribers": subscribers, "told_at": now_ms()}
        Attendance.objects.update_or_create(process=PROCESS, defaults=now)
        Attendance.objects.filter(told_at__lt=now_ms() - FORGOTTEN_AFTER_MS).delete()
    else:
        Attendance.objects.filter(process=PROCESS).delete()
