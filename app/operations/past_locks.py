"""Locks beyond the horizon: what is still told of them is held against the lock as the ledger knows it."""

from dataclasses import dataclass

from app.hotstore.records import opened_fields
from app.hotstore.store import HotStore
from app.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class PastLocks:
    """Raises `UnavailableError` without Postgres, and what `HotStore` raises."""

    hot: HotStore
    ledger: Ledger

    async def recall(self, lock_id: str) -> bool:
        """Put an ended lock back into the hot store; return whether the ledger has one. It is forgotten again later."""
        ended = await self.ledger.find_ended(lock_id)
        if ended is None:
            return False
        await self.hot.recall_lock(lock_id, opened_fields(ended.record, ended.opened))
        return True
