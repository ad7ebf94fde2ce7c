"""Keeping the shard's own clock with the world's.

A shard's clock never runs backwards. So when the server's clock jumped ahead and came back, the shard's would stand
still until real time has caught up, and nothing would expire. Once the server's clock agrees again, the shard's
is set back under a new epoch, and locks that were made meanwhile get the time that they were promised.
"""

import time
from collections.abc import Awaitable, Callable

import structlog

from app.domain.commands import Extend
from app.hotstore.store import HotStore
from app.ledger.future_locks import FutureLocks
from app.worker.clock import ClockWatch
from app.worker.duty import Duty

_log = structlog.get_logger()

PAUSE_SECONDS = 1.0
ALARM_SECONDS = 60.0
WHO = "timekeeper"


class Timekeeper:
    """`shard_seconds` reads the shard's clock, `set_back` opens a new epoch, which sets it right."""

    def __init__(
        self,
        store: HotStore,
        clock: ClockWatch,
        locks: FutureLocks,
        *,
        shard_seconds: Callable[[], Awaitable[float]],
        ledger_seconds: Callable[[], Awaitable[float]],
        set_back: Callable[[], Awaitable[object]],
        ahead_seconds_max: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._locks = locks
        self._shard_seconds = shard_seconds
        self._ledger_seconds = ledger_seconds
        self._set_back = set_back
        self._ahead_seconds_max = ahead_seconds_max
        self._told_at = -ALARM_SECONDS

    def duty(self) -> Duty:
        """Look once a second."""
        return Duty("clock", self.run_once, PAUSE_SECONDS)

    async def run_once(self) -> bool:
        """Set the clock back if it is ahead, and mend the locks that were made then once it is right."""
        if await self._clock.agrees():
            ahead_seconds = await self._shard_seconds() - self._clock.hot_seconds
            if ahead_seconds > self._ahead_seconds_max:
                await self._handle_ahead(ahead_seconds)
            else:
                await self._mend_locks()
        return False

    async def _handle_ahead(self, ahead_seconds: float) -> None:
        """Set the shard's clock back, unless it is the server's that is wrong: then only a person can."""
        latest = await self._ledger_seconds() + self._ahead_seconds_max
        if await self._shard_seconds() > latest >= self._clock.hot_seconds:
            _log.error("clock.set_back", seconds=round(ahead_seconds, 3))
            await self._set_back()
        elif time.monotonic() - self._told_at >= ALARM_SECONDS:
            self._told_at = time.monotonic()
            _log.error(
                "clock.stands_still", seconds=round(ahead_seconds, 3), why="the server's clock is behind"
            )

    async def _mend_locks(self) -> None:
        """Give held locks that were promised a time to come as long as they were promised, counted from now.

        The ledger may be behind: a lock that was extended since, by whoever holds it, is left as it is.
        """
        found = await self._locks.after(self._clock.hot_seconds + self._ahead_seconds_max)
        for lock_id, expires_at, ttl_ms in found:
            await self._store.execute(Extend(lock_id, ttl_ms=ttl_ms, expires_at=expires_at), WHO)
        if found:
            _log.warning("clock.locks_mended", locks=len(found))
