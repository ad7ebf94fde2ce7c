"""Locks: what an order holds, from the creation to the shipment or the end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.domain.answers import Answer, Excess, LockLine, LockView
from app.domain.commands import (
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    Replace,
    Step,
    Unlock,
)
from app.domain.model_shelves import TOLD, LockRecord, Repeatable, Shelves
from app.domain.outcomes import WRITTEN, Outcome
from app.domain.words import (
    OPEN_STATUSES,
    LockStatus,
    Place,
)


class Locks(Shelves):
    """The commands of checkout."""

    __slots__ = ()

    def _lock(self, command: Lock, now: int) -> Answer:
        known = self.locks.get(command.lock_id)
        if known:
            if known.fingerprint != command.fingerprint:
                return Answer(Outcome.ID_REUSED)
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
        # Else the lock that it was used on is forgotten.
        if repeated and not is_told and repeated.record is record:
            return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=record.view.status)
        answer = self._step_of(command, record, now)
        if command.op and answer.outcome in WRITTEN:
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
        sourced, refusal = self._source(lines, warehouses)
        if refusal and refusal.outcome is Outcome.INSUFFICIENT_STOCK:
            return Answer(Outcome.LOCK_EXPIRED, record.view, refusal.shortages)
        if refusal:
            return refusal
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
        if answer.outcome in WRITTEN:
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _replace(self, command: Replace, record: LockRecord) -> Answer:
        view = record.view
        if view.status not in {LockStatus.HELD, LockStatus.CONFIRMED}:
            return _illegal(record)
        old = {(line.sku, line.warehouse): line.quantity for line in view.lines}
        sourced, refusal = self._source(command.lines, command.warehouses, old)
        if refusal:
            return refusal
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
        vouched = now if command.now_max is None else min(now, command.now_max)
        if record.view.expires_at is None or record.view.expires_at > vouched:
            return Answer(Outcome.NOT_DUE)
        everything = [line.outstanding for line in record.view.lines]
        self._move_lines(record.view.lines, everything, Place.LOCKED, Place.AVAILABLE)
        record.view = record.view._replace(status=LockStatus.EXPIRED)
        return Answer(Outcome.EXPIRED, record.view)


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
