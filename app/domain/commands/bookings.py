"""Commands that book what came, went or was found to differ in one warehouse, a document each."""

from typing import ClassVar

import msgspec

from app.domain.answers import Answer
from app.domain.arguments import Arguments, flag, optional
from app.domain.commands.base import Command, Effect, Moved, fingerprint_of, reason_content
from app.domain.commands.locks import Lock, moves_of_lock
from app.domain.events import Document
from app.domain.lines import Booking, booking_arguments, line_arguments
from app.domain.ranking import Ranking


class Book(Command, frozen=True, gc=False):
    """Bookings of one document in one warehouse; `occurred_at` in ms, None: when it is recorded.

    `kind` is that of its event, `namespace` that of its ids.
    """

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
    def subject(self) -> str:
        """The document."""
        return self.op

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        lines = (
            f"{x.sku}\t{x.source}\t{x.target}\t{x.quantity}\t{reason_content(x.reason)}" for x in self.lines
        )
        return fingerprint_of(self.kind, self.warehouse, self.occurred_at, *lines, *self._content())

    @property
    def document(self) -> Document | None:
        """What the event is about, besides a lock."""
        return None

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/receive.lua`: receive, return, adjust and count are alike, but for what may follow their lines."""
        args: Arguments = [self.op, self.fingerprint, optional(self.occurred_at), self.warehouse]
        args += [msgspec.json.encode(self.document).decode() if self.document else ""]
        return [*args, *booking_arguments(self.lines), *self._more()]

    def effect(self, answer: Answer) -> Effect:
        """Its own lines moved."""
        moves = (Moved(x.sku, self.warehouse, x.source.value, x.target.value, x.quantity) for x in self.lines)
        return Effect(self.function, op=self.op, moves=tuple(moves))

    def _content(self) -> tuple[object, ...]:
        return ()

    def _more(self) -> Arguments:
        return []


class Receive(Book, frozen=True, gc=False):
    """Goods came in; `purchase_order_id` '' where no order is known."""

    purchase_order_id: str = ""

    function: ClassVar[str] = "receive"
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


class Return(Book, frozen=True, gc=False):
    """A customer's goods came back; `lock_id` '' where nobody knows what they were shipped for."""

    lock_id: str = ""

    function: ClassVar[str] = "return"
    kind: ClassVar[str] = "return"
    namespace: ClassVar[str] = "return"

    def _content(self) -> tuple[object, ...]:
        return (self.lock_id,) if self.lock_id else ()

    def _more(self) -> Arguments:
        return [self.lock_id] if self.lock_id else []


class Exchange(Command, frozen=True, gc=False):
    """Goods came back, and others are held instead: both or neither. `returned` is booked at `warehouse`.

    `lock_id` is the lock that they were shipped for, '' where nobody knows.
    """

    exchange_id: str
    warehouse: str
    returned: tuple[Booking, ...]
    lock: Lock
    occurred_at: int | None = None
    lock_id: str = ""

    function: ClassVar[str] = "exchange"

    @property
    def op(self) -> str:
        """The exchange's id, in the namespace of its kind."""
        return f"exchange:{self.exchange_id}"

    @property
    def subject(self) -> str:
        """The lock that is held instead."""
        return self.lock.lock_id

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        back = Return(self.exchange_id, self.warehouse, self.returned, self.occurred_at, self.lock_id)
        return fingerprint_of(self.function, back.fingerprint, self.lock.lock_id, self.lock.fingerprint)

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/exchange.lua`: the return first, then the lock."""
        new = self.lock
        args: Arguments = [new.lock_id, self.op, self.fingerprint, new.fingerprint, optional(new.ttl_ms)]
        args += [optional(self.occurred_at), self.warehouse, *booking_arguments(self.returned)]
        args += [len(new.warehouses), *new.warehouses, *ranking.arguments, *line_arguments(new.lines)]
        return [*args, self.lock_id] if self.lock_id else args

    def effect(self, answer: Answer) -> Effect:
        """What is held instead was taken."""
        return Effect(self.function, self.lock.lock_id, moves=moves_of_lock(answer, "a", "l"))


class Adjust(Book, frozen=True, gc=False):
    """A correction, with its reason. `only_if_on_hand` is a condition and no content."""

    only_if_on_hand: bool = False

    function: ClassVar[str] = "adjust"
    kind: ClassVar[str] = "adjust"
    namespace: ClassVar[str] = "adjustment"

    def _more(self) -> Arguments:
        return [flag(on=True)] if self.only_if_on_hand else []


class Count(Adjust, frozen=True, gc=False):
    """What a stock-take found to differ; `content` is what was counted, which a repeat must have again.

    A booking of damaged units, be it of none, says that those were counted too. `since` is the position up to which
    the difference knows what happened; '' for all of it.
    """

    content: str = ""
    since: str = ""

    function: ClassVar[str] = "count"
    namespace: ClassVar[str] = "stock-take"

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again: what was counted, not what it differed by."""
        return fingerprint_of(self.namespace, self.content)

    def _more(self) -> Arguments:
        return [self.since]
