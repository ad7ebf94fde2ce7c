"""Counts that come as events: many at once, each as of its own time, held against what the ledger says of then."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.answers import Answer
from app.domain.commands import Count, Fact
from app.domain.outcomes import Outcome
from app.errors import LedgerBehindError
from app.hotstore.store import HotStore
from app.ledger.counts import CountRows, Shelf
from app.operations.durability import Durabilities
from app.operations.stock_takes import TRIES_MAX, bookings_of
from app.operations.warehouse_events import WarehouseEvent

COUNTS_MAX = 500
"""Counts that are compared and booked at once."""
Counting = tuple[str, str, int]
"""What was counted, where, and when (ms)."""


class Counted(Count, frozen=True, gc=False):
    """What one event counted: known by the event's id, and of its content."""

    event: Fact | None = None

    @property
    def op(self) -> str:
        """The event's id."""
        return self.event.op if self.event else ""

    @property
    def fingerprint(self) -> str:
        """The event's content."""
        return self.event.fingerprint if self.event else ""


@dataclass(slots=True)
class CountItem:
    """One count, and what it came to: `answer` None if it changes more than `units_max` (None: a person says so).

    `twin` is why it is refused: another count says what was there at the same time.
    """

    event: WarehouseEvent
    fact: Fact
    units_max: int | None
    answer: Answer | None = None
    twin: str = ""
    difference: Shelf = field(default_factory=lambda: Shelf(0, 0))

    @property
    def place(self) -> tuple[str, str]:
        """What was counted, and where."""
        return self.fact.sku, self.fact.warehouse


@dataclass(frozen=True, slots=True)
class InboxCounts:
    """Raises `UnavailableError` without Postgres, `LedgerBehindError` if it lags too far to compare."""

    hot: HotStore
    counts: CountRows
    durabilities: Durabilities

    async def book(self, items: Iterable[CountItem], who: str) -> None:
        """Book each difference; a SKU that was counted several times is compared again after each.

        Two counts of a SKU at one time cannot both be right, nor is the sum of them known to be: none is booked.
        """
        given = list(items)
        for warehouse, batch in _rounds(given):
            twins = _twins(given, warehouse)
            async with self.counts.turn(warehouse):
                await self._book_batch(warehouse, batch, twins, who)

    async def _book_batch(
        self, warehouse: str, batch: Sequence[CountItem], twins: Mapping[Counting, int], who: str
    ) -> None:
        waiting = list(batch)
        for attempt in range(TRIES_MAX):
            last = await self.hot.read_last()
            await self.durabilities.wait_for_ledger(last)
            if attempt == 0:
                waiting = await self._without_twins(warehouse, waiting, twins)
            times = {item.fact.sku: item.fact.occurred_at for item in waiting}
            there = await self.counts.as_of_each(warehouse, times)
            await asyncio.gather(*(self._book_one(item, there[item.fact.sku], last, who) for item in waiting))
            waiting = [item for item in waiting if _moved(item)]
            if not waiting:
                return
        raise LedgerBehindError("more happened before the count, while it was booked, than can be followed")

    async def _without_twins(
        self, warehouse: str, batch: Sequence[CountItem], twins: Mapping[Counting, int]
    ) -> list[CountItem]:
        """Refuse what another event counts at the same time, and return the others; a person may have it booked."""
        known = await self.counts.counted_at(warehouse, [(x.fact.sku, x.fact.occurred_at) for x in batch])
        for item in batch:
            op, others = known.get((item.fact.sku, item.fact.occurred_at)), twins[_counting(item)] - 1
            if item.units_max is None or op == item.fact.op:
                continue  # booked before: it is a repeat
            if op is not None:
                item.twin = f"{_SAME_TIME} already ({_name_of(op)}){_ONE_EVENT}"
            elif others:
                item.twin = f"{_SAME_TIME} by {others + 1} events of this call{_ONE_EVENT}"
        return [item for item in batch if not item.twin]

    async def _book_one(self, item: CountItem, there: Shelf, last: str, who: str) -> None:
        event, fact = item.event, item.fact
        damaged = there.damaged if event.damaged is None else event.damaged
        item.difference = Shelf((event.on_hand or 0) - there.on_hand, damaged - there.damaged)
        item.answer = None
        if item.units_max is not None and sum(map(abs, item.difference)) > item.units_max:
            return
        bookings = tuple(bookings_of(fact.sku, item.difference, damaged=event.damaged is not None))
        command = Counted("", fact.warehouse, bookings, fact.occurred_at, since=last, event=fact)
        item.answer = await self.hot.execute(command, who)


_SAME_TIME = "on_hand: this SKU was counted in this warehouse at this very time"
_ONE_EVENT = "; send one event with what is there in all"


def _counting(item: CountItem) -> Counting:
    return item.fact.sku, item.fact.warehouse, item.fact.occurred_at


def _twins(items: Sequence[CountItem], warehouse: str) -> Mapping[Counting, int]:
    """Return how many events say what was there, by what they count; an event that comes twice is one."""
    here = {(item.fact.op, _counting(item)) for item in items if item.fact.warehouse == warehouse}
    return Counter(counting for _, counting in here)


def _name_of(op: str) -> str:
    """Return what an op is called to people: `event:wms{e1` is the event e1 of wms."""
    kind, _, name = op.partition(":")
    source, _, event_id = name.partition("{")
    return f"event {event_id} of {source}" if event_id else f"{kind} {name}".strip() or "an event of long ago"


def _moved(item: CountItem) -> bool:
    return item.answer is not None and item.answer.outcome is Outcome.MOVED_SINCE


def _rounds(items: Iterable[CountItem]) -> list[tuple[str, list[CountItem]]]:
    """Batches of one warehouse each, in which no SKU comes twice; earlier counts come first."""
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    rounds: defaultdict[tuple[int, str], list[CountItem]] = defaultdict(list)
    for item in sorted(items, key=lambda item: item.fact.occurred_at):
        rounds[seen[item.place], item.fact.warehouse].append(item)
        seen[item.place] += 1
    return [
        (warehouse, batch[first : first + COUNTS_MAX])
        for (_, warehouse), batch in sorted(rounds.items(), key=lambda one: one[0])
        for first in range(0, len(batch), COUNTS_MAX)
    ]
