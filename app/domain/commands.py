"""Commands: what callers ask for, already checked at the edge. Each knows its op and its fingerprint."""

import hashlib
from dataclasses import dataclass

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
    """What a SKU shall have on hand in a warehouse, in units; `buffer` None leaves the buffer as it is."""

    sku: str
    warehouse: str
    on_hand: int
    buffer: int | None = None


def _fingerprint(*content: object) -> str:
    """Sixteen hex digits of a request's content. Its texts have no control characters: tabs keep them apart."""
    return hashlib.sha256("\t".join(map(str, content)).encode()).hexdigest()[:16]


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
        return (_merged(self.lines), self.reason)


@dataclass(frozen=True, slots=True)
class Deduct(Step):
    """All that is left (`lines` None), or some, left the shelf in the shipment `key`."""

    lines: tuple[Line, ...] | None = None

    @property
    def op(self) -> str:
        """The shipment of this lock. A brace cannot occur in an id, so the two parts cannot be confused."""
        return f"deduct:{self.lock_id}{{{self.key}"

    def _content(self) -> tuple[object, ...]:
        return (_merged(self.lines),)


@dataclass(frozen=True, slots=True)
class Replace(Step):
    """Other lines, in one atomic swap."""

    lines: tuple[Line, ...] = ()
    warehouses: tuple[str, ...] = ()

    def _content(self) -> tuple[object, ...]:
        return (*self.warehouses, "\n", _merged(self.lines))


@dataclass(frozen=True, slots=True)
class Expire:
    """A held lock is overdue."""

    lock_id: str


@dataclass(frozen=True, slots=True)
class Book:
    """Bookings of one document in one warehouse; `occurred_at` in ms, None: when it is recorded.

    `purchase_order_id` is the order that goods came in for, '' for none.
    """

    document_id: str
    warehouse: str
    lines: tuple[Booking, ...]
    occurred_at: int | None = None
    purchase_order_id: str = ""

    kind = ""
    namespace = ""

    @property
    def op(self) -> str:
        """The document's id, in the namespace of its kind."""
        return f"{self.namespace}:{self.document_id}"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        lines = (f"{x.sku}\t{x.source}\t{x.target}\t{x.quantity}\t{x.reason}" for x in self.lines)
        order = (self.purchase_order_id, "\n") if self.purchase_order_id else ()
        return _fingerprint(self.kind, self.warehouse, self.occurred_at, *order, *lines)

    @property
    def document(self) -> Document | None:
        """What the event is about."""
        return Document("purchase_order", self.purchase_order_id, {}) if self.purchase_order_id else None


class Receive(Book):
    """Goods of a purchase order came in."""

    kind, namespace = "receive", "receipt"


class Return(Book):
    """A customer's goods came back."""

    kind, namespace = "return", "return"


class Adjust(Book):
    """A correction, with its reason."""

    kind, namespace = "adjust", "adjustment"


@dataclass(frozen=True, slots=True)
class Count(Adjust):
    """What a stock-take found to differ; `content` is what was counted, which a repeat must have again."""

    content: str = ""

    namespace = "stock-take"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again: what was counted, not what it differed by."""
        return _fingerprint(self.namespace, self.content)


@dataclass(frozen=True, slots=True)
class Opening:
    """Set `on_hand` (and buffers) absolutely."""

    rows: tuple[OpeningRow, ...]


@dataclass(frozen=True, slots=True)
class Buffer:
    """Set the safety stock of SKUs in one warehouse absolutely; a line's `quantity`, from 0, is its buffer."""

    warehouse: str
    lines: tuple[Line, ...]


Command = (
    Lock
    | Confirm
    | Extend
    | Unlock
    | Deduct
    | Replace
    | Expire
    | Receive
    | Return
    | Adjust
    | Opening
    | Buffer
)
