"""The whole behaviour of stock and locks as plain Python: the specification, and the tests' oracle.

`Model.apply(command, now)` answers what the functions in `lua/` answer, and changes the same counts. It
knows neither servers nor epochs. Each `_<command>` is one command: check everything, then change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from app.domain import sourcing
from app.domain.answers import Answer, Excess, LockLine, LockView, TransferLine, TransferView
from app.domain.commands import (
    Adjust,
    Book,
    Buffer,
    Command,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    Receive,
    Replace,
    Return,
    Step,
    Transfer,
    TransferCancel,
    TransferReceive,
    TransferShip,
    TransferStep,
    Unlock,
    sum_arrivals,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import (
    COUNT_MAX,
    OPEN_STATUSES,
    STATES,
    TRANSFER_ENDED,
    LockStatus,
    Place,
    TransferStatus,
)


@dataclass(slots=True)
class LockRecord:
    """What is remembered of a lock.

    `original` is the creating answer, `request` what sourcing chose from, `returned` units by SKU that came back.
    """

    view: LockView
    original: LockView
    fingerprint: str
    request: tuple[tuple[Line, ...], tuple[str, ...]] | None
    given_back: bool = False
    returned: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class TransferRecord:
    """What is remembered of a transfer; `original` is the creating answer."""

    view: TransferView
    original: TransferView
    fingerprint: str


class Repeatable(NamedTuple):
    """What an id was used for, the answer it got, and the document it was used on, if on one."""

    fingerprint: str
    answer: Answer
    record: LockRecord | TransferRecord | None = None


class Moved(NamedTuple):
    """A move as the model notes it; `to_warehouse` is '' where it stays in one."""

    sku: str
    warehouse: str
    source: Place
    target: Place
    quantity: int
    to_warehouse: str = ""


@dataclass(slots=True)
class Model:
    """Every count, lock and id of one shard. `order` ranks warehouses where a request does not."""

    order: tuple[str, ...] = ()
    stock: dict[str, dict[str, dict[Place, int]]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    locks: dict[str, LockRecord] = field(default_factory=dict)
    transfers: dict[str, TransferRecord] = field(default_factory=dict)
    ops: dict[str, Repeatable] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)

    def apply(self, command: Command, now: int) -> Answer:
        """Do one command at `now` (ms since 1970) and answer; a refusal changes nothing."""
        match command:
            case Lock() | Exchange():
                return self._lock(command, now) if isinstance(command, Lock) else self._exchange(command, now)
            case Step():
                return self._step(command, now)
            case Expire():
                return self._expire(command, now)
            case Book():
                return self._book(command)
            case Opening() | Buffer():
                return self._opening(command) if isinstance(command, Opening) else self._buffer(command)
            case Transfer() | TransferStep():
                return self._of_transfer(command)

    def counts(self, sku: str, warehouse: str) -> Counts:
        """Return the counts of a SKU in a warehouse; zeros if it is unknown there."""
        place = self.stock.get(sku, {}).get(warehouse, {})
        return Counts(*(place.get(state, 0) for state in (*STATES, Place.BUFFER)))

    # Locks

    def _lock(self, command: Lock, now: int) -> Answer:
        known = self.locks.get(command.lock_id)
        if known:
            if known.fingerprint != command.fingerprint:
                return Answer(Outcome.ID_REUSED)
            return Answer(Outcome.REPEATED, known.original, current_status=known.view.status)
        sourced, shortages = self._source(command.lines, command.warehouses)
        if shortages:
            return Answer(Outcome.INSUFFICIENT_STOCK, shortages=shortages)
        self._take(sourced)
        expires_at = None if command.ttl_ms is None else now + command.ttl_ms
        view = LockView(command.lock_id, LockStatus.HELD, expires_at, sourced)
        request = _request(command.lines, command.warehouses)
        self.locks[command.lock_id] = LockRecord(view, view, command.fingerprint, request)
        return Answer(Outcome.LOCKED, view)

    def _step(self, command: Step, now: int) -> Answer:
        repeated = self.ops.get(command.op) if command.op else None
        if repeated and repeated.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        record = self.locks.get(command.lock_id)
        if record is None:
            return Answer(Outcome.UNKNOWN_LOCK)
        if repeated and repeated.record is record:  # else the lock it was used on is forgotten
            return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=record.view.status)
        answer = self._step_of(command, record, now)
        if command.op and answer.outcome in _DONE:
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _step_of(self, command: Step, record: LockRecord, now: int) -> Answer:
        match command:
            case Confirm():
                return self._confirm(record)
            case Extend():
                return self._extend(command, record, now)
            case Unlock():
                return self._unlock(command, record)
            case Deduct():
                return self._deduct(command, record)
            case Replace():
                return self._replace(command, record)
        raise AssertionError(command)

    def _confirm(self, record: LockRecord) -> Answer:
        view = record.view
        match view.status:
            case LockStatus.CONFIRMED | LockStatus.PARTLY_DEDUCTED | LockStatus.DEDUCTED:
                return Answer(Outcome.UNCHANGED, view)
            case LockStatus.RELEASED:
                return _illegal(record)
            case LockStatus.EXPIRED:
                return self._retake(record)
        record.view = view._replace(status=LockStatus.CONFIRMED, expires_at=None)
        return Answer(Outcome.CONFIRMED, record.view)

    def _retake(self, record: LockRecord) -> Answer:
        """Take an expired lock's stock again: sourced anew as asked, unless a step had changed its lines."""
        lines, warehouses = record.request or (_as_lines(record.view.lines), ())
        sourced, shortages = self._source(lines, warehouses)
        if shortages:
            return Answer(Outcome.LOCK_EXPIRED, record.view, shortages)
        self._take(sourced)
        record.view = LockView(record.view.lock_id, LockStatus.CONFIRMED, None, sourced)
        return Answer(Outcome.CONFIRMED, record.view)

    def _extend(self, command: Extend, record: LockRecord, now: int) -> Answer:
        if record.view.status is not LockStatus.HELD:
            return _illegal(record)
        record.view = record.view._replace(
            expires_at=None if command.ttl_ms is None else now + command.ttl_ms
        )
        return Answer(Outcome.EXTENDED, record.view)

    def _unlock(self, command: Unlock, record: LockRecord) -> Answer:
        view = record.view
        if view.status not in OPEN_STATUSES:
            repeats = command.lines is None and record.given_back
            return Answer(Outcome.UNCHANGED, view) if repeats else _illegal(record)
        taken, refusal = _take_from(view, command.lines)
        if refusal:
            return refusal
        self._move_lines(view.lines, taken, Place.LOCKED, Place.AVAILABLE)
        left = [line._replace(quantity=line.quantity - taken[i]) for i, line in enumerate(view.lines)]
        kept = tuple(line for line in left if line.quantity > 0)
        if any(line.outstanding for line in left):
            record.view, record.request = view._replace(lines=kept), None
        else:
            self._end_unlocked(record, kept)
        return Answer(Outcome.UNLOCKED, record.view)

    def _end_unlocked(self, record: LockRecord, kept: tuple[LockLine, ...]) -> None:
        """End a lock by giving back: as deducted if some of it shipped; else its lines say what it held."""
        record.given_back = True
        if kept:
            record.view = LockView(record.view.lock_id, LockStatus.DEDUCTED, None, kept)
        else:
            record.view = record.view._replace(status=LockStatus.RELEASED, expires_at=None)

    def _deduct(self, command: Deduct, record: LockRecord) -> Answer:
        view = record.view
        if view.status not in OPEN_STATUSES:
            return _illegal(record)
        taken, refusal = _take_from(view, command.lines)
        if refusal:
            return refusal
        self._move_lines(view.lines, taken, Place.LOCKED, Place.CUSTOMER)
        lines = tuple(line._replace(deducted=line.deducted + taken[i]) for i, line in enumerate(view.lines))
        left = any(line.outstanding for line in lines)
        status = LockStatus.PARTLY_DEDUCTED if left else LockStatus.DEDUCTED
        record.view = LockView(view.lock_id, status, None, lines)
        return Answer(Outcome.DEDUCTED, record.view)

    def _replace(self, command: Replace, record: LockRecord) -> Answer:
        view = record.view
        if view.status not in {LockStatus.HELD, LockStatus.CONFIRMED}:
            return _illegal(record)
        old = {(line.sku, line.warehouse): line.quantity for line in view.lines}
        sourced, shortages = self._source(command.lines, command.warehouses, old)
        if shortages:
            return Answer(Outcome.INSUFFICIENT_STOCK, shortages=shortages)
        new = {(line.sku, line.warehouse): line.quantity for line in sourced}
        for (sku, warehouse), had in old.items():
            self._move(sku, warehouse, Place.LOCKED, Place.AVAILABLE, had - new.get((sku, warehouse), 0))
        for (sku, warehouse), wanted in new.items():
            self._move(sku, warehouse, Place.AVAILABLE, Place.LOCKED, wanted - old.get((sku, warehouse), 0))
        record.view = view._replace(lines=sourced)
        record.request = _request(command.lines, command.warehouses)
        return Answer(Outcome.REPLACED, record.view)

    def _expire(self, command: Expire, now: int) -> Answer:
        record = self.locks.get(command.lock_id)
        if record is None or record.view.status is not LockStatus.HELD:
            return Answer(Outcome.NOT_DUE)
        if record.view.expires_at is None or record.view.expires_at > now:
            return Answer(Outcome.NOT_DUE)
        everything = [line.outstanding for line in record.view.lines]
        self._move_lines(record.view.lines, everything, Place.LOCKED, Place.AVAILABLE)
        record.view = record.view._replace(status=LockStatus.EXPIRED)
        return Answer(Outcome.EXPIRED, record.view)

    # Stock

    def _book(self, command: Book) -> Answer:
        repeated = self.ops.get(command.op)
        if repeated:
            same = repeated.fingerprint == command.fingerprint
            return Answer(Outcome.REPEATED if same else Outcome.ID_REUSED)
        record = None
        if isinstance(command, Return) and command.lock_id:
            record = self.locks.get(command.lock_id)
            if refusal := _return_refusal(command, record):
                return refusal
        shortages = self._damaged_shortages(command)
        if shortages:
            return Answer(Outcome.INSUFFICIENT_DAMAGED, shortages=shortages)
        if not self._fits(command):
            return Answer(Outcome.QUANTITY_TOO_LARGE)
        for line in command.lines:
            self._move(line.sku, command.warehouse, line.source, line.target, line.quantity, even_zero=True)
            if record:
                record.returned[line.sku] = record.returned.get(line.sku, 0) + line.quantity
        answer = Answer(_BOOKED[type(command)])
        self.ops[command.op] = Repeatable(command.fingerprint, answer)
        return answer

    def _changes(self, command: Book) -> Iterator[tuple[str, Place, int]]:
        for line in command.lines:
            yield line.sku, line.source, -line.quantity
            yield line.sku, line.target, line.quantity

    def _damaged_shortages(self, command: Book) -> tuple[Shortage, ...]:
        shortages = []
        for sku in dict.fromkeys(line.sku for line in command.lines):
            change = sum(n for s, place, n in self._changes(command) if s == sku and place is Place.DAMAGED)
            there = self.counts(sku, command.warehouse).damaged
            taken = sum(
                line.quantity for line in command.lines if line.sku == sku and line.source is Place.DAMAGED
            )
            if there + change < 0:
                shortages.append(Shortage(sku, command.warehouse, taken, there + change + taken))
        return tuple(shortages)

    def _fits(self, command: Book) -> bool:
        sums: dict[tuple[str, Place], int] = {}
        for sku, place, change in self._changes(command):
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
        back = Return(command.exchange_id, command.warehouse, command.returned)
        places = {x.sku: {w: dict(p) for w, p in self.stock.get(x.sku, {}).items()} for x in back.lines}
        trial = Model(self.order, self.stock | places)
        for line in back.lines:
            trial._move(line.sku, back.warehouse, line.source, line.target, line.quantity, even_zero=True)
        _, shortages = trial._source(command.lock.lines, command.lock.warehouses)
        if shortages:  # nothing happened: what only the return would have made known stays unknown
            told = tuple(one._replace(unknown=one.sku not in self.stock) for one in shortages)
            return Answer(Outcome.INSUFFICIENT_STOCK, shortages=told)
        if not self._fits(back):
            return Answer(Outcome.QUANTITY_TOO_LARGE)
        for line in back.lines:
            self._move(line.sku, back.warehouse, line.source, line.target, line.quantity, even_zero=True)
        locked = self._lock(command.lock, now)
        answer = replace(locked, outcome=Outcome.EXCHANGED)
        record = self.locks[command.lock.lock_id]
        self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    # Transfers

    def _of_transfer(self, command: Transfer | TransferStep) -> Answer:
        return self._transfer(command) if isinstance(command, Transfer) else self._transfer_step(command)

    def _transfer(self, command: Transfer) -> Answer:
        known = self.transfers.get(command.transfer_id)
        if known:
            if known.fingerprint != command.fingerprint:
                return Answer(Outcome.ID_REUSED)
            return Answer(Outcome.REPEATED, transfer=known.original, current_status=known.view.status)
        wanted = [Line(line.sku, line.quantity, command.source) for line in command.lines]
        promised, shortages = self._source(wanted, ())
        if shortages:
            return Answer(Outcome.INSUFFICIENT_STOCK, shortages=shortages)
        self._take(promised)
        lines = tuple(TransferLine(line.sku, line.quantity) for line in promised)
        view = TransferView(
            command.transfer_id, command.source, command.destination, TransferStatus.REQUESTED, lines
        )
        self.transfers[command.transfer_id] = TransferRecord(view, view, command.fingerprint)
        return Answer(Outcome.TRANSFER_REQUESTED, transfer=view)

    def _transfer_step(self, command: TransferStep) -> Answer:
        repeated = self.ops.get(command.op) if command.op else None
        if repeated and repeated.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        record = self.transfers.get(command.transfer_id)
        if record is None:
            return Answer(Outcome.UNKNOWN_TRANSFER)
        if repeated and repeated.record is record:  # else the transfer it was used on is forgotten
            return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=record.view.status)
        answer = self._transfer_step_of(command, record)
        if command.op and answer.outcome in _DONE:
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _transfer_step_of(self, command: TransferStep, record: TransferRecord) -> Answer:
        match command:
            case TransferShip():
                return self._ship(command, record)
            case TransferReceive():
                return self._receive_transfer(command, record)
            case TransferCancel():
                return self._cancel(record)
        raise AssertionError(command)

    def _ship(self, command: TransferShip, record: TransferRecord) -> Answer:
        view = record.view
        left = {line.sku: line.unshipped for line in view.lines}
        if not any(left.values()):
            return Answer(Outcome.TRANSFER_NOT_OPEN, transfer=view)
        taken = left if command.lines is None else _sums((x.sku, x.quantity) for x in command.lines)
        if exceeding := _beyond(taken, left):
            return Answer(Outcome.QUANTITY_EXCEEDS_TRANSFER, transfer=view, exceeding=exceeding)
        for line in view.lines:
            self._move(
                line.sku,
                view.source,
                Place.LOCKED,
                Place.IN_TRANSIT,
                taken.get(line.sku, 0),
                to_warehouse=view.destination,
            )
        lines = (line._replace(shipped=line.shipped + taken.get(line.sku, 0)) for line in view.lines)
        return _changed(record, Outcome.TRANSFER_SHIPPED, tuple(lines))

    def _receive_transfer(self, command: TransferReceive, record: TransferRecord) -> Answer:
        view = record.view
        if view.status in TRANSFER_ENDED:
            return Answer(Outcome.TRANSFER_NOT_OPEN, transfer=view)
        taken = _sums((x.sku, x.quantity + x.damaged + x.lost) for x in command.lines)
        if exceeding := _beyond(taken, {line.sku: line.in_transit for line in view.lines}):
            return Answer(Outcome.QUANTITY_EXCEEDS_TRANSFER, transfer=view, exceeding=exceeding)
        arrivals = {arrival.sku: arrival for arrival in sum_arrivals(command.lines)}
        lines = []
        for line in view.lines:
            _, good, damaged, lost = arrivals.get(line.sku, (line.sku, 0, 0, 0))
            self._move(line.sku, view.destination, Place.IN_TRANSIT, Place.AVAILABLE, good)
            self._move(line.sku, view.destination, Place.IN_TRANSIT, Place.DAMAGED, damaged)
            self._move(line.sku, view.destination, Place.IN_TRANSIT, Place.ADJUSTMENT, lost)
            sums = (line.received + good, line.damaged + damaged, line.lost + lost)
            lines.append(TransferLine(line.sku, line.quantity, line.shipped, *sums, line.cancelled))
        return _changed(record, Outcome.TRANSFER_RECEIVED, tuple(lines))

    def _cancel(self, record: TransferRecord) -> Answer:
        view = record.view
        if any(line.cancelled for line in view.lines):
            return Answer(Outcome.UNCHANGED, transfer=view)
        if not any(line.unshipped for line in view.lines):
            return Answer(Outcome.TRANSFER_NOT_OPEN, transfer=view)
        for line in view.lines:
            self._move(line.sku, view.source, Place.LOCKED, Place.AVAILABLE, line.unshipped)
        lines = tuple(line._replace(cancelled=line.unshipped) for line in view.lines)
        return _changed(record, Outcome.TRANSFER_CANCELLED, lines)

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

    # What the commands share

    def _source(
        self, lines: Sequence[Line], asked: Sequence[str], held: dict[tuple[str, str], int] | None = None
    ) -> tuple[tuple[LockLine, ...], tuple[Shortage, ...]]:
        """Source lines; what `held` holds already stays promised to its lock, even where stock is short."""
        present = {w for line in lines if not line.warehouse for w in self.stock.get(line.sku, {})}

        def room(sku: str, warehouse: str) -> int:
            return (held or {}).get((sku, warehouse), 0) + self.counts(sku, warehouse).sellable

        rank = sourcing.rank_of(asked, self.order, present)
        found = sourcing.source(lines, rank, room, self.stock.__contains__)
        shortages = tuple(item for item in found if isinstance(item, Shortage))
        taken = (item for item in found if isinstance(item, Line))
        return tuple(LockLine(line.sku, line.warehouse, line.quantity) for line in taken), shortages

    def _take(self, lines: Sequence[LockLine]) -> None:
        self._move_lines(lines, [line.quantity for line in lines], Place.AVAILABLE, Place.LOCKED)

    def _move_lines(
        self, lines: Sequence[LockLine], units: Sequence[int], source: Place, target: Place
    ) -> None:
        for line, quantity in zip(lines, units, strict=True):
            self._move(line.sku, line.warehouse, source, target, quantity)

    def _move(
        self,
        sku: str,
        warehouse: str,
        source: Place,
        target: Place,
        quantity: int,
        *,
        even_zero: bool = False,
        to_warehouse: str = "",
    ) -> None:
        if quantity <= 0 and not even_zero:
            return
        places = self.stock.setdefault(sku, {})
        here, there = places.setdefault(warehouse, {}), places.setdefault(to_warehouse or warehouse, {})
        here[source] = here.get(source, 0) - quantity
        there[target] = there.get(target, 0) + quantity
        self.versions[sku] = self.versions.get(sku, 0) + 1
        self.moves.append(Moved(sku, warehouse, source, target, quantity, to_warehouse))


