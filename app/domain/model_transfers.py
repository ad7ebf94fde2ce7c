"""Transfers: stock that one warehouse promises and sends to another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.domain.answers import Answer, Excess, LockLine, TransferLine, TransferView
from app.domain.commands import (
    Line,
    OnTheWay,
    Transfer,
    TransferCancel,
    TransferClose,
    TransferReceive,
    TransferShip,
    TransferStep,
    sum_arrivals,
)
from app.domain.documents import (
    NO_UNITS,
    ROUTE,
    Sums,
    Units,
    booked_of_arrivals,
    booked_of_shipments,
    rebook,
)
from app.domain.model_bookings import Bookings
from app.domain.model_documents import Kept
from app.domain.model_shelves import Repeatable, TransferRecord, beyond, sums_of
from app.domain.outcomes import WRITTEN, Outcome
from app.domain.sourcing import Shortage, merge
from app.domain.words import (
    TRANSFER_ENDED,
    Place,
    TransferStatus,
)

_ARRIVED = (("received", Place.AVAILABLE), ("damaged", Place.DAMAGED), ("lost", Place.ADJUSTMENT))


@dataclass(slots=True)
class Carriage:
    """A transfer whose shipments or receipts are being booked."""

    record: TransferRecord
    lines: dict[str, TransferLine] = field(init=False)
    implied: list[tuple[str, int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = {line.sku: line for line in self.record.view.lines}
        self.implied = self.record.implied

    def line(self, sku: str) -> TransferLine:
        """Return a SKU's line as it is now."""
        return self.lines[sku]

    def change(self, sku: str, **units: int) -> None:
        """Add units to a line's counts, by name."""
        line = self.lines[sku]
        self.lines[sku] = line._replace(**{name: getattr(line, name) + n for name, n in units.items()})

    def settle(self) -> None:
        """Write what came of it to the record."""
        lines = tuple(self.lines.values())
        self.record.view = self.record.view._replace(lines=lines, status=status_of(lines))
        self.record.implied = self.implied


