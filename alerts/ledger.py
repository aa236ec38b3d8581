"""What a transaction writes: under the locks of its calls it decides policy, `seq`, idempotency, and counts changes."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, Q

from alerts import policy, publish
from alerts.models import Alert, AlertType, Call
from alerts.publish import Published
from alerts.writer import (
    Acknowledged,
    Acknowledgement,
    CallOver,
    End,
    Order,
    Overtaken,
    Report,
    Reports,
    Resolution,
    Resolved,
    Stored,
    now_ms,
)

CORRELATION_WINDOW_MS = 10_000
# what goes on for a while, and at the latest as long as its call; the other types tell of a moment
LASTING = frozenset({AlertType.ANOMALY, AlertType.CALL_EVENT, AlertType.QUALITY_DEGRADED, AlertType.SENTIMENT_SHIFT})
CHANGED = ("ended_at", "acknowledged_at", "acknowledged_by", "note", "data", "version", "changed_at", "update_no")
COUNTED = ("last_seq", "last_update", "changed_at", "cooldowns")


def store(orders: Sequence[Order[Any]]) -> tuple[list[Any], list[Published]]:
    """Carry out orders, one after the other, in the transaction that is open.

    Returns:
        The outcome of each order, and what subscribers are to be told, in order.

    Raises:
        Overtaken: another process stored one of the reports meanwhile; the transaction has to be tried again.
    """
    ledger = _Ledger(orders)
    outcomes = [ledger.carry_out(order) for order in orders]
    return outcomes, ledger.close()


class _Ledger:
    """The calls and alerts that a batch of orders is about, locked and read, and what becomes of them."""

    def __init__(self, orders: Sequence[Order[Any]]) -> None:
        reports = [report for order in orders if isinstance(order, Reports) for report in order.reports]
        named = {alert_id for order in orders for alert_id in _named_by(order)}
        over = {order.call_id for order in orders if isinstance(order, CallOver)}
        calls = _locked_calls({report.call_id for report in reports}, over | _calls_of(named))
        self._accounts = {call.pk: _Account(call) for call in calls}
        self._by_call_id = {account.call.call_id: account for account in self._accounts.values()}
        self._reports = reports
        # after the lock: another process may have written while we waited for it
        self._known = _already_stored(reports)
        self._found = frozenset(self._known)
        self._alerts: dict[UUID, Alert] = {}  # that may change
        self._take_in(Alert.objects.filter(id__in=named, call__in=self._accounts) if named else ())
        self._fresh: list[Alert] = []
        self._changed: dict[UUID, Alert] = {}
        self._news: list[Published] = []

    def _take_in(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            alert.call = self._accounts[alert.call_id].call
            self._alerts.setdefault(alert.id, alert)  # one that is there already may have changed since it was read

    def carry_out(self, order: Order[Any]) -> Any:
        """Does what an order says; its outcome."""
        match order:
            case Reports(reports):
                return [_stored(self._enter(report)) for report in reports]
            case End(ids, ended_at, duration_ms):
                return [_stored(alert) for alert in self._end(ids, ended_at, duration_ms)]
            case Acknowledgement():
                return self._acknowledge(order)
            case Resolution():
                return self._resolve(order)
            case CallOver():
                return self._close_call(order)
            case _:
                raise AssertionError(f"{order!r} is no order that anybody knows")

    def _enter(self, report: Report) -> Alert:
        """The alert that a report becomes, or became before."""
        identity = _identity(report)
        if identity not in self._known:
            alert = self._by_call_id[report.call_id].enter(report)
            self._known[identity] = self._alerts[alert.id] = alert
            self._fresh.append(alert)
            if not alert.suppressed:
                self._news.append(publish.published(alert))
        return self._known[identity]

    def _end(self, ids: Sequence[UUID], ended_at: int, duration_ms: int) -> list[Alert]:
        """Writes the end of alerts that have none yet; returns those."""
        known = [self._alerts[id_] for id_ in dict.fromkeys(ids) if id_ in self._alerts]
        going_on = [alert for alert in known if alert.ended_at is None]
        for alert in going_on:
            self._change(alert, ended_at=ended_at, data=_with_duration(alert.data, duration_ms))
        return going_on

    def _acknowledge(self, order: Acknowledgement) -> Acknowledged | None:
        alert = self._alerts.get(order.alert_id)
        if alert is None:
            return None
        first = alert.acknowledged_at is None
        if first:
            self._change(alert, acknowledged_at=order.at, acknowledged_by=order.by, note=order.note)
        return Acknowledged(alert.id, alert.acknowledged_at or order.at, alert.acknowledged_by, alert.note, first)

    def _resolve(self, order: Resolution) -> Resolved | None:
        """Ends an alert. Who does that has seen it: it is theirs unless somebody had acknowledged it."""
        alert = self._alerts.get(order.alert_id)
        if alert is None:
            return None
        first = alert.ended_at is None
        becomes: dict[str, Any] = {"ended_at": order.at} if first else {}
        if alert.acknowledged_at is None:
            becomes |= {"acknowledged_at": order.at, "acknowledged_by": order.by}
        if becomes:
            self._change(alert, **becomes)
        return Resolved(alert.id, alert.ended_at or order.at, first)

    def _close_call(self, order: CallOver) -> bool:
        """Closes a call's row, and ends what was raised here about it and goes on."""
        account = self._by_call_id.get(order.call_id)
        if account is None or order.heard_by not in (None, account.call.heard_by):
            return False
        was_active = account.close_call(order.at)
        of_ours = Alert.objects.filter(call=account.call, source="", type__in=LASTING, ended_at__isnull=True)
        self._take_in(of_ours)
        for alert in self._alerts.values():
            if alert.call == account.call and not alert.source and alert.type in LASTING and alert.ended_at is None:
                self._change(alert, ended_at=order.at)
        return was_active

    def _change(self, alert: Alert, **becomes: Any) -> None:
        """Changes an alert; who was sent it is told."""
        for name, value in becomes.items():
            setattr(alert, name, value)
        alert.version += 1
        alert.changed_at = now_ms()
        self._changed[alert.id] = alert
        if not alert.suppressed:
            alert.update_no = self._accounts[alert.call_id].count_update()
            self._news.append(publish.updated(alert))

    def close(self) -> list[Published]:
        """Writes everything down; returns what subscribers are to be told."""
        self._create()
        _update(Alert, list(self._changed.values()), CHANGED)
        _update(Call, [account.balanced() for account in self._accounts.values()], COUNTED)
        return self._news

    def _create(self) -> None:
        """Inserts the new alerts. An external id is its poster's for all calls, so these locks do not keep others from
        storing it; in one order, so that no two batches wait in a ring."""
        fresh = sorted(self._fresh, key=lambda alert: (alert.source, alert.external_id or ""))
        try:
            with transaction.atomic():
                Alert.objects.bulk_create(fresh)
        except IntegrityError as error:
            if _already_stored(self._reports).keys() - self._found:
                raise Overtaken from error
            raise


