"""Alerts about calls: stored once, decided in one place, delivered to who may see them. What Python code may use.

Models exist only when Django is ready, so what needs them is imported when it is called.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from alerts.writer import Stored

Answer = TypeVar("Answer")

__all__ = ["history", "report", "subscriber_count", "summarise"]


def report(
    type: str,
    severity: str,
    title: str,
    message: str,
    *,
    call_id: str | None = None,
    kind: str = "",
    channel: str = "",
    data: Mapping[str, Any] | None = None,
    actionable: bool = False,
    occurred_at: int | None = None,
    external_id: str | None = None,
) -> "Future[Stored]":
    """Raise an alert, from any thread or from async code: the fields of POST `alerts/`.

    Args:
        type: `anomaly`, `call_event`, `quality_degraded`, `sentiment_shift`, `call_summary`, `connection` or
            `disconnection`.
        severity: `info`, `low`, `medium`, `high` or `critical`.
        call_id: None if it is about no call.
        occurred_at: when, if that is not now; Unix ms.
        external_id: an id of yours; the same one again changes nothing and gives what the first became.

    Returns:
        At once; done with what became of it when it is committed.

    Raises:
        ValueError: a value that no alert can have; the field is named.
    """
    optional = {
        "callId": call_id,
        "kind": kind,
        "channel": channel,
        "data": data and dict(data),
        "actionable": actionable,
        "occurredAt": occurred_at,
        "externalId": external_id,
    }
    alert = {"type": type, "severity": severity, "title": title, "message": message}
    return _raise(alert | {name: value for name, value in optional.items() if value not in (None, "")})


def summarise(call_id: str, summary: str) -> "Future[Stored]":
    """Raise the alert that tells the summary of a call; it is never held back.

    Raises:
        ValueError: the id is none, or the summary is empty, over 4,000 characters or has control characters.
    """
    from alerts.wording import for_summary

    words = for_summary(summary)
    return report(
        words.type,
        words.severity.label,
        words.title,
        words.message,
        call_id=call_id,
        kind=words.kind,
        data=words.data,
    )


def history(limit: int = 50, call_id: str | None = None) -> list[dict[str, Any]]:
    """The newest alerts that were sent, about one call or all, oldest first and as subscribers of version 2 get them.

    It waits for the database. Async code that must not wait calls it by `asyncio.to_thread`.

    Raises:
        ValueError: the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit {limit}: 1 is the least")
    return _beside_the_loop(lambda: _read(limit, call_id))


def subscriber_count() -> int:
    """How many sockets all processes together serve alerts to. It waits for the database, as `history` does."""
    from alerts import attendance

    return _beside_the_loop(attendance.subscriber_count)


def _raise(alert: dict[str, Any]) -> "Future[Stored]":
    from rest_framework.exceptions import ValidationError

    from alerts import dispatch, findings
    from alerts.serializers import PostedAlertSerializer

    try:
        right = findings.checked(PostedAlertSerializer, alert)
    except ValidationError as error:
        raise ValueError(findings.told(error)) from error
    return _only(dispatch.report(findings.of_posted(right)))


def _only(answer: "Future[list[Stored]]") -> "Future[Stored]":
    """The future of the one that a future of several will have."""
    one: Future[Stored] = Future()
    one.set_running_or_notify_cancel()  # whoever stops waiting for it takes nothing back

    def tell(done: "Future[list[Stored]]") -> None:
        error = done.exception()
        if error:
            one.set_exception(error)
        else:
            one.set_result(done.result()[0])

    answer.add_done_callback(tell)
    return one


def _read(limit: int, call_id: str | None) -> list[dict[str, Any]]:
    from alerts.models import Alert
    from alerts.serializers import wire

    sent = Alert.objects.filter(suppressed=False).select_related("call").order_by("-id")
    if call_id is not None:
        sent = sent.filter(call__call_id=call_id)
    return [wire(alert, alert.call.call_id) for alert in reversed(sent[:limit])]


def _beside_the_loop(read: Callable[[], Answer]) -> Answer:
    """Reads the database, which Django allows on no thread with an event loop: there another one reads."""
    from django.db import connections

    def read_and_hang_up() -> Answer:
        try:
            return read()
        finally:
            connections.close_all()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return read()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(read_and_hang_up).result()
