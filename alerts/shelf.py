"""Alerts that are sent again, encoded once for all who missed them."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from uuid import UUID

from alerts.models import Alert
from alerts.publish import Published, published, updated
from alerts.threads import in_own_thread

MAX_BYTES = 32 * 1024 * 1024  # of what is kept; more means the longest unused is read again
AT_ONCE = 200  # alerts a query

Mark = tuple[int, int | None]  # what changes with a copy: the alert's version, and the key of the call's team
Copy = tuple[Published, Published | None]  # an alert as it is now, and the frame of its last change if there was one


class Shelf:
    """Reads alerts as they are now. Who asks while a read is under way shares the next one."""

    def __init__(self) -> None:
        self._copies: OrderedDict[UUID, tuple[Mark, Copy]] = OrderedDict()  # the longest unused first
        self._bytes = 0
        self._asked: set[UUID] = set()
        self._next: asyncio.Task[dict[UUID, Copy]] | None = None
        self._reading = asyncio.Lock()

    async def get(self, ids: Sequence[UUID]) -> list[Copy]:
        """These alerts, in this order; one that was pruned meanwhile is left out."""
        self._asked.update(ids)
        if self._next is None:
            self._next = asyncio.create_task(self._read_next())
        found = await asyncio.shield(self._next)  # who leaves meanwhile must not take the others' read along
        return [found[key] for key in ids if key in found]

    async def _read_next(self) -> dict[UUID, Copy]:
        async with self._reading:
            asked, self._asked, self._next = self._asked, set(), None
            return await in_own_thread(self._read)(asked)

    def _read(self, ids: Collection[UUID]) -> dict[UUID, Copy]:
        found: dict[UUID, Copy] = {}
        for some in _portions(ids):
            marks = Alert.objects.filter(pk__in=some).values_list("pk", "version", "call__team")
            stale = [key for key, *mark in marks if self._mark_of(key) != tuple(mark)]
            for alert in Alert.objects.filter(pk__in=stale).select_related("call"):
                self._put(alert)
            found |= {key: self._take(key) for key, *_ in marks if key in self._copies}
        self._make_room()
        return found

    def _mark_of(self, key: UUID) -> Mark | None:
        return self._copies[key][0] if key in self._copies else None

    def _take(self, key: UUID) -> Copy:
        self._copies.move_to_end(key)
        return self._copies[key][1]

    def _put(self, alert: Alert) -> None:
        self._remove(alert.pk)
        copy = (published(alert), updated(alert) if alert.update_no else None)
        self._copies[alert.pk] = ((alert.version, alert.call.team_id), copy)
        self._bytes += _size(copy)

    def _remove(self, key: UUID) -> None:
        if key in self._copies:
            self._bytes -= _size(self._copies.pop(key)[1])

    def _make_room(self) -> None:
        while self._bytes > MAX_BYTES:
            self._remove(next(iter(self._copies)))


def _portions(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    waiting = iter(ids)
    while some := list(islice(waiting, AT_ONCE)):
        yield some


def _size(copy: Copy) -> int:
    return sum(len(frame.body) for frame in copy if frame is not None)
