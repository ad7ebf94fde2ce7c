"""The words of requests: codes, ids, quantities and times, checked and described once."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, Field

from app.api.strict import decode_percent
from app.domain.codes import (
    ID_LENGTH_MAX,
    SKU_LENGTH_MAX,
    WAREHOUSE_LENGTH_MAX,
    check_id,
    check_sku,
    check_warehouse,
)
from app.domain.words import LINES_MAX, QUANTITY_MAX
from app.settings import Durability

REASON_LENGTH_MAX = 500
TTL_SECONDS_MAX = 2_592_000
WAREHOUSES_MAX = 100
LIMIT_MAX = 1_000
"""Items in one answer of a list."""
LIMIT = 100
"""Warehouses in one request."""

_CODE_PATTERN = r'^[^\s{}"\\\u0000-\u001f\u007f]([^{}"\\\u0000-\u001f\u007f]*[^\s{}"\\\u0000-\u001f\u007f])?$'
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def _check_reason(text: str) -> str:
    """Refuse control characters: Postgres cannot keep NUL, and no log should be rewritten by a reason."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not contain control characters")
    return text


def _from_path(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda raw: check(decode_percent(raw.encode("latin-1")))


def time_ms(text: str) -> int:
    """Return an RFC 3339 time as ms since 1970, or raise `ValueError`."""
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ValueError("must be an RFC 3339 time such as 2025-11-28T09:30:00Z")
    date, time, fraction, offset = match.groups()
    zone = "+00:00" if offset in "Zz" else offset
    try:
        whole = datetime.fromisoformat(f"{date}T{time}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no time of any calendar") from None
    if whole.year < 1970:
        raise ValueError("must not be before 1970")
    return int(whole.timestamp()) * 1000 + int((fraction or ".0")[1:4].ljust(3, "0"))


def _check_time(text: str) -> str:
    time_ms(text)
    return text


def _described(length_max: int, example: str) -> dict[str, Any]:
    return {"minLength": 1, "maxLength": length_max, "pattern": _CODE_PATTERN, "examples": [example]}


_SKU = _described(SKU_LENGTH_MAX, "85123A")
_WAREHOUSE = _described(WAREHOUSE_LENGTH_MAX, "north")
_ID = _described(ID_LENGTH_MAX, "order-1001")

Sku = Annotated[str, AfterValidator(check_sku), Field(json_schema_extra=_SKU)]
Warehouse = Annotated[str, AfterValidator(check_warehouse), Field(json_schema_extra=_WAREHOUSE)]
Id = Annotated[str, AfterValidator(check_id), Field(json_schema_extra=_ID)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[2])]
Buffered = Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX, examples=[2])]
Reason = Annotated[
    str,
    AfterValidator(_check_reason),
    Field(min_length=1, max_length=REASON_LENGTH_MAX, examples=["found while counting"]),
]
Ttl = Annotated[int, Field(strict=True, ge=1, le=TTL_SECONDS_MAX, examples=[900])]
Warehouses = Annotated[list[Warehouse], Field(min_length=1, max_length=WAREHOUSES_MAX)]
Level = Annotated[
    Durability, Field(description="how safe the write shall be before it is answered; a setting if omitted")
]
Moment = Annotated[
    str,
    AfterValidator(_check_time),
    Field(json_schema_extra={"format": "date-time"}, examples=["2025-12-01T08:00:00Z"]),
]
OccurredAt = Annotated[
    str,
    AfterValidator(_check_time),
    Field(
        description="when it happened in the warehouse",
        json_schema_extra={"format": "date-time"},
        examples=["2025-11-28T09:30:00Z"],
    ),
]

AsOf = Annotated[
    Annotated[str, AfterValidator(_check_time)] | None,
    Query(
        description="the time asked about, inclusive; now if omitted",
        json_schema_extra={"format": "date-time"},
        examples=["2025-12-01T08:00:00Z"],
    ),
]
SkuInPath = Annotated[
    str,
    AfterValidator(_from_path(check_sku)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_SKU),
]
LockIdInPath = Annotated[
    str,
    AfterValidator(_from_path(check_id)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_ID),
]
TransferIdInPath = Annotated[
    str,
    AfterValidator(_from_path(check_id)),
    Path(
        description="percent-encoded; a slash is %2F", json_schema_extra=_described(ID_LENGTH_MAX, "move-7")
    ),
]
IdInPath = Annotated[
    str,
    AfterValidator(_from_path(check_id)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_ID),
]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="items in one answer")]
LINES = Field(min_length=1, max_length=LINES_MAX)
