"""Shipments in the model: what left takes what is locked there; else it ends as much of a promise elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.answers import Answer, Excess, LockLine
from app.domain.commands import Deduct, Line
from app.domain.documents import NO_UNITS, ROUTE, Booked, Sums, booked_of_shipments, rebook
from app.domain.model_documents import Documents
from app.domain.model_shelves import LockRecord, sums_of
from app.domain.outcomes import Outcome
from app.domain.words import OPEN_STATUSES, LockStatus, Place

_LIVE = OPEN_STATUSES | {LockStatus.DEDUCTED}
Places = list[tuple[str, int]]
"""Units by warehouse, in an order."""


@dataclass(slots=True)
class Order:
    """A lock whose shipments are being booked."""

    record: LockRecord
    lines: list[LockLine] = field(init=False)
    live: bool = field(init=False)

    def __post_init__(self) -> None:
        self.lines = list(self.record.view.lines)
        self.live = self.record.view.status in _LIVE

    @property
    def is_open(self) -> bool:
        """Whether anything of it may still ship by a route."""
        return self.record.view.status in OPEN_STATUSES

    def of(self, sku: str) -> list[LockLine]:
        """Return a SKU's lines."""
        return [line for line in self.lines if line.sku == sku]

    def promised(self, sku: str) -> int:
        """Return the units that the order was promised, shipped ones included; of an ended one only those."""
        return sum(line.quantity if self.live else line.deducted for line in self.of(sku))

    def left(self, sku: str) -> int:
        """Return the units that it is promised still."""
        return sum(line.outstanding for line in self.of(sku)) if self.live else 0

    def put(self, sku: str, warehouse: str, quantity: int, deducted: int) -> None:
        """Set a line; one of no units is none."""
        new = LockLine(sku, warehouse, quantity, deducted)
        for index, line in enumerate(self.lines):
            if line[:2] == (sku, warehouse):
                self.lines[index : index + 1] = [new] if quantity else []
                return
        self.lines.append(new)

    def line(self, sku: str, warehouse: str) -> LockLine:
        """Return the line of a place, empty if there is none."""
        found = (line for line in self.lines if line[:2] == (sku, warehouse))
        return next(found, LockLine(sku, warehouse, 0, 0))

    def settle(self) -> None:
        """Write what came of it to the record."""
        changes: dict[str, Any] = {"lines": tuple(self.lines)}
        if self.live:
            if not any(line.outstanding for line in self.lines):
                status = LockStatus.DEDUCTED
            else:
                status = LockStatus.PARTLY_DEDUCTED
                if not any(line.deducted for line in self.lines):
                    status = LockStatus.CONFIRMED
                self.record.given_back = False
            changes |= {"status": status, "expires_at": None}
        self.record.change(**changes)


