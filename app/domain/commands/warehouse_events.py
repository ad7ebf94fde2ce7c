"""Commands from warehouse systems: one event each, and what a person decides where their reports contradict."""

from typing import ClassVar, Literal

from app.domain.answers import Answer
from app.domain.arguments import Arguments, json_text, optional
from app.domain.commands.base import Command, Effect, Moved, fingerprint_of, reason_content
from app.domain.commands.bookings import Adjust, Receive, Return
from app.domain.commands.locks import Deduct
from app.domain.commands.transfers import TransferReceive, TransferShip
from app.domain.outcomes import Outcome
from app.domain.ranking import Ranking
from app.domain.words import Place

FactMode = Literal["", "force", "hold", "pass", "drop"]
"""`''`: book it in its turn; `force`: book it whatever is missing; `hold`: in its turn, only let those behind it pass;
`pass`: let them pass now; `drop`: never book it."""


class Fact(Command, frozen=True, gc=False):
    """One event of a warehouse system. `quantity` of an adjustment has its sign; `occurred_at` in ms.

    `state` is where returned or adjusted units are, or regraded ones were. `document_id` is the lock, transfer or
    purchase order that it names, `told_id` the shipment, receipt, return or adjustment that it reports, '' for none.
    `reporter` is whose word it is ('': the source's own), `line_id` its line in the document, `totals`: it says all
    that is known of that line.
    """

    source: str
    event_id: str
    type: str
    occurred_at: int
    warehouse: str
    sku: str
    quantity: int
    damaged: int = 0
    lost: int = 0
    state: Place = Place.AVAILABLE
    document_id: str = ""
    told_id: str = ""
    sequence: int | None = None
    reason: str | None = None
    mode: FactMode = ""
    odd: str | None = None
    reporter: str = ""
    line_id: str = ""
    totals: bool = False

    function: ClassVar[str] = "fact"

    @property
    def op(self) -> str:
        """The event's id, which is its source's own."""
        return f"event:{self.source}{{{self.event_id}"

    @property
    def subject(self) -> str:
        """The event."""
        return self.op

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        reason = reason_content(self.reason)
        line = (self.line_id,) if self.line_id else ()
        return fingerprint_of(self.content, self.occurred_at, self.document_id, self.told_id, reason, *line)

    @property
    def content(self) -> str:
        """What it says about its SKU, whichever id it says it under."""
        units = (self.quantity, self.damaged, self.lost, self.state)
        return fingerprint_of(self.type, self.warehouse, self.sku, *units)

    @property
    def word_of(self) -> str:
        """The reporter whose word it is."""
        return self.reporter or self.source

    @property
    def document_op(self) -> str:
        """The op of the document that it reports, as older versions and the command of a route have it; '' for none."""
        if not self.told_id:
            return ""
        match self.type:
            case "shipped":
                return Deduct(self.document_id, self.told_id).op if self.document_id else ""
            case "transfer_shipped":
                return TransferShip(self.document_id, self.told_id).op if self.document_id else ""
            case "transfer_received":
                return TransferReceive(self.document_id, self.told_id).op if self.document_id else ""
        return f"{_NAMESPACES[self.type]}:{self.told_id}"

    @property
    def family(self) -> str:
        """The documents that the one it reports is compared with; '' if there are none.

        A receipt without an order is its reporter's own: its lines add up by themselves, unless they are known by more
        than their event_id.
        """
        match self.type:
            case "shipped":
                return Deduct(self.document_id).family if self.document_id else ""
            case "transfer_shipped" | "transfer_received":
                step = TransferShip if self.type == "transfer_shipped" else TransferReceive
                return f"{step.function}:{self.document_id}" if self.document_id else ""
            case "received" if self.told_id and self.document_id:
                return f"receipt:{self.document_id}{{{self.told_id}"
            case "received":
                is_kept = self.told_id and (self.line_id or self.totals)
                return f"receipt:{{{self.word_of}{{{self.told_id}" if is_kept else ""
        return self.document_op

    @property
    def document(self) -> str:
        """The document within its family; one without an id is its reporter's own."""
        if self.type not in {"shipped", "transfer_shipped", "transfer_received"}:
            return ""
        return self.told_id or f"{{{self.word_of}"

    @property
    def line_op(self) -> str:
        """The id of its line in the document, as its reporter counts them; '' if only its event_id sets it apart."""
        if not self.family or not (self.line_id or self.totals):
            return ""
        where = (self.document, self.sku, self.warehouse, self.word_of, self.line_id, self.state)
        return "{".join((f"line:{self.family}", *where))

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/inbox.lua`."""
        args: Arguments = [self.op, self.fingerprint, self.occurred_at, self.type, self.warehouse, self.sku]
        args += [self.quantity, self.damaged, self.lost, self.state.value, self.document_id, self.document_op]
        args += [self.content, self.source, optional(self.sequence), self.mode]
        args += [json_text(self.reason), json_text(self.odd), self.word_of, self.family, self.document]
        return [*args, self.line_id, "totals" if self.totals else ""]

    def effect(self, answer: Answer) -> Effect:
        """What it was booked as, under its own id.

        What was odd about it was beyond its document, and all of it is named so.
        """
        if answer.outcome is Outcome.DROPPED:
            return Effect("drop", op=self.op)
        is_covered = bool(self.document_id) and not answer.detail
        lock_id = self.document_id if self.type in {"shipped", "returned"} else ""
        units = (
            (source, target, count) for source, target, count in self._units(is_covered=is_covered) if count
        )
        moves = tuple(Moved(self.sku, self.warehouse, *one) for one in units)
        return Effect(_KINDS[self.type], lock_id or None, self.op, tuple(moves))

    def _units(self, *, is_covered: bool) -> list[tuple[str, str, int]]:
        good, damaged, state = self.quantity, self.damaged, self.state.value
        match self.type:
            case "received":
                moves = [("s", "a", good), ("s", "d", damaged)]
            case "shipped":
                moves = [("l" if is_covered else "a", "c", good)]
            case "returned":
                moves = [("c", state, good)]
            case "adjusted":
                moves = [("j", state, good) if good > 0 else (state, "j", -good)]
            case "regraded":
                moves = [(state, "d" if state == "a" else "a", good)]
            case "transfer_shipped":
                moves = [("l", "t", good) if is_covered else ("a", "j", good)]
            case _ if is_covered:
                moves = [("t", "a", good), ("t", "d", damaged), ("t", "j", self.lost)]
            case _:
                moves = [("j", "a", good), ("j", "d", damaged)]
        return [one for one in moves if one[2]]


_KINDS = {
    "received": "receive",
    "shipped": "deduct",
    "returned": "return",
    "adjusted": "adjust",
    "regraded": "regrade",
    "transfer_shipped": "transfer_ship",
    "transfer_received": "transfer_receive",
}
"""Types of warehouse events, and the kinds of the events that book them."""
_NAMESPACES = {"received": Receive.namespace, "returned": Return.namespace, "adjusted": Adjust.namespace}


class Accept(Command, frozen=True, gc=False):
    """A person takes the word of one of a document's reporters about a SKU.

    `lock_id` is what the goods of a return were shipped for, '' where nobody knows.
    """

    number: str
    family: str
    sku: str
    reporter: str
    reason: str | None = None
    lock_id: str = ""

    function: ClassVar[str] = "accept"

    @property
    def op(self) -> str:
        """The case's number."""
        return f"mismatch:{self.number}"

    @property
    def subject(self) -> str:
        """The case."""
        return self.op

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return fingerprint_of(self.function, self.family, self.sku, self.reporter)

    @property
    def order(self) -> str:
        """The purchase order that a receipt came in for; '' for none."""
        kind, _, rest = self.family.partition(":")
        return rest.partition("{")[0] if kind == Receive.namespace and "{" in rest else ""

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/accept.lua`."""
        head: Arguments = [self.op, self.fingerprint, self.family, self.sku, self.reporter]
        return [*head, json_text(self.reason), self.lock_id]
