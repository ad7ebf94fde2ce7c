"""Merging a warehouse that should never have been into another: its stock, locks and documents."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.answers import Answer
from app.domain.commands import MergeLock, MergeStock, MergeTransfer, TransferClose
from app.domain.outcomes import Outcome
from app.errors import SellableError
from app.hotstore.store import HotStore
from app.ledger.merging import Left, MergeRows
from app.operations.durability import Durabilities
from app.operations.warehouses import KNOWN_SECONDS, Warehouses

ITEMS_MAX = 1_000
"""Of each kind in one round."""
TOGETHER_MAX = 32
"""Calls on their way at once."""
_MOVED = frozenset({Outcome.MERGED, Outcome.TRANSFER_CLOSED})
_GONE = frozenset({Outcome.UNCHANGED, Outcome.UNKNOWN_LOCK, Outcome.UNKNOWN_TRANSFER})


class Merged(NamedTuple):
    """What a merge moved; `waiting`: events of the inbox that still name the old code."""

    skus: int
    locks: int
    transfers: int
    purchase_orders: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Merging:
    """Raises what `HotStore` raises, `UnavailableError` without Postgres, `LedgerBehindError` if it lags too far.

    Whatever is raised, or killed: repeating it goes on.
    """

    hot: HotStore
    rows: MergeRows
    warehouses: Warehouses
    durabilities: Durabilities

    async def merge(
        self, code: str, into: str, *, who: str = "", known_seconds: float = KNOWN_SECONDS
    ) -> Merged:
        """Move all that is in `code` to `into`, each SKU and document in one event, and list `code` no more.

        After `known_seconds` every other process knows that it is not listed, and books nothing there: what they booked
        until then is moved too. Raises `SellableError` if one of them is no warehouse, or something cannot be moved.
        """
        waiting = await self._check(code, into)
        orders = await self.rows.mark(code, into)
        await self.warehouses.refresh()
        known_at = time.monotonic() + known_seconds
        done = set[tuple[str, str]]()
        while True:
            wait_seconds = known_at - time.monotonic()
            if left := await self._left(code):
                done |= await self._move_all(left, code, into, who)
            elif wait_seconds <= 0:
                break
            else:
                await asyncio.sleep(wait_seconds)
        kinds = Counter(kind for kind, _ in done)
        return Merged(kinds["sku"], kinds["lock"], kinds["transfer"], orders, waiting)

    async def _move_all(self, left: Sequence[Left], code: str, into: str, who: str) -> set[tuple[str, str]]:
        """Move these, and return those that were; raise `SellableError` if none can be."""
        done = set[tuple[str, str]]()
        for first in range(0, len(left), TOGETHER_MAX):
            part = left[first : first + TOGETHER_MAX]
            answers = await asyncio.gather(*(self._move(one, code, into, who) for one in part))
            pairs = zip(part, answers, strict=True)
            done |= {(one.kind, one.id) for one, answer in pairs if _is_moved(one, answer)}
        if not done:
            stuck = left[0]
            raise SellableError(
                f"{stuck.kind} {stuck.id} of {code} cannot be moved: see `sellable quarantine list`"
            )
        return done

    async def _check(self, code: str, into: str) -> int:
        if code == into:
            raise SellableError("a warehouse cannot be merged into itself")
        if await self.warehouses.unknown_among([into]):
            raise SellableError(f"no warehouse is called {into} (see `sellable warehouses list`)")
        is_known, waiting = await self.rows.known(code)
        if not is_known:
            raise SellableError(f"no warehouse is called {code} (see `sellable warehouses list`)")
        return waiting

    async def _left(self, code: str) -> list[Left]:
        await self.durabilities.wait_for_ledger(await self.hot.read_last())
        return await self.rows.left(code, ITEMS_MAX)

    async def _move(self, one: Left, code: str, into: str, who: str) -> Answer:
        reason = f"merged {code} into {into}"
        if one.kind == "lock":
            return await self.hot.execute(MergeLock(one.id, code, into, reason), who)
        if one.kind == "sku":
            return await self.hot.execute(MergeStock(one.id, code, into, reason), who)
        if {one.source, one.destination} == {code, into}:
            close = TransferClose(one.id, in_transit="returned_to_source", reason=reason)
            return await self.hot.execute(close, who)
        return await self.hot.execute(MergeTransfer(one.id, code, into, reason), who)


def _is_moved(one: Left, answer: Answer) -> bool:
    """Whether it was moved; raise `SellableError` if it was refused."""
    if answer.outcome not in _MOVED | _GONE:
        raise SellableError(f"{one.kind} {one.id} was refused: {answer.outcome}")
    return answer.outcome in _MOVED
