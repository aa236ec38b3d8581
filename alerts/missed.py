"""What a client that comes back has missed: which alerts and changes it is sent again, and what is beyond that."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from uuid import UUID

from django.db.models import Min, QuerySet

from alerts.access import Principal, visible_alerts
from alerts.models import Alert, Call
from alerts.repair import OVERLAP_MS, Standing
from alerts.writer import now_ms

MAX_REPLAYED = 1_000  # rows; who has missed more is told so
WINDOW_MS = 24 * 3600 * 1000  # older alerts are read from the history
REACHES_BACK_MS = OVERLAP_MS  # before the client's `since`

FRESH_MS = 2 * OVERLAP_MS  # what was stored longer ago is not handed over by a hub any more

Row = tuple[UUID, int, int]  # an alert's id, seq, and when it was stored (Unix ms)
RowOfAny = tuple[UUID, str, int, int, int]  # its id, its call's, seq, when stored, and the call's changes so far
ChangeOfAny = tuple[UUID, int, int | None, int]  # an alert's id, its call's changes so far, when changed and stored


@dataclass(frozen=True, slots=True)
class Missed:
    """What a client is sent again.

    Attributes:
        recovered: it has everything then.
        alerts: oldest first: their ids, and how many changes had been made of their call's alerts when this was read.
        changed: the same of alerts that it has, changed since.
        gap: the first and the last `seq` of what is not sent again though it was missed.
        reached: how far calls have been sent then, by call id: the live stream goes on behind that.
        standing: of the call that was asked for.
    """

    recovered: bool
    alerts: tuple[tuple[UUID, int], ...] = ()
    changed: tuple[tuple[UUID, int], ...] = ()
    gap: tuple[int, int] | None = None
    reached: tuple[tuple[str, int], ...] = ()
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True)
class Return:
    """Somebody comes back to a call: what they have of it, see `of_call`."""

    call_id: str
    last_seq: int | None
    since: int | None


@dataclass(frozen=True, slots=True)
class Resumption:
    """Somebody comes back to the stream of every call, who has what was stored before `since` (Unix ms)."""

    principal: Principal
    since: int


def of_calls(returns: Iterable[Return]) -> dict[Return, Missed]:
    """What they lack who come back."""
    return {one: of_call(one.call_id, one.last_seq, one.since, now_ms()) for one in returns}


def of_call(call_id: str, last_seq: int | None, since: int | None, now: int) -> Missed:
    """What somebody lacks of a call who has its alerts up to `last_seq`, or all that were stored before `since`.

    `last_seq` says which alerts, if both are given; `since` (Unix ms) then says from when on others may have changed.
    With neither nothing is sent again.
    """
    call = Call.objects.filter(call_id=call_id).only("call_id", "last_seq", "last_update").first()
    if call is None:
        return Missed(recovered=not last_seq)
    standing = Standing(call.last_seq, call.last_update)
    if last_seq is not None and last_seq > standing.seq:  # it knows another history
        return Missed(False, standing=standing)
    first = _first_missed(call, last_seq, since)
    rows = _newest(call, first, now - WINDOW_MS)
    begins = rows[0][1] if rows else standing.seq + 1
    gap = (first, begins - 1) if first < begins else None
    earlier = Alert.objects.none() if since is None else Alert.objects.filter(call=call, seq__lt=begins)
    changed, all_changed = _changed(earlier, since or 0, now, MAX_REPLAYED - len(rows))
    return Missed(
        recovered=gap is None and all_changed,
        alerts=tuple((key, standing.update) for key, _, _ in rows),
        changed=changed,
        gap=gap,
        reached=((call_id, standing.seq),) if rows or last_seq is not None else (),
        standing=standing,
    )


def _first_missed(call: Call, last_seq: int | None, since: int | None) -> int:
    """The seq from which on alerts were missed; the next one's if none was."""
    if last_seq is not None:
        return last_seq + 1
    if since is None:
        return call.last_seq + 1
    later = Alert.objects.filter(call=call, seq__lte=call.last_seq, stored_at__gte=since - REACHES_BACK_MS)
    return later.aggregate(first=Min("seq"))["first"] or call.last_seq + 1


