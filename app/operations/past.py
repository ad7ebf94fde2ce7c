"""The past: what was at any moment, and why. The ledger answers, once it knows everything that happened so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.domain.answers import LockView
from app.domain.past import Explanation, PastMove, Reach, StockThen, TooOld, Unknown
from app.hotstore.store import HotStore
from app.ledger.past import FOREVER_MS, Cursor, PastRows
from app.operations.durability import Durabilities

__all__ = ["Cursor", "Past"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Past:
    """Raises `UnavailableError` without Postgres, `LedgerBehindError` if it lags too far, and what `HotStore` raises.

    Times are in ms since 1970, inclusive. What was known by then is not the question, but what had happened: a fact
    that was told later counts from when it happened.
    """

    hot: HotStore
    rows: PastRows
    durabilities: Durabilities

    async def stock(self, sku: str, at: int) -> StockThen | TooOld | Unknown:
        """Return a SKU's counts as they were."""
        await self.wait()
        if refused := await self._too_old(at):
            return refused
        return _known(await self.rows.stock(sku, at))

    async def lock(self, lock_id: str, at: int) -> LockView | TooOld | Unknown:
        """Return the newest lock of this id as it was."""
        await self.wait()
        if refused := await self._too_old(at):
            return refused
        try:
            return _known(await self.rows.lock(lock_id, at))
        except LookupError:
            return TooOld(await self.rows.reach() or Reach(at, archived=True))

    async def explain(
        self, sku: str, at: int | None, after: Cursor | None, moves_max: int, *, wait: bool = True
    ) -> Explanation | TooOld | Unknown:
        """Return where every unit is (or was) and a page of moves by when they happened, newest first.

        `wait` False: as far as the ledger is, without asking the hot store.
        """
        if wait:
            await self.wait()
        if at is not None and (refused := await self._too_old(at)):
            return refused
        return _known(await self.rows.explain(sku, FOREVER_MS if at is None else at, after, moves_max))

    async def history(
        self, sku: str, after: int | None, moves_max: int, *, newest_first: bool
    ) -> Sequence[PastMove] | Unknown:
        """Return the moves beyond a version, in the order of recording or against it."""
        await self.wait()
        moves = await self.rows.history(sku, after, moves_max, newest_first=newest_first)
        return moves if moves or await self.rows.knows(sku) else Unknown()

    async def wait(self) -> None:
        """Wait until the ledger has everything that had happened when the question came."""
        await self.durabilities.wait_for_ledger(await self.hot.read_last())

    async def _too_old(self, at: int) -> TooOld | None:
        reach = await self.rows.reach()
        return TooOld(reach) if reach is not None and at < reach.since else None


def _known(found: T | None) -> T | Unknown:
    return Unknown() if found is None else found
