"""Stock: every count of a SKU, as the warehouse sees it: now, at any moment, and how it came to be."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from app.api import problems
from app.api.auth import Needs
from app.api.cursors import cursor_of, parts_of
from app.api.dependencies import Ops, moment_of
from app.api.openapi import READ, errors
from app.api.problems import ProblemError, invalid
from app.api.replies.stock import ExplanationReply, HistoryReply, StockReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_explanation, of_move, of_stock
from app.api.words import LIMIT_DEFAULT, AfterCursor, AsOf, Limit, SkuInPath
from app.domain.past import TooOld, Unknown
from app.domain.words import BIGINT_MAX
from app.operations.past import Cursor
from app.turns import in_turns

_VERSION_MAX = BIGINT_MAX - 1
_PAST = (*READ, "unknown_sku", "as_of_too_old", "unavailable")
_OCCURRED_MAX = 253_402_300_799_999

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])


@router.get("/v1/stock/{sku}", response_model=StockReply, responses=errors(*_PAST))
async def read_stock(sku: SkuInPath, ops: Ops, as_of: AsOf = None) -> Response:
    """Return every count of a SKU by warehouse: now, or as of a time, inclusive, by when things happened."""
    if as_of is None:
        stock = await ops.stock.read(sku)
        return problems.unknown_sku(sku).response() if stock is None else json_response(of_stock(stock))
    match await ops.past.stock(sku, moment_of(as_of)):
        case TooOld(reach):
            return problems.as_of_too_old(reach).response()
        case Unknown():
            return problems.unknown_sku(sku).response()
        case then:
            return json_response(of_stock(then))


@router.get(
    "/v1/stock/{sku}/history",
    response_model=HistoryReply,
    response_model_exclude_unset=True,
    responses=errors(*READ, "unknown_sku", "unavailable"),
)
async def read_history(
    sku: SkuInPath,
    ops: Ops,
    limit: Limit = LIMIT_DEFAULT,
    after: Annotated[int | None, Query(ge=0, le=_VERSION_MAX, description="a version")] = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="what comes first")] = "newest",
) -> Response:
    """Return a SKU's moves in the order of recording, each with its cause and the counts it left."""
    found = await ops.past.history(sku, after, limit, newest_first=order == "newest")
    if isinstance(found, Unknown):
        return problems.unknown_sku(sku).response()
    following = str(found[-1].version) if len(found) == limit else None
    return json_response({"items": await in_turns(found, of_move), "next": following})


@router.get(
    "/v1/stock/{sku}/explain",
    response_model=ExplanationReply,
    response_model_exclude_unset=True,
    responses=errors(*_PAST),
)
async def explain_stock(
    sku: SkuInPath, ops: Ops, as_of: AsOf = None, limit: Limit = LIMIT_DEFAULT, after: AfterCursor = None
) -> Response:
    """Return where every unit of a SKU is, which comes to zero; and its moves by when they happened."""
    at = None if as_of is None else moment_of(as_of)
    match await ops.past.explain(sku, at, _cursor(after), limit):
        case TooOld(reach):
            return problems.as_of_too_old(reach).response()
        case Unknown():
            return problems.unknown_sku(sku).response()
        case told:
            last = told.moves[-1] if len(told.moves) == limit else None
            following = None if last is None else cursor_of((last.occurred_at, last.version))
            return json_response(of_explanation(told, await in_turns(told.moves, of_move), following))


def _cursor(after: str | None) -> Cursor | None:
    if after is None:
        return None
    occurred_at, version = parts_of(after, (int, int))
    if not 0 <= int(occurred_at) <= _OCCURRED_MAX:
        raise ProblemError(invalid(("after", "is not what an answer gave as `next`")))
    return Cursor(int(occurred_at), int(version))
