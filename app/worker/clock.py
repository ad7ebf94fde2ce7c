"""Watching the hot store's clock: when it jumps, nothing may expire until it is known to be right."""

import time
from collections.abc import Awaitable, Callable

import structlog

_log = structlog.get_logger()

PAUSE_SECONDS_MAX = 900.0


def boottime() -> float:
    """Return seconds since the machine started, sleep included; no setting of the clock moves it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ClockWatch:
    """Compares the hot store's TIME with this machine's boot clock, and at the start with Postgres' clock.

    `hot_seconds` and `ledger_seconds` read those clocks, in seconds since 1970.
    """

    def __init__(
        self,
        hot_seconds: Callable[[], Awaitable[float]],
        ledger_seconds: Callable[[], Awaitable[float]],
        *,
        jump_seconds_max: float,
        steady_seconds: Callable[[], float] = boottime,
    ) -> None:
        self._hot_seconds = hot_seconds
        self._ledger_seconds = ledger_seconds
        self._jump_seconds_max = jump_seconds_max
        self._steady_seconds = steady_seconds
        self._offset: float | None = None
        self._paused_since: float | None = None
        self.hot_seconds = 0.0
        """What the hot store's clock said when it was last asked."""

    async def agrees(self) -> bool:
        """Whether locks may expire now. After 15 minutes of disagreement the new time is taken as right."""
        steady = self._steady_seconds()
        self.hot_seconds = await self._hot_seconds()
        offset = self.hot_seconds - steady
        if self._offset is None:
            self._offset = await self._ledger_seconds() - steady
        if abs(offset - self._offset) <= self._jump_seconds_max:
            self._resume(offset)
            return True
        return self._pause(steady, offset)

    def _resume(self, offset: float) -> None:
        if self._paused_since is not None:
            _log.warning("clock.agrees_again")
        self._paused_since = None
        self._offset = offset  # follow small corrections, so that they don't add up to a jump

    def _pause(self, steady: float, offset: float) -> bool:
        jump_seconds = offset - (self._offset or 0.0)
        if self._paused_since is None:
            self._paused_since = steady
            _log.error("clock.jumped", seconds=round(jump_seconds, 3), expiry="paused")
        if steady - self._paused_since < PAUSE_SECONDS_MAX:
            return False
        _log.error("clock.accepted", seconds=round(jump_seconds, 3), expiry="resumed")
        self._offset, self._paused_since = offset, None
        return True
