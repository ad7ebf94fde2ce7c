"""Exchanges: goods came back, and others are held instead."""

from functools import partial

from fastapi import APIRouter, Depends, Response

from app.api.auth import Needs
from app.api.bodies import ExchangeBody
from app.api.dependencies import Conf, Ops
from app.api.openapi import UNKNOWN_SKU, WRITE, errors
from app.api.replies.bookings import ExchangeReply
from app.api.strict import StrictRoute
from app.api.views import of_exchange
from app.api.writes import Write
from app.domain.outcomes import Outcome

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/exchanges",
    status_code=201,
    response_model=ExchangeReply,
    responses={
        200: {"model": ExchangeReply, "description": "a repeat: the original answer, and current_status"},
        **errors(
            *WRITE,
            UNKNOWN_SKU,
            "unknown_warehouse",
            "warehouse_closed",
            "unknown_lock",
            "too_many_choices",
            "insufficient_stock",
            "exchange_id_reused",
            "lock_id_reused",
            "quantity_exceeds_shipment",
            "quantity_too_large",
        ),
    },
)
async def book_exchange(body: ExchangeBody, ops: Ops, settings: Conf, write: Write) -> Response:
    """Book goods that came back and hold others instead: both or neither. Repeatable by its exchange_id."""
    command = body.command(settings.lock_ttl_seconds)
    return await write.book(
        ops.exchanges.book,
        command,
        body.durability,
        partial(of_exchange, body),
        created=Outcome.EXCHANGED,
        new_skus=body.new_skus,
    )
