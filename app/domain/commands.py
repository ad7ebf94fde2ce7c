"""Commands: what callers ask for, already checked at the edge. Each knows its op and its fingerprint."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from app.domain.events import Document
from app.domain.words import Place


@dataclass(frozen=True, slots=True)
class Line:
    """Units of a SKU; `warehouse` is '' where sourcing may choose."""

    sku: str
    quantity: int
    warehouse: str = ""


@dataclass(frozen=True, slots=True)
class Booking:
    """Units of a SKU from one place to another, one of them inside the warehouse."""

    sku: str
    source: Place
    target: Place
    quantity: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """What a SKU shall have on hand in a warehouse, in units; `buffer` None leaves the buffer as it is.

    Unless so many are on hand already, it is set only where what is there is what is `expected`: a number of units,
    or `new`, where the SKU is not known there; None: whatever it is.
    """

    sku: str
    warehouse: str
    on_hand: int
    buffer: int | None = None
    expected: int | Literal["new"] | None = None


def _fingerprint(*content: object) -> str:
    """Sixteen hex digits of a request's content. Its texts have no control characters: tabs keep them apart."""
    return hashlib.sha256("\t".join(map(str, content)).encode()).hexdigest()[:16]


def _text_of(reason: str | None) -> str:
    """A reason as a fingerprint has it: no reason is `None`, so the text `None` is told from it."""
    return "\0None" if reason == "None" else str(reason)


def _merged(lines: tuple[Line, ...] | None) -> str:
    """The lines as they count: summed per SKU and warehouse, in no order of their own."""
    if lines is None:
        return "all"
    if len(lines) == 1:
        return f"{lines[0].sku}\t{lines[0].warehouse}\t{lines[0].quantity}"
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        sums[line.sku, line.warehouse] = sums.get((line.sku, line.warehouse), 0) + line.quantity
    return "\n".join(f"{sku}\t{warehouse}\t{sums[sku, warehouse]}" for sku, warehouse in sorted(sums))


@dataclass(frozen=True, slots=True)
class Lock:
    """Hold stock for one order; `ttl_ms` None never expires."""

    lock_id: str
    lines: tuple[Line, ...]
    warehouses: tuple[str, ...] = ()
    ttl_ms: int | None = 900_000

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return _fingerprint(self.ttl_ms, *self.warehouses, "\n", _merged(self.lines))


@dataclass(frozen=True, slots=True)
class Step:
    """A step in a lock's life; `key` is the caller's Idempotency-Key, or ''."""

    lock_id: str
    key: str = ""

    @property
    def op(self) -> str:
        """The id under which a repeat is recognised, or '' for none."""
        return f"key:{self.key}" if self.key else ""

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again: the step, the lock, the body."""
        return _fingerprint(type(self).__name__, self.lock_id, *self._content())

    def _content(self) -> tuple[object, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Confirm(Step):
    """The order is paid: its lock no longer expires."""


@dataclass(frozen=True, slots=True)
class Extend(Step):
    """Expire later, counted from now; None: never."""

    ttl_ms: int | None = None

    def _content(self) -> tuple[object, ...]:
        return (self.ttl_ms,)


@dataclass(frozen=True, slots=True)
class Unlock(Step):
    """Give back all that is left (`lines` None), or some."""

    lines: tuple[Line, ...] | None = None
    reason: str | None = None

    def _content(self) -> tuple[object, ...]:
        return (_merged(self.lines), _text_of(self.reason))


@dataclass(frozen=True, slots=True)
class Deduct(Step):
    """All that is left (`lines` None), or some, left the shelf in the shipment `key`.

    `only_if_on_hand` is a condition and no content: a repeat need not have it again. `occurred_at` in ms, None: when
    it is recorded.
    """

    lines: tuple[Line, ...] | None = None
    occurred_at: int | None = None
    only_if_on_hand: bool = False

    @property
    def op(self) -> str:
        """The shipment of this lock. A brace cannot occur in an id, so the two parts cannot be confused."""
        return f"{self.family}{{{self.key}"

    @property
    def family(self) -> str:
        """The shipments of the lock, which are compared with each other."""
        return f"deduct:{self.lock_id}"

    def _content(self) -> tuple[object, ...]:
        lines = _merged(self.lines)
        return (lines,) if self.occurred_at is None else (lines, self.occurred_at)


@dataclass(frozen=True, slots=True)
class Void(Step):
    """The shipment `key` never left: what it took (`lines`, each with its warehouse) is promised to the order again.

    Without lines it was voided before. `occurred_at` is when it was said to have left, in ms; None: now. Both are as
    the ledger has them: a repeat is known by the shipment alone.
    """

    lines: tuple[Line, ...] = ()
    occurred_at: int | None = None
    reason: str | None = None

    @property
    def op(self) -> str:
        """The voiding of this lock's shipment."""
        return f"void:{self.lock_id}{{{self.key}"

    @property
    def shipment_op(self) -> str:
        """The op of the shipment."""
        return Deduct(self.lock_id, self.key).op

    @property
    def family(self) -> str:
        """The shipments of the lock."""
        return Deduct(self.lock_id).family


