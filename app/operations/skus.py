"""SKUs: which codes name one. They come by imports, purchase orders, receipts, and events of goods that are there."""

import asyncio
import contextlib
from collections.abc import Iterable

from app.domain.codes import NEAR_MAX, UnknownCode, key_of
from app.errors import LedgerBehindError, NotReadyError, OutcomeUnknownError, UnavailableError
from app.hotstore.store import HotStore
from app.ledger.skus import SkuRows
from app.operations.durability import Durabilities

READ_MAX = 500
"""SKUs that are asked for in one call."""
REMEMBERED_MAX = 131_072
LEDGER_SECONDS_MAX = 1.0
"""How long SKUs that look alike wait for the ledger to know those that came last."""


class Skus:
    """Raises what `HotStore` raises. Without Postgres those that were only ordered count as unknown."""

    def __init__(self, hot: HotStore, rows: SkuRows, durabilities: Durabilities) -> None:
        self._hot = hot
        self._rows = rows
        self._durabilities = durabilities
        self._known = set[str]()
        self._epoch = ""

    async def unknown_among(self, skus: Iterable[str]) -> list[UnknownCode]:
        """Return the SKUs that nothing has brought into being, each with those that look like it."""
        missing = await self._without_stock(skus)
        if not missing:
            return []
        planned, alike = set[str](), dict[str, list[str]]()
        # Who is refused should learn the right code, but need not wait for Postgres.
        with contextlib.suppress(UnavailableError):
            planned = await self._rows.planned(missing)
            missing = [sku for sku in missing if sku not in planned]
            if missing:
                await self._wait_for_ledger()
                alike = await self._rows.alike({key_of(sku) for sku in missing})
        # One that is in the ledger's list by now was booked since its counts were read.
        found = [(sku, alike.get(key_of(sku), [])) for sku in missing]
        return [UnknownCode(sku, near[:NEAR_MAX]) for sku, near in found if sku not in near]

    async def _without_stock(self, skus: Iterable[str]) -> list[str]:
        """Those of which the hot store has no counts: it has them of every SKU that was ever booked."""
        if self._epoch != self._hot.epoch:
            self._known.clear()
        asked = [sku for sku in dict.fromkeys(skus) if sku not in self._known]
        missing = list[str]()
        for first in range(0, len(asked), READ_MAX):
            part = asked[first : first + READ_MAX]
            epoch, stocks = await self._hot.read_stock(part)
            missing += [sku for sku, stock in zip(part, stocks, strict=True) if stock is None]
            self._remember(epoch, [sku for sku, stock in zip(part, stocks, strict=True) if stock])
        return missing

    def _remember(self, epoch: str, skus: list[str]) -> None:
        if epoch != self._epoch or len(self._known) + len(skus) > REMEMBERED_MAX:
            self._known.clear()
        self._epoch = epoch
        self._known.update(skus)

    async def _wait_for_ledger(self) -> None:
        with contextlib.suppress(LedgerBehindError, NotReadyError, OutcomeUnknownError, TimeoutError):
            async with asyncio.timeout(LEDGER_SECONDS_MAX):
                await self._durabilities.wait_for_ledger(await self._hot.read_last())
