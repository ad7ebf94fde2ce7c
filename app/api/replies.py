"""The shapes of replies, for the OpenAPI page. `views` builds them; a test holds the two together."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.purchase_orders import OrderStatus
from app.domain.reconciliation import Cause, Kind, State, Status, Treatment
from app.domain.words import LockStatus, TransferStatus
from app.operations.shortages import Broken
from app.settings import Durability

Count = Annotated[int, Field(examples=[7])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2025-11-28T09:30:00.000Z"])]
Next = Annotated[str | None, Field(description="give it as `after` for the items that follow; null: none do")]
Position = Annotated[str, Field(description="opaque", examples=["s0-1-42"])]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Written(_Reply):
    position: Position
    durability: Annotated[Durability, Field(description="the level that was reached")]


class SellableIn(_Reply):
    """What one warehouse can sell."""

    sellable: Count


class AvailabilityReply(_Reply):
    """What a product page shows."""

    sku: str
    sellable: Count
    in_stock: bool
    version: int
    warehouses: dict[str, SellableIn]
    stale: Literal[True] = Field(
        default=True, description="only while the hot store is away: the last known answer"
    )


class AvailabilityListReply(_Reply):
    """What a list page shows, in the order asked for."""

    items: list[AvailabilityReply]
    unknown: list[str]


class LockLineReply(_Reply):
    """Units of a SKU from one warehouse: `quantity` in all, of which `deducted` shipped."""

    sku: str
    warehouse: str
    quantity: Count
    deducted: int = Field(examples=[0])


class LockReply(_Reply):
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


class CountsReply(_Reply):
    """The counts of a SKU in one warehouse."""

    on_hand: int
    available: int
    locked: int
    damaged: int
    in_transit: int
    buffer: int
    sellable: int


class StockReply(_Reply):
    """Every count of a SKU."""

    sku: str
    version: int
    warehouses: dict[str, CountsReply]


class DocumentReply(_Reply):
    """What an event was about, such as a lock, a transfer, a purchase order or a return."""

    kind: str = Field(examples=["lock"])
    id: str = Field(examples=["order-1001"])


Where = Literal[
    "available", "locked", "damaged", "in_transit", "buffer", "supplier", "customer", "adjustment"
]


class MoveReply(_Reply):
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


class HistoryReply(_Reply):
    """A page of a SKU's moves, in the order of recording or against it."""

    items: list[MoveReply]
    next: Next


class PlaceReply(_Reply):
    """Units in a place; outside the warehouses, less than none: more came from there than went there."""

    warehouse: str = Field("", description="absent outside the warehouses")
    place: Where
    units: int


class ExplanationReply(_Reply):
    """Where every unit of a SKU is, and a page of its moves by when they happened, newest first."""

    sku: str
    version: int
    places: list[PlaceReply]
    total: int = Field(description="the sum over all places: zero, unless the books are wrong", examples=[0])
    items: list[MoveReply]
    next: Next


class ReturnLineReply(_Reply):
    """Units that came back."""

    sku: str
    quantity: Count
    condition: Literal["sellable", "damaged"]


class ReturnReply(_Written):
    """A booked return."""

    return_id: str
    warehouse: str
    lock_id: str = ""
    occurred_at: Time = ""
    lines: list[ReturnLineReply]


class ExchangeReply(_Written):
    """A booked exchange; `lock` as it began."""

    exchange_id: str
    warehouse: str
    occurred_at: Time = ""
    returned: list[ReturnLineReply]
    lock: LockReply
    current_status: LockStatus = Field(
        LockStatus.HELD, description="only with a repeat: the lock's status by now"
    )


class AdjustmentLineReply(_Reply):
    """Units corrected."""

    sku: str
    quantity: Count
    state: Literal["available", "damaged"]
    to_state: Literal["available", "damaged"] = "damaged"
    reason: str


class AdjustmentReply(_Written):
    """A booked adjustment."""

    adjustment_id: str
    warehouse: str
    occurred_at: Time = ""
    lines: list[AdjustmentLineReply]


