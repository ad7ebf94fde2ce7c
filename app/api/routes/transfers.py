"""Transfers: stock goes from one warehouse to another."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import TransferBody, TransferCancelBody, TransferReceiveBody, TransferShipBody
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.openapi import READ, WRITE, errors
from app.api.replies.transfers import TransferReply, TransferStepReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_transfer, of_transfer_step
from app.api.words import TransferIdInPath
from app.domain.commands import Transfer, TransferCancel, TransferStep
from app.domain.outcomes import Outcome
from app.operations.durability import Told
from app.telemetry import Metrics

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])
reading = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])

_STEP = (*WRITE, "unknown_transfer", "transfer_not_open")


def _answer(told: Told, command: Transfer | TransferStep, metrics: Metrics) -> Response:
    metrics.count_outcome(command.kind, told.answer.outcome)
    if told.durability is None:
        return problems.of_answer(told.answer, command).response()
    created = told.answer.outcome is Outcome.TRANSFER_REQUESTED
    return json_response(of_transfer_step(told), 201 if created else 200)


@router.post(
    "/v1/transfers",
    status_code=201,
    response_model=TransferStepReply,
    responses={
        200: {"model": TransferStepReply, "description": "a repeat: the original answer, and current_status"},
        **errors(*WRITE, "insufficient_stock", "transfer_id_reused"),
    },
)
async def request_transfer(
    body: TransferBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf
) -> Response:
    """Promise stock at one warehouse to another: all lines or none. Repeating it with the same content is safe."""
    command = body.command()
    told = await ops.transfers.request(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


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
    responses=errors(*_STEP, "quantity_exceeds_transfer", "shipment_id_reused", "quantity_too_large"),
)
async def ship_transfer(
    transfer_id: TransferIdInPath,
    body: TransferShipBody,
    ops: Ops,
    settings: Conf,
    who: Who,
    metrics: MetricsOf,
) -> Response:
    """Take what left the source off its shelf: it is on the way. Repeatable by its shipment_id."""
    command = body.command(transfer_id)
    told = await ops.transfers.ship(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@router.post(
    "/v1/transfers/{transfer_id}/receive",
    response_model=TransferStepReply,
    responses=errors(*_STEP, "quantity_exceeds_transfer", "receipt_id_reused", "quantity_too_large"),
)
async def receive_transfer(
    transfer_id: TransferIdInPath,
    body: TransferReceiveBody,
    ops: Ops,
    settings: Conf,
    who: Who,
    metrics: MetricsOf,
) -> Response:
    """Book what arrived at the destination, and what was lost on the way. Repeatable by its receipt_id."""
    command = body.command(transfer_id)
    told = await ops.transfers.receive(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@router.post("/v1/transfers/{transfer_id}/cancel", response_model=TransferStepReply, responses=errors(*_STEP))
async def cancel_transfer(
    transfer_id: TransferIdInPath,
    ops: Ops,
    settings: Conf,
    who: Who,
    metrics: MetricsOf,
    body: TransferCancelBody | None = None,
) -> Response:
    """Give back what has not shipped; what has is still to be received. Repeating it gives the same answer."""
    body = body or TransferCancelBody()
    command = TransferCancel(transfer_id)
    told = await ops.transfers.cancel(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)
