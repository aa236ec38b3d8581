"""How many sockets there may be, in all and for one user. A place is taken before anything is awaited."""

from collections import Counter

from django.conf import settings


class Places:
    """The places of this process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, name: str) -> bool:
        """Take a place for a user if there is one; nobody's name (auth off, no `userId`) has no limit of its own."""
        if self._total >= settings.ALERT_MAX_SUBSCRIBERS:
            return False
        if name and self._taken[name] >= settings.ALERT_MAX_SUBSCRIBERS_PER_USER:
            return False
        self._taken[name] += 1
        self._total += 1
        return True

    def give_back(self, name: str) -> None:
        """A socket has gone."""
        self._total -= 1
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]


places = Places()