class TransferLineReply(_Reply):
    """A transfer's line: of `quantity`, what shipped, what became of that, and what was cancelled before."""

    sku: str
    quantity: Count
    shipped: int
    received: int = Field(description="in good order")
    damaged: int
    lost: int
    cancelled: int


class TransferReply(_Reply):
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


class BufferLineReply(_Reply):
    """Units withheld from sale."""

    sku: str
    quantity: int


class BuffersReply(_Written):
    """The buffers as they are set."""

    warehouse: str
    lines: list[BufferLineReply]


class PurchaseOrderLineReply(_Reply):
    """A planned line; `outstanding`: units that have not come yet, damaged ones included in those that have."""

    sku: str
    quantity: Count
    expected_at: Time = ""
    outstanding: int


class ArrivedReply(_Reply):
    """Units of a SKU that came in: `over` of them beyond the plan."""

    sku: str
    quantity: int = Field(description="good units")
    damaged: int
    over: int


class PurchaseOrderReply(_Reply):
    """A purchase order as the ledger knows it: a receipt shows once it is persisted, a moment later."""

    purchase_order_id: str
    warehouse: str
    status: OrderStatus
    created_at: Time
    closed_at: Time = ""
    lines: list[PurchaseOrderLineReply]
    received: list[ArrivedReply]


class PurchaseOrderListReply(_Reply):
    """Purchase orders by id."""

    items: list[PurchaseOrderReply]
    next: Next


class PurchaseOrderWrittenReply(PurchaseOrderReply):
    """A purchase order after a step."""

    durability: Annotated[
        Durability, Field(description="the level that was reached: a plan is kept in the ledger")
    ]
    current_status: OrderStatus = Field(OrderStatus.OPEN, description="only with a repeat: the status by now")


class ReceiptLineReply(_Reply):
    """Units that came in."""

    sku: str
    quantity: int
    damaged: int


class ReceiptReply(_Written):
    """A booked receipt."""

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


class ExpectedReply(_Reply):
    """Units that a warehouse still expects."""

    sku: str
    warehouse: str
    expected_at: Time | None = Field(description="null: nobody said when")
    quantity: Count
    purchase_order_ids: list[str]


class ExpectedListReply(_Reply):
    """What is still expected, by SKU, warehouse and time."""

    items: list[ExpectedReply]
    next: Next


class CountedLineReply(_Reply):
    """What was counted, and by how much it differed from what should have been there."""

    sku: str
    on_hand: int
    difference: int = Field(description="counted less expected: what was booked")
    damaged: int = Field(0, description="only where it was counted, as is damaged_difference")
    damaged_difference: int = 0


class StockTakeReply(_Written):
    """A booked stock-take."""

    stock_take_id: str
    warehouse: str
    counted_at: Time
    lines: list[CountedLineReply]


class PromiseReply(_Reply):
    """Units that an open lock holds of the case's SKU in its warehouse."""

    lock_id: str
    status: LockStatus
    units: Count


class RemedyReply(_Reply):
    """Units that another warehouse can spare: a transfer from there would fill the gap."""

    source: Annotated[str, Field(alias="from", examples=["south"])]
    quantity: Count


class ShortageCaseReply(_Reply):
    """A case: less is on the shelf than is promised. It closes by itself when there is enough again."""

    shortage_id: str
    sku: str
    warehouse: str
    units: int = Field(description="how many are short now", examples=[3])
    opened_at: Time
    locks: list[PromiseReply] = Field(description="the open locks concerned, latest first; the first 100")
    suggested: list[str] = Field(description="the locks to break until nothing is short, by a setting")
    transfers: list[RemedyReply] = Field(description="what other warehouses could send instead, as of now")


class ShortageCaseListReply(_Reply):
    """The open cases by id."""

    items: list[ShortageCaseReply]
    next: Next


class EventReply(_Reply):
    """What became of one event; `event_id` null where none could be read."""

    event_id: str | None
    status: Literal["applied", "duplicate", "parked", "quarantined", "rejected"]
    detail: Annotated[str, Field(description="what was odd about it, or what it waits for")] = ""


