"""Shortages: where less is on the shelf than is promised, and which promises to break."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import ResolveBody
from app.api.dependencies import Conf, Ops, Who, level
from app.api.openapi import READ, WRITE, errors
from app.api.replies.shortages import ResolvedReply, ShortageCaseListReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_case, of_resolution
from app.api.words import LIMIT_DEFAULT, IdInPath, Limit
from app.domain.words import BIGINT_MAX

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])
reading = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])


@reading.get("/v1/shortages", response_model=ShortageCaseListReply, responses=errors(*READ, "unavailable"))
async def list_shortages(
    ops: Ops, limit: Limit = LIMIT_DEFAULT, after: Annotated[int, Query(ge=0, le=BIGINT_MAX)] = 0
) -> Response:
    """Return the open cases, with the locks concerned, those to break, and what other warehouses could send."""
    cases = await ops.shortages.list(after, limit)
    following = str(cases[-1].shortage_id) if len(cases) == limit else None
    remedies = await ops.shortages.remedies(cases) if cases else []
    items = [
        of_case(case, ops.shortages.suggested(case), found)
        for case, found in zip(cases, remedies, strict=True)
    ]
    return json_response({"items": items, "next": following})


@router.post(
    "/v1/shortages/{shortage_id}/resolve",
    response_model=ResolvedReply,
    responses=errors(*WRITE, "unknown_shortage", "unavailable"),
)
async def resolve_shortage(
    shortage_id: IdInPath, body: ResolveBody, ops: Ops, settings: Conf, who: Who
) -> Response:
    """Take the case's SKU and warehouse out of these locks. Repeating it is safe; a closed case breaks none."""
    number = int(shortage_id) if shortage_id.isascii() and shortage_id.isdecimal() else -1
    found = None
    if 0 <= number <= BIGINT_MAX:
        wanted = level(body.durability, settings)
        found = await ops.shortages.resolve(number, body.lock_ids, wanted, who=who)
    return (
        problems.unknown_shortage(shortage_id).response()
        if found is None
        else json_response(of_resolution(found))
    )
