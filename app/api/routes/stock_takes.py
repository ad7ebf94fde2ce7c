"""Stock-takes: what somebody counted, as of the time of counting."""

import time

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import StockTakeBody
from app.api.codes import check_codes
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.openapi import UNKNOWN_SKU, WRITE, errors
from app.api.replies.bookings import StockTakeReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_stock_take
from app.domain.outcomes import Outcome

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/stock-takes",
    status_code=201,
    response_model=StockTakeReply,
    response_model_exclude_unset=True,
    responses={
        200: {"model": StockTakeReply, "description": "a repeat: the original answer"},
        **errors(
            *WRITE,
            UNKNOWN_SKU,
            "unknown_warehouse",
            "stock_take_id_reused",
            "insufficient_damaged",
            "quantity_too_large",
            "unavailable",
        ),
    },
)
async def book_stock_take(
    body: StockTakeBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf
) -> Response:
    """Book what was counted: the difference to what was there at counted_at, while later moves stand."""
    take = body.take()
    if take.counted_at > time.time() * 1000:
        return problems.invalid(("counted_at", "must not be in the future")).response()
    await check_codes(ops.codes, take, new_skus=body.new_skus)
    counted = await ops.stock_takes.book(take, level(body.durability, settings), who=who)
    answer = counted.told.answer
    metrics.count_outcome("stock_take", answer.outcome)
    if counted.told.durability is None:
        return problems.of_stock_take(answer).response()
    return json_response(of_stock_take(body, counted), 201 if answer.outcome is Outcome.ADJUSTED else 200)
