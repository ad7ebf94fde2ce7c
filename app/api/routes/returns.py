"""Returns: a customer's goods came back."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import ReturnBody
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.openapi import WRITE, errors
from app.api.replies.bookings import ReturnReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_return
from app.domain.outcomes import Outcome

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/returns",
    status_code=201,
    response_model=ReturnReply,
    responses={
        200: {"model": ReturnReply, "description": "a repeat: the original answer"},
        **errors(
            *WRITE, "unknown_lock", "return_id_reused", "quantity_exceeds_shipment", "quantity_too_large"
        ),
    },
)
async def book_return(body: ReturnBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf) -> Response:
    """Book goods that came back, for sale again or damaged; repeatable by its return_id.

    With a lock_id never more than was shipped for it.
    """
    command = body.command()
    told = await ops.returns.book(command, level(body.durability, settings), who=who)
    metrics.count_outcome(command.kind, told.answer.outcome)
    if told.durability is None:
        return problems.of_answer(told.answer, command).response()
    return json_response(of_return(body, told), 201 if told.answer.outcome is Outcome.RETURNED else 200)