def _update(model: type[Model], rows: Sequence[Model], names: Sequence[str]) -> None:
    """Writes fields of rows by one statement. `bulk_update` makes an expression of every value: twenty times slower."""
    of = {field.name: field for field in model._meta.concrete_fields}
    key, fields = of["id"], [of[name] for name in names]
    quoted = connection.ops.quote_name
    told = ", ".join(f"{quoted(field.attname)} = %s" for field in fields)  # no column of ours has another name
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {quoted(model._meta.db_table)} SET {told} WHERE {quoted(key.attname)} = %s",
            [[one.get_db_prep_save(getattr(row, one.attname), connection) for one in (*fields, key)] for row in rows],
        )


def _named_by(order: Order[Any]) -> tuple[UUID, ...]:
    """The alerts that an order is to change."""
    match order:
        case End(ids):
            return ids
        case Acknowledgement(alert_id) | Resolution(alert_id):
            return (alert_id,)
        case _:
            return ()


def _calls_of(alert_ids: set[UUID]) -> set[str]:
    """The calls that these alerts are about, which never changes; alerts that are not stored yet have none."""
    return set(Alert.objects.filter(id__in=alert_ids).values_list("call__call_id", flat=True)) if alert_ids else set()


def _locked_calls(reported: set[str], others: set[str]) -> list[Call]:
    """The calls' rows, those reported about made where missing, locked in the order of their keys so that no two
    batches wait in a ring."""
    if reported:
        known = set(Call.objects.filter(call_id__in=reported).values_list("call_id", flat=True))
        missing = [Call(call_id=call_id, started_at=now_ms()) for call_id in sorted(reported - known)]
        Call.objects.bulk_create(missing, ignore_conflicts=True)
    return list(Call.objects.select_for_update().filter(call_id__in=reported | others).order_by("pk"))


def _identity(report: Report) -> tuple[str, str]:
    """What makes two reports the same one: the poster's id for it if there is one, else our own."""
    return (report.source, report.external_id) if report.external_id else ("", str(report.id))


