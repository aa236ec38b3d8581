"""What may be asked of the history: the parameters of REST's alerts, each read strictly and turned into a condition."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import Q
from django.db.models.lookups import In
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from alerts.access import Principal, is_call_id, visible_calls
from alerts.in_order import InOrder
from alerts.models import AlertType, Severity

SEVERITIES = {str(severity.label): severity for severity in Severity}
FLAGS = {"true": True, "false": False}
LONGEST_KIND = 64
MOST_CALLS = 100  # that one request may name
LATEST_MS = 2**53


class Unreadable(Exception):
    """A value that its parameter does not take. The message says what it takes."""


def conditions(parameters: QueryDict, principal: Principal) -> Q:
    """Which alerts are asked for, of those that somebody may see.

    Raises:
        ValidationError: a value that cannot be read, under its parameter's name.
    """
    wanted = Q() if "suppressed" in parameters else Q(suppressed=False)
    if "callId" in parameters:
        wanted &= _read("callId", lambda text: _about(text, principal), parameters)
    for name, read in FILTERS.items():
        if name in parameters:
            wanted &= _read(name, read, parameters)
    return wanted


def _read(name: str, read: Callable[[str], Q], parameters: QueryDict) -> Q:
    values = parameters.getlist(name)
    try:
        if len(values) > 1:
            raise Unreadable("It is given more than once; commas stand for or.")
        return read(values[0])
    except Unreadable as error:
        raise ValidationError({name: [str(error)]}) from error


def _about(text: str, principal: Principal) -> Q:
    """Their keys are looked up first, so that one call's alerts are read from an index in their order."""
    call_ids = text.split(",")
    if len(call_ids) > MOST_CALLS:
        raise Unreadable(f"{len(call_ids)} calls; {MOST_CALLS} is the most.")
    keys = visible_calls(principal).filter(call_id__in=filter(is_call_id, call_ids)).values_list("pk", flat=True)
    about = Q(call__in=list(keys))
    return about | Q(call__call_id="") if "" in call_ids else about


def _type(text: str) -> Q:
    return _any_of("type", _each(text, AlertType.values))


def _severity(text: str) -> Q:
    return _any_of("severity", [SEVERITIES[name] for name in _each(text, list(SEVERITIES))])


def _least_severity(text: str) -> Q:
    least = SEVERITIES[_one(text, list(SEVERITIES))]
    return _any_of("severity", [severity for severity in Severity if severity >= least])


def _kind(text: str) -> Q:
    kinds = text.split(",")
    for kind in kinds:
        if not 0 < len(kind) <= LONGEST_KIND or "\0" in kind:
            raise Unreadable(f"{kind[:80]!r} is no text of 1 to {LONGEST_KIND} characters.")
    return _any_of("kind", kinds)


def _any_of(column: str, values: Sequence[Any]) -> Q:
    """One value is read from its index in order; of several, the history is."""
    return Q(**{column: values[0]}) if len(values) == 1 else Q(In(InOrder(column), values))


def _since(text: str) -> Q:
    return Q(timestamp__gte=_time(text))


def _until(text: str) -> Q:
    return Q(timestamp__lt=_time(text))


def _time(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,16}", text) or int(text) > LATEST_MS:
        raise Unreadable(f"{text[:80]!r} is no time in Unix milliseconds.")
    return int(text)


def _actionable(text: str) -> Q:
    return Q(actionable=FLAGS[_one(text, list(FLAGS))])


def _acknowledged(text: str) -> Q:
    return Q(acknowledged_at__isnull=not FLAGS[_one(text, list(FLAGS))])


def _suppressed(text: str) -> Q:
    chosen = _one(text, [*FLAGS, "any"])
    return Q() if chosen == "any" else Q(suppressed=FLAGS[chosen])


def _each(text: str, known: Sequence[str]) -> list[str]:
    return [_one(part, known) for part in text.split(",")]


def _one(text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise Unreadable(f"{text[:80]!r} is none of {', '.join(known)}.")
    return text


FILTERS: dict[str, Callable[[str], Q]] = {
    "type": _type,
    "kind": _kind,
    "severity": _severity,
    "minSeverity": _least_severity,
    "since": _since,
    "until": _until,
    "actionable": _actionable,
    "acknowledged": _acknowledged,
    "suppressed": _suppressed,
}
PARAMETERS = frozenset({"callId", *FILTERS})
