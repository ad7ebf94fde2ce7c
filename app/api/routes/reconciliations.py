"""Reconciliations: a warehouse's snapshot against the ledger as of its time, and what is done about differences."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import TreatBody
from app.api.codes import check_warehouses
from app.api.cursors import cursor_of, parts_of
from app.api.dependencies import Caller, MetricsOf, Ops, Who
from app.api.media import Media, media_of
from app.api.openapi import BODY, READ, errors
from app.api.reconciliations import (
    of_discrepancy,
    of_reading,
    of_reconciliation,
    of_report,
    of_treated,
)
from app.api.replies.reconciliations import (
    BegunReply,
    ReconciliationListReply,
    ReconciliationReply,
    ReportReply,
    TreatedReply,
)
from app.api.shapes import TIME, code
from app.api.strict import StrictRoute
from app.api.uploads import format_of, options_of, read_snapshot
from app.api.views import json_response
from app.api.words import LIMIT_DEFAULT, LIMIT_MAX, AfterCursor, IdInPath, Limit, Moment, Warehouse
from app.domain.codes import SKU_LENGTH_MAX, WAREHOUSE_LENGTH_MAX
from app.domain.reconciliation import Cause
from app.domain.times import time_ms
from app.domain.words import BIGINT_MAX, QUANTITY_MAX
from app.ledger.reconciliations import Chosen
from app.operations.compensations import BATCH, Treated
from app.operations.reconciliations import Report
from app.operations.reports.lines import csv_lines
from app.operations.reports.page import page
from app.operations.snapshots.csv_lines import COLUMNS
from app.operations.snapshots.formats import ROWS_MAX
from app.operations.snapshots.spool import Asked, SnapshotError, Spool
from app.turns import in_turns

_COUNT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sku", "on_hand"],
    "properties": {
        "sku": {"type": "string", **code(SKU_LENGTH_MAX, "85123A")},
        "on_hand": {"type": "integer", "minimum": 0, "maximum": QUANTITY_MAX, "examples": [7]},
        "damaged": {"type": ["integer", "null"], "minimum": 0, "maximum": QUANTITY_MAX},
    },
}
_SNAPSHOT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["warehouse", "as_of", "counts"],
    "properties": {
        "warehouse": {"type": "string", **code(WAREHOUSE_LENGTH_MAX, "north")},
        "as_of": {
            "type": "string",
            "format": "date-time",
            "pattern": TIME,
            "examples": ["2025-12-01T08:00:00Z"],
        },
        "counts": {"type": "array", "minItems": 1, "items": _COUNT},
        "rows": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": ROWS_MAX,
            "description": "how many counts there are, as a check",
        },
    },
}
_LINES = {"schema": {"type": "string"}}
_BODY = {
    "required": True,
    "description": "Up to 256 MiB. text/csv has the columns sku, on_hand and maybe damaged and warehouse (others are "
    "not used), and may end with the line `#rows=N`; it is UTF-8, or UTF-16 with its mark, or has the charset that its "
    'type names. application/x-ndjson has a count a line, and may end with `{"rows":N}`. Both say warehouse and as_of '
    "in the query. A line of them that cannot be read is told in the answer, and the others are compared; "
    "application/json is taken as a whole or not.",
    "content": {
        "application/json": {"schema": _SNAPSHOT},
        "text/csv": _LINES,
        "application/x-ndjson": _LINES,
    },
}

router = APIRouter(
    route_class=StrictRoute, tags=["reconciliation"], dependencies=[Depends(Needs("warehouse"))]
)
reading = APIRouter(route_class=StrictRoute, tags=["reconciliation"], dependencies=[Depends(Needs("read"))])

Rows = Annotated[int | None, Query(ge=0, le=ROWS_MAX, description="how many counts there must be")]

Partial = Annotated[bool, Query(description="it is of some SKUs: nothing is said about the others")]
AddUp = Annotated[bool, Query(alias="sum", description="a SKU has what its lines have together")]
Names = Annotated[
    list[Annotated[str, Field(json_schema_extra={"pattern": rf"^({'|'.join(COLUMNS)})=.*[!-~].*$"})]],
    Query(
        alias="map", description="a column's name in a CSV body, as `on_hand=Qty`", max_length=len(COLUMNS)
    ),
]
Form = Annotated[Literal["shopify"] | None, Query(alias="format", description="a well-known export, as CSV")]
Codes = Annotated[
    Literal["as-is"] | None, Query(description="take codes that a spreadsheet seems to have damaged, as CSV")
]
AcceptLastLine = Annotated[bool, Query(description="take a last line of CSV that has no line end")]


@router.post(
    "/v1/reconciliations",
    status_code=202,
    response_model=BegunReply,
    responses={
        200: {"model": BegunReply, "description": "the same snapshot again: its reconciliation"},
        **errors(
            *READ, *BODY, "unknown_warehouse", "wrong_warehouse",
            "snapshot_incomplete", "snapshot_too_old", "busy", "unavailable",
        ),
    },
    openapi_extra={"requestBody": _BODY},
)  # fmt: skip
async def begin_reconciliation(
    request: Request,
    ops: Ops,
    who: Who,
    metrics: MetricsOf,
    caller: Caller,
    *,
    warehouse: Annotated[Warehouse | None, Query(description="of a CSV or NDJSON body")] = None,
    as_of: Annotated[Moment | None, Query(description="of a CSV or NDJSON body; inclusive")] = None,
    rows: Rows = None,
    partial: Partial = False,
    add_up: AddUp = False,
    names: Names = [],  # noqa: B006 - FastAPI copies it
    form: Form = None,
    codes: Codes = None,
    accept_last_line: AcceptLastLine = False,
) -> Response:
    """Take a snapshot of a warehouse in; it is compared with the ledger as of its time."""
    asked = _asked(warehouse, as_of, rows, beside=media_of(request) is Media.JSON)
    options = options_of(request, names=names, form=form, codes=codes, accepts_last_line=accept_last_line)
    if asked is not None and (refused := await ops.reconciliations.check(asked)):
        await check_warehouses(ops.codes, ("warehouse", asked.warehouse))
        return problems.of_refused_snapshot(refused, asked.warehouse).response()
    try:
        with request.app.state.uploads.one(caller) as upload, Spool() as spool:
            if asked is not None:
                asked = asked._replace(is_partial=partial, adds_up=add_up)
            how = format_of(request, spool, asked, options, is_partial=partial, adds_up=add_up)
            told = await read_snapshot(request, how, upload)
            if asked is None and (refused := await ops.reconciliations.check(told)):
                await check_warehouses(ops.codes, ("warehouse", told.warehouse))
                return problems.of_refused_snapshot(refused, told.warehouse).response()
            begun = await ops.reconciliations.begin(told, spool, who=who)
    except SnapshotError as error:
        return problems.of_snapshot(error).response()
    metrics.count_outcome("reconciliation", "BEGUN" if begun.new else "REPEATED")
    told_of = {"reconciliation_id": begun.reconciliation_id} | of_reading(spool)
    return json_response(told_of, 202 if begun.new else 200)


def _asked(warehouse: str | None, as_of: str | None, rows: int | None, *, beside: bool) -> Asked | None:
    """What the query says; a JSON body says it itself, and nothing may contradict it."""
    given = [name for name, value in (("warehouse", warehouse), ("as_of", as_of), ("rows", rows)) if value]
    if beside:
        if given:
            raise problems.ProblemError(
                problems.invalid(*((name, "give it in the JSON body, not in the query") for name in given))
            )
        return None
    if warehouse is None or as_of is None:
        missing = [name for name in ("warehouse", "as_of") if name not in given]
        raise problems.ProblemError(problems.invalid(*((name, "Field required") for name in missing)))
    return Asked(warehouse, time_ms(as_of), rows)


@reading.get(
    "/v1/reconciliations",
    response_model=ReconciliationListReply,
    responses=errors(*READ, "unknown_warehouse", "unavailable"),
)
async def list_reconciliations(
    ops: Ops,
    limit: Limit = LIMIT_DEFAULT,
    after: Annotated[int, Query(ge=0, le=BIGINT_MAX)] = 0,
    warehouse: Annotated[Warehouse | None, Query()] = None,
) -> Response:
    """Return the reconciliations, newest first."""
    if warehouse is not None:
        await check_warehouses(ops.codes, ("warehouse", warehouse))
    found, cursor = await ops.reconciliations.before(after, limit, warehouse)
    following = str(cursor) if len(found) == limit else None
    return json_response({"items": await in_turns(found, of_reconciliation), "next": following})


@reading.get(
    "/v1/reconciliations/{reconciliation_id}",
    response_model=ReconciliationReply,
    response_model_exclude_unset=True,
    responses=errors(*READ, "unknown_reconciliation", "unavailable"),
)
async def read_reconciliation(
    reconciliation_id: IdInPath,
    ops: Ops,
    limit: Limit = LIMIT_MAX,
    after: AfterCursor = None,
    cause: Annotated[Cause | None, Query()] = None,
) -> Response:
    """Return what a reconciliation came to, with its differences by SKU: all of them up to 1,000."""
    sku, state = ("", "") if after is None else parts_of(after, (str, str))
    found = await ops.reconciliations.find(reconciliation_id)
    if found is None:
        return problems.unknown_reconciliation(reconciliation_id).response()
    items = await ops.reconciliations.discrepancies(
        reconciliation_id, (str(sku), str(state)), limit + 1, cause
    )
    shown = items[:limit]
    following = cursor_of((shown[-1].sku, shown[-1].state)) if len(items) > limit else None
    told = {"discrepancies": await in_turns(shown, of_discrepancy), "next": following}
    return json_response(of_reconciliation(found) | told)


@reading.get(
    "/v1/reconciliations/{reconciliation_id}/report",
    response_model=ReportReply,
    responses=errors(*READ, "unknown_reconciliation", "unavailable"),
)
async def read_report(reconciliation_id: IdInPath, ops: Ops) -> Response:
    """Return totals, the worst differences, those that come again and again, and the days before."""
    report = await ops.reconciliations.report(reconciliation_id)
    return _unknown(reconciliation_id) if report is None else json_response(of_report(report))


@reading.get(
    "/v1/reconciliations/{reconciliation_id}/report.html",
    response_class=Response,
    responses={
        200: {"description": "a page", "content": {"text/html": {"schema": {"type": "string"}}}},
        **errors(*READ, "unknown_reconciliation", "unavailable"),
    },
)
async def read_report_page(reconciliation_id: IdInPath, ops: Ops) -> Response:
    """Return the report as a page with plots, which needs nothing from elsewhere."""
    report: Report | None = await ops.reconciliations.report(reconciliation_id)
    if report is None:
        return _unknown(reconciliation_id)
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(page(report), headers=policy, media_type="text/html")


@reading.get(
    "/v1/reconciliations/{reconciliation_id}/report.csv",
    response_class=Response,
    responses={
        200: {"description": "a file", "content": {"text/csv": {"schema": {"type": "string"}}}},
        **errors(*READ, "unknown_reconciliation", "unavailable"),
    },
)
async def read_report_lines(reconciliation_id: IdInPath, ops: Ops) -> Response:
    """Return every difference as a line of CSV."""
    found = await ops.reconciliations.find(reconciliation_id)
    if found is None:
        return _unknown(reconciliation_id)
    return StreamingResponse(_encoded(csv_lines(ops.reconciliations.rows, found)), media_type="text/csv")


async def _encoded(parts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.encode()


_TREATING = errors(*READ, *BODY, "unknown_reconciliation", "unavailable")


@router.post(
    "/v1/reconciliations/{reconciliation_id}/approve", response_model=TreatedReply, responses=_TREATING
)
async def approve_differences(reconciliation_id: IdInPath, body: TreatBody, ops: Ops, who: Who) -> Response:
    """Book differences that were proposed or reported, as of the time of the count: at most 500, then `more`."""
    chosen = Chosen(body.skus, body.cause)
    treated = await ops.compensations.approve(reconciliation_id, chosen, who=who)
    return _treated(reconciliation_id, treated)


@router.post("/v1/reconciliations/{reconciliation_id}/undo", response_model=TreatedReply, responses=_TREATING)
async def undo_differences(reconciliation_id: IdInPath, body: TreatBody, ops: Ops, who: Who) -> Response:
    """Take differences back that were booked: at most 500, then `more`."""
    chosen = Chosen(body.skus, body.cause)
    treated = await ops.compensations.undo(reconciliation_id, chosen, who=who)
    return _treated(reconciliation_id, treated)


def _treated(reconciliation_id: str, treated: Sequence[Treated] | None) -> Response:
    if treated is None:
        return _unknown(reconciliation_id)
    told: dict[str, Any] = {"reconciliation_id": reconciliation_id}
    told |= {"results": [of_treated(one) for one in treated], "more": len(treated) == BATCH}
    return json_response(told)


def _unknown(reconciliation_id: str) -> Response:
    return problems.unknown_reconciliation(reconciliation_id).response()
