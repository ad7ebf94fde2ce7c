"""The body of /v1/warehouse-events: up to 10,000 events, as one JSON object or a line each (NDJSON)."""

import codecs
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from fastapi import Request

from app.api.media import Media, media_of
from app.api.problems import Problem, ProblemError, invalid
from app.api.shapes import code
from app.api.strict import read_body
from app.domain.codes import ID_LENGTH_MAX, SKU_LENGTH_MAX, WAREHOUSE_LENGTH_MAX, check_code
from app.domain.inbox import SOURCE_LENGTH_MAX
from app.domain.words import Durability
from app.operations.warehouse_events import EVENT_TYPES, MalformedError, WarehouseEvent, read_event
from app.turns import in_turns, turn

BYTES_MAX = 16 * 1_048_576
EVENTS_MAX = 10_000


Place = tuple[Literal["line", "index"], int]


class Given(NamedTuple):
    """What was sent: who it is from, and each event, or why it cannot be one.

    `places` say where each event stands: its `line`, from 1, or its `index`, from 0.
    """

    source: str
    events: list[WarehouseEvent | MalformedError]
    durability: Durability | None
    places: Sequence[Place]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    events: list[msgspec.Raw]
    durability: Durability | None = None


_envelope = msgspec.json.Decoder(_Envelope)


async def read_events(request: Request, source: str | None, durability: Durability | None) -> Given:
    """Read the body; raise `ProblemError` if not even its events can be told apart."""
    media = media_of(request)
    if media is Media.NDJSON:
        if source is None:
            raise ProblemError(invalid(("source", "must be given as a parameter beside NDJSON")))
        body = (await read_body(request, BYTES_MAX)).removeprefix(codecs.BOM_UTF8)
        lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        events = await _read_all([line for _, line in lines])
        of_lines: list[Place] = [("line", number) for number, _ in lines]
        return Given(_checked(source), events, durability, of_lines)
    if media is not Media.JSON:
        detail = "send Content-Type: application/json or application/x-ndjson"
        raise ProblemError(Problem("unsupported_media_type", detail))
    if source is not None or durability is not None:
        name = "source" if source else "durability"
        raise ProblemError(invalid((name, "give it in the JSON body, not in the query")))
    body = (await read_body(request, BYTES_MAX)).removeprefix(codecs.BOM_UTF8)
    async with turn():
        envelope = _read_envelope(body)
    events = await _read_all(envelope.events)
    of_events: list[Place] = [("index", index) for index in range(len(events))]
    return Given(_checked(envelope.source), events, envelope.durability, of_events)


def _read_envelope(body: bytes) -> _Envelope:
    try:
        envelope = _envelope.decode(body)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$")
        raise ProblemError(invalid((field.strip("`.") or "body", message))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(invalid(("body", f"is not JSON: {error}"))) from None
    _check_names(body, envelope.events)
    return envelope


def _check_names(body: bytes, events: Sequence[msgspec.Raw]) -> None:
    """Raise `ProblemError` if a name comes twice around the events: the decoder takes the last of two."""

    def around(text: bytes) -> int:
        return body.count(text) - sum(bytes(event).count(text) for event in events)

    names = _Envelope.__struct_fields__
    # Names can be escaped, and texts can look like names: then all of it is read once more.
    if not around(b"\\") and all(around(f'"{name}"'.encode()) <= 1 for name in names):
        return
    outermost = list[str]()

    def note(pairs: list[tuple[str, Any]]) -> None:
        outermost[:] = [name for name, _ in pairs]  # that of the whole body comes last

    json.loads(body, object_pairs_hook=note)
    for name in names:
        if outermost.count(name) > 1:
            raise ProblemError(invalid((name, "is given more than once")))


def _checked(source: str) -> str:
    try:
        return check_code(source, SOURCE_LENGTH_MAX)
    except ValueError as error:
        raise ProblemError(invalid(("source", str(error)))) from None


async def _read_all(texts: Sequence[bytes | msgspec.Raw]) -> list[WarehouseEvent | MalformedError]:
    if not 1 <= len(texts) <= EVENTS_MAX:
        raise ProblemError(invalid(("events", f"must be 1 to {EVENTS_MAX}")))
    return await in_turns(texts, _read)


def _read(text: bytes | msgspec.Raw) -> WarehouseEvent | MalformedError:
    try:
        return read_event(text)
    except MalformedError as error:
        return error


def _text(length_max: int, example: str) -> dict[str, Any]:
    return {"type": "string", **code(length_max, example)}


_UNITS: dict[str, Any] = {"type": "integer"}
_FIELDS: dict[str, dict[str, Any]] = {
    "event_id": _text(ID_LENGTH_MAX, "wms-4711"),
    "type": {"type": "string", "enum": list(EVENT_TYPES)},
    "occurred_at": {"type": "string", "format": "date-time"},
    "warehouse": _text(WAREHOUSE_LENGTH_MAX, "north"),
    "sku": _text(SKU_LENGTH_MAX, "85123A"),
    "quantity": _UNITS | {"description": "of an adjustment with its sign; none of a count"},
    "sequence": _UNITS | {"description": "contiguous from 1 per source and warehouse"},
    "damaged": _UNITS | {"description": "received, transfer_received, counted"},
    "lost": _UNITS | {"description": "transfer_received"},
    "condition": {"type": "string", "enum": ["sellable", "damaged"], "description": "returned, adjusted"},
    "reason": {"type": "string"},
    "on_hand": _UNITS | {"description": "counted: good units, locked ones included"},
    "lock_id": {"type": "string", "description": "shipped, returned"},
    "shipment_id": {"type": "string", "description": "shipped, transfer_shipped"},
    "purchase_order_id": {"type": "string", "description": "received"},
    "transfer_id": {"type": "string", "description": "transfer_shipped, transfer_received"},
    "receipt_id": {"type": "string", "description": "received, transfer_received"},
    "return_id": {"type": "string", "description": "returned"},
    "adjustment_id": {"type": "string", "description": "adjusted"},
    "from": {
        "type": "string",
        "enum": ["available", "damaged"],
        "description": "regraded: what it was taken for",
    },
    "line_id": {
        "type": "string",
        "description": "its line in the document that it reports, as its source counts them",
    },
}
_EVENTS = {
    "type": "array",
    "minItems": 1,
    "maxItems": EVENTS_MAX,
    "description": "each is answered on its own; one with the fields of WarehouseEvent is understood",
    "items": {},
}
REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["source", "events"],
                    "additionalProperties": False,
                    "properties": {
                        "source": {"type": "string", **code(SOURCE_LENGTH_MAX, "wms")},
                        "events": _EVENTS,
                        "durability": {"type": "string", "enum": list(get_args(Durability))},
                    },
                }
            },
        },
    }
}
EVENT_SCHEMA: dict[str, Any] = {
    "title": "WarehouseEvent",
    "description": "One event about one SKU in one warehouse; NDJSON has one a line.",
    "type": "object",
    "required": ["event_id", "type", "occurred_at", "warehouse", "sku"],
    "additionalProperties": False,
    "properties": _FIELDS,
}
