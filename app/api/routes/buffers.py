"""Buffers: the safety stock that is withheld from sale."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import BuffersBody
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.openapi import WRITE, errors
from app.api.replies.bookings import BuffersReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_buffers

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.put("/v1/buffers", response_model=BuffersReply, responses=errors(*WRITE))
async def put_buffers(body: BuffersBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf) -> Response:
    """Withhold units from sale in one warehouse: all lines or none. The figures replace those before."""
    command = body.command()
    told = await ops.buffers.put(command, level(body.durability, settings), who=who)
    metrics.count_outcome("buffer", told.answer.outcome)
    if told.durability is None:
        return problems.of_answer(told.answer, command).response()
    return json_response(of_buffers(body, told))
