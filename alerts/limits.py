"""How much one client may say. Pure: told the time."""

from collections import deque


class TokenBucket:
    """`burst` at once, `per_s` in the long run."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._told_s = 0.0

    def take(self, now_s: float) -> bool:
        """Take one, if there is one. Time may start anywhere; it never goes back."""
        self._left = min(self._burst, self._left + (now_s - self._told_s) * self._per_s)
        self._told_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Window:
    """At most `count` in any `within_s`."""

    def __init__(self, count: int, within_s: float) -> None:
        self._within_s = within_s
        self._times_s: deque[float] = deque(maxlen=count)  # the last ones; full, the oldest falls out

    def take(self, now_s: float) -> bool:
        """Count one; whether it is still within the limit."""
        full = len(self._times_s) == self._times_s.maxlen
        within = not full or now_s - self._times_s[0] >= self._within_s
        self._times_s.append(now_s)
        return within