_DONE = {
    Outcome.CONFIRMED,
    Outcome.EXTENDED,
    Outcome.UNLOCKED,
    Outcome.DEDUCTED,
    Outcome.REPLACED,
    Outcome.TRANSFER_SHIPPED,
    Outcome.TRANSFER_RECEIVED,
}
_BOOKED: dict[type[Book], Outcome] = {
    Receive: Outcome.RECEIVED,
    Return: Outcome.RETURNED,
    Adjust: Outcome.ADJUSTED,
    Count: Outcome.ADJUSTED,
}


def _sums(units: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for sku, quantity in units:
        sums[sku] = sums.get(sku, 0) + quantity
    return sums


def _beyond(asked: Mapping[str, int], left: Mapping[str, int]) -> tuple[Excess, ...]:
    """Return every SKU of which more is asked than there is left."""
    return tuple(
        Excess(sku, "", units, left.get(sku, 0)) for sku, units in asked.items() if units > left.get(sku, 0)
    )


def _return_refusal(command: Return, record: LockRecord | None) -> Answer | None:
    """Refuse more of a SKU than was shipped for the lock and has not come back yet."""
    if record is None:
        return Answer(Outcome.UNKNOWN_LOCK)
    left = _sums((line.sku, line.deducted) for line in record.view.lines)
    for sku, units in record.returned.items():
        left[sku] = left.get(sku, 0) - units  # nothing of another SKU may have come back before
    exceeding = _beyond(_sums((line.sku, line.quantity) for line in command.lines), left)
    return Answer(Outcome.QUANTITY_EXCEEDS_SHIPMENT, exceeding=exceeding) if exceeding else None


def _changed(record: TransferRecord, outcome: Outcome, lines: tuple[TransferLine, ...]) -> Answer:
    """Note a transfer's new lines, and the status that follows from them."""
    record.view = record.view._replace(lines=lines, status=_status_of(lines))
    return Answer(outcome, transfer=record.view)


def _status_of(lines: Sequence[TransferLine]) -> TransferStatus:
    shipped = any(line.shipped for line in lines)
    if any(line.unshipped for line in lines):
        return TransferStatus.PARTLY_SHIPPED if shipped else TransferStatus.REQUESTED
    if any(line.in_transit for line in lines):
        return TransferStatus.SHIPPED
    return TransferStatus.RECEIVED if shipped else TransferStatus.CANCELLED


def _illegal(record: LockRecord) -> Answer:
    expired = record.view.status is LockStatus.EXPIRED
    return Answer(Outcome.LOCK_EXPIRED if expired else Outcome.LOCK_NOT_HELD, record.view)


def _request(lines: Sequence[Line], asked: Sequence[str]) -> tuple[tuple[Line, ...], tuple[str, ...]] | None:
    """Keep what sourcing chose from; None if every line named its warehouse."""
    return None if all(line.warehouse for line in lines) else (tuple(lines), tuple(asked))


def _as_lines(lines: Sequence[LockLine]) -> tuple[Line, ...]:
    return tuple(Line(line.sku, line.quantity, line.warehouse) for line in lines)


def _take_from(view: LockView, wanted: Sequence[Line] | None) -> tuple[list[int], Answer | None]:
    """Return the units a step takes of each line (all that is left without `wanted`), or a refusal."""
    if wanted is None:
        return [line.outstanding for line in view.lines], None
    taken = [0] * len(view.lines)
    meant = [[i for i, line in enumerate(view.lines) if _means(want, line)] for want in wanted]
    if any(len(lines) > 1 for lines in meant):
        return taken, Answer(Outcome.WAREHOUSE_REQUIRED)
    for want, lines in zip(wanted, meant, strict=True):
        for i in lines:
            taken[i] += want.quantity
    exceeding = dict.fromkeys(_excesses(view, wanted, meant, taken))
    if exceeding:
        return taken, Answer(Outcome.QUANTITY_EXCEEDS_LOCK, view, exceeding=tuple(exceeding))
    return taken, None


def _excesses(
    view: LockView, wanted: Sequence[Line], meant: Sequence[Sequence[int]], taken: Sequence[int]
) -> Iterator[Excess]:
    for want, lines in zip(wanted, meant, strict=True):
        if not lines:
            yield Excess(want.sku, want.warehouse, want.quantity, 0)
        for i in lines:
            line = view.lines[i]
            if taken[i] > line.outstanding:
                yield Excess(line.sku, line.warehouse, taken[i], line.outstanding)


def _means(want: Line, line: LockLine) -> bool:
    here = want.warehouse in {"", line.warehouse}
    return want.sku == line.sku and here and line.outstanding > 0
