"""Keys in portions: a statement takes only so many parameters at once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
AT_ONCE = 200


def portions(keys: Iterable[Key], at_once: int = AT_ONCE) -> Iterator[list[Key]]:
    """The keys in their order, in lists of up to `at_once`; none is empty."""
    waiting = iter(keys)
    while some := list(islice(waiting, at_once)):
        yield some
