"""Purchase orders, their receipts, and what is still expected."""

from typing import Annotated

from pydantic import Field

from app.api.replies.base import Count, Next, Reply, Time, Written
from app.api.replies.bookings import WaitingReply
from app.domain.purchase_orders import OrderStatus
from app.domain.words import Durability


class PurchaseOrderLineReply(Reply):
    """A planned line; `outstanding`: units that have not come yet, damaged ones included in those that have."""

    sku: str
    quantity: Count
    expected_at: Time = ""
    outstanding: int


class ArrivedReply(Reply):
    """Units of a SKU that came in: `over` of them beyond the plan."""

    sku: str
    quantity: int = Field(description="good units")
    damaged: int
    over: int


class PurchaseOrderReply(Reply):
    """A purchase order as the ledger knows it: a receipt shows once it is persisted, a moment later."""

    purchase_order_id: str
    warehouse: str
    status: OrderStatus
    created_at: Time
    closed_at: Time = ""
    lines: list[PurchaseOrderLineReply]
    received: list[ArrivedReply]


class PurchaseOrderListReply(Reply):
    """Purchase orders by id."""

    items: list[PurchaseOrderReply]
    next: Next


class PurchaseOrderWrittenReply(PurchaseOrderReply):
    """A purchase order after a step."""

    durability: Annotated[
        Durability, Field(description="the level that was reached: a plan is kept in the ledger")
    ]
    current_status: OrderStatus = Field(OrderStatus.OPEN, description="only with a repeat: the status by now")


class ReceiptLineReply(Reply):
    """Units that came in."""

    sku: str
    quantity: int
    damaged: int


class ReceiptReply(Written):
    """A booked receipt."""

    waiting: list[WaitingReply] = Field([], description="what others say otherwise of; only if any")

    receipt_id: str
    purchase_order_id: str
    warehouse: str
    occurred_at: Time = ""
    lines: list[ReceiptLineReply]
    over_received: list[ArrivedReply] = Field(
        [],
        description="the SKUs that are beyond the plan with this receipt, with all that came in for the order; "
        "absent when the ledger was too far behind to say",
    )
    current_status: OrderStatus = Field(
        description="the order's status; goods of a closed one are booked too"
    )


class ExpectedReply(Reply):
    """Units that a warehouse still expects."""

    sku: str
    warehouse: str
    expected_at: Time | None = Field(description="null: nobody said when")
    quantity: Count
    purchase_order_ids: list[str]


class ExpectedListReply(Reply):
    """What is still expected, by SKU, warehouse and time."""

    items: list[ExpectedReply]
    next: Next
