"""Transfers."""

from typing import Annotated

from pydantic import Field

from app.api.replies.base import Count, Position, Reply
from app.domain.words import Durability, TransferStatus


class TransferLineReply(Reply):
    """A transfer's line: of `quantity`, what shipped, what became of that, and what was cancelled before."""

    sku: str
    quantity: Count
    shipped: int
    received: int = Field(description="in good order")
    damaged: int
    lost: int
    cancelled: int
    returned: Count = Field(0, description="only where units came back to the source")


class TransferReply(Reply):
    """A transfer."""

    transfer_id: str
    source: str = Field(alias="from")
    destination: str = Field(alias="to")
    status: TransferStatus
    lines: list[TransferLineReply]


class TransferStepReply(TransferReply):
    """A transfer after a step."""

    position: Position
    durability: Annotated[Durability, Field(description="the level that was reached")]
    current_status: TransferStatus = Field(
        TransferStatus.REQUESTED, description="only with a repeat: the transfer's status by now"
    )
