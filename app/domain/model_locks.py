"""Locks: what an order holds, from the creation to the shipment or the end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from app.domain.answers import Answer, Excess, LockLine, LockView
from app.domain.commands import (
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    Remember,
    Reopen,
    Replace,
    Step,
    Unlock,
    Void,
)
from app.domain.model_shelves import ENDED_BY_STEP, VOID, LockRecord, Moved, Repeatable
from app.domain.model_shipments import Order
from app.domain.model_voids import Voids
from app.domain.outcomes import WRITTEN, Outcome
from app.domain.sourcing import Holding, Shortage, merge, stay
from app.domain.words import (
    LINES_MAX,
    OPEN_STATUSES,
    LockStatus,
    Place,
)


class Locks(Voids):
    """The commands of checkout."""

    __slots__ = ()

    def _lock(self, command: Lock, now: int) -> Answer:
        known = self.locks.get(command.lock_id)
        if known:
            if known.fingerprint not in {"", command.fingerprint}:
                return Answer(Outcome.ID_REUSED)
            if known.view.status not in OPEN_STATUSES:
                return _ended_answer(known)
            return Answer(Outcome.REPEATED, known.original, current_status=known.view.status)
        sourced, refusal = self._source(command.lines, command.warehouses)
        if refusal:
            return refusal
        self._take(sourced)
        expires_at = None if command.ttl_ms is None else now + command.ttl_ms
        view = LockView(command.lock_id, LockStatus.HELD, expires_at, sourced)
        request = _request(command.lines, command.warehouses)
        self.locks[command.lock_id] = LockRecord(view, view, command.fingerprint, request)
        return Answer(Outcome.LOCKED, view)

    def _remember(self, command: Remember) -> Answer:
        known = self.locks.get(command.lock_id)
        if known:
            return Answer(Outcome.UNCHANGED, known.view)
        view = LockView(command.lock_id, LockStatus.RELEASED, None, ())
        self.locks[command.lock_id] = LockRecord(view, view, "", None, given_back=True)
        return Answer(Outcome.UNLOCKED, view)

    def _step(self, command: Step, now: int) -> Answer:
        repeated = self.ops.get(command.op) if command.op else None
        if repeated and repeated.fingerprint != command.fingerprint:
            voided = isinstance(command, Deduct) and repeated.fingerprint == VOID
            return Answer(Outcome.SHIPMENT_VOIDED if voided else Outcome.ID_REUSED)
        record = self.locks.get(command.lock_id)
        if record is None:
            return Answer(Outcome.UNKNOWN_LOCK)
        # Else the lock that it was used on is forgotten.
        if repeated and repeated.record is record:
            return _again(repeated, record)
        noted = self.facts
        answer = self._step_of(command, record, now)
        if command.op and (answer.outcome in WRITTEN or self.facts > noted):
            stands = bool(answer.beyond_on_hand)
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record, stands=stands)
        return answer

    def _step_of(self, command: Step, record: LockRecord, now: int) -> Answer:
        match command:
            case Confirm():
                return self._confirm(record)
            case Extend():
                return self._extend(command, record, now)
            case Unlock():
                return self._unlock(command, record)
            case Deduct() | Void():
                return self._of_shipment(command, record, now)
            case Replace():
                return self._replace(command, record, now)
            case Reopen():
                return self._reopen(command, record, now)
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
        return Answer(Outcome.CONFIRMED, record.change(status=LockStatus.CONFIRMED, expires_at=None))

    def _retake(self, record: LockRecord) -> Answer:
        """Take an expired lock's stock again: sourced anew as asked, unless a step had changed its lines."""
        sourced, refusal = self._source_again(record)
        if refusal and refusal.outcome is Outcome.INSUFFICIENT_STOCK:
            return Answer(Outcome.LOCK_EXPIRED, record.view, refusal.shortages)
        if refusal:
            return refusal
        self._take(sourced)
        view = record.change(status=LockStatus.CONFIRMED, expires_at=None, lines=sourced)
        return Answer(Outcome.CONFIRMED, view)

    def _source_again(self, record: LockRecord) -> tuple[tuple[LockLine, ...], Answer | None]:
        lines, warehouses = record.request or (_as_lines(record.view.lines), ())
        return self._source(lines, warehouses)

    def _reopen(self, command: Reopen, record: LockRecord, now: int) -> Answer:
        view = record.view
        if view.status is LockStatus.HELD:
            return Answer(Outcome.UNCHANGED, view)
        ended = view.status in {LockStatus.EXPIRED, LockStatus.RELEASED}
        if not ended or not record.fingerprint or any(line.deducted for line in view.lines):
            return Answer(Outcome.LOCK_NOT_HELD, view)
        sourced, refusal = self._source_again(record)
        if refusal:
            return refusal
        self._take(sourced)
        self._keep_ending(record)
        record.given_back = False
        expires_at = _expiry(command.ttl_ms, now)
        view = record.change(status=LockStatus.HELD, expires_at=expires_at, lines=sourced)
        return Answer(Outcome.REOPENED, view)

    def _extend(self, command: Extend, record: LockRecord, now: int) -> Answer:
        if record.view.status is not LockStatus.HELD:
            return _illegal(record)
        return Answer(Outcome.EXTENDED, record.change(expires_at=_expiry(command.ttl_ms, now)))

    def _unlock(self, command: Unlock, record: LockRecord) -> Answer:
        view = record.view
        if view.status not in OPEN_STATUSES:
            repeats = command.lines is None and record.given_back
            return Answer(Outcome.UNCHANGED, view) if repeats else _illegal(record)
        taken, refusal = _take_from(view, command.lines, takes_whole=True)
        if refusal:
            return refusal
        self._move_lines(view.lines, taken, Place.LOCKED, Place.AVAILABLE)
        left = [line._replace(quantity=line.quantity - taken[i]) for i, line in enumerate(view.lines)]
        kept = tuple(line for line in left if line.quantity > 0)
        if any(line.outstanding for line in left):
            record.request = _request(_as_lines(kept), record.ranked)
            record.change(lines=kept)
        else:
            self._end_unlocked(record, kept)
        return Answer(Outcome.UNLOCKED, record.view)

    def _end_unlocked(self, record: LockRecord, kept: tuple[LockLine, ...]) -> None:
        """End a lock by giving back: as deducted if some of it shipped; else its lines say what it held."""
        record.given_back = True
        if kept:
            record.change(status=LockStatus.DEDUCTED, expires_at=None, lines=kept)
        else:
            record.change(status=LockStatus.RELEASED, expires_at=None)

    def _of_shipment(self, command: Deduct | Void, record: LockRecord, now: int) -> Answer:
        return (
            self._deduct(command, record, now)
            if isinstance(command, Deduct)
            else self._void(command, record, now)
        )

    def _deduct(self, command: Deduct, record: LockRecord, now: int) -> Answer:
        order, lines = Order(record), command.lines
        skus = [line.sku for line in (order.lines if lines is None else lines)]
        before = self._reported_before(command.family, command.key, lines, skus)
        if before is not None:
            return Answer(before, record.view if before is Outcome.UNCHANGED else None)
        known = {sku for sku in skus if self._is_reported(command.family, sku)}
        plain = None if lines is None else [line for line in lines if line.sku not in known]
        if plain and not order.is_open:
            return _illegal(record)
        taken = [0] * len(order.lines)
        if (plain is None or plain) and order.is_open:
            taken, refusal = _take_from(record.view, plain)
            if refusal:
                return refusal
            if plain is None:
                taken = [0 if x.sku in known else n for x, n in zip(order.lines, taken, strict=True)]
        asked = self._places_of(
            order, command, None if lines is None else [line for line in lines if line.sku in known]
        )
        if isinstance(asked, Answer):
            return asked
        if not order.is_open and not asked:
            return _illegal(record)
        return self._ship(order, command, taken, asked, now)

    def _ship(
        self,
        order: Order,
        command: Deduct,
        taken: Sequence[int],
        asked: Sequence[tuple[str, list[tuple[str, int]]]],
        now: int,
    ) -> Answer:
        """Book a shipment, on trial: a refusal takes back what was booked of it so far."""
        record, moved = order.record, len(self.moves)
        kept = self._kept([line.sku for line in order.lines] + [sku for sku, _ in asked], command.family)
        places = [line[:2] for line, units in zip(order.lines, taken, strict=True) if units]
        on_hand = self._on_hand(places + [(sku, warehouse) for sku, its in asked for warehouse, _ in its])
        self._ship_plain(order, command, taken, now)
        exceeding = self._ship_reported(order, command, asked, now)
        beyond = self._missing(on_hand)
        if exceeding or (beyond and command.only_if_on_hand):
            self._put_back(kept, moved, command.family)
            if exceeding and not order.is_open:
                return _illegal(record)
            if exceeding:
                return Answer(Outcome.QUANTITY_EXCEEDS_LOCK, record.view, exceeding=exceeding)
            return Answer(Outcome.BEYOND_ON_HAND, record.view, beyond_on_hand=beyond)
        if len(self.moves) == moved:
            self.facts += 1
            return Answer(Outcome.UNCHANGED, record.view)
        order.settle()
        self.shipped[command.op] = _left_in(self.moves[moved:])
        return Answer(Outcome.DEDUCTED, record.view, beyond_on_hand=beyond)

    def _replace(self, command: Replace, record: LockRecord, now: int) -> Answer:
        if refusal := _replace_refusal(command, record):
            return refusal
        old_lines = record.view.lines
        ranked = command.warehouses or record.ranked
        old = {(line.sku, line.warehouse): line.outstanding for line in old_lines}
        holdings = [Holding(*place, units) for place, units in old.items()]
        stayed = stay(command.lines, holdings, command.warehouses or None)
        sourced, refusal = self._source(stayed, ranked, old)
        if refusal:
            told = tuple(_as_asked(shortage, command.lines) for shortage in refusal.shortages)
            return replace(refusal, shortages=told)
        self._swap(old, {(line.sku, line.warehouse): line.quantity for line in sourced})
        changes: dict[str, Any] = {"lines": _beside_shipped(old_lines, sourced)}
        if command.renews:
            changes["expires_at"] = _expiry(command.ttl_ms, now)
        record.request = _request(command.lines, ranked)
        return Answer(Outcome.REPLACED, record.change(**changes))

    def _swap(self, old: dict[tuple[str, str], int], new: dict[tuple[str, str], int]) -> None:
        for (sku, warehouse), had in old.items():
            self._move(sku, warehouse, Place.LOCKED, Place.AVAILABLE, had - new.get((sku, warehouse), 0))
        for (sku, warehouse), wanted in new.items():
            self._move(sku, warehouse, Place.AVAILABLE, Place.LOCKED, wanted - old.get((sku, warehouse), 0))

    def _expire(self, command: Expire, now: int) -> Answer:
        record = self.locks.get(command.lock_id)
        if record is None or record.view.status is not LockStatus.HELD:
            return Answer(Outcome.NOT_DUE)
        vouched = now if command.now_max is None else min(now, command.now_max)
        if record.view.expires_at is None or record.view.expires_at > vouched:
            return Answer(Outcome.NOT_DUE)
        everything = [line.outstanding for line in record.view.lines]
        self._move_lines(record.view.lines, everything, Place.LOCKED, Place.AVAILABLE)
        return Answer(Outcome.EXPIRED, record.change(status=LockStatus.EXPIRED))


