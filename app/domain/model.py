"""The whole behaviour of stock and locks as plain Python: the specification, and the tests' oracle.

`Model.apply(command, now)` answers what the functions in `lua/` answer, and changes the same counts. It
knows neither servers nor epochs. Each `_<command>` is one command: check everything, then change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from app.domain import sourcing
from app.domain.answers import Answer, Excess, LockLine, LockView, TransferLine, TransferView
from app.domain.commands import (
    Adjust,
    Book,
    Booking,
    Buffer,
    Command,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Fact,
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
    """What is remembered of a transfer; `original` is the creating answer.

    `implied` are units that arrived before anybody said that they had left: (sku, units, when they arrived).
    """

    view: TransferView
    original: TransferView
    fingerprint: str
    implied: list[tuple[str, int, int]] = field(default_factory=list)


class Repeatable(NamedTuple):
    """What an id was used for, the answer it got, and the document it was used on, if on one.

    `units` are those that an event told of under a document's id.
    """

    fingerprint: str
    answer: Answer
    record: LockRecord | TransferRecord | None = None
    units: int = 0


class Moved(NamedTuple):
    """A move as the model notes it; `to_warehouse` is '' where it stays in one, `occurred_at` None as its command."""

    sku: str
    warehouse: str
    source: Place
    target: Place
    quantity: int
    to_warehouse: str = ""
    occurred_at: int | None = None


TOLD = "events"
"""The fingerprint of a document that events of the inbox told of, a SKU at a time."""
_COUNTS_MAX = 8
ToldLine = TypeVar("ToldLine", Line, Booking)


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
    counted: dict[tuple[str, str], dict[int, bool]] = field(default_factory=dict)
    """When a SKU was counted in a warehouse, and whether its damaged units were too."""
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    """How far a source's numbered events of a warehouse are."""
    facts: int = 0
    """How many events of the inbox were noted, with moves or without."""

    def apply(self, command: Command, now: int) -> Answer:
        """Do one command at `now` (ms since 1970) and answer; a refusal changes nothing."""
        match command:
            case Lock() | Exchange():
                return self._lock(command, now) if isinstance(command, Lock) else self._exchange(command, now)
            case Step():
                return self._step(command, now)
            case Expire():
                return self._expire(command, now)
            case Book() | Fact():
                return self._fact(command) if isinstance(command, Fact) else self._book(command, now)
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
        is_told = repeated is not None and repeated.fingerprint == TOLD
        if repeated and repeated.fingerprint != command.fingerprint and not is_told:
            return Answer(Outcome.ID_REUSED)
        record = self.locks.get(command.lock_id)
        if record is None:
            return Answer(Outcome.UNKNOWN_LOCK)
        if repeated and is_told and isinstance(command, Deduct) and repeated.record is record:
            return self._deduct_untold(command, record)
        if (
            repeated and not is_told and repeated.record is record
        ):  # else the lock it was used on is forgotten
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
        at = (
            command.occurred_at if counted_at is None else counted_at + 1
        )  # of two counts the later one stands
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
            self._fact_move(
                line.sku, command.warehouse, line.source, line.target, line.quantity, at=at, even_zero=True
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
                    yield line.sku, _SHELVES[place], -change

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
        trial = Model(self.order, self.stock | places, counted=self.counted)
        trial._take_back(back, at)
        _, shortages = trial._source(command.lock.lines, command.lock.warehouses)
        if shortages:  # nothing happened: what only the return would have made known stays unknown
            told = tuple(one._replace(unknown=one.sku not in self.stock) for one in shortages)
            return Answer(Outcome.INSUFFICIENT_STOCK, shortages=told)
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
        is_told = repeated is not None and repeated.fingerprint == TOLD
        if repeated and repeated.fingerprint != command.fingerprint and not is_told:
            return Answer(Outcome.ID_REUSED)
        record = self.transfers.get(command.transfer_id)
        if record is None:
            return Answer(Outcome.UNKNOWN_TRANSFER)
        if repeated and is_told and repeated.record is record:
            return self._transfer_step_untold(command, record)
        if (
            repeated and not is_told and repeated.record is record
        ):  # else the transfer it was used on is forgotten
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
            self._fact_move(
                line.sku,
                view.source,
                Place.LOCKED,
                Place.IN_TRANSIT,
                taken.get(line.sku, 0),
                at=command.occurred_at,
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
            at = command.occurred_at
            self._fact_move(line.sku, view.destination, Place.IN_TRANSIT, Place.AVAILABLE, good, at=at)
            self._fact_move(line.sku, view.destination, Place.IN_TRANSIT, Place.DAMAGED, damaged, at=at)
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

    # Events of warehouse systems

    def _fact(self, command: Fact) -> Answer:
        known = self.ops.get(command.op)
        if known:
            same = known.fingerprint == command.fingerprint
            return Answer(Outcome.REPEATED if same else Outcome.ID_REUSED)
        if command.mode == "drop":
            return self._keep(command, Outcome.DROPPED)
        if self._is_early(command) and command.mode not in {"force", "pass"}:
            return Answer(Outcome.EARLY)
        return self._hold(command) if command.mode in {"hold", "pass"} else self._new_fact(command)

    def _new_fact(self, command: Fact) -> Answer:
        record = self._record_of(command)
        before = self._told_before(command, record)
        if before is Outcome.REPEATED:
            return self._keep(command, before)
        if before and command.mode != "force":
            return self._hold(command, before)
        return self._book_fact(command, record, ids=not before)

    def _hold(self, command: Fact, outcome: Outcome = Outcome.HELD) -> Answer:
        """Let those behind it pass: its place in the sequence is taken, its id is not."""
        if command.sequence is not None and command.sequence > self._last(command):
            self.sequences[command.source, command.warehouse] = command.sequence
            self.facts += 1
        return Answer(outcome)

    def _last(self, command: Fact) -> int:
        return self.sequences.get((command.source, command.warehouse), 0)

    def _is_early(self, command: Fact) -> bool:
        return command.sequence is not None and command.sequence > self._last(command) + 1

    def _keep(self, command: Fact, outcome: Outcome) -> Answer:
        """Note an event: its id, and its place in the sequence."""
        answer = Answer(outcome)
        self.facts += 1
        self.ops[command.op] = Repeatable(command.fingerprint, answer, self._record_of(command))
        passes = not self._is_early(command) or command.mode == "force"
        if command.sequence is not None and passes:
            last = max(self._last(command), command.sequence)
            self.sequences[command.source, command.warehouse] = last
        return answer

    def _record_of(self, command: Fact) -> LockRecord | TransferRecord | None:
        if command.type in {"shipped", "returned"}:
            return self.locks.get(command.document_id)
        return self.transfers.get(command.document_id) if command.type.startswith("transfer_") else None

    def _told_before(self, command: Fact, record: LockRecord | TransferRecord | None) -> Outcome | None:
        """Whether another event or a route told of the same document and SKU: REPEATED or OTHER_CONTENT."""
        if not command.document_op:
            return None
        its = None if command.type == "returned" else record
        known = self.ops.get(_told_op(command.document_op, command.sku, command.warehouse))
        if known and (its is None or known.record is its):
            same = known.fingerprint == command.content
            return Outcome.REPEATED if same else Outcome.OTHER_CONTENT
        route = self.ops.get(command.document_op)
        if route is None or route.fingerprint == TOLD or (its is not None and route.record is not its):
            return None
        return Outcome.REPEATED if _has_line(command, its) else None

    def _book_fact(self, command: Fact, record: LockRecord | TransferRecord | None, *, ids: bool) -> Answer:
        """Book on trial: a refusal takes back what was noted so far."""
        places = {w: dict(p) for w, p in self.stock.get(command.sku, {}).items()}
        version, moved = self.versions.get(command.sku, 0), len(self.moves)
        refusal = self._moves_of(command, record) or self._damaged_of(command)
        counts = self.stock.get(command.sku, {}).values()
        if not refusal and any(abs(n) > COUNT_MAX for p in counts for s, n in p.items() if s in STATES):
            refusal = Outcome.QUANTITY_TOO_LARGE
        if refusal:
            del self.moves[moved:]
            self.stock.pop(command.sku, None)
            self.versions.pop(command.sku, None)
            if places:
                self.stock[command.sku], self.versions[command.sku] = places, version
            return self._hold(command, refusal)
        self._note_fact(command, record)
        answer = self._keep(command, Outcome.BOOKED)
        if command.document_op and ids:
            self._note_told(command, record)
        return answer

    def _note_told(self, command: Fact, record: LockRecord | TransferRecord | None) -> None:
        units = abs(command.quantity) + command.damaged + command.lost
        op = _told_op(command.document_op, command.sku, command.warehouse)
        self.ops[op] = Repeatable(command.content, Answer(Outcome.BOOKED), record, units)
        known = self.ops.get(command.document_op)
        if known is None or known.fingerprint == TOLD:
            self.ops[command.document_op] = Repeatable(TOLD, Answer(Outcome.BOOKED), record)

    def _moves_of(self, command: Fact, record: LockRecord | TransferRecord | None) -> Outcome | None:
        if command.document_id and record is None and command.mode != "force":
            if command.type in {"shipped", "returned"}:
                return Outcome.UNKNOWN_LOCK
            if command.type.startswith("transfer_"):
                return Outcome.UNKNOWN_TRANSFER
        match command.type:
            case "received":
                self._of_fact(command, Place.SUPPLIER, Place.AVAILABLE, command.quantity)
                self._of_fact(command, Place.SUPPLIER, Place.DAMAGED, command.damaged)
            case "returned":
                self._of_fact(command, Place.CUSTOMER, command.state, command.quantity)
            case "adjusted":
                ways = (command.state, Place.ADJUSTMENT)
                source, target = ways if command.quantity < 0 else ways[::-1]
                self._of_fact(command, source, target, abs(command.quantity))
            case "shipped":
                its = _held_by(command, record)
                self._of_fact(command, Place.LOCKED, Place.CUSTOMER, its)
                self._of_fact(command, Place.AVAILABLE, Place.CUSTOMER, command.quantity - its)
            case "transfer_shipped":
                self._leaves(command, record)
            case "transfer_received":
                self._arrives(command, record)
        return None

    def _of_fact(self, command: Fact, source: Place, target: Place, units: int) -> None:
        self._fact_move(command.sku, command.warehouse, source, target, units, at=command.occurred_at)

    def _damaged_of(self, command: Fact) -> Outcome | None:
        """Damaged units never go below zero: those that were not damaged are missing from the others."""
        missing = -self.counts(command.sku, command.warehouse).damaged
        if missing <= 0:
            return None
        if command.mode != "force":
            return Outcome.INSUFFICIENT_DAMAGED
        self._move(command.sku, command.warehouse, Place.AVAILABLE, Place.DAMAGED, missing)
        return None

    def _note_fact(self, command: Fact, record: LockRecord | TransferRecord | None) -> None:
        """Change the lock's record; a transfer's was changed with the moves, which no refusal follows."""
        if not isinstance(record, LockRecord):
            return
        if command.type == "returned":
            record.returned[command.sku] = record.returned.get(command.sku, 0) + command.quantity
        elif its := _held_by(command, record):
            view, here = record.view, (command.sku, command.warehouse)
            lines = tuple(
                line._replace(deducted=line.deducted + its * ((line.sku, line.warehouse) == here))
                for line in view.lines
            )
            left = any(line.outstanding for line in lines)
            status = LockStatus.PARTLY_DEDUCTED if left else LockStatus.DEDUCTED
            record.view = LockView(view.lock_id, status, None, lines)

    def _leaves(self, command: Fact, record: LockRecord | TransferRecord | None) -> None:
        left = command.quantity
        line = _line_of(command, record)
        if isinstance(record, TransferRecord) and line:
            left = self._take_implied(command, record)
            units = min(left, line.unshipped)
            self._leave(command, record, units)
            left -= units
        self._of_fact(command, Place.AVAILABLE, Place.ADJUSTMENT, left)

    def _leave(self, command: Fact, record: TransferRecord, units: int) -> None:
        self._fact_move(
            command.sku,
            record.view.source,
            Place.LOCKED,
            Place.IN_TRANSIT,
            units,
            at=command.occurred_at,
            to_warehouse=record.view.destination,
        )
        _change_line(record, command.sku, shipped=units)

    def _take_implied(self, command: Fact, record: TransferRecord) -> int:
        """What arrived before: now it is known when it left; what was counted in between must stand."""
        left, rest = command.quantity, []
        for sku, units, noted_at in record.implied:
            taken = min(left, units) if sku == command.sku else 0
            if taken and command.occurred_at < noted_at:
                self._of_fact(command, Place.AVAILABLE, Place.ADJUSTMENT, taken)
                where = (command.sku, command.warehouse, Place.ADJUSTMENT, Place.AVAILABLE)
                self._fact_move(*where, taken, at=noted_at, occurred_at=noted_at)
            left -= taken
            if units > taken:
                rest.append((sku, units - taken, noted_at))
        record.implied = rest
        return left

    def _arrives(self, command: Fact, record: LockRecord | TransferRecord | None) -> None:
        covered, total = 0, command.quantity + command.damaged + command.lost
        line = _line_of(command, record)
        if isinstance(record, TransferRecord) and line:
            early = min(max(0, total - line.in_transit), line.unshipped)
            if early:
                self._leave(command, record, early)
                record.implied = [*record.implied, (command.sku, early, command.occurred_at)]
            covered = min(total, line.in_transit + early)
        ways = (
            ("received", command.quantity, Place.AVAILABLE),
            ("damaged", command.damaged, Place.DAMAGED),
            ("lost", command.lost, Place.ADJUSTMENT),
        )
        for name, units, target in ways:
            its = min(units, covered)
            covered -= its
            self._of_fact(command, Place.IN_TRANSIT, target, its)
            if target is not Place.ADJUSTMENT:
                self._of_fact(command, Place.ADJUSTMENT, target, units - its)
            if isinstance(record, TransferRecord) and line:
                _change_line(record, command.sku, **{name: its})

    def _untold(
        self, op: str, lines: Sequence[ToldLine], warehouses: Mapping[str, Sequence[str]]
    ) -> tuple[ToldLine, ...] | None:
        """Return the lines that no event told of; None if one told of other units of the same SKU."""
        told: dict[str, int] = {}
        for sku in dict.fromkeys(line.sku for line in lines):
            ops = (self.ops.get(_told_op(op, sku, warehouse)) for warehouse in warehouses.get(sku, ()))
            if known := [one.units for one in ops if one]:
                told[sku] = sum(known)
        asked = _sums((line.sku, line.quantity) for line in lines)
        if any(asked[sku] != units for sku, units in told.items()):
            return None
        return tuple(line for line in lines if line.sku not in told)

    def _deduct_untold(self, command: Deduct, record: LockRecord) -> Answer:
        """Deduct what of a shipment no event told of."""
        lines = command.lines
        if lines is None:
            if record.view.status not in OPEN_STATUSES:
                return Answer(Outcome.UNCHANGED, record.view)
        else:
            held: dict[str, list[str]] = {}
            for line in record.view.lines:
                held.setdefault(line.sku, []).append(line.warehouse)
            lines = self._untold(command.op, lines, held)
            if not lines:
                return Answer(Outcome.ID_REUSED) if lines is None else Answer(Outcome.UNCHANGED, record.view)
        answer = self._deduct(replace(command, lines=lines), record)
        if answer.outcome in _DONE:
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _transfer_step_untold(self, command: TransferStep, record: TransferRecord) -> Answer:
        """Ship or receive what no event told of."""
        left: TransferStep | None = command
        if isinstance(command, TransferShip) and command.lines is None:
            left = command if any(line.unshipped for line in record.view.lines) else None
        elif isinstance(command, TransferShip) and command.lines is not None:
            there = {line.sku: [record.view.source] for line in command.lines}
            lines = self._untold(command.op, command.lines, there)
            if lines is None:
                return Answer(Outcome.ID_REUSED)
            left = replace(command, lines=lines) if lines else None
        elif isinstance(command, TransferReceive):
            there = {line.sku: [record.view.destination] for line in command.lines}
            sums = tuple(Line(x.sku, x.quantity + x.damaged + x.lost) for x in command.lines)
            untold = self._untold(command.op, sums, there)
            if untold is None:
                return Answer(Outcome.ID_REUSED)
            skus = {line.sku for line in untold}
            arrivals = tuple(line for line in command.lines if line.sku in skus)
            left = replace(command, lines=arrivals) if arrivals else None
        if left is None:
            return Answer(Outcome.UNCHANGED, transfer=record.view)
        answer = self._transfer_step_of(left, record)
        if answer.outcome in _DONE:
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _note_counts(self, command: Book, at: int) -> None:
        damaged: dict[str, bool] = {}
        for line in command.lines:
            damaged[line.sku] = damaged.get(line.sku, False) or Place.DAMAGED in {line.source, line.target}
        for sku, too in damaged.items():
            counts = self.counted.setdefault((sku, command.warehouse), {})
            counts[at] = counts.get(at, False) or too
            if len(counts) > _COUNTS_MAX:
                del counts[min(counts)]

    def _counted_since(self, sku: str, warehouse: str, place: Place, at: int | None) -> int | None:
        """When the shelf of a place was counted first, at `at` or later."""
        if at is None or place not in _SHELVES:
            return None
        counts = self.counted.get((sku, warehouse), {})
        found = (when for when, too in counts.items() if when >= at and (place is not Place.DAMAGED or too))
        return min(found, default=None)

    def _fact_move(
        self,
        sku: str,
        warehouse: str,
        source: Place,
        target: Place,
        quantity: int,
        *,
        at: int | None,
        even_zero: bool = False,
        to_warehouse: str = "",
        occurred_at: int | None = None,
    ) -> None:
        """Move what happened at `at`, and the opposite on each shelf that was counted since."""
        self._move(
            sku,
            warehouse,
            source,
            target,
            quantity,
            even_zero=even_zero,
            to_warehouse=to_warehouse,
            occurred_at=occurred_at,
        )
        if quantity <= 0:
            return
        for place, where, gone in (
            (source, warehouse, True),
            (target, to_warehouse or warehouse, False),
        ):
            counted_at = self._counted_since(sku, where, place, at)
            if counted_at is not None:
                ways = (_SHELVES[place], Place.ADJUSTMENT)
                back, to = ways[::-1] if gone else ways
                self._move(sku, where, back, to, quantity, occurred_at=counted_at)

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
        occurred_at: int | None = None,
    ) -> None:
        if quantity <= 0 and not even_zero:
            return
        places = self.stock.setdefault(sku, {})
        here, there = places.setdefault(warehouse, {}), places.setdefault(to_warehouse or warehouse, {})
        here[source] = here.get(source, 0) - quantity
        there[target] = there.get(target, 0) + quantity
        self.versions[sku] = self.versions.get(sku, 0) + 1
        self.moves.append(Moved(sku, warehouse, source, target, quantity, to_warehouse, occurred_at))


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


_SHELVES = {
    Place.AVAILABLE: Place.AVAILABLE,
    Place.LOCKED: Place.AVAILABLE,
    Place.DAMAGED: Place.DAMAGED,
}
"""What a count sees of a place, and where it corrects it."""


def _told_op(op: str, sku: str, warehouse: str) -> str:
    """The id under which an event told of one SKU of a document; a brace cannot occur in a code."""
    return f"{op}{{{sku}{{{warehouse}"


def _has_line(command: Fact, record: LockRecord | TransferRecord | None) -> bool:
    """Whether a route's document, whose SKUs are not kept, was about this one: so its record says."""
    match record:
        case LockRecord():
            return any(line.sku == command.sku and line.deducted for line in record.view.lines)
        case TransferRecord():
            lines = [line for line in record.view.lines if line.sku == command.sku]
            if command.type == "transfer_shipped":
                return any(line.shipped for line in lines)
            return any(line.in_transit < line.shipped for line in lines)
    return True


def _held_by(command: Fact, record: LockRecord | TransferRecord | None) -> int:
    """Units of a shipment that its lock holds in the warehouse."""
    if not isinstance(record, LockRecord) or record.view.status not in OPEN_STATUSES:
        return 0
    here = (command.sku, command.warehouse)
    held = sum(line.outstanding for line in record.view.lines if (line.sku, line.warehouse) == here)
    return min(held, command.quantity)


def _line_of(command: Fact, record: LockRecord | TransferRecord | None) -> TransferLine | None:
    """The transfer's line that an event is about, if it happened where the transfer says."""
    if not isinstance(record, TransferRecord):
        return None
    end = record.view.source if command.type == "transfer_shipped" else record.view.destination
    found = (line for line in record.view.lines if line.sku == command.sku)
    return next(found, None) if end == command.warehouse else None


def _change_line(record: TransferRecord, sku: str, **units: int) -> None:
    """Add units to a line's counts, by name, and note the status that follows."""
    lines = tuple(
        line._replace(**{name: getattr(line, name) + n for name, n in units.items()})
        if line.sku == sku
        else line
        for line in record.view.lines
    )
    record.view = record.view._replace(lines=lines, status=_status_of(lines))


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
    for sku, units in record.returned.items():  # an event may have told of more, or of others
        left[sku] = max(0, left.get(sku, 0) - units)
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
