"""Transfers: stock that one warehouse promises and sends to another."""

from collections.abc import Sequence
from dataclasses import replace

from app.domain.answers import Answer, TransferLine, TransferView
from app.domain.commands import (
    Line,
    Transfer,
    TransferCancel,
    TransferReceive,
    TransferShip,
    TransferStep,
    sum_arrivals,
)
from app.domain.model_bookings import Bookings
from app.domain.model_shelves import TOLD, Repeatable, TransferRecord, beyond, sums_of
from app.domain.outcomes import WRITTEN, Outcome
from app.domain.words import (
    TRANSFER_ENDED,
    Place,
    TransferStatus,
)


class Transfers(Bookings):
    """The commands of a transfer."""

    __slots__ = ()

    def _of_transfer(self, command: Transfer | TransferStep) -> Answer:
        return self._transfer(command) if isinstance(command, Transfer) else self._transfer_step(command)

    def _transfer(self, command: Transfer) -> Answer:
        known = self.transfers.get(command.transfer_id)
        if known:
            if known.fingerprint != command.fingerprint:
                return Answer(Outcome.ID_REUSED)
            return Answer(Outcome.REPEATED, transfer=known.original, current_status=known.view.status)
        wanted = [Line(line.sku, line.quantity, command.source) for line in command.lines]
        promised, refusal = self._source(wanted, ())
        if refusal:
            return refusal
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
        # Else the transfer that it was used on is forgotten.
        if repeated and not is_told and repeated.record is record:
            return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=record.view.status)
        answer = self._transfer_step_of(command, record)
        if command.op and answer.outcome in WRITTEN:
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
        if answer.outcome in WRITTEN:
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _ship(self, command: TransferShip, record: TransferRecord) -> Answer:
        view = record.view
        left = {line.sku: line.unshipped for line in view.lines}
        if not any(left.values()):
            return Answer(Outcome.TRANSFER_NOT_OPEN, transfer=view)
        taken = left if command.lines is None else sums_of((x.sku, x.quantity) for x in command.lines)
        if exceeding := beyond(taken, left):
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
        taken = sums_of((x.sku, x.quantity + x.damaged + x.lost) for x in command.lines)
        if exceeding := beyond(taken, {line.sku: line.in_transit for line in view.lines}):
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


def _changed(record: TransferRecord, outcome: Outcome, lines: tuple[TransferLine, ...]) -> Answer:
    """Note a transfer's new lines, and the status that follows from them."""
    record.view = record.view._replace(lines=lines, status=status_of(lines))
    return Answer(outcome, transfer=record.view)


def status_of(lines: Sequence[TransferLine]) -> TransferStatus:
    """Return the status that follows from a transfer's lines."""
    shipped = any(line.shipped for line in lines)
    if any(line.unshipped for line in lines):
        return TransferStatus.PARTLY_SHIPPED if shipped else TransferStatus.REQUESTED
    if any(line.in_transit for line in lines):
        return TransferStatus.SHIPPED
    return TransferStatus.RECEIVED if shipped else TransferStatus.CANCELLED