def _again(repeated: Repeatable, record: LockRecord) -> Answer:
    """Answer a repeat as at first; of a step that ended its lock for good the record is the answer."""
    answer, lock = repeated.answer, repeated.answer.lock
    if lock is not None and lock.status in ENDED_BY_STEP and not repeated.stands:
        lock = record.view
    return replace(answer, outcome=Outcome.REPEATED, lock=lock, current_status=record.view.status)


def _left_in(moves: Sequence[Moved]) -> tuple[Line, ...]:
    """Return what some moves took to the customer."""
    units: dict[tuple[str, str], int] = {}
    for move in moves:
        sign = (move.target is Place.CUSTOMER) - (move.source is Place.CUSTOMER)
        units[move.sku, move.warehouse] = units.get((move.sku, move.warehouse), 0) + sign * move.quantity
    return tuple(Line(sku, left, warehouse) for (sku, warehouse), left in units.items() if left > 0)


def _illegal(record: LockRecord) -> Answer:
    expired = record.view.status is LockStatus.EXPIRED
    return Answer(Outcome.LOCK_EXPIRED if expired else Outcome.LOCK_NOT_HELD, record.view)


def _ended_answer(record: LockRecord) -> Answer:
    """The repeat of a creation whose lock has ended: its state now, and what was answered first."""
    first = LockStatus.HELD if record.fingerprint else None
    return Answer(Outcome.REPEATED, record.view, current_status=record.view.status, original_status=first)