class EventsReply(_Reply):
    """An answer for each event, in their order."""

    results: list[EventReply]
    durability: Annotated[Durability, Field(description="the level that was reached by what was applied")]


class ResolvedLockReply(_Reply):
    """What became of a lock: `unchanged` holds nothing of it (any more), or the case is closed."""

    lock_id: str
    outcome: Broken
    units: int


class ResolvedReply(_Written):
    """What resolving came to."""

    shortage_id: str
    sku: str
    warehouse: str
    results: list[ResolvedLockReply]


class BegunReply(_Reply):
    """A snapshot that was taken in; its comparison follows."""

    reconciliation_id: str


class CauseTotalsReply(_Reply):
    """Differences with one likely cause."""

    discrepancies: int
    units_more: int
    units_less: int


class ReconciliationTotalsReply(_Reply):
    """What a comparison came to, in SKUs, differences and units; empty while it runs."""

    lines: int = 0
    skus: int = Field(0, description="those that either side knows")
    skus_differing: int = 0
    differing_share: float = 0.0
    discrepancies: int = 0
    units_more: int = 0
    units_less: int = 0
    by_cause: dict[Cause, CauseTotalsReply] = {}
    by_kind: dict[Kind, int] = {}
    alarm: bool = Field(default=False, description="more SKUs differ than a setting allows")


class DiscrepancyReply(_Reply):
    """One difference: counted less expected."""

    sku: str
    state: State
    kind: Kind
    cause: Cause = Field(description="the likely one")
    evidence: dict[str, Any] = Field(description="what speaks for it")
    expected: int
    counted: int
    difference: int
    treatment: Treatment


class ReconciliationHeadReply(_Reply):
    """A comparison of a warehouse's snapshot with the ledger."""

    reconciliation_id: str
    warehouse: str
    as_of: Time
    status: Status
    lines: int
    whole: bool = Field(description="whether the snapshot says itself where it ends")
    requested_at: Time
    finished_at: Time | None
    failure: str = ""
    totals: ReconciliationTotalsReply


class ReconciliationReply(ReconciliationHeadReply):
    """A reconciliation with its differences."""

    discrepancies: list[DiscrepancyReply]
    next: Next


class ReconciliationListReply(_Reply):
    """Reconciliations, newest first."""

    items: list[ReconciliationHeadReply]
    next: Next


class RepeatedReply(_Reply):
    """A SKU that differs again: `times` of the last reconciliations, this one included."""

    sku: str
    state: State
    difference: int
    times: int
    since: Time


class DayReply(_Reply):
    """One of the last reconciliations of the warehouse."""

    reconciliation_id: str
    as_of: Time
    skus_differing: int
    units_more: int
    units_less: int


class ReportReply(ReconciliationHeadReply):
    """What a reconciliation came to, beside earlier ones."""

    treatments: dict[Treatment, int]
    worst: list[DiscrepancyReply]
    repeated: list[RepeatedReply]
    days: list[DayReply]


class TreatedDifferenceReply(_Reply):
    """What became of a difference; `resolved` and `outdated` ones were not booked, for the ledger has changed."""

    sku: str
    state: State
    difference: int
    treatment: Treatment
    position: Position | None


class TreatedReply(_Reply):
    """What became of the differences that were chosen."""

    reconciliation_id: str
    results: list[TreatedDifferenceReply]
    more: bool = Field(description="there may be more: send it again")


class StatusReply(_Reply):
    """How the process is; `notes` has what somebody should know though it can serve."""

    status: str
    notes: list[str] | None = None


class FieldError(_Reply):
    """One thing wrong with a request."""

    field: str = Field(examples=["lines[0].quantity"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class ShortageReply(_Reply):
    """What was asked for and is not there."""

    sku: str
    warehouse: str = ""
    requested: int
    sellable: int
    unknown: Literal[True] = True


class ExcessReply(_Reply):
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
    current_status: LockStatus | TransferStatus = LockStatus.HELD
    since: Time = ""
    reasons: list[str] = []
