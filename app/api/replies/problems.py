"""How a process is, and what refusals look like (RFC 9457)."""

from typing import Literal

from pydantic import BaseModel, Field

from app.api.replies.base import Reply, Time
from app.api.replies.locks import BeyondReply
from app.domain.words import LockStatus, TransferStatus


class StatusReply(Reply):
    """How the process is; `notes` has what somebody should know though it can serve."""

    status: str
    notes: list[str] | None = None


class FieldError(Reply):
    """One thing wrong with a request."""

    field: str = Field(examples=["lines[0].quantity"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class ShortageReply(Reply):
    """What was asked for and is not there."""

    sku: str
    warehouse: str = ""
    requested: int
    sellable: int
    unknown: Literal[True] = True


class ExcessReply(Reply):
    """What a step asked of a lock or transfer beyond what that has left."""

    sku: str
    warehouse: str = ""
    requested: int
    held: int


class ProblemReply(BaseModel):
    """An error (RFC 9457). `code` is stable; the members after it come with the codes they belong to."""

    type: str = Field(examples=["urn:sellable:problem:insufficient_stock"])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["insufficient_stock"])
    errors: list[FieldError] = []
    shortages: list[ShortageReply] = []
    exceeding: list[ExcessReply] = []
    lock_id: str = ""
    transfer_id: str = ""
    shipment_id: str = ""
    current_status: LockStatus | TransferStatus = LockStatus.HELD
    version: int = 1
    beyond_on_hand: list[BeyondReply] = []
    since: Time = ""
    reasons: list[str] = []
