"""Request bodies: what they may hold, and the commands they become."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from app.api.shapes import ADJUSTED, ARRIVED, PRINTED, RECEIVED, UNLOCKED
from app.api.words import (
    LINES,
    Buffered,
    Id,
    Level,
    Moment,
    OccurredAt,
    Quantity,
    Reason,
    Sku,
    Ttl,
    Warehouse,
    Warehouses,
)
from app.domain import commands
from app.domain.codes import check_reason
from app.domain.commands import Booking
from app.domain.purchase_orders import Plan, PlannedLine
from app.domain.reconciliation import Cause
from app.domain.times import time_ms
from app.domain.words import QUANTITY_MAX, Place
from app.operations.stock_takes import CountedLine, StockTake

LOCKS_MAX = 100
"""Locks of one shortage that are resolved at once."""
UNLOCKED_MAX = 1_000
"""Locks that are given back at once."""
NAME_LENGTH_MAX = 200
RANK_MAX = 1_000_000
SKUS_MAX = 1_000
"""SKUs in one list of availability."""


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class _Body(BaseModel):
    """Nothing is taken for anything else: no unknown fields, no numbers in quotes, no 1 for true."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Write(_Body):
    durability: Level | None = None


class LineBody(_Body):
    """Units of a SKU; without a warehouse, sourcing chooses."""

    sku: Sku
    quantity: Quantity
    warehouse: Warehouse | None = None


Lines = Annotated[list[LineBody], LINES]


def _lines(lines: list[LineBody]) -> tuple[commands.Line, ...]:
    return tuple(commands.Line(line.sku, line.quantity, line.warehouse or "") for line in lines)


class NewLockBody(_Body):
    """What a lock is made of."""

    lock_id: Id
    lines: Lines
    warehouses: Warehouses | None = Field(None, description="where from, best first; all if omitted")
    ttl_seconds: Ttl | None = Field(
        None,
        description="when it expires; a setting (900) if omitted, never if null",
        json_schema_extra=_without_default,
    )

    def command(self, ttl_seconds_default: int) -> commands.Lock:
        """Return the command; an omitted ttl_seconds is the default, null is no expiry."""
        given = "ttl_seconds" in self.model_fields_set
        ttl_ms = _ms(self.ttl_seconds if given else ttl_seconds_default)
        return commands.Lock(self.lock_id, _lines(self.lines), tuple(self.warehouses or ()), ttl_ms)


class LockBody(NewLockBody, _Write):
    """Hold stock for one order, all lines or none."""


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


class ConfirmBody(_Write):
    """The order is paid."""

    def command(self, lock_id: str, key: str) -> commands.Confirm:
        """Return the command."""
        return commands.Confirm(lock_id, key)


class ExtendBody(_Write):
    """Expire later, counted from now."""

    ttl_seconds: Ttl | None = Field(description="null: never")

    def command(self, lock_id: str, key: str) -> commands.Extend:
        """Return the command."""
        return commands.Extend(lock_id, key, _ms(self.ttl_seconds))


