"""Locks: what checkout does."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import ConfirmBody, DeductBody, ExtendBody, LockBody, ReplaceBody, UnlockBody
from app.api.dependencies import Conf, Key, Ops, moment_of, require_key
from app.api.openapi import READ, WRITE, errors
from app.api.replies.locks import LockReply, StepReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_lock, of_step
from app.api.words import AsOf, LockIdInPath
from app.api.writes import C, Operation, Write
from app.domain.outcomes import Outcome
from app.domain.past import TooOld, Unknown
from app.domain.words import Durability

router = APIRouter(route_class=StrictRoute, tags=["checkout"], dependencies=[Depends(Needs("checkout"))])
reading = APIRouter(route_class=StrictRoute, tags=["checkout"], dependencies=[Depends(Needs("read"))])

_STEP = (*WRITE, "unknown_lock", "lock_expired", "lock_not_held", "idempotency_key_reused")


async def _step(write: Write, book: Operation[C], command: C, asked: Durability | None) -> Response:
    return await write.book(book, command, asked, of_step)


@router.post(
    "/v1/locks",
    status_code=201,
    response_model=StepReply,
    response_model_exclude_unset=True,
    responses={
        200: {"model": StepReply, "description": "a repeat: the original answer, and current_status"},
        **errors(*WRITE, "too_many_choices", "insufficient_stock", "lock_id_reused"),
    },
)
async def create_lock(body: LockBody, ops: Ops, settings: Conf, write: Write) -> Response:
    """Hold stock for one order: all lines or none. Repeating it with the same content is safe."""
    command = body.command(settings.lock_ttl_seconds)
    return await write.book(ops.locks.create, command, body.durability, of_step, created=Outcome.LOCKED)


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


@router.post(
    "/v1/locks/{lock_id}/confirm",
    response_model=StepReply,
    responses=errors(*_STEP, "too_many_choices"),
)
async def confirm_lock(
    lock_id: LockIdInPath,
    ops: Ops,
    write: Write,
    key: Key,
    body: ConfirmBody | None = None,
) -> Response:
    """Make a lock last: the order is paid. An expired lock takes its stock again, if it is there."""
    body = body or ConfirmBody()
    return await _step(write, ops.locks.confirm, body.command(lock_id, key), body.durability)


@router.post("/v1/locks/{lock_id}/extend", response_model=StepReply, responses=errors(*_STEP))
async def extend_lock(lock_id: LockIdInPath, body: ExtendBody, ops: Ops, write: Write, key: Key) -> Response:
    """Let a held lock expire later, counted from now."""
    return await _step(write, ops.locks.extend, body.command(lock_id, key), body.durability)


@router.post(
    "/v1/locks/{lock_id}/unlock",
    response_model=StepReply,
    responses=errors(*_STEP, "quantity_exceeds_lock"),
)
async def unlock_lock(
    lock_id: LockIdInPath,
    ops: Ops,
    write: Write,
    key: Key,
    body: UnlockBody | None = None,
) -> Response:
    """Give back all that is left of a lock, or some; some needs an Idempotency-Key."""
    body = body or UnlockBody()
    if body.lines:
        require_key(key)
    return await _step(write, ops.locks.unlock, body.command(lock_id, key), body.durability)


@router.post(
    "/v1/locks/{lock_id}/deduct",
    response_model=StepReply,
    responses=errors(*_STEP, "quantity_exceeds_lock", "shipment_id_reused"),
)
async def deduct_lock(lock_id: LockIdInPath, body: DeductBody, ops: Ops, write: Write) -> Response:
    """Take what shipped off the shelf; repeatable by its shipment_id. The first deduct confirms."""
    return await _step(write, ops.locks.deduct, body.command(lock_id), body.durability)


@router.post(
    "/v1/locks/{lock_id}/replace",
    response_model=StepReply,
    responses=errors(*_STEP, "too_many_choices", "insufficient_stock"),
)
async def replace_lock(
    lock_id: LockIdInPath, body: ReplaceBody, ops: Ops, write: Write, key: Key
) -> Response:
    """Swap a lock's lines for others, in one step; its expiry is kept. Needs an Idempotency-Key."""
    require_key(key)
    return await _step(write, ops.locks.replace, body.command(lock_id, key), body.durability)
