"""Alerts that are sent again, encoded once for all who missed them."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from alerts.models import Alert, RightsVersion
from alerts.portions import portions
from alerts.publish import Published, published, updated
from alerts.threads import SharedReads

MAX_SIZE = 32 * 1024 * 1024  # characters that are kept; more means the longest unused is read again


@dataclass(frozen=True, slots=True)
class Copy:
    """An alert as it was when so many changes of its call had been made, and what rights were at a version of them.

    Attributes:
        alert: the bare alert.
        change: the frame of its last change, if there was one.
        version: the alert's.
        updates: changes of the call's alerts that are in it.
        rights: the version of all rights at which its team was read.
    """

    alert: Published
    change: Published | None
    version: int
    updates: int
    rights: int

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.alert.body) + (len(self.change.body) if self.change else 0)


class Shelf:
    """Alerts as they are now."""

    def __init__(self) -> None:
        self._copies: OrderedDict[UUID, Copy] = OrderedDict()  # the longest unused first; bounded by MAX_SIZE
        self._size = 0
        self._reads = SharedReads(self._read)

    async def get(self, wanted: Sequence[tuple[UUID, int]], rights: int) -> list[Copy]:
        """These alerts, in this order; one that was pruned meanwhile is left out.

        Args:
            wanted: ids, and how many changes of its call an alert has to know of at least.
            rights: the version of all rights that teams have to be read at, at least.
        """
        ready = [self._copies.get(key) for key, _ in wanted]
        if all(
            copy and copy.updates >= updates and copy.rights >= rights
            for copy, (_, updates) in zip(ready, wanted, strict=True)
        ):
            return [copy for copy in ready if copy]
        found = await self._reads.ask(key for key, _ in wanted)
        copies = {key: found[key] for key, _ in wanted if key in found}
        for key, copy in copies.items():
            self._put(key, copy)
        return list(copies.values())

    def _read(self, ids: Collection[UUID]) -> dict[UUID, Copy]:
        return _read(ids, {key: copy for key in ids if (copy := self._copies.get(key))})

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._copies)

    def _put(self, key: UUID, copy: Copy) -> None:
        if self._copies.get(key) is copy:
            return  # another who asked has put it there
        self._remove(key)
        self._copies[key] = copy
        self._size += copy.size
        while self._size > MAX_SIZE:
            self._remove(next(iter(self._copies)))

    def _remove(self, key: UUID) -> None:
        if key in self._copies:
            self._size -= self._copies.pop(key).size


def _read(ids: Collection[UUID], known: Mapping[UUID, Copy]) -> dict[UUID, Copy]:
    """Alerts as they are now; those that have not changed since a copy was made are not read anew."""
    found: dict[UUID, Copy] = {}
    rights = RightsVersion.current()
    for some in portions(ids):
        now = Alert.objects.filter(pk__in=some).values_list("pk", "version", "call__team", "call__last_update")
        stale = {}
        for key, version, team, updates in now:
            copy = known.get(key)
            if copy and (copy.version, copy.alert.team) == (version, team):
                found[key] = replace(copy, updates=updates, rights=rights)
            else:
                stale[key] = updates
        for alert in Alert.objects.filter(pk__in=stale).prefetch_related("call"):  # a call's row is large, so once
            change = updated(alert) if alert.update_no else None
            found[alert.pk] = Copy(published(alert), change, alert.version, stale[alert.pk], rights)
    return found