class UnlockBody(_Write):
    """Give back all that is left, or some."""

    model_config = ConfigDict(json_schema_extra=UNLOCKED)

    lines: Lines | None = Field(None, description="all that is left if omitted")
    reason: Reason | None = None
    remember: bool = Field(
        default=False, description="if no lock has this id yet: a creation that comes later holds nothing"
    )

    @field_validator("remember")
    @classmethod
    def _is_about_all_of_it(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic calls it
        if value and info.data.get("lines"):
            raise ValueError("goes with all of a lock, not with lines of it")
        return value

    def command(self, lock_id: str, key: str) -> commands.Unlock:
        """Return the command."""
        return commands.Unlock(lock_id, key, _lines(self.lines) if self.lines else None, self.reason)


class UnlockManyBody(_Write):
    """Give back all that is left of several locks."""

    lock_ids: Annotated[list[Id], Field(min_length=1, max_length=UNLOCKED_MAX)]
    remember: bool = Field(
        default=False, description="an id that no lock has yet: a creation that comes later holds nothing"
    )


class ReopenBody(_Write):
    """Hold it again, counted from now."""

    ttl_seconds: Ttl | None = Field(description="null: never expires")

    def command(self, lock_id: str, key: str) -> commands.Reopen:
        """Return the command."""
        return commands.Reopen(lock_id, key, _ms(self.ttl_seconds))


class DeductBody(_Write):
    """Some or all of it shipped."""

    shipment_id: Id
    lines: Lines | None = Field(None, description="all that is left if omitted")
    occurred_at: OccurredAt | None = Field(None, description="when it left; when it is recorded if omitted")
    only_if_on_hand: bool = Field(default=False, description="refuse what is not on the shelf, by the counts")

    def command(self, lock_id: str) -> commands.Deduct:
        """Return the command."""
        lines = _lines(self.lines) if self.lines else None
        at = time_ms(self.occurred_at) if self.occurred_at else None
        return commands.Deduct(lock_id, self.shipment_id, lines, at, only_if_on_hand=self.only_if_on_hand)


class VoidBody(_Write):
    """It never left."""

    reason: Reason | None = None

    def command(self, lock_id: str, shipment_id: str) -> commands.Void:
        """Return the command, without what the shipment took."""
        return commands.Void(lock_id, shipment_id, reason=self.reason)


class ReplaceBody(_Write):
    """Other lines, in one swap."""

    lines: Lines
    warehouses: Warehouses | None = Field(
        None, description="where from, best first; those of the lock if omitted"
    )
    ttl_seconds: Ttl | None = Field(
        None,
        description="a new expiry, counted from now; never if null, as it is if omitted",
        json_schema_extra=_without_default,
    )

    def command(self, lock_id: str, key: str, version: int | None) -> commands.Replace:
        """Return the command, on the condition that the lock has that version, if one is given."""
        renews = "ttl_seconds" in self.model_fields_set
        ranked = tuple(self.warehouses or ())
        return commands.Replace(
            lock_id, key, _lines(self.lines), ranked, renews, _ms(self.ttl_seconds), version
        )


class AvailabilityBody(_Body):
    """A long list of SKUs."""

    skus: Annotated[list[Sku], Field(min_length=1, max_length=SKUS_MAX)]


def _each_sku_once(lines: list[Any]) -> list[Any]:
    if len({line.sku for line in lines}) < len(lines):
        raise ValueError("must name each SKU once")
    return lines


class _Happened(_Write):
    occurred_at: OccurredAt | None = None

    @property
    def occurred_at_ms(self) -> int | None:
        """When it happened, in ms since 1970; None: when it is recorded."""
        return time_ms(self.occurred_at) if self.occurred_at else None


class _Document(_Happened):
    warehouse: Warehouse


class _KnownSkus(_Body):
    new_skus: bool = Field(
        default=False, description="take SKUs that nothing has brought into being: else they are refused"
    )


class ReturnLine(_Body):
    """Units that came back, for sale again or damaged."""

    sku: Sku
    quantity: Quantity
    condition: Literal["sellable", "damaged"]

    def booking(self) -> Booking:
        """Return the move."""
        target = Place.AVAILABLE if self.condition == "sellable" else Place.DAMAGED
        return Booking(self.sku, Place.CUSTOMER, target, self.quantity)


class ReturnBody(_Document, _KnownSkus):
    """A customer's goods came back."""

    return_id: Id
    lock_id: Id | None = Field(
        None, description="what it was shipped for: then no more than that, less what came back before"
    )
    lines: Annotated[list[ReturnLine], LINES]

    def command(self) -> commands.Return:
        """Return the command."""
        lines = tuple(line.booking() for line in self.lines)
        return commands.Return(self.return_id, self.warehouse, lines, self.occurred_at_ms, self.lock_id or "")


class ExchangeBody(_Document, _KnownSkus):
    """A customer's goods came back, and others are held instead: both or neither."""

    exchange_id: Id
    lock_id: Id | None = Field(
        None, description="what it was shipped for: then no more than that, less what came back before"
    )
    returned: Annotated[list[ReturnLine], LINES]
    lock: NewLockBody

    def command(self, ttl_seconds_default: int) -> commands.Exchange:
        """Return the command."""
        returned = tuple(line.booking() for line in self.returned)
        lock = self.lock.command(ttl_seconds_default)
        return commands.Exchange(
            self.exchange_id, self.warehouse, returned, lock, self.occurred_at_ms, self.lock_id or ""
        )


class TransferLineBody(_Body):
    """Units of a SKU; where they come from and go to is the transfer's."""

    sku: Sku
    quantity: Quantity


TransferLines = Annotated[list[TransferLineBody], LINES]


def _transfer_lines(lines: list[TransferLineBody]) -> tuple[commands.Line, ...]:
    return tuple(commands.Line(line.sku, line.quantity) for line in lines)


class TransferBody(_Write, _KnownSkus):
    """Stock is asked for at one warehouse for another."""

    transfer_id: Id
    source: Warehouse = Field(alias="from")
    destination: Warehouse = Field(alias="to")
    lines: TransferLines

    @field_validator("destination")
    @classmethod
    def _leads_elsewhere(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("source"):
            raise ValueError("must be another warehouse than `from`")
        return value

    def command(self) -> commands.Transfer:
        """Return the command."""
        return commands.Transfer(self.transfer_id, self.source, self.destination, _transfer_lines(self.lines))


class TransferShipBody(_Happened):
    """Some or all of it left the source."""

    shipment_id: Id
    lines: TransferLines | None = Field(None, description="all that is left if omitted")

    def command(self, transfer_id: str) -> commands.TransferShip:
        """Return the command."""
        lines = _transfer_lines(self.lines) if self.lines else None
        return commands.TransferShip(transfer_id, self.shipment_id, self.occurred_at_ms, lines)


class ArrivalLine(_Body):
    """Units at the end of a transfer: good ones, and damaged and lost ones in addition."""

    model_config = ConfigDict(json_schema_extra=ARRIVED)

    sku: Sku
    damaged: Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX)] = 0
    lost: Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX)] = 0
    quantity: Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX, examples=[2])] = Field(
        description="good units; 0 only beside damaged or lost ones"
    )

    @field_validator("quantity")
    @classmethod
    def _is_something(cls, value: int, info: ValidationInfo) -> int:
        if value == 0 and not info.data.get("damaged") and not info.data.get("lost"):
            raise ValueError("must be at least 1, unless units are damaged or lost")
        return value


