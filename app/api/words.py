"""The words of requests: codes, ids, quantities and times, checked and described once."""

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, Field

from app.api.shapes import CURSOR, PRINTED, TIME, code, or_empty
from app.api.strict import decode_percent
from app.domain.codes import (
    ID_LENGTH_MAX,
    REASON_LENGTH_MAX,
    SKU_LENGTH_MAX,
    WAREHOUSE_LENGTH_MAX,
    check_id,
    check_reason,
    check_sku,
    check_warehouse,
)
from app.domain.times import OCCURRED_DAYS_MAX, SKEW_SECONDS_MAX, time_ms
from app.domain.words import LINES_MAX, QUANTITY_MAX, Durability

TTL_SECONDS_MAX = 2_592_000
WAREHOUSES_MAX = 100
"""Warehouses in one request."""
LIMIT_MAX = 1_000
"""Items in one answer of a list."""
LIMIT_DEFAULT = 100


def _from_path(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda raw: check(decode_percent(raw.encode("latin-1")))


def _check_time(text: str) -> str:
    time_ms(text)
    return text


def _check_occurred(text: str) -> str:
    """Refuse times that no clock or warehouse is likely to have meant."""
    at_ms, now_ms = time_ms(text), time.time() * 1000
    if at_ms > now_ms + SKEW_SECONDS_MAX * 1000:
        raise ValueError("must not be in the future")
    if at_ms < now_ms - OCCURRED_DAYS_MAX * 86_400_000:
        raise ValueError(f"must not be more than {OCCURRED_DAYS_MAX} days ago")
    return text


_SKU = code(SKU_LENGTH_MAX, "85123A")
_WAREHOUSE = code(WAREHOUSE_LENGTH_MAX, "north")
_ID = code(ID_LENGTH_MAX, "order-1001")
_TIME = {"format": "date-time", "pattern": TIME}

Sku = Annotated[str, AfterValidator(check_sku), Field(json_schema_extra=_SKU)]
Warehouse = Annotated[str, AfterValidator(check_warehouse), Field(json_schema_extra=_WAREHOUSE)]
Id = Annotated[str, AfterValidator(check_id), Field(json_schema_extra=_ID)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[2])]
Buffered = Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX, examples=[2])]
Reason = Annotated[
    str,
    AfterValidator(check_reason),
    Field(
        min_length=1,
        max_length=REASON_LENGTH_MAX,
        json_schema_extra={"pattern": PRINTED},
        examples=["found while counting"],
    ),
]
Ttl = Annotated[int, Field(strict=True, ge=1, le=TTL_SECONDS_MAX, examples=[900])]
Warehouses = Annotated[list[Warehouse], Field(min_length=1, max_length=WAREHOUSES_MAX)]
Level = Annotated[
    Durability, Field(description="how safe the write shall be before it is answered; a setting if omitted")
]
Moment = Annotated[
    str,
    AfterValidator(_check_time),
    Field(json_schema_extra=_TIME, examples=["2025-12-01T08:00:00Z"]),
]
OccurredAt = Annotated[
    str,
    AfterValidator(_check_occurred),
    Field(
        description="when it happened in the warehouse: not in the future, and not more than five years ago",
        json_schema_extra=_TIME,
        examples=["2025-11-28T09:30:00Z"],
    ),
]

AsOf = Annotated[
    Annotated[str, AfterValidator(_check_time)] | None,
    Query(
        description="the time asked about, inclusive; now if omitted",
        json_schema_extra=_TIME,
        examples=["2025-12-01T08:00:00Z"],
    ),
]
SkuInPath = Annotated[
    str,
    AfterValidator(_from_path(check_sku)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_SKU),
]
WarehouseInPath = Annotated[
    str,
    AfterValidator(_from_path(check_warehouse)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_WAREHOUSE),
]
LockIdInPath = Annotated[
    str,
    AfterValidator(_from_path(check_id)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_ID),
]
TransferIdInPath = Annotated[
    str,
    AfterValidator(_from_path(check_id)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=code(ID_LENGTH_MAX, "move-7")),
]
IdInPath = Annotated[
    str,
    AfterValidator(_from_path(check_id)),
    Path(description="percent-encoded; a slash is %2F", json_schema_extra=_ID),
]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="items in one answer")]
AfterCursor = Annotated[
    str | None,
    Query(
        max_length=1_000, description="what an answer gave as `next`", json_schema_extra={"pattern": CURSOR}
    ),
]
AfterId = Annotated[
    Annotated[str, AfterValidator(lambda text: text and check_id(text))] | None,
    Query(description="the id that an answer gave as `next`", json_schema_extra=or_empty(_ID)),
]
AfterCode = Annotated[
    Annotated[str, AfterValidator(lambda text: text and check_warehouse(text))] | None,
    Query(description="the code that an answer gave as `next`", json_schema_extra=or_empty(_WAREHOUSE)),
]
LINES = Field(min_length=1, max_length=LINES_MAX)
