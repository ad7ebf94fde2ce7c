"""Events of warehouse systems as they are written: read strictly, one by one, so that a bad one stops no other."""

from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from app.domain.codes import REASON_LENGTH_MAX, check_id, check_reason, check_sku, check_warehouse
from app.domain.commands import Fact
from app.domain.times import time_ms
from app.domain.words import QUANTITY_MAX, Place

EventType = Literal[
    "received",
    "shipped",
    "returned",
    "adjusted",
    "regraded",
    "counted",
    "transfer_shipped",
    "transfer_received",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
SEQUENCE_MAX = 9_999_999_999
_DOCUMENTS = {
    "received": ("purchase_order_id", "receipt_id"),
    "shipped": ("lock_id", "shipment_id"),
    "returned": ("lock_id", "return_id"),
    "adjusted": ("", "adjustment_id"),
    "regraded": ("", ""),
    "counted": ("", ""),
    "transfer_shipped": ("transfer_id", "shipment_id"),
    "transfer_received": ("transfer_id", "receipt_id"),
}
"""By type: the document that an event names, and the one that it tells of."""
_UNITS = {
    "received": ("quantity", "damaged"),
    "counted": ("on_hand", "damaged"),
    "transfer_received": ("quantity", "damaged", "lost"),
}
_STATED = frozenset({"returned", "adjusted"})
_IDS = (
    "lock_id",
    "shipment_id",
    "purchase_order_id",
    "transfer_id",
    "receipt_id",
    "return_id",
    "adjustment_id",
)


class WarehouseEvent(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One event, about one SKU in one warehouse. Which fields apply follows from its type."""

    event_id: str
    type: EventType
    occurred_at: str
    warehouse: str
    sku: str
    quantity: int | None = None
    sequence: int | None = None
    damaged: int | None = None
    lost: int | None = None
    condition: Literal["sellable", "damaged"] | None = None
    reason: str | None = None
    on_hand: int | None = None
    lock_id: str | None = None
    shipment_id: str | None = None
    purchase_order_id: str | None = None
    transfer_id: str | None = None
    receipt_id: str | None = None
    return_id: str | None = None
    adjustment_id: str | None = None
    grade: Literal["available", "damaged"] | None = msgspec.field(name="from", default=None)

    @property
    def at_ms(self) -> int:
        """Return when it happened, in ms since 1970."""
        return time_ms(self.occurred_at)

    @property
    def units(self) -> int:
        """Return how many units it changes; 0 for a count, of which nobody knows yet."""
        return abs(self.quantity or 0) + (
            0 if self.type == "counted" else (self.damaged or 0) + (self.lost or 0)
        )

    def fact(self, source: str) -> Fact:
        """Return the command; a count's only stands for its id, its content and its place in the sequence."""
        named, told = _DOCUMENTS[self.type]
        if self.type == "counted":
            units = (self.on_hand or 0, self.damaged or 0, int(self.damaged is not None))
            where = (self.warehouse, self.sku)
            return Fact(source, self.event_id, "adjusted", self.at_ms, *where, *units, sequence=self.sequence)
        return Fact(
            source,
            self.event_id,
            self.type,
            self.at_ms,
            self.warehouse,
            self.sku,
            self.quantity or 0,
            self.damaged or 0,
            self.lost or 0,
            Place.DAMAGED if "damaged" in {self.condition, self.grade} else Place.AVAILABLE,
            (getattr(self, named) if named else None) or "",
            (getattr(self, told) if told else None) or "",
            self.sequence,
            self.reason,
        )


class _Named(msgspec.Struct):
    event_id: str


_decoder = msgspec.json.Decoder(WarehouseEvent)
_named = msgspec.json.Decoder(_Named)


class MalformedError(ValueError):
    """An event that cannot be understood; `event_id` None where none could be read."""

    def __init__(self, event_id: str | None, message: str) -> None:
        super().__init__(message)
        self.event_id = event_id


def read_event(text: bytes | msgspec.Raw) -> WarehouseEvent:
    """Return the event, or raise `MalformedError` with the field and what is wrong with it."""
    try:
        event = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(_id_in(text), _sentence(error)) from None
    try:
        _check(event)
    except ValueError as error:
        raise MalformedError(event.event_id[:ID_SHOWN_MAX], str(error)) from None
    return event


ID_SHOWN_MAX = 128


def _sentence(error: Exception) -> str:
    """Say first which field is wrong, as our own checks do."""
    message, _, field = str(error).partition(" - at `$.")
    return f"{field.rstrip('`')}: {message}" if field else message


def _id_in(text: bytes | msgspec.Raw) -> str | None:
    try:
        return _named.decode(text).event_id[:ID_SHOWN_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _check(event: WarehouseEvent) -> None:
    """Raise `ValueError` at the first field that is wrong."""
    _field("event_id", check_id, event.event_id)
    _field("occurred_at", time_ms, event.occurred_at)
    _field("warehouse", check_warehouse, event.warehouse)
    _field("sku", check_sku, event.sku)
    if event.reason is not None:
        _field("reason", check_reason, event.reason)
        if not 1 <= len(event.reason) <= REASON_LENGTH_MAX:
            raise ValueError(f"reason: must have 1 to {REASON_LENGTH_MAX} characters")
    if event.sequence is not None and not 1 <= event.sequence <= SEQUENCE_MAX:
        raise ValueError(f"sequence: must be from 1 to {SEQUENCE_MAX}")
    _check_ids(event)
    _check_units(event)


def _field(name: str, check: Callable[[str], object], text: str) -> None:
    try:
        check(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_ids(event: WarehouseEvent) -> None:
    applying = _DOCUMENTS[event.type]
    for name in _IDS:
        text = getattr(event, name)
        if text is None:
            continue
        if name not in applying:
            raise ValueError(f"{name}: does not apply to an event of type {event.type}")
        _field(name, check_id, text)
    if event.shipment_id is not None and not (event.lock_id or event.transfer_id):
        raise ValueError("shipment_id: needs the lock or transfer that it is of")
    if event.type == "transfer_received" and event.receipt_id is not None and not event.transfer_id:
        raise ValueError("receipt_id: needs the transfer that it is of")


def _check_units(event: WarehouseEvent) -> None:
    applying = _UNITS.get(event.type, ("quantity",))
    for name in ("quantity", "damaged", "lost", "on_hand"):
        units = getattr(event, name)
        if units is None:
            continue
        if name not in applying:
            raise ValueError(f"{name}: does not apply to an event of type {event.type}")
        lowest = -QUANTITY_MAX if event.type == "adjusted" else 0
        if not lowest <= units <= QUANTITY_MAX:
            raise ValueError(f"{name}: must be from {lowest} to {QUANTITY_MAX}")
    if getattr(event, applying[0]) is None:
        raise ValueError(f"{applying[0]}: is missing")
    if event.type != "counted" and not event.units:
        raise ValueError(
            "quantity: must not be 0" + (" unless others are damaged or lost" * (len(applying) > 1))
        )
    if (event.grade is None) is (event.type == "regraded"):
        raise ValueError(
            f"from: {'is missing' if event.grade is None else f'does not apply to an event of type {event.type}'}"
        )
    if event.condition is not None and event.type not in _STATED:
        raise ValueError(f"condition: does not apply to an event of type {event.type}")