class TransferReceiveBody(_Happened):
    """Some or all of it arrived, or was lost."""

    receipt_id: Id
    lines: Annotated[list[ArrivalLine], LINES]

    def command(self, transfer_id: str) -> commands.TransferReceive:
        """Return the command."""
        lines = tuple(commands.Arrival(x.sku, x.quantity, x.damaged, x.lost) for x in self.lines)
        return commands.TransferReceive(transfer_id, self.receipt_id, self.occurred_at_ms, lines)


class TransferCancelBody(_Write):
    """What has not shipped is not needed any more."""


class TransferCloseBody(_Write):
    """Nothing more of it is shipped."""

    reason: Reason | None = None
    in_transit: Literal["lost", "returned_to_source"] | None = Field(
        None, description="what becomes of units on the way; they still arrive if omitted"
    )

    def command(self, transfer_id: str) -> commands.TransferClose:
        """Return the command."""
        return commands.TransferClose(transfer_id, in_transit=self.in_transit or "", reason=self.reason)


State = Literal["available", "damaged"]
_PLACES: dict[State, Place] = {"available": Place.AVAILABLE, "damaged": Place.DAMAGED}


class AdjustmentLine(_Body):
    """Units found (+) or missing (-); or, with `to_state`, moved between available and damaged."""

    model_config = ConfigDict(json_schema_extra=ADJUSTED)

    sku: Sku
    state: State = "available"
    to_state: State | None = None
    quantity: Annotated[int, Field(strict=True, ge=-QUANTITY_MAX, le=QUANTITY_MAX, examples=[-2])] = Field(
        description="not 0; with to_state: positive", json_schema_extra={"not": {"const": 0}}
    )
    reason: Reason

    @field_validator("to_state")
    @classmethod
    def _leads_elsewhere(cls, value: State | None, info: ValidationInfo) -> State | None:
        if value and value == info.data.get("state"):
            raise ValueError("must differ from state, which is available if omitted")
        return value

    @field_validator("quantity")
    @classmethod
    def _means_something(cls, value: int, info: ValidationInfo) -> int:
        if value == 0:
            raise ValueError("must not be 0")
        if value < 0 and info.data.get("to_state"):
            raise ValueError("must be positive beside to_state")
        return value

    def booking(self) -> Booking:
        """Return the move."""
        state = _PLACES[self.state]
        if self.to_state:
            return Booking(self.sku, state, _PLACES[self.to_state], self.quantity, self.reason)
        if self.quantity > 0:
            return Booking(self.sku, Place.ADJUSTMENT, state, self.quantity, self.reason)
        return Booking(self.sku, state, Place.ADJUSTMENT, -self.quantity, self.reason)


class AdjustmentBody(_Document, _KnownSkus):
    """A correction of what is physically there."""

    adjustment_id: Id
    lines: Annotated[list[AdjustmentLine], LINES]
    only_if_on_hand: bool = Field(
        default=False, description="refuse to write off what is not on the shelf, by the counts"
    )

    def command(self) -> commands.Adjust:
        """Return the command."""
        lines = tuple(line.booking() for line in self.lines)
        return commands.Adjust(
            self.adjustment_id, self.warehouse, lines, self.occurred_at_ms, self.only_if_on_hand
        )