@dataclass(frozen=True, slots=True)
class Replace(Step):
    """Other lines, in one atomic swap; of a lock that shipped in part, for what has not shipped.

    Without `warehouses` those of the lock are kept. With `renews` its expiry is `ttl_ms` from now (None: never).
    `version` is the one that the lock must have: a condition, which a repeat need not have again.
    """

    lines: tuple[Line, ...] = ()
    warehouses: tuple[str, ...] = ()
    renews: bool = False
    ttl_ms: int | None = None
    version: int | None = None

    def _content(self) -> tuple[object, ...]:
        renewal = ("ttl", self.ttl_ms) if self.renews else ()
        return (*self.warehouses, "\n", _merged(self.lines), *renewal)


@dataclass(frozen=True, slots=True)
class Reopen(Step):
    """Hold the stock of an expired or released lock again, until `ttl_ms` from now; None: without an end."""

    ttl_ms: int | None = None

    def _content(self) -> tuple[object, ...]:
        return (self.ttl_ms,)


@dataclass(frozen=True, slots=True)
class Remember:
    """An id that no lock has is noted as released: a creation that comes later holds nothing."""

    lock_id: str


@dataclass(frozen=True, slots=True)
class Expire:
    """A held lock is overdue. `now_max`: the latest time in ms that its sweeper vouches for, None: any."""

    lock_id: str
    now_max: int | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """Bookings of one document in one warehouse; `occurred_at` in ms, None: when it is recorded."""

    document_id: str
    warehouse: str
    lines: tuple[Booking, ...]
    occurred_at: int | None = None

    kind: ClassVar[str] = ""
    namespace: ClassVar[str] = ""

    @property
    def op(self) -> str:
        """The document's id, in the namespace of its kind."""
        return f"{self.namespace}:{self.document_id}"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        lines = (f"{x.sku}\t{x.source}\t{x.target}\t{x.quantity}\t{_text_of(x.reason)}" for x in self.lines)
        return _fingerprint(self.kind, self.warehouse, self.occurred_at, *lines, *self._content())

    @property
    def document(self) -> Document | None:
        """What the event is about, besides a lock."""
        return None

    def _content(self) -> tuple[object, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Receive(Book):
    """Goods came in; `purchase_order_id` '' where no order is known."""

    purchase_order_id: str = ""

    kind: ClassVar[str] = "receive"
    namespace: ClassVar[str] = "receipt"

    @property
    def op(self) -> str:
        """The receipt within its order; without one it is the routes' own."""
        if not self.purchase_order_id:
            return self.older_op
        return f"{self.namespace}:{self.purchase_order_id}{{{self.document_id}"

    @property
    def older_op(self) -> str:
        """The op that older versions used: the receipt's id alone."""
        return f"{self.namespace}:{self.document_id}"

    @property
    def document(self) -> Document | None:
        """The order that they came in for."""
        return Document("purchase_order", self.purchase_order_id, {}) if self.purchase_order_id else None

    def _content(self) -> tuple[object, ...]:
        return (self.purchase_order_id,) if self.purchase_order_id else ()


@dataclass(frozen=True, slots=True)
class Return(Book):
    """A customer's goods came back; `lock_id` '' where nobody knows what they were shipped for."""

    lock_id: str = ""

    kind: ClassVar[str] = "return"
    namespace: ClassVar[str] = "return"

    def _content(self) -> tuple[object, ...]:
        return (self.lock_id,) if self.lock_id else ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """Goods came back, and others are held instead: both or neither. `returned` is booked at `warehouse`.

    `lock_id` is the lock that they were shipped for, '' where nobody knows.
    """

    exchange_id: str
    warehouse: str
    returned: tuple[Booking, ...]
    lock: Lock
    occurred_at: int | None = None
    lock_id: str = ""

    kind: ClassVar[str] = "exchange"

    @property
    def op(self) -> str:
        """The exchange's id, in the namespace of its kind."""
        return f"exchange:{self.exchange_id}"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        back = Return(self.exchange_id, self.warehouse, self.returned, self.occurred_at, self.lock_id)
        returned = back.fingerprint
        return _fingerprint(self.kind, returned, self.lock.lock_id, self.lock.fingerprint)


@dataclass(frozen=True, slots=True)
class Adjust(Book):
    """A correction, with its reason. `only_if_on_hand` is a condition and no content."""

    only_if_on_hand: bool = False

    kind: ClassVar[str] = "adjust"
    namespace: ClassVar[str] = "adjustment"


@dataclass(frozen=True, slots=True)
class Count(Adjust):
    """What a stock-take found to differ; `content` is what was counted, which a repeat must have again.

    A booking of damaged units, be it of none, says that those were counted too. `since` is the position up to which
    the difference knows what happened; '' for all of it.
    """

    content: str = ""
    since: str = ""

    namespace: ClassVar[str] = "stock-take"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again: what was counted, not what it differed by."""
        return _fingerprint(self.namespace, self.content)


@dataclass(frozen=True, slots=True)
class Opening:
    """Set `on_hand` (and buffers) absolutely."""

    rows: tuple[OpeningRow, ...]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Stock is asked for at `source` for `destination`; the lines name no warehouse."""

    transfer_id: str
    source: str
    destination: str
    lines: tuple[Line, ...]

    kind: ClassVar[str] = "transfer"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return _fingerprint(self.source, self.destination, "\n", _merged(self.lines))


@dataclass(frozen=True, slots=True)
class TransferStep:
    """A step in a transfer's life; `key` is the shipment's or receipt's id. `occurred_at` in ms, None: now."""

    transfer_id: str
    key: str = ""
    occurred_at: int | None = None

    kind: ClassVar[str] = ""

    @property
    def op(self) -> str:
        """The id under which a repeat is recognised, or '' for none."""
        return f"{self.kind}:{self.transfer_id}{{{self.key}" if self.key else ""

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return _fingerprint(self.kind, self.transfer_id, self.occurred_at, *self._content())

    def _content(self) -> tuple[object, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class TransferShip(TransferStep):
    """All that is left (`lines` None), or some, left the source in the shipment `key`."""

    lines: tuple[Line, ...] | None = None

    kind: ClassVar[str] = "transfer_ship"

    def _content(self) -> tuple[object, ...]:
        return (_merged(self.lines),)


class Arrival(NamedTuple):
    """Units of a SKU at the end of a transfer: `quantity` good ones, damaged and lost ones in addition."""

    sku: str
    quantity: int
    damaged: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class TransferReceive(TransferStep):
    """What was on the way arrived, or was lost, as the receipt `key` says."""

    lines: tuple[Arrival, ...] = ()

    kind: ClassVar[str] = "transfer_receive"

    def _content(self) -> tuple[object, ...]:
        return tuple("\t".join(map(str, line)) for line in sum_arrivals(self.lines))


def sum_arrivals(lines: tuple[Arrival, ...]) -> list[Arrival]:
    """Sum lines of the same SKU, in order of SKU."""
    sums: dict[str, Arrival] = {}
    for line in lines:
        known = sums.get(line.sku, Arrival(line.sku, 0))
        units = (known.quantity + line.quantity, known.damaged + line.damaged, known.lost + line.lost)
        sums[line.sku] = Arrival(line.sku, *units)
    return [sums[sku] for sku in sorted(sums)]


@dataclass(frozen=True, slots=True)
class TransferCancel(TransferStep):
    """What a transfer has not shipped yet is not needed any more."""

    kind: ClassVar[str] = "transfer_cancel"


OnTheWay = Literal["", "lost", "returned_to_source"]
"""What becomes of units on the way when their transfer is closed; `''`: they still arrive."""


@dataclass(frozen=True, slots=True)
class TransferClose(TransferStep):
    """Nothing more of a transfer is shipped."""

    in_transit: OnTheWay = ""
    reason: str | None = None

    kind: ClassVar[str] = "transfer_close"

    def _content(self) -> tuple[object, ...]:
        return (self.in_transit,)


@dataclass(frozen=True, slots=True)
class Buffer:
    """Set the safety stock of SKUs in one warehouse absolutely; a line's `quantity`, from 0, is its buffer."""

    warehouse: str
    lines: tuple[Line, ...]


FactMode = Literal["", "force", "hold", "pass", "drop"]
"""`''`: book it in its turn; `force`: book it whatever is missing; `hold`: in its turn, only let those behind it pass;
`pass`: let them pass now; `drop`: never book it."""


@dataclass(frozen=True, slots=True)
class Fact:
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

    kind: ClassVar[str] = "fact"

    @property
    def op(self) -> str:
        """The event's id, which is its source's own."""
        return f"event:{self.source}{{{self.event_id}"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        reason = _text_of(self.reason)
        line = (self.line_id,) if self.line_id else ()
        return _fingerprint(self.content, self.occurred_at, self.document_id, self.told_id, reason, *line)

    @property
    def content(self) -> str:
        """What it says about its SKU, whichever id it says it under."""
        units = (self.quantity, self.damaged, self.lost, self.state)
        return _fingerprint(self.type, self.warehouse, self.sku, *units)

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
                kind = TransferShip.kind if self.type == "transfer_shipped" else TransferReceive.kind
                return f"{kind}:{self.document_id}" if self.document_id else ""
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


_NAMESPACES = {"received": Receive.namespace, "returned": Return.namespace, "adjusted": Adjust.namespace}


@dataclass(frozen=True, slots=True)
class Accept:
    """A person takes the word of one of a document's reporters about a SKU.

    `lock_id` is what the goods of a return were shipped for, '' where nobody knows.
    """

    number: str
    family: str
    sku: str
    reporter: str
    reason: str | None = None
    lock_id: str = ""

    kind: ClassVar[str] = "accept"

    @property
    def op(self) -> str:
        """The case's number."""
        return f"mismatch:{self.number}"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return _fingerprint(self.kind, self.family, self.sku, self.reporter)

    @property
    def order(self) -> str:
        """The purchase order that a receipt came in for; '' for none."""
        kind, _, rest = self.family.partition(":")
        return rest.partition("{")[0] if kind == Receive.namespace and "{" in rest else ""


Command = (
    Lock
    | Confirm
    | Extend
    | Unlock
    | Deduct
    | Replace
    | Reopen
    | Remember
    | Expire
    | Receive
    | Return
    | Adjust
    | Opening
    | Transfer
    | TransferStep
    | Exchange
    | Buffer
    | Fact
    | Accept
)
