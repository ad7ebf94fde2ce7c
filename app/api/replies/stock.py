"""The counts of a SKU, its moves, and where every unit is."""

from typing import Literal

from pydantic import Field

from app.api.replies.base import Count, Next, Position, Reply, Time


class CountsReply(Reply):
    """The counts of a SKU in one warehouse."""

    on_hand: int
    available: int
    locked: int
    damaged: int
    in_transit: int
    buffer: int
    sellable: int


class StockReply(Reply):
    """Every count of a SKU."""

    sku: str
    version: int
    warehouses: dict[str, CountsReply]


class DocumentReply(Reply):
    """What an event was about, such as a lock, a transfer, a purchase order or a return."""

    kind: str = Field(examples=["lock"])
    id: str = Field(examples=["order-1001"])


Where = Literal[
    "available", "locked", "damaged", "in_transit", "buffer", "supplier", "customer", "adjustment"
]


class MoveReply(Reply):
    """Units that went from one place to another. None went where a SKU became known or a buffer was set."""

    version: int = Field(description="the SKU's version that the move made")
    cause: str = Field("", description="the kind of event", examples=["deduct"])
    document: DocumentReply = Field(DocumentReply(kind="", id=""), description="what the event was about")
    quantity: Count
    source: Where = Field(alias="from")
    target: Where = Field(alias="to")
    warehouse: str
    to_warehouse: str = Field("", description="only where it led to another warehouse")
    reason: str = ""
    who: str = ""
    occurred_at: Time
    recorded_at: Time
    position: Position
    after: CountsReply = Field(description="the counts that it left in the warehouse")
    to_after: CountsReply = Field(
        CountsReply(on_hand=0, available=0, locked=0, damaged=0, in_transit=0, buffer=0, sellable=0),
        description="and in the other one",
    )


class HistoryReply(Reply):
    """A page of a SKU's moves, in the order of recording or against it."""

    items: list[MoveReply]
    next: Next


class PlaceReply(Reply):
    """Units in a place; outside the warehouses, less than none: more came from there than went there."""

    warehouse: str = Field("", description="absent outside the warehouses")
    place: Where
    units: int


class ExplanationReply(Reply):
    """Where every unit of a SKU is, and a page of its moves by when they happened, newest first."""

    sku: str
    version: int
    places: list[PlaceReply]
    total: int = Field(description="the sum over all places: zero, unless the books are wrong", examples=[0])
    items: list[MoveReply]
    next: Next
