"""Events: one accepted command each, with its moves and the state after each. Immutable."""

from typing import Any, NamedTuple


class Counts(NamedTuple):
    """The counts of a SKU in one warehouse, in units."""

    available: int = 0
    locked: int = 0
    damaged: int = 0
    in_transit: int = 0
    buffer: int = 0

    @property
    def on_hand(self) -> int:
        """Good stock physically there."""
        return self.available + self.locked

    @property
    def sellable(self) -> int:
        """What product pages see, and locks may take."""
        return max(0, self.available - self.buffer)


class Move(NamedTuple):
    """A quantity of a SKU from one place to another; `version` is the SKU's, `after` the counts it left.

    `source` and `target` are the letters of `words.Place`. Zero units make a SKU known, or note a new buffer.
    A move over two warehouses leads to `target` in `to_warehouse`, and left the counts `to_after` there.
    `occurred_at` in ms, where that is another time than the event's (from schema 3 on).
    """

    sku: str
    version: int
    warehouse: str
    source: str
    target: str
    quantity: int
    after: Counts
    reason: str | None = None
    to_warehouse: str | None = None
    to_after: Counts | None = None
    occurred_at: int | None = None


class Document(NamedTuple):
    """What an event is about, besides a lock; `fields` has the record's fields that changed."""

    kind: str
    id: str
    fields: dict[str, Any]


class Told(NamedTuple):
    """What makes an event one of the inbox: ids it is known by besides its op, and its place in a sequence.

    `ids` are (op, fingerprint, units as text), `sequence` is (source, warehouse, number).
    """

    ids: list[tuple[str, str, str]]
    sequence: tuple[str, str, int] | None = None


class Reported(NamedTuple):
    """What reporters have said in all of a family of documents: by SKU its sums (see `app.domain.documents.Sums`)."""

    family: str
    sums: dict[str, Any]


class Event(NamedTuple):
    """What one command did. Times in ms since 1970; `lock` has the record's fields that changed.

    `document` is what it is about besides, such as a purchase order (from schema 2 on); `told` is of the inbox
    (from schema 3 on); `reported` is of a document that may be reported several times (from schema 4 on).
    """

    schema: int
    kind: str
    recorded_at: int
    op: str | None
    fingerprint: str | None
    who: str | None
    reason: str | None
    occurred_at: int | None
    lock_id: str | None
    lock: dict[str, Any] | None
    moves: list[Move]
    document: Document | None = None
    told: Told | None = None
    reported: Reported | None = None


class Position(NamedTuple):
    """Where an event stands: `n` counts from 0 without a gap within an epoch."""

    epoch: int
    n: int

    def __str__(self) -> str:
        """Return the outbox id, `<epoch>-<n>`."""
        return f"{self.epoch}-{self.n}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read an outbox id; raise `ValueError` if it is none."""
        epoch, _, n = text.partition("-")
        return cls(int(epoch), int(n))
