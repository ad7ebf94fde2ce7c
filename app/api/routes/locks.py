"""Locks: what checkout does."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import (
    ConfirmBody,
    DeductBody,
    ExtendBody,
    LockBody,
    ReopenBody,
    ReplaceBody,
    UnlockBody,
    UnlockManyBody,
    VoidBody,
)
from app.api.dependencies import (
    Conf,
    IfMatch,
    Key,
    KeyNeeded,
    Limits,
    Ops,
    Who,
    level,
    moment_of,
    require_key,
)
from app.api.openapi import READ, UNKNOWN_SKU, WRITE, errors
from app.api.replies.locks import LockListReply, LockReply, StepReply, UnlockedListReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_lock, of_step, of_unlocked
from app.api.words import LIMIT_DEFAULT, AfterId, AsOf, IdInPath, Limit, LockIdInPath, Sku
from app.api.writes import C, Operation, Write
from app.domain.outcomes import Outcome
from app.domain.past import TooOld, Unknown
from app.domain.words import Durability, LockStatus
from app.operations.voiding import UnknownShipmentError
from app.turns import in_turns

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
        **errors(
            *WRITE,
            "unknown_warehouse",
            "warehouse_closed",
            "too_many_choices",
            "insufficient_stock",
            "lock_id_reused",
        ),
    },
)
async def create_lock(body: LockBody, ops: Ops, settings: Conf, write: Write, limits: Limits) -> Response:
    """Hold stock for one order: all lines or none. Repeating it with the same content is safe."""
    command = body.command(settings.lock_ttl_seconds)
    limits.check_size(command.lines)
    limits.check_time(command.ttl_ms)
    limits.check_count()
    return await write.book(ops.locks.create, command, body.durability, of_step, created=Outcome.LOCKED)


@reading.get("/v1/locks", response_model=LockListReply, responses=errors(*READ, "unavailable"))
async def list_locks(
    ops: Ops,
    status: Annotated[
        list[LockStatus], Query(default_factory=list, description="may be repeated; any if omitted")
    ],
    sku: Annotated[Sku | None, Query(description="locks that have a line of it")] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: AfterId = None,
) -> Response:
    """Return locks by id, as the ledger has them once it has all that happened before the question.

    A page may have fewer items than `limit`, even none, and still a `next`: of each call at most 20,000 locks are
    looked at.
    """
    page = await ops.lock_list.page(status, sku, after or "", limit)
    return json_response(
        {"items": await in_turns(page.locks, of_lock, slice_items=1), "next": page.following}
    )


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
    return await _step(write, ops.locks.step, body.command(lock_id, key), body.durability)


@router.post("/v1/locks/{lock_id}/extend", response_model=StepReply, responses=errors(*_STEP))
async def extend_lock(
    lock_id: LockIdInPath, body: ExtendBody, ops: Ops, write: Write, key: Key, limits: Limits
) -> Response:
    """Let a held lock expire later, counted from now."""
    command = body.command(lock_id, key)
    limits.check_time(command.ttl_ms)
    return await _step(write, ops.locks.step, command, body.durability)


@router.post(
    "/v1/locks/{lock_id}/unlock",
    response_model=StepReply,
    responses=errors(*_STEP, UNKNOWN_SKU, "unknown_warehouse", "quantity_exceeds_lock"),
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
    unlock = ops.unlocking.one if body.remember else ops.locks.step
    return await _step(write, unlock, body.command(lock_id, key), body.durability)


@router.post(
    "/v1/locks/unlock",
    response_model=UnlockedListReply,
    response_model_exclude_unset=True,
    responses=errors(*WRITE),
)
async def unlock_locks(body: UnlockManyBody, ops: Ops, settings: Conf, who: Who) -> Response:
    """Give back all that is left of up to 1,000 locks, each on its own. Repeating it is safe."""
    wanted = level(body.durability, settings)
    done = await ops.unlocking.many(body.lock_ids, wanted, who=who, remember=body.remember)
    return json_response(of_unlocked(body.lock_ids, done, problems.code_of))


@router.post(
    "/v1/locks/{lock_id}/reopen",
    response_model=StepReply,
    responses=errors(*_STEP, "insufficient_stock", "unavailable"),
)
async def reopen_lock(
    lock_id: LockIdInPath, body: ReopenBody, ops: Ops, write: Write, key: Key, limits: Limits
) -> Response:
    """Hold the stock of an expired or released lock again, sourced anew from its request."""
    command = body.command(lock_id, key)
    limits.check_time(command.ttl_ms)
    limits.check_count()
    return await _step(write, ops.locks.step, command, body.durability)


@router.post(
    "/v1/locks/{lock_id}/deduct",
    response_model=StepReply,
    responses=errors(
        *_STEP,
        UNKNOWN_SKU,
        "unknown_warehouse",
        "quantity_exceeds_lock",
        "shipment_id_reused",
        "shipment_voided",
        "beyond_on_hand",
    ),
)
async def deduct_lock(lock_id: LockIdInPath, body: DeductBody, ops: Ops, write: Write) -> Response:
    """Take what shipped off the shelf; repeatable by its shipment_id. The first deduct confirms."""
    return await _step(write, ops.locks.step, body.command(lock_id), body.durability)


@router.post(
    "/v1/locks/{lock_id}/deduct/{shipment_id}/void",
    response_model=StepReply,
    responses=errors(
        *WRITE,
        "unknown_lock",
        "unknown_shipment",
        "shipment_returned",
        "shipment_reported",
        "unavailable",
    ),
)
async def void_shipment(
    lock_id: LockIdInPath, shipment_id: IdInPath, ops: Ops, write: Write, body: VoidBody | None = None
) -> Response:
    """Put what a shipment took back on the shelf, promised to the order: it never left. Repeating it is safe.

    What it took is read from the ledger. A shipment that a warehouse event told of did leave: it can come back as a
    return.
    """
    body = body or VoidBody()
    try:
        return await _step(write, ops.voiding.void, body.command(lock_id, shipment_id), body.durability)
    except UnknownShipmentError:
        return problems.unknown_shipment(shipment_id).response()


@router.post(
    "/v1/locks/{lock_id}/replace",
    response_model=StepReply,
    responses=errors(
        *_STEP,
        "unknown_warehouse",
        "warehouse_closed",
        "too_many_choices",
        "insufficient_stock",
        "lock_changed",
    ),
)
async def replace_lock(
    lock_id: LockIdInPath,
    body: ReplaceBody,
    ops: Ops,
    write: Write,
    key: KeyNeeded,
    version: IfMatch,
    limits: Limits,
) -> Response:
    """Swap a lock's lines for others, in one step; of one that shipped in part, those that have not shipped.

    Units of a SKU stay where the lock holds them unless a line names another warehouse, and its expiry is kept unless
    another is given. Needs an Idempotency-Key. With If-Match it is refused if the lock was changed meanwhile.
    """
    command = body.command(lock_id, key, version)
    limits.check_size(command.lines)
    if command.renews:
        limits.check_time(command.ttl_ms)
    return await _step(write, ops.locks.step, command, body.durability)
