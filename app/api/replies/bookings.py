"""What moves stock in one warehouse: returns, exchanges, adjustments, buffers, stock-takes."""

from typing import Literal

from pydantic import Field

from app.api.replies.base import Count, Reply, Time, Written
from app.api.replies.locks import LockReply
from app.domain.words import LockStatus


class ReturnLineReply(Reply):
    """Units that came back."""

    sku: str
    quantity: Count
    condition: Literal["sellable", "damaged"]


class WaitingReply(Reply):
    """What other reporters of the document say otherwise of: see the mismatches."""

    sku: str
    warehouse: str


class ReturnReply(Written):
    """A booked return."""

    waiting: list[WaitingReply] = Field([], description="what others say otherwise of; only if any")

    return_id: str
    warehouse: str
    lock_id: str = ""
    occurred_at: Time = ""
    lines: list[ReturnLineReply]


class ExchangeReply(Written):
    """A booked exchange; `lock` as it began."""

    exchange_id: str
    warehouse: str
    occurred_at: Time = ""
    returned: list[ReturnLineReply]
    lock: LockReply
    current_status: LockStatus = Field(
        LockStatus.HELD, description="only with a repeat: the lock's status by now"
    )


class AdjustmentLineReply(Reply):
    """Units corrected."""

    sku: str
    quantity: Count
    state: Literal["available", "damaged"]
    to_state: Literal["available", "damaged"] = "damaged"
    reason: str


class AdjustmentReply(Written):
    """A booked adjustment."""

    waiting: list[WaitingReply] = Field([], description="what others say otherwise of; only if any")

    adjustment_id: str
    warehouse: str
    occurred_at: Time = ""
    lines: list[AdjustmentLineReply]


class BufferLineReply(Reply):
    """Units withheld from sale."""

    sku: str
    quantity: int


class BuffersReply(Written):
    """The buffers as they are set."""

    warehouse: str
    lines: list[BufferLineReply]


class CountedLineReply(Reply):
    """What was counted, and by how much it differed from what should have been there."""

    sku: str
    on_hand: int
    difference: int = Field(
        0,
        description="counted less expected: what was booked; a repeat lacks it where the ledger cannot say it"
        " any more (its month was archived) or not yet (it is in quarantine)",
    )
    damaged: int = Field(0, description="only where it was counted, as is damaged_difference")
    damaged_difference: int = 0


class StockTakeReply(Written):
    """A booked stock-take."""

    stock_take_id: str
    warehouse: str
    counted_at: Time
    lines: list[CountedLineReply]
