"""Availability: what product pages show; the last known answer while the hot store is away."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.errors import NotReadyError, OutcomeUnknownError, SellableError, UnavailableError
from app.hotstore.replies import Stock
from app.hotstore.store import HotStore

_AWAY = (NotReadyError, OutcomeUnknownError, UnavailableError)


class Page(NamedTuple):
    """What a product page shows of a SKU: sellable units by warehouse, in code order unless some were asked for."""

    sku: str
    epoch: str
    version: int
    warehouses: dict[str, int]
    stale: bool

    @property
    def sellable(self) -> int:
        """Return the sum over the warehouses shown: three missing in the north never hide three in the south."""
        return sum(self.warehouses.values())


class _Known(NamedTuple):
    at_seconds: float
    epoch: str
    stock: Stock


class Availability:
    """Reads what can be sold, and remembers the last answers, at most `entries_max` of them.

    While the hot store is away, an answer up to `stale_seconds_max` old is given again, marked stale.
    """

    def __init__(
        self,
        hot: HotStore,
        *,
        entries_max: int,
        stale_seconds_max: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hot = hot
        self._entries_max = entries_max
        self._stale_seconds_max = stale_seconds_max
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def read(self, skus: Sequence[str], warehouses: Sequence[str] = ()) -> list[Page | None]:
        """Return a page for each SKU, None where it is unknown; `warehouses` restricts sum and map.

        Raises what `HotStore` raises when there is no last answer, or it is too old.
        """
        try:
            epoch, stocks = await self._hot.read_stock(skus)
        except _AWAY as error:
            return [_page(known, warehouses, stale=True) for known in self._remembered(skus, error)]
        known = [self._remember(sku, epoch, stock) for sku, stock in zip(skus, stocks, strict=True)]
        return [_page(one, warehouses, stale=False) if one else None for one in known]

    def _remember(self, sku: str, epoch: str, stock: Stock | None) -> _Known | None:
        self._known.pop(sku, None)
        if stock is None:
            return None
        known = self._known[sku] = _Known(self._clock(), epoch, stock)
        while len(self._known) > self._entries_max:
            self._known.popitem(last=False)
        return known

    def _remembered(self, skus: Sequence[str], error: SellableError) -> list[_Known]:
        """Return the last answers of all SKUs, or raise `error`: a missing one must not look unknown."""
        oldest = self._clock() - self._stale_seconds_max
        found = [known for sku in skus if (known := self._known.get(sku)) and known.at_seconds >= oldest]
        if len(found) < len(skus):
            raise error
        return found


def _page(known: _Known, warehouses: Sequence[str], *, stale: bool) -> Page:
    everywhere = {code: counts.sellable for code, counts in known.stock.warehouses.items()}
    shown = {code: everywhere.get(code, 0) for code in warehouses} if warehouses else everywhere
    return Page(known.stock.sku, known.epoch, known.stock.version, shown, stale)
