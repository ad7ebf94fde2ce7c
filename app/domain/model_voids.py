"""Voiding in the model: a shipment never left, and its units are promised to the order again."""

from collections.abc import Mapping, Sequence

from app.domain.answers import Answer
from app.domain.commands import Line, Void
from app.domain.documents import ROUTE, Sums, booked_of_shipments, rebook
from app.domain.model_shelves import VOID, LockRecord, Repeatable, beyond, sums_of
from app.domain.model_shipments import Order, Shipments
from app.domain.outcomes import Outcome
from app.domain.sourcing import merge
from app.domain.words import LockStatus


class Voids(Shipments):
    """Taking shipments back."""

    __slots__ = ()

    def _void(self, command: Void, record: LockRecord, now: int) -> Answer:
        lines = merge(command.lines)
        if not lines:
            return Answer(Outcome.UNCHANGED, record.view)
        order, moved, was = Order(record), len(self.moves), record.view.status
        left = _unreturned(record)
        kept = self._kept((line.sku for line in lines), command.family)
        fine = self._unship_all(order, command, lines, now)
        exceeding = beyond(sums_of((line.sku, line.quantity) for line in lines), left)
        if not fine or exceeding:
            self._put_back(kept, moved, command.family)
            if not fine:
                return Answer(Outcome.SHIPMENT_REPORTED, record.view)
            return Answer(Outcome.SHIPMENT_RETURNED, record.view, exceeding=exceeding)
        if was is LockStatus.DEDUCTED:
            self._keep_ending(record)
        order.settle()
        self.ops[command.shipment_op] = Repeatable(VOID, Answer(Outcome.VOIDED), record)
        return Answer(Outcome.VOIDED, record.view)

    def _unship_all(self, order: Order, command: Void, lines: Sequence[Line], now: int) -> bool:
        """Take units back, SKU by SKU; return False if others say that some of them left."""
        for sku in dict.fromkeys(line.sku for line in lines):
            its = {line.warehouse: line.quantity for line in lines if line.sku == sku}
            if not self._unship(order, command, sku, its, now):
                return False
        return True

    def _unship(self, order: Order, command: Void, sku: str, lines: Mapping[str, int], now: int) -> bool:
        sums, at = self._sums(command.family, sku), command.occurred_at
        if any(sums.greatest_of_others(command.key, ROUTE).values()):
            return False
        places = _take_word_back(sums, command.key, lines, order.promised(sku))
        changes = self._ship_claims(order, sums, sku, at)
        if {change.warehouse: -change.units[0] for change in changes} != lines or places != lines:
            return False
        self._note_shipping_times(sku, sums, changes, [], at=at, now=now)
        return True


def _take_word_back(sums: Sums, document: str, lines: Mapping[str, int], promised: int) -> dict[str, int]:
    """Take back what the routes said of a SKU; return how many units of each warehouse had left by their word.

    Of a shipment of an older version they have said nothing yet.
    """
    for warehouse, units in lines.items():
        known = (claim for claim in sums.claims if claim[:3] == (document, warehouse, ROUTE))
        if not any(known):
            sums.claim(document, warehouse, ROUTE, (units, 0, 0))
            rebook(sums, booked_of_shipments(sums.claims, sums.lead, promised))
    places = {warehouse: sums.said(document, ROUTE, warehouse)[0] for warehouse in lines}
    for warehouse, units in places.items():
        sums.claim(document, warehouse, ROUTE, (-units, 0, 0))
    return places


def _unreturned(record: LockRecord) -> dict[str, int]:
    """Return what has shipped and not come back."""
    left = sums_of((line.sku, line.deducted) for line in record.view.lines)
    for sku, units in record.returned.items():
        left[sku] = max(0, left.get(sku, 0) - units)
    return left
