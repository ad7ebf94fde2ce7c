"""Adjustments: corrections of what is physically there."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import AdjustmentBody
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.openapi import WRITE, errors
from app.api.replies.bookings import AdjustmentReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_adjustment
from app.domain.outcomes import Outcome

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/adjustments",
    status_code=201,
    response_model=AdjustmentReply,
    responses={
        200: {"model": AdjustmentReply, "description": "a repeat: the original answer"},
        **errors(*WRITE, "adjustment_id_reused", "insufficient_damaged", "quantity_too_large"),
    },
)
async def book_adjustment(
    body: AdjustmentBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf
) -> Response:
    """Book what was found or is missing, or what turned out damaged; repeatable by its adjustment_id."""
    command = body.command()
    told = await ops.adjustments.book(command, level(body.durability, settings), who=who)
    metrics.count_outcome(command.kind, told.answer.outcome)
    if told.durability is None:
        return problems.of_answer(told.answer, command).response()
    return json_response(of_adjustment(body, told), 201 if told.answer.outcome is Outcome.ADJUSTED else 200)
