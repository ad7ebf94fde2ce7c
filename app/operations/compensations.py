"""Compensations: booking the differences that a reconciliation found, as of the time of the count; and undoing it.

Each difference is an ordinary adjustment of its own, whose id says what it is about: so booking it again books
nothing. What was approved is noted first and booked then; whoever is killed between the two, the worker goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.outcomes import Outcome
from app.domain.reconciliation import (
    Correction,
    Discrepancy,
    Reconciliation,
    State,
    Treatment,
    correction,
)
from app.hotstore.store import HotStore
from app.ledger.counts import CountRows, Shelf
from app.ledger.reconciliations import Chosen, ReconciliationRows
from app.operations.durability import Durabilities

BATCH = 500
"""Differences booked in one turn."""
APPROVABLE = (Treatment.PROPOSED, Treatment.REPORTED)
_BOOKED = frozenset({Outcome.ADJUSTED, Outcome.REPEATED})


class Treated(NamedTuple):
    """What became of a difference, and the position of the event that booked it ('' if none did)."""

    discrepancy: Discrepancy
    treatment: Treatment
    position: str


@dataclass(frozen=True, slots=True)
class Compensations:
    """Every step raises `UnavailableError` without Postgres, `LedgerBehindError` if it lags, and as `HotStore` does."""

    hot: HotStore
    rows: ReconciliationRows
    counts: CountRows
    durabilities: Durabilities

    async def approve(
        self, reconciliation_id: str, chosen: Chosen, *, who: str, items_max: int = BATCH
    ) -> list[Treated] | None:
        """Book the next proposed or reported differences; None if there is no such reconciliation."""
        step = (APPROVABLE, Treatment.APPROVED)
        return await self._choose(reconciliation_id, step, chosen, who, items_max)

    async def undo(
        self, reconciliation_id: str, chosen: Chosen, *, who: str, items_max: int = BATCH
    ) -> list[Treated] | None:
        """Take the next booked differences back; None if there is no such reconciliation."""
        step = ((Treatment.APPLIED,), Treatment.UNDOING)
        return await self._choose(reconciliation_id, step, chosen, who, items_max)

    async def go_on(self, *, who: str, progress: Callable[[int], None] = lambda _count: None) -> int:
        """Book what was approved and not booked yet, of any reconciliation; return how many differences."""
        count = 0
        for reconciliation_id in await self.rows.with_underway(BATCH):
            found = await self.rows.find(reconciliation_id)
            while found is not None and (treated := await self._book(found, who)):
                count += len(treated)
                progress(count)
        return count

    async def _choose(
        self,
        reconciliation_id: str,
        step: tuple[Sequence[Treatment], Treatment],
        chosen: Chosen,
        who: str,
        items_max: int,
    ) -> list[Treated] | None:
        found = await self.rows.find(reconciliation_id)
        if found is None:
            return None
        await self.rows.choose(reconciliation_id, step, chosen, who=who, items_max=items_max)
        return await self._book(found, who)

    async def _book(self, found: Reconciliation, who: str) -> list[Treated]:
        """Book what is underway, one at a time in a warehouse: two at once would book a difference twice."""
        async with self.counts.turn(found.warehouse):
            underway = await self.rows.underway(found.reconciliation_id, BATCH)
            if not underway:
                return []
            await self.durabilities.wait_for_ledger(await self.hot.read_last())
            known = await self.rows.known([_command(found, one).op for one in underway])
            there = await self.counts.as_of(
                found.warehouse, sorted({one.sku for one in underway}), found.as_of
            )
            treated = [await self._treat(found, one, known, there[one.sku], who) for one in underway]
            await self.rows.treat(
                found.reconciliation_id, [(one.discrepancy, one.treatment) for one in treated]
            )
        return treated

    async def _treat(
        self, found: Reconciliation, one: Discrepancy, known: set[str], there: Shelf, who: str
    ) -> Treated:
        command = _command(found, one)
        undo = one.treatment is Treatment.UNDOING
        if command.op in known:  # booked before, and killed before it was noted
            return Treated(one, Treatment.UNDONE if undo else Treatment.APPLIED, "")
        if not undo:
            # An event that came late may have closed the gap meanwhile: then booking it would open it again.
            expected = there.damaged if one.state is State.DAMAGED else there.on_hand
            if expected == one.counted:
                return Treated(one, Treatment.RESOLVED, "")
            if expected != one.expected:
                return Treated(one, Treatment.OUTDATED, "")
        answer = await self.hot.execute(command, who)
        if answer.outcome not in _BOOKED:
            return Treated(one, Treatment.APPLIED if undo else Treatment.REFUSED, "")
        return Treated(one, Treatment.UNDONE if undo else Treatment.APPLIED, answer.position)


def _command(found: Reconciliation, one: Discrepancy) -> Correction:
    return correction(found, one, undo=one.treatment is Treatment.UNDOING)
