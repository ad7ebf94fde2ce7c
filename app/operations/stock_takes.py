"""Stock-takes: what somebody counted at a time, against what the ledger says was there then.

The difference is booked now, as of the time of counting. Moves that happened since are so kept: whatever was
picked or put away after the count changes nothing in the difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Booking, Count
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import Durability, Place
from app.errors import LedgerBehindError
from app.hotstore.store import HotStore
from app.ledger.counts import CountRows, Shelf
from app.operations.durability import Durabilities, Told
from app.operations.once import Once

REASON = "stock-take"
TRIES_MAX = 10
"""How often a difference is computed again when earlier facts arrived meanwhile."""


@dataclass(frozen=True, slots=True)
class CountedLine:
    """Good units counted; damaged ones None where nobody counted them."""

    sku: str
    on_hand: int
    damaged: int | None = None


@dataclass(frozen=True, slots=True)
class StockTake:
    """What was counted in one warehouse at `counted_at` (ms since 1970, inclusive); each SKU once."""

    stock_take_id: str
    warehouse: str
    counted_at: int
    lines: tuple[CountedLine, ...]

    @property
    def op(self) -> str:
        """The id under which a repeat is recognised."""
        return _command(self, {}).op

    @property
    def content(self) -> str:
        """What a repeat must have again, as one text."""
        lines = (f"{line.sku}\t{line.on_hand}\t{line.damaged}" for line in self.lines)
        return "\n".join((self.warehouse, str(self.counted_at), *lines))


@dataclass(frozen=True, slots=True)
class Counted:
    """What a stock-take came to, and by SKU the difference that was booked: counted less expected.

    A repeat lacks what the ledger cannot say any more, or not yet: months that left it, and moves in quarantine.
    """

    told: Told
    differences: dict[str, Shelf]


@dataclass(frozen=True, slots=True)
class StockTakes:
    """Raises `UnavailableError` without Postgres, `LedgerBehindError` if it lags too far to compare."""

    hot: HotStore
    once: Once
    counts: CountRows
    durabilities: Durabilities

    async def book(self, take: StockTake, wanted: Durability, *, who: str = "") -> Counted:
        """Book the differences, once per stock_take_id for ever; raise what `HotStore` raises too."""
        answer = await self.once.ever(_command(take, {}))
        differences: dict[str, Shelf] | None = None
        if answer is None:
            async with self.counts.turn(take.warehouse):
                answer, differences = await self._count(take, who)
        told = await self.durabilities.settle(answer, wanted)
        if told.durability is None or (differences is not None and answer.outcome is Outcome.ADJUSTED):
            return Counted(told, differences or {})
        # A repeat: what was booked then is in the ledger.
        await self.durabilities.wait_for_ledger(answer.position)
        return Counted(told, await self.counts.changes(take.warehouse, Position.parse(answer.position)))

    async def _count(self, take: StockTake, who: str) -> tuple[Answer, dict[str, Shelf]]:
        """Book the differences to what the ledger knows; compute them anew if something came in between."""
        for _ in range(TRIES_MAX):
            last = await self.hot.read_last()
            await self.durabilities.wait_for_ledger(last)
            differences = await self._differences(take)
            answer = await self.hot.execute(_command(take, differences, last), who)
            if answer.outcome is not Outcome.MOVED_SINCE:
                return answer, differences
        raise LedgerBehindError("more happened before the count, while it was booked, than can be followed")

    async def _differences(self, take: StockTake) -> dict[str, Shelf]:
        there = await self.counts.as_of(take.warehouse, [line.sku for line in take.lines], take.counted_at)
        return {line.sku: _difference(line, there[line.sku]) for line in take.lines}


def _difference(line: CountedLine, there: Shelf) -> Shelf:
    damaged = there.damaged if line.damaged is None else line.damaged
    return Shelf(line.on_hand - there.on_hand, damaged - there.damaged)


def _command(take: StockTake, differences: dict[str, Shelf], since: str = "") -> Count:
    damaged = {line.sku for line in take.lines if line.damaged is not None}
    found = differences.items()
    lines = tuple(one for sku, units in found for one in bookings_of(sku, units, damaged=sku in damaged))
    return Count(
        take.stock_take_id, take.warehouse, lines, take.counted_at, content=take.content, since=since
    )


def bookings_of(sku: str, units: Shelf, *, damaged: bool) -> Iterator[Booking]:
    """The moves of one SKU; zero units say that a count agrees, which the event keeps without a move."""
    yield _booking(sku, Place.AVAILABLE, units.on_hand)
    if damaged:
        yield _booking(sku, Place.DAMAGED, units.damaged)


def _booking(sku: str, place: Place, units: int) -> Booking:
    if units < 0:
        return Booking(sku, place, Place.ADJUSTMENT, -units, REASON)
    return Booking(sku, Place.ADJUSTMENT, place, units, REASON)