def _already_stored(reports: Sequence[Report]) -> dict[tuple[str, str], Alert]:
    """The alerts that these reports have become before: on a first try that broke off, or posted before."""
    if not reports:
        return {}
    same = Q(id__in=[report.id for report in reports])
    for source in {report.source for report in reports if report.external_id}:
        external_ids = [report.external_id for report in reports if report.source == source and report.external_id]
        same |= Q(source=source, external_id__in=external_ids)
    return {
        ((alert.source, alert.external_id) if alert.external_id else ("", str(alert.id))): alert
        for alert in Alert.objects.filter(same)
    }


_Sent = tuple[int, int, UUID]  # an alert's time (Unix ms), seq and id


class _Account:
    """What a transaction knows of one call while it writes about it: its locked row and the state kept there."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._cooldowns = policy.load(call.cooldowns)
        self._sent: list[_Sent] = []  # in this transaction, by time: threads and processes overtake each other
        self._stored: _Sent | None = None  # the first one sent in earlier transactions, since `_looked_from`
        self._looked_from: int | None = None

    def enter(self, report: Report) -> Alert:
        """The alert that a report becomes."""
        decision, self._cooldowns = policy.decide(
            str(report.id),
            report.type,
            report.kind,
            report.channel,
            report.severity,
            self._cooldowns,
            report.timestamp,
            settings.ALERT_COOLDOWN_MS,
        )
        correlation_id = self._correlation(report)
        if not decision.suppressed:
            self.call.last_seq += 1
            self._stir()
            insort(self._sent, (report.timestamp, self.call.last_seq, report.id))
        return Alert(
            id=report.id,
            call=self.call,
            seq=None if decision.suppressed else self.call.last_seq,
            type=report.type,
            kind=report.kind,
            severity=report.severity,
            channel=report.channel,
            timestamp=report.timestamp,
            occurred_at=report.occurred_at,
            stored_at=now_ms(),
            title=report.title,
            message=report.message,
            data=report.data,
            actionable=report.actionable,
            suppressed=decision.suppressed,
            suppressed_count=decision.suppressed_count,
            repeat_of=decision.repeat_of or report.repeat_of,
            correlation_id=correlation_id,
            source=report.source,
            external_id=report.external_id,
        )

    def _correlation(self, report: Report) -> UUID:
        """The earliest alert sent about the call within the 10 s before, else the report itself."""
        if not settings.ALERT_CALL_CORRELATION or not self.call.call_id:
            return report.id
        window_from = report.timestamp - CORRELATION_WINDOW_MS
        place = bisect_left(self._sent, (window_from,))
        first = min([*self._sent[place : place + 1], *self._first_stored(window_from)], default=None)
        return first[-1] if first and first[0] <= report.timestamp else report.id

    def _first_stored(self, window_from: int) -> list[_Sent]:
        """The first alert sent since `window_from` in earlier transactions, if there is one.

        Reports come in order, so an answer holds for most that follow: a list costs one query, not one for each.
        """
        holds = self._looked_from is not None and self._looked_from <= window_from
        if not holds or (self._stored is not None and self._stored[0] < window_from):
            sent = Alert.objects.filter(call=self.call, timestamp__gte=window_from, suppressed=False)
            by_time = sent.order_by("timestamp", "seq").values_list("timestamp", "seq", "id")
            self._stored = by_time.first()  # type: ignore[assignment]  # what was sent has a seq
            self._looked_from = window_from
        return [self._stored] if self._stored else []

    def count_update(self) -> int:
        """The place of a change among those of the call's sent alerts."""
        self.call.last_update += 1
        self._stir()
        return self.call.last_update

    def _stir(self) -> None:
        """Has the hubs' poll notice; never earlier than before, should the clock jump back."""
        self.call.changed_at = max(self.call.changed_at, now_ms())

    def close_call(self, at: int) -> bool:
        """The call is over; whether it was in progress."""
        if not self.call.active:
            return False
        Call.objects.filter(pk=self.call.pk).update(active=False, ended_at=at)
        return True

    def balanced(self) -> Call:
        """The row with the state after all that was written."""
        self.call.cooldowns = policy.dump(self._cooldowns)
        return self.call


def _with_duration(data: dict[str, Any], duration_ms: int) -> dict[str, Any]:
    """An alert's data with the final duration of the event or anomaly in it; a copy, since the first try may fail."""
    final = {
        name: data[name] | {"duration": duration_ms}
        for name in ("event", "anomaly")
        if isinstance(data.get(name), dict)
    }
    return data | final


def _stored(alert: Alert) -> Stored:
    return Stored(alert.id, alert.seq, alert.suppressed, alert.external_id)
