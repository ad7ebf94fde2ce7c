"""Bookings: receipts, returns, adjustments, counts, openings, buffers; and exchanges, which lock as well."""

from collections.abc import Iterator
from dataclasses import replace

from app.domain.answers import Answer
from app.domain.commands import (
    Adjust,
    Book,
    Buffer,
    Count,
    Exchange,
    Opening,
    Receive,
    Return,
)
from app.domain.model_locks import Locks
from app.domain.model_shelves import SHELVES, TOLD, LockRecord, Repeatable, beyond, sums_of
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import (
    COUNT_MAX,
    STATES,
    LockStatus,
    Place,
)

_BOOKED: dict[type[Book], Outcome] = {
    Receive: Outcome.RECEIVED,
    Return: Outcome.RETURNED,
    Adjust: Outcome.ADJUSTED,
    Count: Outcome.ADJUSTED,
}


class Bookings(Locks):
    """The commands that bring stock in, take it out or set it right."""

    __slots__ = ()

    def _book(self, command: Book, now: int) -> Answer:
        repeated = self.ops.get(command.op)
        if repeated and repeated.fingerprint == TOLD:
            there = {line.sku: [command.warehouse] for line in command.lines}
            lines = self._untold(command.op, command.lines, there)
            if not lines:
                return Answer(Outcome.ID_REUSED if lines is None else Outcome.REPEATED)
            answer = self._book_new(replace(command, lines=lines), now)
            if command.op in self.ops and answer.outcome is _BOOKED[type(command)]:
                self.ops[command.op] = Repeatable(command.fingerprint, answer)
            return answer
        if repeated:
            same = repeated.fingerprint == command.fingerprint
            return Answer(Outcome.REPEATED if same else Outcome.ID_REUSED)
        return self._book_new(command, now)

    def _book_new(self, command: Book, now: int) -> Answer:
        counted_at = None
        if isinstance(command, Count):
            counted_at = now if command.occurred_at is None else command.occurred_at
        # Of two counts the later one stands.
        at = command.occurred_at if counted_at is None else counted_at + 1
        record = None
        if isinstance(command, Return) and command.lock_id:
            record = self.locks.get(command.lock_id)
            if refusal := _return_refusal(command, record):
                return refusal
        shortages = self._damaged_shortages(command, at)
        if shortages:
            return Answer(Outcome.INSUFFICIENT_DAMAGED, shortages=shortages)
        if not self._fits(command, at):
            return Answer(Outcome.QUANTITY_TOO_LARGE)
        for line in command.lines:
            known = command.warehouse in self.stock.get(line.sku, {})
            agrees = counted_at is not None and line.quantity == 0 and known
            if not agrees:
                self._fact_move(
                    line.sku,
                    command.warehouse,
                    line.source,
                    line.target,
                    line.quantity,
                    at=at,
                    even_zero=True,
                )
            if record:
                record.returned[line.sku] = record.returned.get(line.sku, 0) + line.quantity
        if counted_at is not None:
            self._note_counts(command, min(counted_at, now))
        answer = Answer(_BOOKED[type(command)])
        self.ops[command.op] = Repeatable(command.fingerprint, answer)
        return answer

    def _changes(self, command: Book, at: int | None) -> Iterator[tuple[str, Place, int]]:
        for line in command.lines:
            for place, change in ((line.source, -line.quantity), (line.target, line.quantity)):
                yield line.sku, place, change
                if self._counted_since(line.sku, command.warehouse, place, at) is not None:
                    yield line.sku, SHELVES[place], -change

    def _damaged_shortages(self, command: Book, at: int | None) -> tuple[Shortage, ...]:
        shortages = []
        for sku in dict.fromkeys(line.sku for line in command.lines):
            changes = self._changes(command, at)
            change = sum(n for s, place, n in changes if s == sku and place is Place.DAMAGED)
            there = self.counts(sku, command.warehouse).damaged
            taken = sum(
                line.quantity for line in command.lines if line.sku == sku and line.source is Place.DAMAGED
            )
            if there + change < 0:
                shortages.append(Shortage(sku, command.warehouse, taken, there + change + taken))
        return tuple(shortages)

    def _fits(self, command: Book, at: int | None) -> bool:
        sums: dict[tuple[str, Place], int] = {}
        for sku, place, change in self._changes(command, at):
            there = self.stock.get(sku, {}).get(command.warehouse, {}).get(place, 0)
            sums[sku, place] = sums.get((sku, place), there) + change
        return all(abs(count) <= COUNT_MAX for (_, place), count in sums.items() if place in STATES)

    def _opening(self, command: Opening) -> Answer:
        before = len(self.moves)
        for row in command.rows:
            known = row.warehouse in self.stock.get(row.sku, {})
            counts = self.counts(row.sku, row.warehouse)
            if row.buffer is not None and row.buffer != counts.buffer:
                self._set_buffer(
                    row.sku, row.warehouse, row.buffer, noted=known and counts.on_hand == row.on_hand
                )
            difference = row.on_hand - counts.on_hand
            if difference < 0:
                self._move(row.sku, row.warehouse, Place.AVAILABLE, Place.ADJUSTMENT, -difference)
            elif difference > 0 or not known:
                self._move(
                    row.sku, row.warehouse, Place.ADJUSTMENT, Place.AVAILABLE, difference, even_zero=True
                )
        return Answer(Outcome.OPENED if len(self.moves) > before else Outcome.UNCHANGED)

    def _buffer(self, command: Buffer) -> Answer:
        unknown = tuple(
            Shortage(line.sku, command.warehouse, line.quantity, 0, unknown=True)
            for line in command.lines
            if line.sku not in self.stock
        )
        if unknown:
            return Answer(Outcome.UNKNOWN_SKU, shortages=unknown)
        before = len(self.moves)
        for line in command.lines:
            if self.counts(line.sku, command.warehouse).buffer != line.quantity:
                self._set_buffer(line.sku, command.warehouse, line.quantity, noted=True)
        return Answer(Outcome.BUFFERED if len(self.moves) > before else Outcome.UNCHANGED)

    def _set_buffer(self, sku: str, warehouse: str, units: int, *, noted: bool) -> None:
        """Set a buffer; `noted` by a move of zero units, unless a move of stock carries it."""
        if noted:
            self._move(sku, warehouse, Place.BUFFER, Place.BUFFER, 0, even_zero=True)
        self.stock.setdefault(sku, {}).setdefault(warehouse, {})[Place.BUFFER] = units

    def _exchange(self, command: Exchange, now: int) -> Answer:
        """Do both halves on a copy first, so that a refusal leaves nothing behind."""
        repeated = self.ops.get(command.op)
        if repeated:
            if repeated.fingerprint != command.fingerprint:
                return Answer(Outcome.ID_REUSED)
            record = self.locks.get(command.lock.lock_id)
            same = record is not None and record is repeated.record
            status = record.view.status if record and same else LockStatus.HELD
            return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=status)
        if command.lock.lock_id in self.locks:
            return Answer(Outcome.ID_REUSED, detail="lock")
        at = command.occurred_at
        back = Return(command.exchange_id, command.warehouse, command.returned)
        places = {x.sku: {w: dict(p) for w, p in self.stock.get(x.sku, {}).items()} for x in back.lines}
        trial = Bookings(self.order, self.stock | places, counted=self.counted)
        trial._take_back(back, at)
        _, refusal = trial._source(command.lock.lines, command.lock.warehouses)
        if refusal:  # nothing happened: what only the return would have made known stays unknown
            told = tuple(one._replace(unknown=one.sku not in self.stock) for one in refusal.shortages)
            return replace(refusal, shortages=told)
        if not self._fits(back, at):
            return Answer(Outcome.QUANTITY_TOO_LARGE)
        self._take_back(back, at)
        locked = self._lock(command.lock, now)
        answer = replace(locked, outcome=Outcome.EXCHANGED)
        record = self.locks[command.lock.lock_id]
        self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _take_back(self, back: Return, at: int | None) -> None:
        for line in back.lines:
            self._fact_move(
                line.sku, back.warehouse, line.source, line.target, line.quantity, at=at, even_zero=True
            )


def _return_refusal(command: Return, record: LockRecord | None) -> Answer | None:
    """Refuse more of a SKU than was shipped for the lock and has not come back yet."""
    if record is None:
        return Answer(Outcome.UNKNOWN_LOCK)
    left = sums_of((line.sku, line.deducted) for line in record.view.lines)
    for sku, units in record.returned.items():  # an event may have told of more, or of others
        left[sku] = max(0, left.get(sku, 0) - units)
    exceeding = beyond(sums_of((line.sku, line.quantity) for line in command.lines), left)
    return Answer(Outcome.QUANTITY_EXCEEDS_SHIPMENT, exceeding=exceeding) if exceeding else None
