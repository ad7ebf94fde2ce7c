"""Locks."""

from typing import Annotated

from pydantic import Field

from app.api.replies.base import Count, Next, Position, Reply, Time, Written
from app.domain.words import Durability, LockStatus


class LockLineReply(Reply):
    """Units of a SKU from one warehouse: `quantity` in all, of which `deducted` shipped."""

    sku: str
    warehouse: str
    quantity: Count
    deducted: int = Field(examples=[0])


class LockReply(Reply):
    """A lock."""

    lock_id: str
    status: LockStatus
    expires_at: Time | None = Field(description="null: never")
    lines: list[LockLineReply]
    version: int = Field(description="counts the changes of the lock, from 1", examples=[1])


class BeyondReply(Reply):
    """Units beyond what was on the shelf."""

    sku: str
    warehouse: str
    units: Count


class StepReply(LockReply):
    """A lock after a step."""

    position: Position
    durability: Annotated[Durability, Field(description="the level that was reached")]
    beyond_on_hand: list[BeyondReply] = Field(
        [], description="only of a deduct: what was taken though the shelf had less, by the counts"
    )
    current_status: LockStatus = Field(
        LockStatus.HELD, description="only with a repeat: the lock's status by now"
    )
    original_status: LockStatus = Field(
        LockStatus.HELD,
        description="only with a repeated creation whose lock has ended, of which everything else is as it is now",
    )


class UnlockedReply(Reply):
    """What became of one lock: its status, or the code of the problem."""

    lock_id: str
    status: LockStatus = Field(LockStatus.RELEASED, description="only where it is given back, now or before")
    code: str = Field("", description="only where it cannot be", examples=["unknown_lock"])


class UnlockedListReply(Written):
    """What became of each lock, in the order in which they were named."""

    results: list[UnlockedReply]


class LockListReply(Reply):
    """Locks by id."""

    items: list[LockReply]
    next: Next
