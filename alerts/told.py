"""What is told of a call besides its sound: posted by anybody, taken once by the process that hears the call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from alerts.models import Call, Told
from alerts.writer import now_ms

TAKEN_AT_ONCE = 50  # posts, each of up to a thousand items


@dataclass(frozen=True, slots=True)
class Post:
    """One post about a call: `items` are segments or samples as REST checked them."""

    call_id: str
    kind: str
    items: Sequence[Mapping[str, Any]]


def tell(call: Call, kind: Told.Kind, items: Sequence[Mapping[str, Any]], source: str) -> None:
    """Keep a post for who hears the call."""
    Told.objects.create(call=call, kind=kind, items=list(items), source=source, posted_at=now_ms())


def take(heard_by: str) -> list[Post]:
    """The oldest posts about calls that the process `heard_by` hears; each is given out once."""
    with transaction.atomic():
        skips = connection.features.has_select_for_update_skip_locked
        rows = Told.objects.select_for_update(of=("self",) if skips else (), skip_locked=skips)
        taken = list(rows.filter(call__heard_by=heard_by).select_related("call").order_by("pk")[:TAKEN_AT_ONCE])
        Told.objects.filter(pk__in=[row.pk for row in taken]).delete()
    return [Post(row.call.call_id, row.kind, row.items) for row in taken]
