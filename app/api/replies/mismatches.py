"""Mismatches, and what was decided of one."""

from typing import Literal

from pydantic import Field

from app.api.replies.base import Next, Reply, Time, Written

Document = Literal["shipment", "transfer_shipment", "transfer_receipt", "receipt", "return", "adjustment"]


class SaidReply(Reply):
    """What one reporter said in all of one document in one warehouse; of an adjustment with its sign."""

    reporter: str
    document_id: str = Field("", description="the shipment or receipt, where there are several")
    warehouse: str
    quantity: int
    damaged: int
    lost: int = 0


class BookedReply(Reply):
    """What of it is booked."""

    document_id: str = ""
    warehouse: str
    quantity: int
    damaged: int
    lost: int = 0


class MismatchReply(Reply):
    """A case. It closes by itself when the reporters agree."""

    mismatch_id: str
    document: Document
    lock_id: str = ""
    transfer_id: str = ""
    purchase_order_id: str = ""
    receipt_id: str = ""
    return_id: str = ""
    adjustment_id: str = ""
    sku: str
    differs: Literal["units", "condition", "place", "line"] = Field(
        description="`condition`: as many units, other ones damaged; `place`: as many from another warehouse; "
        "`line`: only some of those who report the document name it"
    )
    said: list[SaidReply]
    booked: list[BookedReply]
    opened_at: Time


class MismatchListReply(Reply):
    """The open cases by id."""

    items: list[MismatchReply]
    next: Next


class DecidedReply(Written):
    """What was decided of a case."""

    mismatch_id: str
    sku: str
    decision: Literal["accepted", "dropped"]