def _replace_refusal(command: Replace, record: LockRecord) -> Answer | None:
    view = record.view
    if command.version not in {None, view.version}:
        return Answer(Outcome.LOCK_CHANGED, view)
    if view.status not in OPEN_STATUSES or (command.renews and view.status is not LockStatus.HELD):
        return _illegal(record)
    shipped = sum(1 for line in view.lines if line.deducted)
    if shipped and shipped + len(merge(command.lines)) > LINES_MAX:
        return Answer(Outcome.TOO_MANY_LINES)
    return None


def _as_asked(shortage: Shortage, lines: Sequence[Line]) -> Shortage:
    """Tell a shortage of what was asked for, of which the lock may keep some where it is."""
    asked = sum(line.quantity for line in lines if (line.sku, line.warehouse) == shortage[:2])
    kept = 0 if shortage.warehouse else asked - shortage.requested
    return shortage._replace(requested=shortage.requested + kept, sellable=shortage.sellable + kept)


def _beside_shipped(old: Sequence[LockLine], new: Sequence[LockLine]) -> tuple[LockLine, ...]:
    """Return what shipped, and then the new lines, those of one SKU and warehouse together."""
    lines = {(x.sku, x.warehouse): x._replace(quantity=x.deducted) for x in old if x.deducted}
    for line in new:
        known = lines.get((line.sku, line.warehouse), line._replace(quantity=0))
        lines[line.sku, line.warehouse] = known._replace(quantity=known.quantity + line.quantity)
    return tuple(lines.values())


