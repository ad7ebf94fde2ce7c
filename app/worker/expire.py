"""The sweeper: overdue locks give their stock back, within a second."""

import asyncio

import structlog

from app.domain.commands import Expire
from app.domain.outcomes import Outcome
from app.hotstore.store import HotStore
from app.worker.clock import ClockWatch
from app.worker.duty import Duty

_log = structlog.get_logger()

BATCH_LOCKS_MAX = 500
WHO = "sweeper"


class Sweeper:
    """Expires what is due. Several may run: a lock expires once, whoever comes first."""

    def __init__(self, store: HotStore, clock: ClockWatch, *, interval_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._interval_seconds = interval_seconds

    def duty(self) -> Duty:
        """Sweep every interval, and again at once while there is more."""
        return Duty("expire", self.run_once, self._interval_seconds)

    async def run_once(self) -> bool:
        """Expire one batch, and return whether there may be more."""
        if not await self._clock.agrees():
            return False
        now_max = int(self._clock.hot_seconds * 1000)  # the clock may jump between this look and the function
        due = await self._store.read_due(BATCH_LOCKS_MAX)
        answers = await asyncio.gather(
            *(self._store.execute(Expire(lock_id, now_max), WHO) for lock_id in due)
        )
        expired = sum(answer.outcome is Outcome.EXPIRED for answer in answers)
        if expired:
            _log.info("expire.swept", locks=expired)
        return expired > 0
