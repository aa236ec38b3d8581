"""What the database knows about alerts that a process may have missed. Read in batches, never per alert."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.db.models import Q

from alerts.models import Alert, Call
from alerts.portions import portions
from alerts.publish import Published, published, updated
from alerts.writer import now_ms

MAX_CALLS = 100  # whose holes are read by one query
STANDINGS_AT_ONCE = 5_000  # calls a statement: a process may serve more than one takes
MAX_ROWS = 1_000  # alerts that one query brings into memory
OVERLAP_MS = 30_000  # clocks of processes differ, and a transaction may commit well after it took its time


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a call has come: its sent alerts and the changes to them, each counted from 1 in the order of commits."""

    seq: int = 0
    update: int = 0

    def covers(self, other: "Standing") -> bool:
        """Whether the call has come at least as far as the other says."""
        return self.seq >= other.seq and self.update >= other.update

    def and_at_least(self, other: "Standing") -> "Standing":
        """As far as both together say."""
        return Standing(max(self.seq, other.seq), max(self.update, other.update))

    def before(self, alert: Published) -> "Standing":
        """As far, but not so far that this alert, or this change of one, was handed over."""
        if alert.update_no:
            return replace(self, update=min(self.update, alert.update_no - 1))
        return replace(self, seq=min(self.seq, alert.seq - 1))

    def with_one_more(self, alert: Published) -> "Standing":
        """After this alert, or this change of one, was handed over."""
        return replace(self, update=alert.update_no) if alert.update_no else replace(self, seq=alert.seq)


@dataclass(frozen=True, slots=True)
class Hole:
    """Alerts of a call, and changes of them, that did not come: those after `after`, at least up to `to`.

    Where `stored_since` (Unix ms) is given, older ones are accounted for, whatever their numbers are.
    """

    call_id: str
    to: Standing
    after: Standing = Standing()
    stored_since: int = 0

    @property
    def alerts(self) -> Q:
        """The rows of the alerts that did not come."""
        return Q(seq__gt=self.after.seq, stored_at__gte=self.stored_since)

    @property
    def changes(self) -> Q:
        """The rows whose last change did not come."""
        return Q(seq__isnull=False, update_no__gt=self.after.update, changed_at__gte=self.stored_since)


@dataclass(frozen=True, slots=True)
class Missing:
    """What was found in holes, in the order of each call; each change may follow its alert.

    Attributes:
        all_alerts: whether the holes have no more of them; else no changes were read.
        all_changes: the same of the changes.
        standings: how far the calls had come, at least, when that was read.
    """

    alerts: list[Published]
    changes: list[Published]
    all_alerts: bool
    all_changes: bool
    standings: dict[str, Standing]


def standings(call_ids: Iterable[str]) -> dict[str, Standing]:
    """How far each of these calls has come."""
    found = (row for some in portions(call_ids, STANDINGS_AT_ONCE) for row in _standings(Q(call_id__in=some)))
    return {call_id: standing for _, call_id, standing in found}


def changed_since(unix_ms: int) -> dict[str, Standing]:
    """How far each call has come that got an alert, or of which one was changed, since."""
    return {call_id: standing for _, call_id, standing in _standings(Q(changed_at__gte=unix_ms))}


def changed_within(spans_ms: Iterable[int]) -> dict[int, tuple[int, dict[str, Standing]]]:
    """By span before now, ms: since when that is, Unix ms, and how far each call has come that changed since."""
    now = now_ms()
    return {span_ms: (now - span_ms, changed_since(now - span_ms)) for span_ms in spans_ms}


def _standings(which: Q) -> list[tuple[int, str, Standing]]:
    """The key, the id and the standing of calls."""
    rows = Call.objects.filter(which).values_list("pk", "call_id", "last_seq", "last_update")
    return [(key, call_id, Standing(seq, update)) for key, call_id, seq, update in rows]


def missing(holes: Mapping[str, Hole], rows: int = MAX_ROWS) -> Missing:
    """The alerts in the holes, and the changes: up to `rows` of each."""
    calls = _standings(Q(call_id__in=holes))  # before the alerts: all that they count will be found
    alerts, changes = Q(pk__in=[]), Q(pk__in=[])
    for key, call_id, _ in calls:
        alerts |= Q(call=key) & holes[call_id].alerts
        changes |= Q(call=key) & holes[call_id].changes
    stored = Alert.objects.prefetch_related("call")  # whose row is large: once, not with every alert
    # The changes are read before the alerts, so that there is none of an alert that is not among them.
    changed = [updated(alert) for alert in stored.filter(changes).order_by("call_id", "update_no")[:rows]]
    found = [published(alert) for alert in stored.filter(alerts).order_by("call_id", "seq")[:rows]]
    whole = len(found) < rows
    standing_of = {call_id: standing for _, call_id, standing in calls}
    return Missing(found, changed if whole else [], whole, whole and len(changed) < rows, standing_of)