def _expiry(ttl_ms: int | None, now: int) -> int | None:
    return None if ttl_ms is None else now + ttl_ms


def _request(lines: Sequence[Line], asked: Sequence[str]) -> tuple[tuple[Line, ...], tuple[str, ...]] | None:
    """Keep what sourcing chose from; None if every line named its warehouse, and none were ranked."""
    named = all(line.warehouse for line in lines)
    return None if named and not asked else (tuple(lines), tuple(asked))


def _as_lines(lines: Sequence[LockLine]) -> tuple[Line, ...]:
    return tuple(Line(line.sku, line.quantity, line.warehouse) for line in lines)


def _take_from(
    view: LockView, wanted: Sequence[Line] | None, *, takes_whole: bool = False
) -> tuple[list[int], Answer | None]:
    """Return the units a step takes of each line (all that is left without `wanted`), or a refusal.

    `takes_whole`: all that is left of a SKU needs no warehouse named.
    """
    if wanted is None:
        return [line.outstanding for line in view.lines], None
    whole = {sku for sku in {want.sku for want in wanted} if takes_whole and _is_whole(view, wanted, sku)}
    taken = [line.outstanding if line.sku in whole else 0 for line in view.lines]
    wanted = [want for want in wanted if want.sku not in whole]
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


def _is_whole(view: LockView, wanted: Sequence[Line], sku: str) -> bool:
    """Whether these lines are all that is left of a SKU, and none names more of a warehouse than is there."""
    left = {line.warehouse: line.outstanding for line in view.lines if line.sku == sku}
    named = [want for want in wanted if want.sku == sku and want.warehouse]
    asked = sum(want.quantity for want in wanted if want.sku == sku)
    sums: dict[str, int] = {}
    for want in named:
        sums[want.warehouse] = sums.get(want.warehouse, 0) + want.quantity
    fits = all(units <= left.get(warehouse, 0) for warehouse, units in sums.items())
    return fits and asked == sum(left.values())


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
