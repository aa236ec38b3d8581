"""The way in: everything that is to become an alert, or that changes one, passes here."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from uuid import UUID

from django.db import transaction

from alerts import ledger
from alerts.models import Call, MediaEndpoint, Team, Told
from alerts.writer import (
    Acknowledged,
    Acknowledgement,
    CallOver,
    End,
    Report,
    Reports,
    Resolution,
    Resolved,
    Stored,
    Writer,
    now_ms,
)

_writer: Writer | None = None
_making = threading.Lock()


def _the_writer() -> Writer:
    """This process's writer, started on first use."""
    global _writer
    with _making:
        if _writer is None:
            _writer = Writer(ledger.store)
        return _writer


def report(*reports: Report, within_s: float | None = None) -> Future[list[Stored]]:
    """Raise alerts, from any thread: all are stored, in this order, and those not held back are delivered.

    Returns at once, unless 10,000 writes wait already. The future holds one `Stored` a report when they are
    committed, or the error of one that can never be stored.

    Raises:
        queue.Full: there was no room `within_s`.
    """
    return _the_writer().submit(Reports(reports), within_s)


def end(ids: Sequence[UUID], ended_at: int, duration_ms: int) -> Future[list[Stored]]:
    """Write when that which raised alerts was over: Unix ms, and how long it lasted.

    The future holds those that this ended: one that ended before, by hand say, stays as it is.
    """
    return _the_writer().submit(End(tuple(ids), ended_at, duration_ms))


def acknowledge(alert_id: UUID, by: str, note: str = "", within_s: float | None = None) -> Future[Acknowledged | None]:
    """Write that somebody has seen an alert; of many at once one is the first, and all learn which.

    The rights of who asks are checked before. The future holds None where there is no such alert.

    Raises:
        queue.Full: there was no room `within_s`.
    """
    return _the_writer().submit(Acknowledgement(alert_id, by, note), within_s)


def resolve(alert_id: UUID, by: str, within_s: float | None = None) -> Future[Resolved | None]:
    """End an alert by hand, now, if it has not ended; whoever does that acknowledges it too, unless somebody had.

    The rights of who asks are checked before. The future holds None where there is no such alert.

    Raises:
        queue.Full: there was no room `within_s`.
    """
    return _the_writer().submit(Resolution(alert_id, by), within_s)


def may_open(call_id: str, endpoint: str) -> bool:
    """Whether a call may be heard through an endpoint: one that has a team takes no other team's calls."""
    team = MediaEndpoint.objects.filter(slug=endpoint).values_list("team", flat=True).first()
    of_others = Call.objects.filter(call_id=call_id, team__isnull=False).exclude(team=team)
    return team is None or not of_others.exists()


def open_call(
    call_id: str,
    protocol: str,
    channels: Sequence[str],
    heard_by: str,
    endpoint: str = "",
    *,
    taking_over: bool = True,
) -> None:
    """A call is heard by the process `heard_by` now: its row is made, or taken up again, for its endpoint's team.

    Not `taking_over`: a call in progress is left to who has it.
    """
    told = {"ended_at": None, "active": True, "protocol": protocol, "channels": list(channels), "heard_by": heard_by}
    team = Team.objects.filter(endpoints__slug=endpoint).first()
    with transaction.atomic():
        call, made = Call.objects.get_or_create(
            call_id=call_id, defaults={"started_at": now_ms(), "team": team, **told}
        )
        if not made:  # named fields only: the writer may be counting on this row
            there = Call.objects.filter(pk=call.pk)
            (there if taking_over else there.filter(active=False)).update(**told)
        if not made and call.team is None and team is not None:
            Call.objects.filter(pk=call.pk).update(team=team)


def note_mos(call_id: str, mos: float) -> None:
    """What a call sounds like now, 1..5. The call is made if nobody has heard of it."""
    if not Call.objects.filter(call_id=call_id).update(mos_score=mos):
        Call.objects.update_or_create(
            call_id=call_id, defaults={"mos_score": mos}, create_defaults={"started_at": now_ms(), "mos_score": mos}
        )


def close_call(call_id: str, heard_by: str) -> Future[bool]:
    """A call is over for the process `heard_by`, and with it what was raised here about the call and has no end yet.

    The future holds whether it was in progress; a call that another process has taken over goes on. Who wants to hear
    the call again waits for it, so that the call is not closed after it was opened.
    """
    return _the_writer().submit(CallOver(call_id, heard_by))


def close_calls_left_open(server: str, has_gone: Callable[[str], bool]) -> int:
    """Calls that processes of a server left active when they were killed are over, and what was raised of them.

    Args:
        server: what the names of its processes begin with, before a `/`.
        has_gone: whether the process of a name lives no more.

    Returns:
        How many calls that were.

    Raises:
        DatabaseError: the database cannot be used.
    """
    active = Call.objects.filter(active=True, heard_by__startswith=f"{server}/").values_list("call_id", "heard_by")
    closing = [close_call(call_id, heard_by) for call_id, heard_by in active if has_gone(heard_by)]
    left = sum(closed.result() for closed in closing)
    Told.objects.filter(call__active=False, call__heard_by__startswith=f"{server}/").delete()  # nobody takes it now
    return left


def close(within_s: float) -> None:
    """Writes what is queued and ends the writer; gives up what the database has not taken `within_s`."""
    global _writer
    with _making:
        writer, _writer = _writer, None
    if writer is not None:
        writer.close(within_s)
