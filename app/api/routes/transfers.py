"""Transfers: stock goes from one warehouse to another."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import (
    TransferBody,
    TransferCancelBody,
    TransferCloseBody,
    TransferReceiveBody,
    TransferShipBody,
)
from app.api.dependencies import Ops
from app.api.openapi import READ, UNKNOWN_SKU, WRITE, errors
from app.api.replies.transfers import TransferReply, TransferStepReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_transfer, of_transfer_step
from app.api.words import TransferIdInPath
from app.api.writes import C, Operation, Write
from app.domain.commands import TransferCancel
from app.domain.outcomes import Outcome
from app.domain.words import Durability

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])
reading = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])

_STEP = (*WRITE, "unknown_transfer", "transfer_not_open")


async def _step(write: Write, book: Operation[C], command: C, asked: Durability | None) -> Response:
    return await write.book(book, command, asked, of_transfer_step)


@router.post(
    "/v1/transfers",
    status_code=201,
    response_model=TransferStepReply,
    responses={
        200: {"model": TransferStepReply, "description": "a repeat: the original answer, and current_status"},
        **errors(
            *WRITE,
            UNKNOWN_SKU,
            "unknown_warehouse",
            "warehouse_closed",
            "insufficient_stock",
            "transfer_id_reused",
        ),
    },
)
async def request_transfer(body: TransferBody, ops: Ops, write: Write) -> Response:
    """Promise stock at one warehouse to another: all lines or none. Repeating it with the same content is safe."""
    return await write.book(
        ops.transfers.request,
        body.command(),
        body.durability,
        of_transfer_step,
        created=Outcome.TRANSFER_REQUESTED,
        new_skus=body.new_skus,
    )


@reading.get(
    "/v1/transfers/{transfer_id}",
    response_model=TransferReply,
    responses=errors(*READ, "unknown_transfer", "unavailable"),
)
async def read_transfer(transfer_id: TransferIdInPath, ops: Ops) -> Response:
    """Return a transfer as it is now."""
    answer = await ops.transfers.get(transfer_id)
    if answer.transfer is None:
        return problems.of_answer(answer).response()
    return json_response(of_transfer(answer.transfer))


@router.post(
    "/v1/transfers/{transfer_id}/ship",
    response_model=TransferStepReply,
    responses=errors(
        *_STEP, UNKNOWN_SKU, "quantity_exceeds_transfer", "shipment_id_reused", "quantity_too_large"
    ),
)
async def ship_transfer(
    transfer_id: TransferIdInPath,
    body: TransferShipBody,
    ops: Ops,
    write: Write,
) -> Response:
    """Take what left the source off its shelf: it is on the way. Repeatable by its shipment_id."""
    return await _step(write, ops.transfers.step, body.command(transfer_id), body.durability)


@router.post(
    "/v1/transfers/{transfer_id}/receive",
    response_model=TransferStepReply,
    responses=errors(
        *_STEP, UNKNOWN_SKU, "quantity_exceeds_transfer", "receipt_id_reused", "quantity_too_large"
    ),
)
async def receive_transfer(
    transfer_id: TransferIdInPath,
    body: TransferReceiveBody,
    ops: Ops,
    write: Write,
) -> Response:
    """Book what arrived at the destination, and what was lost on the way. Repeatable by its receipt_id."""
    return await _step(write, ops.transfers.step, body.command(transfer_id), body.durability)


@router.post("/v1/transfers/{transfer_id}/cancel", response_model=TransferStepReply, responses=errors(*_STEP))
async def cancel_transfer(
    transfer_id: TransferIdInPath,
    ops: Ops,
    write: Write,
    body: TransferCancelBody | None = None,
) -> Response:
    """Give back what has not shipped; what has is still to be received. Repeating it gives the same answer."""
    body = body or TransferCancelBody()
    return await _step(write, ops.transfers.step, TransferCancel(transfer_id), body.durability)


@router.post(
    "/v1/transfers/{transfer_id}/close",
    response_model=TransferStepReply,
    responses=errors(*_STEP, "quantity_too_large"),
)
async def close_transfer(
    transfer_id: TransferIdInPath,
    ops: Ops,
    write: Write,
    body: TransferCloseBody | None = None,
) -> Response:
    """Ship nothing more: what has not shipped is given back, and what is on the way lost or sent back if you say so.

    Repeating it gives the same answer.
    """
    body = body or TransferCloseBody()
    return await _step(write, ops.transfers.step, body.command(transfer_id), body.durability)
