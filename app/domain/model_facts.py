"""Facts: events of warehouse systems, which are never refused for what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Adjust, Fact, Receive, Return
from app.domain.documents import NO_UNITS, Booked, Sums, Units, is_accounted_for, taken
from app.domain.model_shelves import LockRecord, Repeatable, SaidLine, TransferRecord
from app.domain.model_shipments import Order
from app.domain.model_transfers import Carriage, Transfers
from app.domain.outcomes import Outcome
from app.domain.words import Place


class Facts(Transfers):
    """What happened in a warehouse, told by its system: once, late, in any order."""

    __slots__ = ()

    def _fact(self, command: Fact, now: int) -> Answer:
        known = self.ops.get(command.op)
        if known:
            same = known.fingerprint == command.fingerprint
            return self._again(command) if same else Answer(Outcome.ID_REUSED)
        if command.mode == "drop":
            return self._keep(command, Outcome.DROPPED)
        if self._is_early(command) and command.mode not in {"force", "pass"}:
            return Answer(Outcome.EARLY)
        return self._hold(command) if command.mode in {"hold", "pass"} else self._book_fact(command, now)

    def _again(self, command: Fact) -> Answer:
        """What it said may still wait for a person."""
        sums = self._known_sums(command.family, command.sku)
        settled = sums is None or self._is_fact_settled(command, sums)
        return Answer(Outcome.REPEATED if settled else Outcome.DISPUTED)

    def _is_fact_settled(self, command: Fact, sums: Sums) -> bool:
        where = (command.document, command.warehouse, command.word_of)
        return is_accounted_for(sums, *where, shipped=command.type in {"shipped", "transfer_shipped"})

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

    def _book_fact(self, command: Fact, now: int) -> Answer:
        """Book on trial: a refusal takes back what was noted so far."""
        record, family = self._record_of(command), command.family
        kept, moved = self._kept([command.sku], family), len(self.moves)
        trial = Trial(command, record, at=command.occurred_at, now=now)
        refusal = self._moves_of(trial) or self._damaged_of(command)
        if not refusal and not self._all_fit([command.sku]):
            refusal = Outcome.QUANTITY_TOO_LARGE
        if refusal:
            self._put_back(kept, moved, family)
            return self._hold(command, refusal)
        trial.settle()
        if trial.line is not None:
            self.lines[command.line_op] = trial.line
        outcome = Outcome.BOOKED
        if trial.sums and not self._is_fact_settled(command, trial.sums):
            outcome = Outcome.DISPUTED
        elif (
            trial.sums and trial.sums.booked == trial.booked_before
        ):  # a time that was only made known is no unit
            outcome = Outcome.REPEATED
        return self._keep(command, outcome)

    def _claim(self, trial: "Trial") -> Units | None:
        """Add what the event says to its reporter's sum, and return by how much that grew; None: its line was used."""
        command = trial.command
        trial.said = said_by(command)
        added = self._added_by(trial)
        if added is None and command.mode != "force":
            return None
        if added is None:  # a person says that it is another line
            added, trial.line = trial.said, None
        trial.sums = self._sums(command.family, command.sku)
        trial.booked_before = list(trial.sums.booked)
        trial.sums.claim(command.document, command.warehouse, command.word_of, added)
        return added

    def _added_by(self, trial: "Trial") -> Units | None:
        command = trial.command
        if not command.line_op:
            return trial.said
        trial.line = SaidLine(command.content, trial.said, command.occurred_at)
        before = self.lines.get(command.line_op)
        if before is None:
            return trial.said
        if not command.totals:
            return NO_UNITS if before.fingerprint == command.content else None
        if (command.occurred_at, command.content) < (before.at, before.fingerprint):
            trial.line = None
            return NO_UNITS
        return taken(trial.said, before.units)

    def _moves_of(self, trial: "Trial") -> Outcome | None:
        command, record = trial.command, trial.record
        if command.document_id and record is None and command.mode != "force":
            if command.type in {"shipped", "returned"}:
                return Outcome.UNKNOWN_LOCK
            if command.type.startswith("transfer_"):
                return Outcome.UNKNOWN_TRANSFER
        match command.type:
            case "shipped":
                return self._shipped(trial)
            case "transfer_shipped" | "transfer_received":
                return self._carried(trial)
        more = self._regraded(command) if command.type == "regraded" else self._booked(trial)
        if more is None:
            return Outcome.OTHER_CONTENT
        if isinstance(record, LockRecord) and more:
            trial.returned = more
        return None

    def _regraded(self, command: Fact) -> int:
        """Move units from one condition to the other: none came in."""
        other = Place.DAMAGED if command.state is Place.AVAILABLE else Place.AVAILABLE
        self._of_fact(command, command.state, other, command.quantity)
        return 0

    def _booked(self, trial: "Trial") -> int | None:
        """Book what came in, came back or was adjusted; return how many units that is more; None: its line was used."""
        command, kind = trial.command, _KINDS[trial.command.type]
        if not command.family:
            self._move_units(kind, command.sku, command.warehouse, said_by(command), trial.at)
            return command.quantity
        added = self._claim(trial)
        if added is None or trial.sums is None:
            return None
        place = (command.document, command.warehouse)
        return self._book_claims(kind, trial.sums, command.sku, place, added, at=trial.at, now=trial.now)

    def _shipped(self, trial: "Trial") -> Outcome | None:
        command, record = trial.command, trial.record
        if not isinstance(record, LockRecord):
            self._of_fact(command, Place.AVAILABLE, Place.CUSTOMER, command.quantity)
            return None
        added = self._claim(trial)
        if added is None or trial.sums is None:
            return Outcome.OTHER_CONTENT
        order = Order(record)
        changes = self._ship_claims(order, trial.sums, command.sku, trial.at)
        places = [(command.warehouse, added[0])]
        self._note_shipping_times(command.sku, trial.sums, changes, places, at=trial.at, now=trial.now)
        if changes:
            trial.order = order
        return None

    def _carried(self, trial: "Trial") -> Outcome | None:
        command, record = trial.command, trial.record
        ships = command.type == "transfer_shipped"
        if not isinstance(record, TransferRecord) or not _is_of(command, record, ships=ships):
            if ships:
                self._of_fact(command, Place.AVAILABLE, Place.ADJUSTMENT, command.quantity)
            else:
                self._of_fact(command, Place.ADJUSTMENT, Place.AVAILABLE, command.quantity)
                self._of_fact(command, Place.ADJUSTMENT, Place.DAMAGED, command.damaged)
            return None
        added = self._claim(trial)
        if added is None or trial.sums is None:
            return Outcome.OTHER_CONTENT
        trial.carriage = Carriage(record)
        when = {"at": trial.at, "now": trial.now}
        if ships:
            self._ship_carried(trial.carriage, trial.sums, command.sku, added[0], **when)
        else:
            self._receive_carried(trial.carriage, trial.sums, command.sku, command.document, added, **when)
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


