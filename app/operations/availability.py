"""Availability: what product pages show; the last known answer while the hot store is away."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

from app.domain.ranking import Ranking
from app.domain.warehouses import closed_mark
from app.errors import NotReadyError, OutcomeUnknownError, SellableError, UnavailableError
from app.hotstore.replies import Stock
from app.hotstore.store import HotStore
from app.turns import SLICE_ITEMS, in_turns

_AWAY = (NotReadyError, OutcomeUnknownError, UnavailableError)


class Page(NamedTuple):
    """What a product page shows of a SKU: sellable units by warehouse, in code order unless some were asked for.

    `mark` is '' unless some of the SKU's warehouses are closed: see `closed_mark`.
    """

    sku: str
    epoch: str
    version: int
    warehouses: dict[str, int]
    stale: bool
    mark: str = ""

    @property
    def tag(self) -> str:
        """Return the entity tag, without its quotes."""
        return f"{self.epoch}-{self.version}{self.mark}"

    @property
    def sellable(self) -> int:
        """Return the sum over the warehouses shown: three missing in the north never hide three in the south."""
        return sum(self.warehouses.values())


class _Known(NamedTuple):
    at_seconds: float
    page: Page
    """Of every warehouse, also of those that are closed."""


OtherMemory = Callable[[str], tuple[float, Page] | None]
"""Returns for how many seconds a SKU's page, of every warehouse, has not been known to be right; None for no page."""


class Availability:
    """Reads what can be sold, and remembers the last answers, at most `entries_max` of them.

    While the hot store is away, an answer up to `stale_seconds_max` old is given again, marked stale: the newer
    one of what is remembered here and of what `other_memory` (the near cache) knows.
    `ranking` says which warehouses are closed: nothing is sellable there, whatever they hold.
    """

    def __init__(
        self,
        hot: HotStore,
        *,
        ranking: Ranking,
        entries_max: int,
        stale_seconds_max: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hot = hot
        self._ranking = ranking
        self._entries_max = entries_max
        self._stale_seconds_max = stale_seconds_max
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self.other_memory: OtherMemory = lambda _sku: None

    async def read(self, skus: Sequence[str], warehouses: Sequence[str] = ()) -> list[Page | None]:
        """Return a page for each SKU, None where it is unknown; `warehouses` restricts sum and map.

        Raises what `HotStore` raises when there is no last answer, or it is too old.
        """
        try:
            epoch, stocks = await self._hot.read_stock(skus)
        except _AWAY as error:
            return [self._shown(page, warehouses, stale=True) for page in self._remembered(skus, error)]

        def shown(one: tuple[str, Stock | None]) -> Page | None:
            page = self._remember(one[0], epoch, one[1])
            return self._shown(page, warehouses, stale=False) if page else None

        found = list(zip(skus, stocks, strict=True))
        return list(map(shown, found)) if len(found) <= SLICE_ITEMS else await in_turns(found, shown)

    def _remember(self, sku: str, epoch: str, stock: Stock | None) -> Page | None:
        self._known.pop(sku, None)
        if stock is None:
            return None
        everywhere = {code: counts.sellable for code, counts in stock.warehouses.items()}
        page = Page(sku, epoch, stock.version, everywhere, stale=False)
        self._known[sku] = _Known(self._clock(), page)
        while len(self._known) > self._entries_max:
            self._known.popitem(last=False)
        return page

    def _remembered(self, skus: Sequence[str], error: SellableError) -> list[Page]:
        """Return the last answers of all SKUs, or raise `error`: a missing one must not look unknown."""
        found = [page for sku in skus if (page := self._last_of(sku))]
        if len(found) < len(skus):
            raise error
        return found

    def _last_of(self, sku: str) -> Page | None:
        """Return the newest page that is remembered, if it is not too old."""
        answers = [self.other_memory(sku)]
        if known := self._known.get(sku):
            answers.append((self._clock() - known.at_seconds, known.page))
        ages = [answer for answer in answers if answer and answer[0] <= self._stale_seconds_max]
        return min(ages, key=itemgetter(0))[1] if ages else None

    def _shown(self, page: Page, warehouses: Sequence[str], *, stale: bool) -> Page:
        everywhere, closed = page.warehouses, self._ranking.closed
        shown = {code: 0 if code in closed else everywhere.get(code, 0) for code in warehouses or everywhere}
        return page._replace(warehouses=shown, stale=stale, mark=closed_mark(closed.intersection(everywhere)))
