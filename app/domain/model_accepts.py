"""A person's word in the model: which of a document's reporters is right about a SKU."""

from app.domain.answers import Answer
from app.domain.commands import Accept, Adjust, Receive, Return
from app.domain.documents import NO_UNITS, Sums
from app.domain.model_facts import Facts
from app.domain.model_shelves import Repeatable
from app.domain.model_shipments import Order
from app.domain.model_transfers import Carriage
from app.domain.outcomes import Outcome
from app.domain.words import Place

_KINDS = {kind.namespace: kind.kind for kind in (Receive, Return, Adjust)}


class Accepts(Facts):
    """What becomes of what reporters disagree on."""

    __slots__ = ()

    def _accept(self, command: Accept, now: int) -> Answer:
        repeated = self.ops.get(command.op)
        if repeated:
            same = repeated.fingerprint == command.fingerprint
            return Answer(Outcome.REPEATED if same else Outcome.ID_REUSED)
        sums = self._known_sums(command.family, command.sku)
        if sums is None:
            return Answer(Outcome.UNKNOWN_SKU)
        kept, moved = self._kept([command.sku], command.family), len(self.moves)
        sums.lead = command.reporter
        kind, _, name = command.family.partition(":")
        refusal = self._take_word(command, kind, name, sums, now)
        if refusal is None and not self._all_fit([command.sku]):
            refusal = Outcome.QUANTITY_TOO_LARGE
        if refusal:
            self._put_back(kept, moved, command.family)
            return Answer(refusal)
        self.facts += 1
        answer = Answer(Outcome.ADJUSTED)
        self.ops[command.op] = Repeatable(command.fingerprint, answer)
        return answer

    def _take_word(self, command: Accept, kind: str, name: str, sums: Sums, now: int) -> Outcome | None:
        match kind:
            case "deduct":
                return self._take_word_on_lock(name, command.sku, sums, now)
            case "transfer_ship" | "transfer_receive":
                return self._take_word_on_transfer(kind, name, command.sku, sums, now)
        nothing = ("", "")
        more = self._book_claims(_KINDS[kind], sums, command.sku, nothing, NO_UNITS, at=None, now=now)
        if any(place.get(Place.DAMAGED, 0) < 0 for place in self.stock.get(command.sku, {}).values()):
            return Outcome.INSUFFICIENT_DAMAGED
        record = self.locks.get(command.lock_id) if kind == Return.namespace and more else None
        if record:
            record.returned[command.sku] = max(0, record.returned.get(command.sku, 0) + more)
        return None

    def _take_word_on_lock(self, lock_id: str, sku: str, sums: Sums, now: int) -> Outcome | None:
        record = self.locks.get(lock_id)
        if record is None:
            return Outcome.UNKNOWN_LOCK
        order = Order(record)
        changes = self._ship_claims(order, sums, sku, None)
        self._note_shipping_times(sku, sums, changes, [], at=None, now=now)
        order.settle()
        return None

    def _take_word_on_transfer(
        self, kind: str, transfer_id: str, sku: str, sums: Sums, now: int
    ) -> Outcome | None:
        record = self.transfers.get(transfer_id)
        if record is None or sku not in (carriage := Carriage(record)).lines:
            return Outcome.UNKNOWN_TRANSFER
        if kind == "transfer_ship":
            self._ship_carried(carriage, sums, sku, 0, at=None, now=now)
        else:
            self._receive_carried(carriage, sums, sku, "", NO_UNITS, at=None, now=now)
        carriage.settle()
        return None
