"""Returns: a customer's goods came back."""

from functools import partial

from fastapi import APIRouter, Depends, Response

from app.api.auth import Needs
from app.api.bodies import ReturnBody
from app.api.dependencies import Ops
from app.api.openapi import UNKNOWN_SKU, WRITE, errors
from app.api.replies.bookings import ReturnReply
from app.api.strict import StrictRoute
from app.api.views import of_return
from app.api.writes import Write
from app.domain.outcomes import Outcome

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/returns",
    status_code=201,
    response_model=ReturnReply,
    responses={
        200: {"model": ReturnReply, "description": "a repeat: the original answer"},
        **errors(
            *WRITE,
            UNKNOWN_SKU,
            "unknown_warehouse",
            "unknown_lock",
            "return_id_reused",
            "quantity_exceeds_shipment",
            "quantity_too_large",
        ),
    },
)
async def book_return(body: ReturnBody, ops: Ops, write: Write) -> Response:
    """Book goods that came back, for sale again or damaged; repeatable by its return_id.

    With a lock_id never more than was shipped for it.
    """
    return await write.book(
        ops.returns.book,
        body.command(),
        body.durability,
        partial(of_return, body),
        created=Outcome.RETURNED,
        new_skus=body.new_skus,
    )