@dataclass(slots=True)
class Trial:
    """An event that is being booked, and what that would change beside the counts."""

    command: Fact
    record: LockRecord | TransferRecord | None
    at: int
    now: int
    said: Units = NO_UNITS
    sums: Sums | None = None
    booked_before: Sequence[Booked] = ()
    line: SaidLine | None = None
    order: Order | None = None
    carriage: Carriage | None = None
    returned: int = 0

    def settle(self) -> None:
        """Change the records."""
        if self.order:
            self.order.settle()
        if self.carriage:
            self.carriage.settle()
        if isinstance(self.record, LockRecord) and self.returned:
            sku = self.command.sku
            self.record.returned[sku] = self.record.returned.get(sku, 0) + self.returned


_KINDS = {"received": Receive.kind, "returned": Return.kind, "adjusted": Adjust.kind}


def said_by(command: Fact) -> Units:
    """Return what an event says of its SKU: good, damaged and lost units; of an adjustment with their sign."""
    if command.type in {"returned", "adjusted"}:
        damaged = command.state is Place.DAMAGED
        return (0, command.quantity, 0) if damaged else (command.quantity, 0, 0)
    return command.quantity, command.damaged, command.lost


def _is_of(command: Fact, record: TransferRecord, *, ships: bool) -> bool:
    """Whether an event is about a transfer's line, and happened where the transfer says."""
    end = record.view.source if ships else record.view.destination
    return end == command.warehouse and any(line.sku == command.sku for line in record.view.lines)
