"""Locks."""

from typing import Annotated

from pydantic import Field

from app.api.replies.base import Count, Position, Reply, Time
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


class StepReply(LockReply):
    """A lock after a step."""

    position: Position
    durability: Annotated[Durability, Field(description="the level that was reached")]
    current_status: LockStatus = Field(
        LockStatus.HELD, description="only with a repeat: the lock's status by now"
    )
