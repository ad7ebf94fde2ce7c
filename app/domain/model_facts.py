"""Facts: events of warehouse systems, which are never refused for what they say."""

from app.domain.answers import Answer, TransferLine
from app.domain.commands import (
    Fact,
)
from app.domain.model_shelves import TOLD, VOID, LockRecord, Repeatable, TransferRecord, told_op
from app.domain.model_transfers import Transfers, status_of
from app.domain.outcomes import Outcome
from app.domain.words import (
    COUNT_MAX,
    OPEN_STATUSES,
    STATES,
    LockStatus,
    Place,
)

_NO_ROUTE = {TOLD, VOID}
"""Fingerprints of documents that no route tells of, or none any more."""


class Facts(Transfers):
    """What happened in a warehouse, told by its system: once, late, in any order."""

    __slots__ = ()

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
        known = self.ops.get(told_op(command.document_op, command.sku, command.warehouse))
        if known and (its is None or known.record is its):
            same = known.fingerprint == command.content
            return Outcome.REPEATED if same else Outcome.OTHER_CONTENT
        route = self.ops.get(command.document_op)
        if route is None or route.fingerprint in _NO_ROUTE or (its is not None and route.record is not its):
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
        op = told_op(command.document_op, command.sku, command.warehouse)
        self.ops[op] = Repeatable(command.content, Answer(Outcome.BOOKED), record, units)
        known = self.ops.get(command.document_op)
        if known is None or known.fingerprint in _NO_ROUTE:
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
            case "adjusted" | "regraded":
                self._of_fact(command, *_ways_of(command), abs(command.quantity))
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
            record.change(status=status, expires_at=None, lines=lines)

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


def _ways_of(command: Fact) -> tuple[Place, Place]:
    """From where to where units go that are adjusted, by their sign, or regraded."""
    if command.type == "regraded":
        other = Place.DAMAGED if command.state is Place.AVAILABLE else Place.AVAILABLE
        return command.state, other
    ways = (command.state, Place.ADJUSTMENT)
    return ways if command.quantity < 0 else ways[::-1]


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
    record.view = record.view._replace(lines=lines, status=status_of(lines))
