"""REST's pages: each begins at the row where the one before it ended, so a deep one costs what the first one costs."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from rest_framework import exceptions
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

PAGE_SIZE, LARGEST_PAGE = 50, 500
CURSOR, SIZE = "cursor", "pageSize"
PAGING = frozenset({CURSOR, SIZE})  # the parameters that ask for a page
Key = tuple[int | UUID, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows: beyond the one with this key, on its newer or its older side."""

    newer: bool
    key: Key

    def __str__(self) -> str:
        told = " ".join(["newer" if self.newer else "older", *map(str, self.key)])
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> "Place":
        """The place that a cursor stands for; clients may send anything.

        Raises:
            ValueError: it is none.
        """
        told = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        side, *key = told.split(" ")
        if side not in ("newer", "older"):
            raise ValueError("it names no side")
        return cls(
            side == "newer", tuple(int(part) if re.fullmatch(r"[0-9]{1,18}", part) else UUID(part) for part in key)
        )


class NewestFirst(BasePagination):
    """Rows by a key that never changes and that no two share. So a walk to the last page meets every row that was
    there when it began, each once, whatever is stored meanwhile."""

    key: tuple[str, ...] = ("id",)
    types: tuple[type, ...] = (int,)

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """The rows of the page that the request asks for.

        Raises:
            ValidationError: the page's size is none.
            NotFound: the cursor is none of ours.
        """
        size, place = self._size(request), self._place(request)
        newer = place is not None and place.newer
        rows = list(self._beyond(queryset, place).order_by(*self._order(newer))[: size + 1])
        more, page = len(rows) > size, rows[:size]
        if newer:
            page.reverse()
        self._next = self._address(request, page, False) if more or newer else None
        self._previous = self._address(request, page, True) if (more if newer else place) else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """A page as it is sent: its rows, and where the older and the newer ones are."""
        return Response({"next": self._next, "previous": self._previous, "results": data})

    def _size(self, request: Request) -> int:
        asked = request.query_params.get(SIZE, str(PAGE_SIZE))
        if not re.fullmatch(r"\d{1,3}", asked, re.ASCII) or not 1 <= int(asked) <= LARGEST_PAGE:
            told = f"{asked[:80]!r} is not a whole number from 1 to {LARGEST_PAGE}."
            raise exceptions.ValidationError({SIZE: [told]})
        return int(asked)

    def _place(self, request: Request) -> Place | None:
        cursor = request.query_params.get(CURSOR)
        if cursor is None:
            return None
        try:
            place = Place.read(cursor)
        except ValueError as error:
            raise exceptions.NotFound("Invalid cursor") from error
        if tuple(map(type, place.key)) != self.types:
            raise exceptions.NotFound("Invalid cursor")
        return place

    def _order(self, newer: bool) -> Sequence[str]:
        return self.key if newer else [f"-{name}" for name in self.key]

    def _beyond(self, queryset: QuerySet[Any], place: Place | None) -> QuerySet[Any]:
        """The rows on that side of the place. The first name alone bounds them, so that an index is read from there."""
        if place is None:
            return queryset
        side, (first, *rest) = "gt" if place.newer else "lt", self.key
        if not rest:
            return queryset.filter(**{f"{first}__{side}": place.key[0]})
        (second,) = rest
        not_beyond = "lte" if place.newer else "gte"
        return queryset.filter(
            ~Q(**{first: place.key[0], f"{second}__{not_beyond}": place.key[1]}),  # planners know that this is rare
            **{f"{first}__{side}e": place.key[0]},
        )

    def _address(self, request: Request, page: Sequence[Model], newer: bool) -> str:
        """Of the page beyond this one; beyond an empty one there is the first."""
        url = request.build_absolute_uri()
        if not page:
            return remove_query_param(url, CURSOR)
        row = page[0 if newer else -1]
        return replace_query_param(url, CURSOR, str(Place(newer, tuple(getattr(row, name) for name in self.key))))


class NewestAlertsFirst(NewestFirst):
    """By the time at which an alert was raised; its id tells those of one millisecond apart."""

    key = ("timestamp", "id")
    types = (int, UUID)
