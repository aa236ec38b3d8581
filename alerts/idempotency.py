"""`Idempotency-Key`: what a request makes is made once, however often it is sent and wherever an earlier try broke off.

A key is claimed with the time it was first seen, before anything is made, and the ids of what is made follow from the
two. So a try that was killed halfway, or that another process is still at, is simply made again: the writer knows by
its id what is stored already, and every try gets the same answer. None has to be waited for, none can be in doubt.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from itertools import count
from uuid import UUID

import orjson
from django.db.models import Q
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from uuid_utils.compat import uuid7

from alerts.models import Answered
from alerts.writer import now_ms

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_MS = 24 * 3600 * 1000
FORGOTTEN_AT_ONCE = 100  # old rows that a request takes away, more than requests bring
LONGEST_ROUTE = 500
WELL_FORMED = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")

Make = Callable[[Iterator[UUID]], Response]


class KeyUsedOtherwise(exceptions.APIException):
    """The key came with another body before."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = f"This {HEADER} was used with another body."


def answered_once(request: Request, source: str, make: Make) -> Response:
    """What `make` answers; to a request whose key was answered within the last day, that first answer again.

    Call it when the request has been checked: only answers that made something are kept.

    Args:
        request: whose header `Idempotency-Key`, path and data tell a repeat.
        source: who asks; keys of others are others.
        make: makes what is asked for with the ids it is given, in their order, and answers it.

    Raises:
        ValidationError: the key is no text of 1 to 255 printable ASCII characters.
        KeyUsedOtherwise: the same key came with another body.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return make(iter(uuid7, None))
    if not WELL_FORMED.fullmatch(key):
        raise exceptions.ValidationError({HEADER: [f"{key[:80]!r} is not text of 1 to 255 printable characters."]})
    asked = _claimed(source, _route(request), key, _digest(request))
    if asked.status is not None:
        return _replayed(asked)
    return _kept(asked, make(_ids(asked)))


def _route(request: Request) -> str:
    path: str = request.path
    return path if len(path) <= LONGEST_ROUTE else hashlib.sha256(path.encode()).hexdigest()


def _digest(request: Request) -> str:
    """Of the body as it was read, so that neither blanks nor the order of names make it another."""
    return hashlib.sha256(orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _claimed(source: str, route: str, key: str, digest: str) -> Answered:
    """The row of a key: the one there is, or a new one."""
    claim = {"source": source, "route": route, "key": key}
    now = now_ms()
    old = Answered.objects.filter(asked_at__lt=now - KEPT_MS)
    oldest = old.order_by("asked_at").values("pk")[:FORGOTTEN_AT_ONCE]
    old.filter(Q(pk__in=oldest) | Q(**claim)).delete()
    asked, _ = Answered.objects.get_or_create(**claim, defaults={"body_digest": digest, "asked_at": now})
    if asked.body_digest != digest:
        raise KeyUsedOtherwise
    return asked


def _ids(asked: Answered) -> Iterator[UUID]:
    """UUIDs version 7 of the time at which the key was claimed: the same for each try, in order, and no other's."""
    for number in count():
        told = [asked.source, asked.route, asked.key, asked.asked_at, number]
        random = int.from_bytes(hashlib.sha256(orjson.dumps(told)).digest()) & (1 << 62) - 1
        place = (asked.asked_at << 12) + number  # 48 bits of time, 12 that count on
        yield UUID(int=(place >> 12) << 80 | 7 << 76 | (place & 0xFFF) << 64 | 2 << 62 | random)


def _kept(asked: Answered, response: Response) -> Response:
    """The first answer is kept; a try that was overtaken by another gives that one's."""
    unanswered = Answered.objects.filter(pk=asked.pk, status__isnull=True)
    if unanswered.update(status=response.status_code, answer=response.data):
        return response
    first = Answered.objects.filter(pk=asked.pk).first()
    return response if first is None else _replayed(first)


def _replayed(asked: Answered) -> Response:
    return Response(asked.answer, status=asked.status, headers={REPLAYED: "true"})
