"""Openings: what is on hand as a list says it, absolutely or as of a time. A rerun changes nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from msgspec import structs

from app.domain.commands import Opening, OpeningRow
from app.domain.outcomes import Outcome
from app.domain.times import time_text
from app.errors import LedgerBehindError, SellableError
from app.hotstore.store import HotStore
from app.ledger.counts import CountRows
from app.ledger.openings import OpeningRows, Shelf
from app.operations.durability import Durabilities
from app.operations.stock_takes import CountedLine, StockTake, StockTakes

__all__ = ["ROWS_MAX", "Change", "OpeningRow", "Openings", "Set"]

ROWS_MAX = 500
"""Rows of one command: more would keep the hot store from everybody else."""
TRIES_MAX = 10
"""How often a row is looked at again because what is on hand changed meanwhile."""
MOVED = "has moved since its opening"


class Change(NamedTuple):
    """What a row is about: units on hand before (None: not known there) and after, and why it may not be so, or ''.

    `buffer` is what was withheld before.
    """

    row: OpeningRow
    before: int | None
    after: int
    buffer: int = 0
    refusal: str = ""

    @property
    def changes_buffer(self) -> bool:
        """Whether the row sets another buffer."""
        return self.row.buffer not in {None, self.buffer}

    @property
    def is_one(self) -> bool:
        """Whether it changes anything."""
        return self.before != self.after or self.changes_buffer


class Set(NamedTuple):
    """What became of rows: how many changed something, and those that were refused."""

    changed: int
    refused: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Openings:
    """Books openings; each SKU in a warehouse should have one row. Raises what `HotStore` raises.

    All but `book` need the ledger: `UnavailableError` without it, `LedgerBehindError` if it lags too far behind.
    Whatever is raised, repeating the call is safe.
    """

    hot: HotStore
    rows: OpeningRows
    counts: CountRows
    stock_takes: StockTakes
    durabilities: Durabilities

    async def book(self, rows: Sequence[OpeningRow], *, who: str = "") -> int:
        """Set the rows absolutely, whatever has happened, and return how many changed something."""
        changed = 0
        for first in range(0, len(rows), ROWS_MAX):
            done, _ = await self._book(rows[first : first + ROWS_MAX], who)
            changed += done
        return changed

    async def book_unmoved(self, rows: Sequence[OpeningRow], *, who: str = "") -> Set:
        """Set at most 500 rows, but for those that have moved since their opening."""
        changed, refused = 0, list[Change]()
        # Built by hand: `replace` takes longer than all else that is done with a row here.
        waiting = [OpeningRow(row.sku, row.warehouse, row.on_hand, row.buffer, "new") for row in rows]
        for _ in range(TRIES_MAX):
            done, left_out = await self._book(waiting, who)
            changed += done
            if not left_out:
                return Set(changed, refused)
            found = await self._changes([waiting[index] for index in left_out])
            refused += [change for change in found if change.refusal]
            waiting = [structs.replace(one.row, expected=one.before) for one in found if not one.refusal]
        raise LedgerBehindError("what is on hand changes faster than it can be compared with its opening")

    async def book_counted(self, rows: Sequence[OpeningRow], at_ms: int, *, who: str = "") -> Set:
        """Take rows as counted at a time: what moved since then stands. Buffers are set as they are now."""
        later = await self._set_since(rows, at_ms)
        changed = 0
        for warehouse, lines in _by_warehouse(rows, but=later).items():
            changed += await self._count(_stock_take(warehouse, lines, at_ms), who)
            await self._buffer(lines, who)
        return Set(changed, [change for change in later if change.before != change.after])

    async def preview(self, rows: Sequence[OpeningRow], *, at_ms: int | None, absolute: bool) -> list[Change]:
        """Return what booking the rows would change, and which it would refuse; nothing is booked."""
        if at_ms is not None:
            return await self._preview_counted(rows, at_ms)
        changes = await self._before(rows) if absolute else await self._changes(rows)
        return [change for change in changes if change.is_one]

    # Absolutely

    async def _book(self, rows: Sequence[OpeningRow], who: str) -> tuple[int, Sequence[int]]:
        answer = await self.hot.execute(Opening(rows), who)
        if answer.outcome not in {Outcome.OPENED, Outcome.UNCHANGED}:
            raise SellableError(f"the opening was refused: {answer.outcome}")
        return int(answer.detail), answer.left_out

    async def _before(self, rows: Sequence[OpeningRow]) -> list[Change]:
        return [change for change, _ in await self._found(rows)]

    async def _changes(self, rows: Sequence[OpeningRow]) -> list[Change]:
        """What the rows would change, with a refusal where something moved since the opening."""
        found = await self._found(rows)
        other = [one for one in found if one[0].before not in {None, one[0].after}]
        if not other:
            return [change for change, _ in found]
        await self.durabilities.wait_for_ledger(await self.hot.read_last())
        known = await self.rows.last_set([_shelf(change.row) for change, _ in other])
        moved = set[Shelf]()
        for change, version in other:
            last = known[_shelf(change.row)]
            # Moves that the ledger could not book wait in quarantine: nothing is known of them.
            if not last.is_as_opened or last.version < version:
                moved.add(_shelf(change.row))
        return [
            change._replace(refusal=MOVED) if _shelf(change.row) in moved else change for change, _ in found
        ]

    async def _found(self, rows: Sequence[OpeningRow]) -> list[tuple[Change, int]]:
        """What each row is about, and the SKU's version."""
        _, stocks = await self.hot.read_stock([row.sku for row in rows])
        found = []
        for row, stock in zip(rows, stocks, strict=True):
            there = stock.warehouses.get(row.warehouse) if stock else None
            before = there.on_hand if there else None
            buffer = there.buffer if there else 0
            found.append((Change(row, before, row.on_hand, buffer), stock.version if stock else 0))
        return found

    # As of a time

    async def _set_since(self, rows: Sequence[OpeningRow], at_ms: int) -> list[Change]:
        """What was set absolutely after that time: whatever happened before is in it already, so it is no count."""
        await self.durabilities.wait_for_ledger(await self.hot.read_last())
        later = await self.rows.set_since([_shelf(row) for row in rows], at_ms)
        if not later:
            return []
        return [
            change._replace(
                refusal=f"was set at {time_text(later[_shelf(change.row)])}, after the time of this count"
            )
            for change in await self._before([row for row in rows if _shelf(row) in later])
        ]

    async def _count(self, take: StockTake, who: str) -> int:
        counted = await self.stock_takes.book(take, "disk", who=who)
        answer = counted.told.answer
        if answer.outcome not in {Outcome.ADJUSTED, Outcome.REPEATED}:
            raise SellableError(f"the count of {take.warehouse} was refused: {answer.outcome}")
        if answer.outcome is Outcome.REPEATED:
            return 0
        return sum(1 for units in counted.differences.values() if units.on_hand)

    async def _buffer(self, rows: Sequence[OpeningRow], who: str) -> None:
        """Set the buffers that the rows name, and nothing else."""
        named = [row for row in rows if row.buffer is not None]
        for _ in range(TRIES_MAX if named else 0):
            found = await self._before(named)
            as_they_are = [
                structs.replace(one.row, on_hand=one.before or 0, expected=one.before or 0) for one in found
            ]
            _, left_out = await self._book(as_they_are, who)
            named = [named[index] for index in left_out]
            if not named:
                return
        if named:
            raise LedgerBehindError("what is on hand changes faster than a buffer can be set")

    async def _preview_counted(self, rows: Sequence[OpeningRow], at_ms: int) -> list[Change]:
        later = await self._set_since(rows, at_ms)
        changes = [change for change in later if change.before != change.after]
        for warehouse, lines in _by_warehouse(rows, but=later).items():
            there = await self.counts.as_of(warehouse, [row.sku for row in lines], at_ms)
            for change in await self._before(lines):
                difference = change.row.on_hand - there[change.row.sku].on_hand
                changes.append(change._replace(after=(change.before or 0) + difference))
        return [change for change in changes if change.is_one]


def _shelf(row: OpeningRow) -> Shelf:
    return row.sku, row.warehouse


def _by_warehouse(rows: Sequence[OpeningRow], *, but: Sequence[Change]) -> dict[str, list[OpeningRow]]:
    left_out = {_shelf(change.row) for change in but}
    found = defaultdict[str, list[OpeningRow]](list)
    for row in rows:
        if _shelf(row) not in left_out:
            found[row.warehouse].append(row)
    return found


def _stock_take(warehouse: str, rows: Sequence[OpeningRow], at_ms: int) -> StockTake:
    """The same rows of the same time are the same stock-take, so that a rerun books nothing."""
    lines = tuple(CountedLine(row.sku, row.on_hand) for row in rows)
    take = StockTake("", warehouse, at_ms, lines)
    return replace(take, stock_take_id="import-" + sha256(take.content.encode()).hexdigest()[:32])
