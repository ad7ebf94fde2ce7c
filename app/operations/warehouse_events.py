"""Events of warehouse systems as they are written: read strictly, one by one, so that a bad one stops no other."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, get_args

import msgspec

from app.domain.codes import REASON_LENGTH_MAX, check_id, check_reason, check_sku, check_warehouse, shown
from app.domain.commands import Fact
from app.domain.times import time_ms
from app.domain.words import BIGINT_MAX, QUANTITY_MAX, Place

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
    line_id: str | None = None

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

    def fact(self, source: str, *, reporter: str = "", totals: bool = False) -> Fact:
        """Return the command; a count's only stands for its id, its content and its place in the sequence.

        `reporter` is whose word it is ('': the source's), `totals`: it says all that is known of its line.
        """
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
            reporter=reporter,
            line_id=self.line_id or "",
            totals=totals,
        )


_decoder = msgspec.json.Decoder(WarehouseEvent)
_NAMES = frozenset(WarehouseEvent.__struct_encode_fields__)
_NAME = re.compile(rb'"(' + "|".join(sorted(_NAMES)).encode() + rb')"\s*:')
_TEXTS = frozenset({*_IDS, "event_id", "sku", "warehouse"})
_NUMBERS = frozenset({"quantity", "sequence", "damaged", "lost", "on_hand"})
_CHOICES: dict[str, Sequence[str]] = {
    "type": EVENT_TYPES,
    "condition": ("sellable", "damaged"),
    "from": ("available", "damaged"),
}
PROBLEMS_MAX = 10
"""Wrong fields of one event that are named."""


class MalformedError(ValueError):
    """An event that cannot be understood; `event_id` None where none could be read."""

    def __init__(self, event_id: str | None, message: str) -> None:
        super().__init__(message)
        self.event_id = event_id


def read_event(text: bytes | msgspec.Raw) -> WarehouseEvent:
    """Return the event, or raise `MalformedError` with the fields that are wrong, and what is wrong with them."""
    try:
        event = _decoder.decode(text)
        _check(event)
    except (ValueError, RecursionError):
        # Read again, to take what can be taken for right, and to say all that is wrong.
        return _read_slowly(bytes(text))
    # The decoder takes the last of two; so a name that may come twice is looked for.
    return _read_slowly(bytes(text)) if _may_have_twice(bytes(text)) else event


ID_SHOWN_MAX = 128
NAME_SHOWN_MAX = 80


def _may_have_twice(text: bytes) -> bool:
    """Whether a name may come twice: names can be escaped, and texts can look like names."""
    if b"\\" in text:
        return True
    names = _NAME.findall(text)
    return len(set(names)) < len(names)


def _read_slowly(text: bytes) -> WarehouseEvent:
    fields, problems = _fields_of(text)
    event_id = fields.get("event_id")
    known = {name: value for name, value in fields.items() if name in _NAMES}
    problems += [f"unknown field `{name[:NAME_SHOWN_MAX]}`" for name in fields if name not in _NAMES]
    problems += _of_other_types(known)
    event = None
    if known.get("type") in {None, *EVENT_TYPES}:  # what else is wrong depends on its type
        try:
            event = msgspec.convert(known, WarehouseEvent)
            _check(event)
        except ValueError as error:
            problems.append(_sentence(error))
    if problems or event is None:
        shown_id = event_id[:ID_SHOWN_MAX] if isinstance(event_id, str) else None
        raise MalformedError(shown_id, "; ".join(problems[:PROBLEMS_MAX]))
    return event


def _of_other_types(known: dict[str, Any]) -> list[str]:
    """Say of values of another type or choice than their fields have what to write, and put one that fits instead."""
    problems = []
    for name, value in known.items():
        said, fitting = "", value
        if name in _TEXTS and isinstance(value, int) and not isinstance(value, bool):
            said, fitting = "is a number: write it in quotes", str(value)
        elif name in _NUMBERS and isinstance(value, str):
            said, fitting = "is a text: write a number, without quotes", 1
        elif name in _CHOICES and isinstance(value, str) and value not in _CHOICES[name]:
            said, fitting = (
                f"is none of {', '.join(_CHOICES[name])}",
                value if name == "type" else _CHOICES[name][0],
            )
        if said:
            problems.append(f"{name}: {shown(value) if isinstance(value, str) else value} {said}")
            known[name] = fitting
    return problems


def _fields_of(text: bytes) -> tuple[dict[str, Any], list[str]]:
    """The members of the object that a text is, and the names that come twice; raise `MalformedError` if it is none."""
    twice = list[str]()

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice.extend(
                f"{name[:NAME_SHOWN_MAX]}: is given more than once" for name in found if names.count(name) > 1
            )
        return found

    try:
        decoded = text.decode()
        content = json.loads(
            decoded, object_pairs_hook=unique, parse_float=_number, parse_constant=_no_number
        )
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedError(None, "has half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise MalformedError(
            None, f"is not JSON: {error}" if not isinstance(error, RecursionError) else "is nested too deeply"
        ) from None
    if not isinstance(content, dict):
        raise MalformedError(None, "is no object")
    return content, twice


def _number(text: str) -> int | float:
    """A number with a point: programs write 3 as 3.0."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= BIGINT_MAX else number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _sentence(error: Exception) -> str:
    """Say first which field is wrong, as our own checks do."""
    message, _, field = str(error).partition(" - at `$.")
    return f"{field.rstrip('`')}: {message}" if field else message


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
    if event.line_id is not None:
        _field("line_id", check_id, event.line_id)
        if event.type == "counted" or not any(
            getattr(event, name) for name in _DOCUMENTS[event.type] if name
        ):
            raise ValueError("line_id: needs the document that it is a line of")
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
