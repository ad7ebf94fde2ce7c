"""Stock: every count of a SKU, as the warehouse sees it."""

from dataclasses import dataclass

from app.hotstore.replies import Stock
from app.hotstore.store import HotStore

__all__ = ["Stock", "StockCounts"]


@dataclass(frozen=True, slots=True)
class StockCounts:
    """Reads a SKU's counts as they are now."""

    hot: HotStore

    async def read(self, sku: str) -> Stock | None:
        """Return the counts by warehouse, None for an unknown SKU; raise what `HotStore` raises."""
        _, found = await self.hot.read_stock([sku])
        return found[0]