def _newest(call: Call, first: int, window_from: int) -> list[Row]:
    """The call's alerts from `first` on, or the newest of them that may be sent again."""
    if first > call.last_seq:
        return []
    first = max(first, call.last_seq - MAX_REPLAYED + 1)
    sent = Alert.objects.filter(call=call, seq__gte=first, seq__lte=call.last_seq).order_by("seq")
    rows = [(key, seq or 0, stored_at) for key, seq, stored_at in sent.values_list("pk", "seq", "stored_at")]
    young = (index for index, (_, _, stored_at) in enumerate(rows) if stored_at >= window_from)
    return rows[next(young, len(rows)) :]


def _changed(sent: QuerySet[Alert], since: int, now: int, room: int) -> tuple[tuple[tuple[UUID, int], ...], bool]:
    """Which of these alerts were changed since, in that order: the newest that may be sent; whether that is all."""
    changed = sent.filter(update_no__isnull=False, changed_at__gte=since - REACHES_BACK_MS)
    newest_first = changed.order_by("-changed_at", "-update_no")
    newest = list(newest_first.values_list("pk", "call__last_update", "changed_at")[: room + 1])
    young = [(key, updates) for key, updates, changed_at in newest[:room] if (changed_at or 0) >= now - WINDOW_MS]
    return tuple(reversed(young)), len(young) == len(newest)


def of_all(resumptions: Iterable[Resumption]) -> dict[Resumption, Missed]:
    """What they lack of all the calls they may see. Those who see the same are answered from one read."""
    now = now_ms()
    alike: dict[object, list[Resumption]] = {}
    for one in resumptions:
        who = one.principal
        alike.setdefault((who.everything, who.calls, who.teams), []).append(one)
    answers: dict[Resumption, Missed] = {}
    for some in alike.values():
        missed = _since(some[0].principal, {one.since for one in some}, now)
        answers |= {one: missed[one.since] for one in some}
    return answers


def _since(principal: Principal, sinces: Collection[int], now: int) -> dict[int, Missed]:
    """What somebody lacks of all the calls they may see, by when they were there last."""
    earliest = max(min(sinces) - REACHES_BACK_MS, now - WINDOW_MS)
    touched = Call.objects.filter(changed_at__gte=earliest - REACHES_BACK_MS)
    sent = visible_alerts(principal).filter(call__in=touched.values("pk"), seq__isnull=False)
    newest_first = sent.filter(stored_at__gte=earliest).order_by("-stored_at", "-pk")
    found = newest_first.values_list("pk", "call__call_id", "seq", "stored_at", "call__last_update")
    newest = [(key, call_id, seq or 0, at, updates) for key, call_id, seq, at, updates in found[: MAX_REPLAYED + 1]]
    changes = sent.filter(update_no__isnull=False, changed_at__gte=earliest).order_by("-changed_at", "-update_no")
    # As many of them as are of alerts that are sent again themselves, there is less room for.
    changed = list(changes.values_list("pk", "call__last_update", "changed_at", "stored_at")[: MAX_REPLAYED + 1])
    return {since: _of_those(newest, changed, since, now) for since in sinces}


def _of_those(newest: Sequence[RowOfAny], changed: Sequence[ChangeOfAny], since: int, now: int) -> Missed:
    """What was missed since, of the newest alerts and the last changes."""
    stored_from = max(since - REACHES_BACK_MS, now - WINDOW_MS)
    later = list(takewhile(lambda row: row[3] >= stored_from, newest))
    rows = _each_call_in_order(later[:MAX_REPLAYED][::-1])
    room = MAX_REPLAYED - len(rows)
    changes = [
        (key, updates)
        for key, updates, changed_at, stored_at in takewhile(lambda row: (row[2] or 0) >= stored_from, changed)
        if stored_at < stored_from
    ]
    return Missed(
        recovered=stored_from == since - REACHES_BACK_MS and len(later) <= MAX_REPLAYED and len(changes) <= room,
        alerts=tuple((key, updates) for key, _, _, _, updates in rows),
        changed=tuple(reversed(changes[:room])),
        reached=tuple({call_id: seq for _, call_id, seq, at, _ in rows if at >= now - FRESH_MS}.items()),
    )


def _each_call_in_order(rows: Sequence[RowOfAny]) -> list[RowOfAny]:
    """Alerts in the order they were stored in, except that clocks of processes may have mixed up those of one call."""
    by_call: dict[str, list[RowOfAny]] = {}
    for row in rows:
        by_call.setdefault(row[1], []).append(row)
    in_order = {call_id: iter(sorted(each, key=lambda row: row[2])) for call_id, each in by_call.items()}
    return [next(in_order[row[1]]) for row in rows]
