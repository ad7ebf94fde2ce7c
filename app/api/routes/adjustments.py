"""Adjustments: corrections of what is physically there."""

from functools import partial

from fastapi import APIRouter, Depends, Response

from app.api.auth import Needs
from app.api.bodies import AdjustmentBody
from app.api.dependencies import Ops
from app.api.openapi import UNKNOWN_SKU, WRITE, errors
from app.api.replies.bookings import AdjustmentReply
from app.api.strict import StrictRoute
from app.api.views import of_adjustment
from app.api.writes import Write
from app.domain.outcomes import Outcome

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/adjustments",
    status_code=201,
    response_model=AdjustmentReply,
    responses={
        200: {"model": AdjustmentReply, "description": "a repeat: the original answer"},
        **errors(
            *WRITE,
            UNKNOWN_SKU,
            "unknown_warehouse",
            "adjustment_id_reused",
            "beyond_on_hand",
            "insufficient_damaged",
            "quantity_too_large",
        ),
    },
)
async def book_adjustment(body: AdjustmentBody, ops: Ops, write: Write) -> Response:
    """Book what was found or is missing, or what turned out damaged; repeatable by its adjustment_id."""
    return await write.book(
        ops.adjustments.book,
        body.command(),
        body.durability,
        partial(of_adjustment, body),
        created=Outcome.ADJUSTED,
        new_skus=body.new_skus,
    )
