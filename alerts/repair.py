"""What the database knows about alerts that a process may have missed. Read in batches, never per alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from alerts.models import Alert, Call
from alerts.publish import Published, published

MAX_CALLS = 100  # whose holes are read by one query
MAX_ROWS = 1_000  # alerts that one query brings into memory
OVERLAP_MS = 30_000  # clocks of processes differ, and a transaction may commit well after it took its time


@dataclass(frozen=True, slots=True)
class Hole:
    """Alerts of a call that did not come: those after `after`, or those stored since a time; at least up to `to`."""

    call_id: str
    to: int
    after: int = 0
    stored_since: int = 0

    @property
    def rows(self) -> Q:
        return Q(seq__gt=self.after, stored_at__gte=self.stored_since)


def last_seqs(call_ids: Sequence[str]) -> dict[str, int]:
    """How far each of these calls has come."""
    return dict(Call.objects.filter(call_id__in=call_ids).values_list("call_id", "last_seq"))


def changed_since(unix_ms: int) -> dict[str, int]:
    """How far each call has come that got an alert since."""
    return dict(Call.objects.filter(changed_at__gte=unix_ms).values_list("call_id", "last_seq"))


def missing(holes: Mapping[str, Hole]) -> list[Published]:
    """The alerts in the holes, in the order of each call; `MAX_ROWS` of them: there may be more."""
    keys = Call.objects.filter(call_id__in=holes).values_list("pk", "call_id")
    wanted = Q(pk__in=[])
    for key, call_id in keys:
        wanted |= Q(call=key) & holes[call_id].rows
    alerts = Alert.objects.filter(wanted).select_related("call").order_by("call_id", "seq")  # the key of the row
    return [published(alert) for alert in alerts[:MAX_ROWS]]
