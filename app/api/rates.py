"""How often something may happen: a rate with a burst (the generic cell rate algorithm, GCRA), and a count in a while.

Both hold in this process alone, and cost the hot path a tenth of what a library for it does.
"""

from collections import deque


class Rate:
    """So many a second, and so many at once. The time is the caller's, in seconds of any clock that never goes back."""

    __slots__ = ("_interval", "_next_at", "_tolerance", "burst", "per_second")

    def __init__(self, per_second: int, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) / per_second
        self._next_at = 0.0

    def take(self, now: float) -> float:
        """Take one and return 0.0; or take none, and return after how many seconds there is one."""
        next_at = self._next_at
        if next_at < now:  # noqa: PLR1730 - `max` takes three times as long, on every request
            next_at = now
        wait = next_at - now - self._tolerance
        if wait > 0:
            return wait
        self._next_at = next_at + self._interval
        return 0.0


class Recent:
    """What happened to whom in the last seconds, of the callers that did it last: memory is bounded."""

    def __init__(self, count_max: int, seconds: float, *, callers_max: int) -> None:
        self._count_max = count_max
        self._seconds = seconds
        self._callers_max = callers_max
        self._times: dict[str, deque[float]] = {}

    def add(self, caller: str, now: float) -> float:
        """Note one more; return 0.0, or for how many seconds there were too many."""
        times = self._times.pop(caller, None)
        if times is None:
            times = deque(maxlen=self._count_max)
            if len(self._times) >= self._callers_max:
                del self._times[next(iter(self._times))]
        self._times[caller] = times  # at the end: the one that is quiet for longest is forgotten first
        is_full = len(times) == self._count_max
        oldest = times[0] if is_full else now
        times.append(now)
        left = oldest + self._seconds - now
        return left if is_full and left > 0 else 0.0
