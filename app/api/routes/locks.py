"""Locks: what checkout does."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import ConfirmBody, DeductBody, ExtendBody, LockBody, ReplaceBody, UnlockBody
from app.api.dependencies import Conf, Key, MetricsOf, Ops, Who, level, moment_of, require_key
from app.api.openapi import READ, WRITE, errors
from app.api.replies.locks import LockReply, StepReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_lock, of_step
from app.api.words import AsOf, LockIdInPath
from app.domain.commands import Lock, Step
from app.domain.outcomes import Outcome
from app.domain.past import TooOld, Unknown
from app.operations.durability import Told
from app.telemetry import Metrics

router = APIRouter(route_class=StrictRoute, tags=["checkout"], dependencies=[Depends(Needs("checkout"))])
reading = APIRouter(route_class=StrictRoute, tags=["checkout"], dependencies=[Depends(Needs("read"))])

_STEP = (*WRITE, "unknown_lock", "lock_expired", "lock_not_held", "idempotency_key_reused")


def _answer(told: Told, command: Lock | Step, metrics: Metrics) -> Response:
    metrics.count_outcome(type(command).__name__.lower(), told.answer.outcome)
    if told.durability is None:
        return problems.of_answer(told.answer, command).response()
    return json_response(of_step(told), 201 if told.answer.outcome is Outcome.LOCKED else 200)


@router.post(
    "/v1/locks",
    status_code=201,
    response_model=StepReply,
    response_model_exclude_unset=True,
    responses={
        200: {"model": StepReply, "description": "a repeat: the original answer, and current_status"},
        **errors(*WRITE, "insufficient_stock", "lock_id_reused"),
    },
)
async def create_lock(body: LockBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf) -> Response:
    """Hold stock for one order: all lines or none. Repeating it with the same content is safe."""
    command = body.command(settings.lock_ttl_seconds)
    told = await ops.locks.create(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@reading.get(
    "/v1/locks/{lock_id}",
    response_model=LockReply,
    responses=errors(*READ, "unknown_lock", "as_of_too_old", "unavailable"),
)
async def read_lock(lock_id: LockIdInPath, ops: Ops, as_of: AsOf = None) -> Response:
    """Return a lock: as it is now, or as it was at a time, inclusive."""
    if as_of is not None:
        match await ops.past.lock(lock_id, moment_of(as_of)):
            case TooOld(reach):
                return problems.as_of_too_old(reach).response()
            case Unknown():
                return problems.unknown_lock(lock_id).response()
            case then:
                return json_response(of_lock(then))
    answer = await ops.locks.get(lock_id)
    if answer.lock is None:
        return problems.of_answer(answer).response()
    return json_response(of_lock(answer.lock))


@router.post("/v1/locks/{lock_id}/confirm", response_model=StepReply, responses=errors(*_STEP))
async def confirm_lock(
    lock_id: LockIdInPath,
    ops: Ops,
    settings: Conf,
    who: Who,
    key: Key,
    metrics: MetricsOf,
    body: ConfirmBody | None = None,
) -> Response:
    """Make a lock last: the order is paid. An expired lock takes its stock again, if it is there."""
    body = body or ConfirmBody()
    command = body.command(lock_id, key)
    told = await ops.locks.confirm(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@router.post("/v1/locks/{lock_id}/extend", response_model=StepReply, responses=errors(*_STEP))
async def extend_lock(
    lock_id: LockIdInPath, body: ExtendBody, ops: Ops, settings: Conf, who: Who, key: Key, metrics: MetricsOf
) -> Response:
    """Let a held lock expire later, counted from now."""
    command = body.command(lock_id, key)
    told = await ops.locks.extend(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@router.post(
    "/v1/locks/{lock_id}/unlock",
    response_model=StepReply,
    responses=errors(*_STEP, "quantity_exceeds_lock"),
)
async def unlock_lock(
    lock_id: LockIdInPath,
    ops: Ops,
    settings: Conf,
    who: Who,
    key: Key,
    metrics: MetricsOf,
    body: UnlockBody | None = None,
) -> Response:
    """Give back all that is left of a lock, or some; some needs an Idempotency-Key."""
    body = body or UnlockBody()
    if body.lines:
        require_key(key)
    command = body.command(lock_id, key)
    told = await ops.locks.unlock(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@router.post(
    "/v1/locks/{lock_id}/deduct",
    response_model=StepReply,
    responses=errors(*_STEP, "quantity_exceeds_lock", "shipment_id_reused"),
)
async def deduct_lock(
    lock_id: LockIdInPath, body: DeductBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf
) -> Response:
    """Take what shipped off the shelf; repeatable by its shipment_id. The first deduct confirms."""
    command = body.command(lock_id)
    told = await ops.locks.deduct(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)


@router.post(
    "/v1/locks/{lock_id}/replace",
    response_model=StepReply,
    responses=errors(*_STEP, "insufficient_stock"),
)
async def replace_lock(
    lock_id: LockIdInPath, body: ReplaceBody, ops: Ops, settings: Conf, who: Who, key: Key, metrics: MetricsOf
) -> Response:
    """Swap a lock's lines for others, in one step; its expiry is kept. Needs an Idempotency-Key."""
    require_key(key)
    command = body.command(lock_id, key)
    told = await ops.locks.replace(command, level(body.durability, settings), who=who)
    return _answer(told, command, metrics)
