"""Shortages: cases where less is on the shelf than is promised, and breaking promises to close them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from app.domain.answers import Answer
from app.domain.commands import Line, Unlock
from app.domain.outcomes import Outcome
from app.domain.shortages import Choice, Remedy, ShortageCase, remedies, suggested
from app.domain.words import OPEN_STATUSES, Durability
from app.errors import NotReadyError
from app.hotstore.store import HotStore
from app.ledger.shortages import ShortageRows
from app.operations.durability import Durabilities

REASON = "shortage"
TRIES_MAX = 5
"""How often a lock that changes under our hands is read again."""


class Broken(StrEnum):
    """What became of one promise."""

    UNLOCKED = "unlocked"
    UNCHANGED = "unchanged"
    UNKNOWN_LOCK = "unknown_lock"


class Resolved(NamedTuple):
    """What became of a lock that was named, and the units it gave back."""

    lock_id: str
    outcome: Broken
    units: int


class Resolution(NamedTuple):
    """What resolving came to, in the order the locks were named."""

    shortage: ShortageCase
    results: tuple[Resolved, ...]
    position: str
    durability: Durability


@dataclass(frozen=True, slots=True)
class Shortages:
    """Raises `UnavailableError` without Postgres; resolving raises what `HotStore` raises too."""

    hot: HotStore
    cases: ShortageRows
    durabilities: Durabilities
    choice: Choice

    async def list(self, after: int, items_max: int) -> Sequence[ShortageCase]:
        """Return the next open cases by id."""
        return await self.cases.after(after, items_max)

    def suggested(self, shortage: ShortageCase) -> Sequence[str]:
        """Return the locks to break, by the setting."""
        return suggested(shortage, self.choice)

    async def remedies(self, cases: Sequence[ShortageCase]) -> Sequence[Sequence[Remedy]]:
        """Return, for each case, what transfers from other warehouses could bring now."""
        _, found = await self.hot.read_stock([*dict.fromkeys(case.sku for case in cases)])
        sellable = {
            stock.sku: {warehouse: counts.sellable for warehouse, counts in stock.warehouses.items()}
            for stock in found
            if stock is not None
        }
        return [remedies(case, sellable.get(case.sku, {})) for case in cases]

    async def resolve(
        self, shortage_id: int, lock_ids: Sequence[str], wanted: Durability, *, who: str = ""
    ) -> Resolution | None:
        """Take the case's SKU out of these locks; None if there is no such case.

        Again and again is the same: a lock gives back what it still holds. A closed case breaks no promise more.
        """
        case = await self.cases.find(shortage_id)
        if case is None:
            return None
        results, position = [], await self.hot.read_last()
        for lock_id in lock_ids:
            if case.closed_at is None:
                result, position = await self._break(case, lock_id, position, who)
            else:
                result = Resolved(lock_id, Broken.UNCHANGED, 0)
            results.append(result)
        return Resolution(case, tuple(results), position, await self.durabilities.reach(position, wanted))

    async def _break(self, case: ShortageCase, lock_id: str, position: str, who: str) -> tuple[Resolved, str]:
        for _ in range(TRIES_MAX):
            read = await self.hot.read_lock(lock_id)
            if read.outcome is Outcome.UNKNOWN_LOCK:
                return Resolved(lock_id, Broken.UNKNOWN_LOCK, 0), position
            units = _held(read, case)
            if not units:
                return Resolved(lock_id, Broken.UNCHANGED, 0), position
            line = Line(case.sku, units, case.warehouse)
            answer = await self.hot.execute(Unlock(lock_id, "", (line,), REASON), who)
            if answer.outcome is Outcome.UNLOCKED:
                return Resolved(lock_id, Broken.UNLOCKED, units), answer.position
        raise NotReadyError(f"the lock {lock_id} changes faster than it can be read")


def _held(read: Answer, case: ShortageCase) -> int:
    lock = read.lock
    if lock is None or lock.status not in OPEN_STATUSES:
        return 0
    return sum(
        line.outstanding for line in lock.lines if (line.sku, line.warehouse) == (case.sku, case.warehouse)
    )
