"""Bookings: receipts, returns, adjustments, counts, openings, buffers; and exchanges, which lock as well."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from app.domain.answers import Answer
from app.domain.commands import (
    Adjust,
    Book,
    Booking,
    Buffer,
    Count,
    Exchange,
    Opening,
    Receive,
    Return,
)
from app.domain.documents import (
    NO_UNITS,
    ROUTE,
    Sums,
    Units,
    booked_of_arrivals,
    is_accounted_for,
    rebook,
)
from app.domain.model_locks import Locks
from app.domain.model_shelves import SHELVES, LockRecord, Repeatable, beyond, sums_of
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


OUTSIDE_OF = {Receive.kind: Place.SUPPLIER, Return.kind: Place.CUSTOMER, Adjust.kind: Place.ADJUSTMENT}
"""Where what is booked comes from or goes to, by kind."""


class Bookings(Locks):
    """The commands that bring stock in, take it out or set it right."""

    __slots__ = ()

    def _book(self, command: Book, now: int) -> Answer:
        repeated = self.ops.get(command.op)
        if repeated:
            same = repeated.fingerprint == command.fingerprint
            return Answer(Outcome.REPEATED if same else Outcome.ID_REUSED)
        if isinstance(command, Count):
            return self._count(command, now)
        before = self._booked_before(command)
        if before:
            return Answer(before)
        record = None
        if isinstance(command, Return) and command.lock_id:
            record = self.locks.get(command.lock_id)
            if record is None:
                return Answer(Outcome.UNKNOWN_LOCK)
        moved = len(self.moves)
        kept = self._kept((line.sku for line in command.lines), command.op)
        on_hand = self._on_hand(_places_on_hand(command))
        more = self._book_reported(command, now)
        refusal = (record and _return_refusal(record, more)) or self._booking_refusal(command, more, on_hand)
        if refusal:
            self._put_back(kept, moved, command.op)
            return refusal
        if record:
            for sku, units in more.items():
                record.returned[sku] = record.returned.get(sku, 0) + units
        waits = any(not self._is_settled(command, line.sku) for line in command.lines)
        before_now = kept.sums or {}
        unchanged = all(
            line.sku in before_now
            and before_now[line.sku].claims
            and before_now[line.sku].booked == self.documents[command.op][line.sku].booked
            for line in command.lines
        )
        self.facts += 1
        answer = Answer(Outcome.UNCHANGED if unchanged and not waits else _BOOKED[type(command)])
        self.ops[command.op] = Repeatable(command.fingerprint, answer)
        return answer

    def _is_settled(self, command: Book, sku: str) -> bool:
        sums = self.documents[command.op][sku]
        return is_accounted_for(sums, "", command.warehouse, ROUTE, shipped=False)

    def _booked_before(self, command: Book) -> Outcome | None:
        """Whether a route reported this document before its op was forgotten."""
        known = self.documents.get(command.op, {})
        if not any(ROUTE in sums.reporters() for sums in known.values()):
            return None
        same = all(
            sums.said("", ROUTE) == sums.said("", ROUTE, command.warehouse) == units_of(command.lines, sku)
            for sku, sums in known.items()
        )
        return Outcome.REPEATED if same else Outcome.ID_REUSED

    def _book_reported(self, command: Book, now: int) -> dict[str, int]:
        """Book what nobody else reported, line by line, then the rest; return how much each SKU is more than before."""
        known = self.documents.get(command.op, {})
        reported = dict.fromkeys(x.sku for x in command.lines if x.sku in known and known[x.sku].claims)
        more: dict[str, int] = {}
        at, here = command.occurred_at, ("", command.warehouse)
        for line in command.lines:
            if line.sku in reported:
                continue
            said, sums = units_of([line], line.sku), self._sums(command.op, line.sku)
            self._fact_move(
                line.sku, command.warehouse, line.source, line.target, line.quantity, at=at, even_zero=True
            )
            sums.claim(*here, ROUTE, said)
            rebook(sums, booked_of_arrivals(sums.claims, sums.lead))
            if at is None:
                self._note_times(line.sku, sums, here, said, said, at=None, now=now)
            more[line.sku] = more.get(line.sku, 0) + line.quantity
        for sku in dict.fromkeys(line.sku for line in command.lines if line.sku in reported):
            said, sums = units_of(command.lines, sku), self._sums(command.op, sku)
            sums.claim(*here, ROUTE, said)
            more[sku] = self._book_claims(command.kind, sums, sku, here, said, at=at, now=now)
        return more

    def _book_claims(
        self,
        kind: str,
        sums: Sums,
        sku: str,
        place: tuple[str, str],
        said: Units,
        *,
        at: int | None,
        now: int,
    ) -> int:
        """Book what a SKU's claims come to; return by how much all of it is more than before."""
        own, more = NO_UNITS, 0
        for change in rebook(sums, booked_of_arrivals(sums.claims, sums.lead)):
            self._move_units(kind, sku, change.warehouse, change.units, at)
            more += sum(change.units)
            if change[:2] == place:
                own = change.units
            else:
                self._forget_times(sku, sums, change, at=at, now=now)
        self._note_times(sku, sums, place, said, own, at=at, now=now)
        return more

    def _move_units(self, kind: str, sku: str, warehouse: str, change: Units, at: int | None) -> None:
        """Book a change by state; what turned out to be in another condition is moved between the two first."""
        units, outside = list(change[:2]), OUTSIDE_OF[kind]
        shelves = (Place.AVAILABLE, Place.DAMAGED)
        if kind != Adjust.kind and units[0] * units[1] < 0:
            source, target = (1, 0) if units[0] > 0 else (0, 1)
            some = min(map(abs, units))
            self._fact_move(sku, warehouse, shelves[source], shelves[target], some, at=at)
            units[source] += some
            units[target] -= some
        for shelf, count in zip(shelves, units, strict=True):
            ends = (outside, shelf) if count > 0 else (shelf, outside)
            self._fact_move(sku, warehouse, *ends, abs(count), at=at)

    def _booking_refusal(
        self, command: Book, skus: Iterable[str], on_hand: Mapping[tuple[str, str], int]
    ) -> Answer | None:
        if beyond_on_hand := self._missing(on_hand):
            return Answer(Outcome.BEYOND_ON_HAND, beyond_on_hand=beyond_on_hand)
        shortages = []
        for sku in skus:
            there = self.counts(sku, command.warehouse).damaged
            if there < 0:
                taken = sum(x.quantity for x in command.lines if x.sku == sku and x.source is Place.DAMAGED)
                shortages.append(Shortage(sku, command.warehouse, taken, there + taken))
        if shortages:
            return Answer(Outcome.INSUFFICIENT_DAMAGED, shortages=tuple(shortages))
        return None if self._all_fit(skus) else Answer(Outcome.QUANTITY_TOO_LARGE)

    def _all_fit(self, skus: Iterable[str]) -> bool:
        places = (place for sku in skus for place in self.stock.get(sku, {}).values())
        return all(abs(n) <= COUNT_MAX for place in places for state, n in place.items() if state in STATES)

    def _count(self, command: Count, now: int) -> Answer:
        counted_at = now if command.occurred_at is None else command.occurred_at
        at = counted_at + 1  # of two counts the later one stands
        shortages = self._damaged_shortages(command, at)
        if shortages:
            return Answer(Outcome.INSUFFICIENT_DAMAGED, shortages=shortages)
        if not self._fits(command, at):
            return Answer(Outcome.QUANTITY_TOO_LARGE)
        for line in command.lines:
            known = command.warehouse in self.stock.get(line.sku, {})
            if line.quantity == 0 and known:  # it agrees: the event says so without a move
                continue
            self._fact_move(
                line.sku, command.warehouse, line.source, line.target, line.quantity, at=at, even_zero=True
            )
        self._note_counts(command, min(counted_at, now))
        answer = Answer(Outcome.ADJUSTED)
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
            found = counts.on_hand if known else "new"
            if row.expected is not None and found not in {row.expected, row.on_hand}:
                continue
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

    def _exchange(self, command: Exchange, now: int) -> Answer:  # noqa: PLR0911 - an answer each
        """Do both halves on a copy first, so that a refusal leaves nothing behind."""
        if repeated := self.ops.get(command.op):
            return self._exchange_again(command, repeated)
        if command.lock.lock_id in self.locks:
            return Answer(Outcome.ID_REUSED, detail="lock")
        shipped = self.locks.get(command.lock_id) if command.lock_id else None
        if command.lock_id and shipped is None:
            return Answer(Outcome.UNKNOWN_LOCK)
        more = sums_of((line.sku, line.quantity) for line in command.returned)
        if shipped and (refusal := _return_refusal(shipped, more)):
            return refusal
        at = command.occurred_at
        back = Return(command.exchange_id, command.warehouse, command.returned)
        places = {x.sku: {w: dict(p) for w, p in self.stock.get(x.sku, {}).items()} for x in back.lines}
        trial = Bookings(self.order, self.stock | places, counted=self.counted, closed=self.closed)
        trial._take_back(back, at)
        _, refusal = trial._source(command.lock.lines, command.lock.warehouses)
        if refusal:  # nothing happened: what only the return would have made known stays unknown
            told = tuple(one._replace(unknown=one.sku not in self.stock) for one in refusal.shortages)
            return replace(refusal, shortages=told)
        if not self._fits(back, at):
            return Answer(Outcome.QUANTITY_TOO_LARGE)
        self._take_back(back, at)
        if shipped:
            for sku, units in more.items():
                shipped.returned[sku] = shipped.returned.get(sku, 0) + units
        locked = self._lock(command.lock, now)
        answer = replace(locked, outcome=Outcome.EXCHANGED)
        record = self.locks[command.lock.lock_id]
        self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _exchange_again(self, command: Exchange, repeated: Repeatable) -> Answer:
        if repeated.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        record = self.locks.get(command.lock.lock_id)
        same = record is not None and record is repeated.record
        status = record.view.status if record and same else LockStatus.HELD
        return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=status)

    def _take_back(self, back: Return, at: int | None) -> None:
        for line in back.lines:
            self._fact_move(
                line.sku, back.warehouse, line.source, line.target, line.quantity, at=at, even_zero=True
            )


def _return_refusal(record: LockRecord, more: Mapping[str, int]) -> Answer | None:
    """Refuse more of a SKU than was shipped for the lock and has not come back yet."""
    left = sums_of((line.sku, line.deducted) for line in record.view.lines)
    for sku, units in record.returned.items():  # an event may have reported more, or others
        left[sku] = max(0, left.get(sku, 0) - units)
    exceeding = beyond(more, left)
    return Answer(Outcome.QUANTITY_EXCEEDS_SHIPMENT, exceeding=exceeding) if exceeding else None


def _places_on_hand(command: Book) -> list[tuple[str, str]]:
    """The shelves of which no more may be taken than is there."""
    if not isinstance(command, Adjust) or not command.only_if_on_hand:
        return []
    return [(line.sku, command.warehouse) for line in command.lines]


def units_of(lines: Iterable[Booking], sku: str) -> Units:
    """Return what some lines say of a SKU, by state."""
    units = {Place.AVAILABLE: 0, Place.DAMAGED: 0}
    for line in lines:
        if line.sku == sku:
            for place, change in ((line.source, -line.quantity), (line.target, line.quantity)):
                if place in units:
                    units[place] += change
    return units[Place.AVAILABLE], units[Place.DAMAGED], 0
