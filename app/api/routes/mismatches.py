"""Mismatches: what reporters of one document disagree on."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import DecideBody
from app.api.dependencies import Conf, Ops, Who, level
from app.api.openapi import READ, WRITE, errors
from app.api.replies.mismatches import DecidedReply, MismatchListReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_decided, of_mismatch
from app.api.words import LIMIT_DEFAULT, IdInPath, Limit
from app.domain.words import BIGINT_MAX
from app.operations.mismatches import Decided

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])
reading = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])


@reading.get(
    "/v1/mismatches",
    response_model=MismatchListReply,
    response_model_exclude_unset=True,
    responses=errors(*READ, "unavailable"),
)
async def list_mismatches(
    ops: Ops, limit: Limit = LIMIT_DEFAULT, after: Annotated[int, Query(ge=0, le=BIGINT_MAX)] = 0
) -> Response:
    """Return the open cases, with what each reporter said and what is booked."""
    cases = await ops.mismatches.list(after, limit)
    following = str(cases[-1].mismatch_id) if len(cases) == limit else None
    return json_response({"items": [of_mismatch(case) for case in cases], "next": following})


@router.post(
    "/v1/mismatches/{mismatch_id}/accept",
    response_model=DecidedReply,
    response_model_exclude_unset=True,
    responses=errors(*WRITE, "unknown_mismatch", "insufficient_damaged", "quantity_too_large", "unavailable"),
)
async def accept_mismatch(
    mismatch_id: IdInPath, body: DecideBody, ops: Ops, settings: Conf, who: Who
) -> Response:
    """Take the word that what is booked does not follow yet: what is beyond is booked, another place corrects both."""
    wanted = level(body.durability, settings)
    number = _number(mismatch_id)
    done = await ops.mismatches.accept(number, body.reason, wanted, who=who) if number else None
    return _told(mismatch_id, done)


@router.post(
    "/v1/mismatches/{mismatch_id}/drop",
    response_model=DecidedReply,
    response_model_exclude_unset=True,
    responses=errors(*WRITE, "unknown_mismatch", "unavailable"),
)
async def drop_mismatch(mismatch_id: IdInPath, body: DecideBody, ops: Ops, who: Who) -> Response:
    """Leave what is booked as it is, and close the case until a reporter says more."""
    number = _number(mismatch_id)
    return _told(mismatch_id, await ops.mismatches.drop(number, body.reason, who=who) if number else None)


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    return number if number <= BIGINT_MAX else 0


def _told(mismatch_id: str, done: Decided | None) -> Response:
    if done is None:
        return problems.unknown_mismatch(mismatch_id).response()
    if done.is_refused and done.answer is not None:
        return problems.of_answer(done.answer).response()
    return json_response(of_decided(done))