class Transfers(Bookings):
    """The commands of a transfer."""

    __slots__ = ()

    def _of_transfer(self, command: Transfer | TransferStep, now: int) -> Answer:
        return self._transfer(command) if isinstance(command, Transfer) else self._transfer_step(command, now)

    def _transfer(self, command: Transfer) -> Answer:
        known = self.transfers.get(command.transfer_id)
        if known:
            if known.fingerprint != command.fingerprint:
                return Answer(Outcome.ID_REUSED)
            return Answer(Outcome.REPEATED, transfer=known.original, current_status=known.view.status)
        wanted = merge(Line(line.sku, line.quantity, command.source) for line in command.lines)
        # The buffer is withheld from sale, not from moving.
        shortages = tuple(short for line in wanted if (short := self._shortage_at(line)))
        if shortages:
            return Answer(Outcome.INSUFFICIENT_STOCK, shortages=shortages)
        self._take([LockLine(line.sku, line.warehouse, line.quantity) for line in wanted])
        lines = tuple(TransferLine(line.sku, line.quantity) for line in wanted)
        view = TransferView(
            command.transfer_id, command.source, command.destination, TransferStatus.REQUESTED, lines
        )
        self.transfers[command.transfer_id] = TransferRecord(view, view, command.fingerprint)
        return Answer(Outcome.TRANSFER_REQUESTED, transfer=view)

    def _shortage_at(self, line: Line) -> Shortage | None:
        available = max(0, self.counts(line.sku, line.warehouse).available)
        if available >= line.quantity:
            return None
        return Shortage(line.sku, line.warehouse, line.quantity, available, line.sku not in self.stock)

    def _transfer_step(self, command: TransferStep, now: int) -> Answer:
        repeated = self.ops.get(command.op) if command.op else None
        if repeated and repeated.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        record = self.transfers.get(command.transfer_id)
        if record is None:
            return Answer(Outcome.UNKNOWN_TRANSFER)
        # Else the transfer that it was used on is forgotten.
        if repeated and repeated.record is record:
            return replace(repeated.answer, outcome=Outcome.REPEATED, current_status=record.view.status)
        noted = self.facts
        answer = self._transfer_step_of(command, record, now)
        if command.op and (answer.outcome in WRITTEN or self.facts > noted):
            self.ops[command.op] = Repeatable(command.fingerprint, answer, record)
        return answer

    def _transfer_step_of(self, command: TransferStep, record: TransferRecord, now: int) -> Answer:
        match command:
            case TransferShip():
                return self._ship_by_route(command, record, now)
            case TransferReceive():
                return self._receive_by_route(command, record, now)
            case TransferCancel():
                return self._cancel(record)
            case TransferClose():
                return self._close(command, record)
        raise AssertionError(command)

    def _is_carried_by_others(self, family: str, sku: str) -> bool:
        sums = self._known_sums(family, sku)
        return bool(sums and sums.reporters() - {ROUTE})

    def _carried_before(
        self, family: str, document: str, skus: Iterable[str], asked: Mapping[str, Units] | None
    ) -> bool | None:
        """Whether a route reported this before its op was forgotten: with this content, or another; None: no."""
        found = {sku: self._known_sums(family, sku) for sku in skus}
        known = {sku: sums for sku, sums in found.items() if sums}
        if not any(ROUTE in sums.reporters(document) for sums in known.values()):
            return None
        return asked is None or all(
            sums.said(document, ROUTE) == asked.get(sku, NO_UNITS) for sku, sums in known.items()
        )

    def _ship_by_route(self, command: TransferShip, record: TransferRecord, now: int) -> Answer:
        view, family = record.view, f"{TransferShip.function}:{command.transfer_id}"
        sums = None if command.lines is None else sums_of((x.sku, x.quantity) for x in command.lines)
        skus = [line.sku for line in view.lines] if sums is None else list(sums)
        said = None if sums is None else {sku: (units, 0, 0) for sku, units in sums.items()}
        before = self._carried_before(family, command.key, skus, said)
        if before is not None:
            return Answer(Outcome.UNCHANGED, transfer=view) if before else Answer(Outcome.ID_REUSED)
        known = {
            line.sku
            for line in view.lines
            if self._is_carried_by_others(family, line.sku) or line.sku in {x[0] for x in record.implied}
        }
        asked = sums if sums is not None else self._all_units(command, view.lines, known)
        left = {line.sku: line.unshipped for line in view.lines}
        if not any(left.values()) and not any(asked.get(sku) for sku in known):
            return Answer(Outcome.TRANSFER_NOT_OPEN, transfer=view)
        if exceeding := beyond({s: n for s, n in asked.items() if s not in known}, left):
            return Answer(Outcome.QUANTITY_EXCEEDS_TRANSFER, transfer=view, exceeding=exceeding)
        kept, moved, carriage = self._kept(left, family), len(self.moves), Carriage(record)
        more = []
        for line in view.lines:
            if units := asked.get(line.sku, 0):
                its = self._sums(family, line.sku)
                its.claim(command.key, view.source, ROUTE, (units, 0, 0))
                if self._ship_carried(carriage, its, line.sku, units, at=command.occurred_at, now=now):
                    more.append(Excess(line.sku, "", units, left[line.sku]))
        return self._end_carrying(carriage, Outcome.TRANSFER_SHIPPED, kept, moved, family, more)

    def _all_units(
        self, command: TransferShip, lines: Iterable[TransferLine], known: set[str]
    ) -> dict[str, int]:
        """Return all that is left: what others say of the shipment and what has not left; else what else others say."""
        asked = {}
        for line in lines:
            units = line.unshipped
            sums = self._known_sums(f"{command.function}:{command.transfer_id}", line.sku)
            if line.sku in known and sums:
                units += sum(sums.greatest_of_others(command.key, ROUTE).values())
                if not units:
                    booked = sum(one.units[0] for one in sums.booked)
                    units = max(0, booked - sums.said(None, ROUTE)[0])
            asked[line.sku] = units
        return asked

    def _receive_by_route(self, command: TransferReceive, record: TransferRecord, now: int) -> Answer:
        view, family = record.view, f"{command.function}:{command.transfer_id}"
        arrivals = {x.sku: x[1:] for x in sum_arrivals(command.lines)}
        asked = sums_of((x.sku, x.quantity + x.damaged + x.lost) for x in command.lines)
        before = self._carried_before(family, command.key, asked, arrivals)
        if before is not None:
            return Answer(Outcome.UNCHANGED, transfer=view) if before else Answer(Outcome.ID_REUSED)
        known = {sku for sku in asked if self._is_carried_by_others(family, sku)}
        if view.status in TRANSFER_ENDED and not known:
            return Answer(Outcome.TRANSFER_NOT_OPEN, transfer=view)
        left = {line.sku: line.in_transit for line in view.lines}
        if exceeding := beyond({s: n for s, n in asked.items() if s not in known}, left):
            return Answer(Outcome.QUANTITY_EXCEEDS_TRANSFER, transfer=view, exceeding=exceeding)
        kept, moved, carriage = self._kept(left, family), len(self.moves), Carriage(record)
        more = []
        for line in view.lines:
            if line.sku not in arrivals:
                continue
            its, units = self._sums(family, line.sku), arrivals[line.sku]
            its.claim(command.key, view.destination, ROUTE, units)
            extra = self._receive_carried(
                carriage, its, line.sku, command.key, units, at=command.occurred_at, now=now
            )
            if extra or carriage.line(line.sku).shipped > line.shipped:
                more.append(Excess(line.sku, "", asked[line.sku], left[line.sku]))
        return self._end_carrying(carriage, Outcome.TRANSFER_RECEIVED, kept, moved, family, more)

    def _end_carrying(
        self,
        carriage: "Carriage",
        outcome: Outcome,
        kept: Kept,
        moved: int,
        family: str,
        more: Sequence[Excess],
    ) -> Answer:
        record = carriage.record
        if more:
            self._put_back(kept, moved, family)
            return Answer(Outcome.QUANTITY_EXCEEDS_TRANSFER, transfer=record.view, exceeding=tuple(more))
        carriage.settle()
        if len(self.moves) == moved:
            self.facts += 1
            return Answer(Outcome.UNCHANGED, transfer=record.view)
        return Answer(outcome, transfer=record.view)

    # What routes and events share

    def _ship_carried(
        self, carriage: "Carriage", sums: Sums, sku: str, said: int, *, at: int | None, now: int
    ) -> int:
        """Book what a SKU's claims come to; return the units beyond the transfer. `said`: units said now."""
        line, source = carriage.line(sku), carriage.record.view.source
        more, own = 0, NO_UNITS
        for change in rebook(
            sums, booked_of_shipments(sums.claims, sums.lead, line.quantity - line.cancelled)
        ):
            own, units = change.units, change.units[0]
            if units > 0:
                more = self._leave_all(carriage, sums, sku, units, at)
            else:
                self._leave_less(carriage, sums, sku, -units, at)
        self._note_times(sku, sums, ("", source), (said, 0, 0), own, at=at, now=now, gone=True)
        return more

    def _leave(self, carriage: "Carriage", sku: str, units: int, at: int | None) -> None:
        view = carriage.record.view
        ends = (Place.LOCKED, Place.IN_TRANSIT)
        self._fact_move(sku, view.source, *ends, units, at=at, to_warehouse=view.destination)
        carriage.change(sku, shipped=units)

    def _leave_all(self, carriage: "Carriage", sums: Sums, sku: str, units: int, at: int | None) -> int:
        left = self._take_implied(carriage, sku, units, at)
        own = min(left, carriage.line(sku).unshipped)
        self._leave(carriage, sku, own, at)
        left -= own
        source = carriage.record.view.source
        self._fact_move(sku, source, Place.AVAILABLE, Place.ADJUSTMENT, left, at=at)
        sums.beyond += left
        return left

    def _leave_less(self, carriage: "Carriage", sums: Sums, sku: str, units: int, at: int | None) -> None:
        """Units did not leave after all."""
        view = carriage.record.view
        own = min(units - min(units, sums.beyond), carriage.line(sku).in_transit)
        free = units - own
        self._fact_move(sku, view.source, Place.ADJUSTMENT, Place.AVAILABLE, free, at=at)
        ends = (Place.IN_TRANSIT, Place.LOCKED)
        self._fact_move(sku, view.destination, *ends, own, at=at, to_warehouse=view.source)
        sums.beyond = max(0, sums.beyond - free)
        carriage.change(sku, shipped=-own)

    def _take_implied(self, carriage: "Carriage", sku: str, units: int, at: int | None) -> int:
        """What arrived before: now it is known when it left; what was counted in between must stand."""
        rest, source = [], carriage.record.view.source
        for known, count, noted_at in carriage.implied:
            some = min(units, count) if known == sku else 0
            if some and at is not None and at < noted_at:
                self._fact_move(sku, source, Place.AVAILABLE, Place.ADJUSTMENT, some, at=at)
                ends = (Place.ADJUSTMENT, Place.AVAILABLE)
                self._fact_move(sku, source, *ends, some, at=noted_at, occurred_at=noted_at)
            units -= some
            if count > some:
                rest.append((known, count - some, noted_at))
        carriage.implied = rest
        return units

    def _receive_carried(
        self,
        carriage: "Carriage",
        sums: Sums,
        sku: str,
        document: str,
        said: Units,
        *,
        at: int | None,
        now: int,
    ) -> int:
        """Book what a SKU's claims come to; return the units beyond the transfer. `said` of `document` now."""
        more, own, warehouse = 0, NO_UNITS, carriage.record.view.destination
        for change in rebook(sums, booked_of_arrivals(sums.claims, sums.lead)):
            units = list(change.units)
            self._regrade(carriage, sku, units, at)
            more += self._arrive_all(carriage, sku, units, at, now)
            if change.document == document:
                own = change.units
            else:
                self._forget_times(sku, sums, change, at=at, now=now)
        self._note_times(sku, sums, (document, warehouse), said, own, at=at, now=now)
        return more

    def _regrade(self, carriage: "Carriage", sku: str, change: list[int], at: int | None) -> None:
        """Units turned out to be in another condition."""
        warehouse = carriage.record.view.destination
        for source in range(3):
            for target in range(3):
                some = min(-change[source], change[target])
                if change[source] >= 0 or some <= 0:
                    continue
                old, new = _ARRIVED[source], _ARRIVED[target]
                self._fact_move(sku, warehouse, old[1], new[1], some, at=at)
                its = min(some, getattr(carriage.line(sku), old[0]))
                carriage.change(sku, **{old[0]: -its, new[0]: its})
                change[source] += some
                change[target] -= some

    def _arrive_all(
        self, carriage: "Carriage", sku: str, change: Sequence[int], at: int | None, now: int
    ) -> int:
        total, more = sum(max(0, units) for units in change), 0
        line, warehouse = carriage.line(sku), carriage.record.view.destination
        early = min(max(0, total - line.in_transit), line.unshipped)
        if early:
            self._leave(carriage, sku, early, at)
            carriage.implied = [*carriage.implied, (sku, early, now if at is None else at)]
        covered = min(total, line.in_transit + early)
        for (name, target), units in zip(_ARRIVED, change, strict=True):
            its = min(units, covered) if units > 0 else -min(-units, getattr(carriage.line(sku), name))
            carriage.change(sku, **{name: its})
            ways = (Place.IN_TRANSIT, target), (Place.ADJUSTMENT, target)
            if units < 0:
                ways = ways[0][::-1], ways[1][::-1]
            else:
                covered -= its
                more += units - its
            self._fact_move(sku, warehouse, *ways[0], abs(its), at=at)
            if target is not Place.ADJUSTMENT:
                self._fact_move(sku, warehouse, *ways[1], abs(units - its), at=at)
        return more

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

    def _close(self, command: TransferClose, record: TransferRecord) -> Answer:
        view = record.view
        if view.status in TRANSFER_ENDED:
            return Answer(Outcome.UNCHANGED, transfer=view)
        if not command.in_transit and not any(line.unshipped for line in view.lines):
            was_cut_short = any(line.cancelled or line.returned for line in view.lines)
            outcome = Outcome.UNCHANGED if was_cut_short else Outcome.TRANSFER_NOT_OPEN
            return Answer(outcome, transfer=view)
        lines = tuple(self._give_up(line, view, command.in_transit) for line in view.lines)
        return _changed(record, Outcome.TRANSFER_CLOSED, lines)

    def _give_up(self, line: TransferLine, view: TransferView, way: OnTheWay) -> TransferLine:
        self._move(line.sku, view.source, Place.LOCKED, Place.AVAILABLE, line.unshipped)
        given_up = line._replace(cancelled=line.cancelled + line.unshipped)
        where = (line.sku, view.destination, Place.IN_TRANSIT)
        match way:
            case "lost":
                self._move(*where, Place.ADJUSTMENT, line.in_transit)
                return given_up._replace(lost=line.lost + line.in_transit)
            case "returned_to_source":
                self._move(*where, Place.AVAILABLE, line.in_transit, to_warehouse=view.source)
                return given_up._replace(returned=line.returned + line.in_transit)
        return given_up


def _changed(record: TransferRecord, outcome: Outcome, lines: tuple[TransferLine, ...]) -> Answer:
    """Note a transfer's new lines, and the status that follows from them."""
    record.view = record.view._replace(lines=lines, status=status_of(lines))
    return Answer(outcome, transfer=record.view)


def status_of(lines: Sequence[TransferLine]) -> TransferStatus:
    """Return the status that follows from a transfer's lines."""
    left = any(line.shipped > line.returned for line in lines)
    if any(line.unshipped for line in lines):
        return TransferStatus.PARTLY_SHIPPED if left else TransferStatus.REQUESTED
    if any(line.in_transit for line in lines):
        return TransferStatus.SHIPPED
    return TransferStatus.RECEIVED if left else TransferStatus.CANCELLED
