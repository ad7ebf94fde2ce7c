"""The list of locks: read from the ledger, once that has everything that had happened when the question came."""

from collections.abc import Collection
from dataclasses import dataclass

from app.domain.words import LockStatus
from app.hotstore.store import HotStore
from app.ledger.lock_rows import LockPage, LockRows
from app.operations.durability import Durabilities


@dataclass(frozen=True, slots=True)
class LockList:
    """Raises `UnavailableError` without Postgres, `LedgerBehindError` if it lags too far, what `HotStore` raises."""

    hot: HotStore
    rows: LockRows
    durabilities: Durabilities

    async def page(
        self, statuses: Collection[LockStatus], sku: str | None, after: str, items_max: int
    ) -> LockPage:
        """Return the next locks by id, in one of the states (none: in any), with the SKU if one is given."""
        await self.durabilities.wait_for_ledger(await self.hot.read_last())
        return await self.rows.page(statuses or frozenset(LockStatus), sku, after, items_max)
