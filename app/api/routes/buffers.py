"""Buffers: the safety stock that is withheld from sale."""

from functools import partial

from fastapi import APIRouter, Depends, Response

from app.api.auth import Needs
from app.api.bodies import BuffersBody
from app.api.dependencies import Ops
from app.api.openapi import UNKNOWN_SKU, WRITE, errors
from app.api.replies.bookings import BuffersReply
from app.api.strict import StrictRoute
from app.api.views import of_buffers
from app.api.writes import Write

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.put(
    "/v1/buffers", response_model=BuffersReply, responses=errors(*WRITE, UNKNOWN_SKU, "unknown_warehouse")
)
async def put_buffers(body: BuffersBody, ops: Ops, write: Write) -> Response:
    """Withhold units from sale in one warehouse: all lines or none. The figures replace those before."""
    return await write.book(
        ops.buffers.put, body.command(), body.durability, partial(of_buffers, body), new_skus=body.new_skus
    )