class BufferLine(_Body):
    """Units of a SKU to withhold from sale; 0 for none."""

    sku: Sku
    quantity: Buffered


class BuffersBody(_Write, _KnownSkus):
    """What to withhold from sale in one warehouse, from now on."""

    warehouse: Warehouse
    lines: Annotated[list[BufferLine], LINES, AfterValidator(_each_sku_once)]

    def command(self) -> commands.Buffer:
        """Return the command."""
        return commands.Buffer(
            self.warehouse, tuple(commands.Line(line.sku, line.quantity) for line in self.lines)
        )


class PurchaseOrderLine(_Body):
    """Units of a SKU that were ordered, and when they should come."""

    sku: Sku
    quantity: Quantity
    expected_at: Moment | None = None


class PurchaseOrderBody(_Write):
    """What was ordered from a supplier for one warehouse."""

    purchase_order_id: Id
    warehouse: Warehouse
    lines: Annotated[list[PurchaseOrderLine], LINES]

    def plan(self) -> Plan:
        """Return the plan."""
        lines = (
            PlannedLine(line.sku, line.quantity, time_ms(line.expected_at) if line.expected_at else None)
            for line in self.lines
        )
        return Plan(self.purchase_order_id, self.warehouse, tuple(lines))


class ReceiptLine(_Body):
    """Good units that came in, and damaged ones in addition."""

    model_config = ConfigDict(json_schema_extra=RECEIVED)

    sku: Sku
    quantity: Annotated[Buffered, Field(description="good units; 0 only beside damaged ones")]
    damaged: Annotated[Buffered, Field(description="damaged units, in addition", validate_default=True)] = 0

    @field_validator("damaged")
    @classmethod
    def _brings_something(cls, value: int, info: ValidationInfo) -> int:
        if not value and not info.data.get("quantity", 1):
            raise ValueError("must not be 0 when the quantity is 0")
        return value

    def bookings(self) -> list[Booking]:
        """Return the moves."""
        units = ((Place.AVAILABLE, self.quantity), (Place.DAMAGED, self.damaged))
        return [Booking(self.sku, Place.SUPPLIER, target, count) for target, count in units if count]


class ReceiptBody(_Happened):
    """What came in for a purchase order, all of it or some."""

    receipt_id: Id
    lines: Annotated[list[ReceiptLine], LINES]

    def bookings(self) -> tuple[Booking, ...]:
        """Return the moves."""
        return tuple(booking for line in self.lines for booking in line.bookings())


class CloseBody(_Write):
    """Nothing more is expected."""


class CountedLineBody(_Body):
    """Good units that were counted, locked ones included; and damaged ones, if those were counted."""

    sku: Sku
    on_hand: Buffered
    damaged: Buffered | None = None


class StockTakeBody(_Write, _KnownSkus):
    """What was counted in one warehouse."""

    stock_take_id: Id
    warehouse: Warehouse
    counted_at: Annotated[
        Moment, Field(description="when it was counted, inclusive: what happened since stands")
    ]
    lines: Annotated[list[CountedLineBody], LINES, AfterValidator(_each_sku_once)]

    def take(self) -> StockTake:
        """Return the stock-take."""
        lines = tuple(CountedLine(line.sku, line.on_hand, line.damaged) for line in self.lines)
        return StockTake(self.stock_take_id, self.warehouse, time_ms(self.counted_at), lines)


class WarehouseBody(_Write):
    """What is said of a warehouse; what is left out stays as it is."""

    name: (
        Annotated[
            str,
            AfterValidator(check_reason),
            Field(max_length=NAME_LENGTH_MAX, json_schema_extra={"pattern": PRINTED}, examples=["Hall 2"]),
        ]
        | None
    ) = None
    rank: Annotated[int, Field(strict=True, ge=0, le=RANK_MAX, examples=[1])] | None = Field(
        None,
        description="sourcing takes the lowest first, where SELLABLE_WAREHOUSE_ORDER says nothing; null: none",
    )
    closed: bool | None = Field(
        None, description="whether it takes no new locks, orders, transfers and imports"
    )


class ResolveBody(_Write):
    """Which locks give back the case's SKU in its warehouse."""

    lock_ids: Annotated[list[Id], Field(min_length=1, max_length=LOCKS_MAX)]


class DecideBody(_Write):
    """What a person decides about what reporters disagree on, and why."""

    reason: Reason


class TreatBody(_Body):
    """Which differences are meant: these SKUs, or this cause, or both; all of them if omitted."""

    skus: Annotated[list[Sku], Field(min_length=1, max_length=SKUS_MAX)] | None = None
    cause: Annotated[Cause, Field(strict=False)] | None = None