class Shipments(Documents):
    """What routes and events of shipments share."""

    __slots__ = ()

    def _ship_claims(self, order: Order, sums: Sums, sku: str, at: int | None) -> list[Booked]:
        """Book what a SKU's claims come to; return by how much that differs."""
        changes = rebook(sums, booked_of_shipments(sums.claims, sums.lead, order.promised(sku)))
        for _, warehouse, (units, _, _) in changes:
            if units < 0:
                self._ship_less(order, sums, sku, warehouse, -units, at)
            else:
                self._ship_more(order, sums, sku, warehouse, units, at)
        return changes

    def _ship_more(
        self, order: Order, sums: Sums, sku: str, warehouse: str, units: int, at: int | None
    ) -> None:
        own = min(units, order.line(sku, warehouse).outstanding) if order.live else 0
        rest = units - own
        self._fact_move(sku, warehouse, Place.LOCKED, Place.CUSTOMER, own, at=at)
        if rest:
            self._fact_move(sku, warehouse, Place.AVAILABLE, Place.CUSTOMER, rest, at=at)
            sums.beyond += self._end_promise(order, sku, warehouse, rest) if order.live else rest
        line = order.line(sku, warehouse)
        deducted = line.deducted + units
        quantity = line.quantity + rest if order.live else max(line.quantity, deducted)
        order.put(sku, warehouse, quantity, deducted)

    def _end_promise(self, order: Order, sku: str, warehouse: str, units: int) -> int:
        """End the promise of so many units elsewhere; return those that nothing was promised for."""
        for line in order.of(sku):
            some = min(units, line.outstanding) if line.warehouse != warehouse else 0
            if some:
                self._move(sku, line.warehouse, Place.LOCKED, Place.AVAILABLE, some)
                order.put(sku, line.warehouse, line.quantity - some, line.deducted)
                units -= some
        return units

    def _ship_less(
        self, order: Order, sums: Sums, sku: str, warehouse: str, units: int, at: int | None
    ) -> None:
        """Units did not leave after all: what was beyond the order is free again, the rest is promised again."""
        line = order.line(sku, warehouse)
        units = min(units, line.deducted)
        free = min(units, sums.beyond) if order.live else units
        self._fact_move(sku, warehouse, Place.CUSTOMER, Place.AVAILABLE, free, at=at)
        self._fact_move(sku, warehouse, Place.CUSTOMER, Place.LOCKED, units - free, at=at)
        sums.beyond -= min(free, sums.beyond)
        if units:
            order.put(sku, warehouse, line.quantity - free * order.live, line.deducted - units)

    def _note_shipping_times(
        self,
        sku: str,
        sums: Sums,
        changes: Sequence[Booked],
        places: Places,
        *,
        at: int | None,
        now: int,
    ) -> None:
        """Keep the assumed times of the places that are reported now; what has changed elsewhere loses its own."""
        said = sums_of(places)
        moved = {change.warehouse: change.units for change in changes}
        for change in changes:
            if change.warehouse not in said:
                self._forget_times(sku, sums, change, at=at, now=now, gone=True)
        for warehouse, units in said.items():
            own = moved.get(warehouse, NO_UNITS)
            self._note_times(sku, sums, ("", warehouse), (units, 0, 0), own, at=at, now=now, gone=True)

    # A route's

    def _reported_before(
        self, family: str, document: str, lines: Sequence[Line] | None, skus: Iterable[str]
    ) -> Outcome | None:
        """Return the answer to a shipment that a route reported, and whose op is forgotten; None: none did."""
        found = {sku: self._known_sums(family, sku) for sku in dict.fromkeys(skus)}
        known = {sku: sums for sku, sums in found.items() if sums}
        if not any(ROUTE in sums.reporters(document) for sums in known.values()):
            return None
        if not any(sums.said(document, ROUTE)[0] for sums in known.values()):
            return Outcome.SHIPMENT_VOIDED
        if lines is None:
            return Outcome.UNCHANGED
        asked: dict[str, int] = {}
        for line in lines:
            asked[line.sku] = asked.get(line.sku, 0) + line.quantity
        same = all(sums.said(document, ROUTE)[0] == asked.get(sku, 0) for sku, sums in known.items())
        return Outcome.UNCHANGED if same else Outcome.ID_REUSED

    def _is_reported(self, family: str, sku: str) -> bool:
        sums = self._known_sums(family, sku)
        return bool(sums and sums.reporters() - {ROUTE})

    def _places_of(
        self, order: Order, command: Deduct, reported: Sequence[Line] | None
    ) -> list[tuple[str, Places]] | Answer:
        """Return where units left from that others reported, too, as far as the route says."""
        family, documents = command.family, self.documents.get(command.family, {})
        if reported is None:
            skus = [
                sku for sku in dict.fromkeys(x.sku for x in order.lines) if self._is_reported(family, sku)
            ]
            found = [(sku, _all_places(order, documents[sku], command.key, sku)) for sku in skus]
            return [(sku, places) for sku, places in found if places]
        asked: dict[tuple[str, str], int] = {}
        for line in reported:
            asked[line.sku, line.warehouse] = asked.get((line.sku, line.warehouse), 0) + line.quantity
        named: dict[str, Places] = {}
        for (sku, warehouse), units in asked.items():
            places = [(warehouse, units)]
            if not warehouse:
                chosen = _find_places(order, documents[sku], command.key, sku, units)
                if chosen is None:
                    return Answer(Outcome.WAREHOUSE_REQUIRED)
                places = chosen
            named.setdefault(sku, []).extend(places)
        return list(named.items())

    def _ship_reported(
        self, order: Order, command: Deduct, asked: Sequence[tuple[str, Places]], now: int
    ) -> tuple[Excess, ...]:
        """Book what others reported, too; return what is more than the lock has left."""
        exceeding = []
        for sku, places in asked:
            sums, left = self._sums(command.family, sku), order.left(sku)
            for warehouse, units in places:
                sums.claim(command.key, warehouse, ROUTE, (units, 0, 0))
            changes = self._ship_claims(order, sums, sku, command.occurred_at)
            if sum(change.units[0] for change in changes) > left:
                exceeding.append(Excess(sku, "", sum(units for _, units in places), left))
            self._note_shipping_times(sku, sums, changes, places, at=command.occurred_at, now=now)
        return tuple(exceeding)

    def _ship_plain(self, order: Order, command: Deduct, taken: Sequence[int], now: int) -> None:
        """Book what nobody else reported, from where it is locked."""
        for line, units in zip(tuple(order.lines), taken, strict=True):
            if not units:
                continue
            place = ("", line.warehouse)
            self._fact_move(
                line.sku, line.warehouse, Place.LOCKED, Place.CUSTOMER, units, at=command.occurred_at
            )
            order.put(line.sku, line.warehouse, line.quantity, line.deducted + units)
            sums = self._sums(command.family, line.sku)
            sums.claim(command.key, line.warehouse, ROUTE, (units, 0, 0))
            rebook(sums, booked_of_shipments(sums.claims, sums.lead, order.promised(line.sku)))
            if command.occurred_at is None:
                said = (units, 0, 0)
                self._note_times(line.sku, sums, place, said, said, at=None, now=now, gone=True)


def _take(places: Places, warehouse: str, units: int, left: int) -> int:
    some = min(left, units)
    if some > 0:
        places.append((warehouse, some))
        left -= some
    return left


def _find_places(order: Order, sums: Sums, document: str, sku: str, units: int) -> Places | None:
    """Return where units left from of which the route does not say it; None if only it can know."""
    places: Places = []
    left = units
    for warehouse, theirs in sums.greatest_of_others(document, ROUTE).items():
        left = _take(places, warehouse, theirs, left)
    holding = [line for line in order.of(sku) if line.outstanding and order.live]
    if left > 0 and len(holding) > 1:
        return None
    if left > 0 and holding:
        left = _take(places, holding[0].warehouse, holding[0].outstanding, left)
    for one in sums.booked:
        left = _take(places, one.warehouse, one.units[0] - sums.said(None, ROUTE, one.warehouse)[0], left)
    if left > 0:
        places.append((places[0][0] if places else "", left))
    return places


def _all_places(order: Order, sums: Sums, document: str, sku: str) -> Places:
    """Return all that is left: what others say of the document and what is not shipped yet; else what else was."""
    places = list(sums.greatest_of_others(document, ROUTE).items())
    if order.live:
        places += [(line.warehouse, line.outstanding) for line in order.of(sku) if line.outstanding]
    if places:
        return places
    others = ((one.warehouse, one.units[0] - sums.said(None, ROUTE, one.warehouse)[0]) for one in sums.booked)
    return [(warehouse, units) for warehouse, units in others if units > 0]
