"""The inbox: what warehouse systems tell, each event once, whatever order it comes in."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.auth import Needs
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.events import REQUEST_BODY, Place, read_events
from app.api.openapi import WRITE, errors
from app.api.replies.inbox import EventsReply
from app.api.strict import StrictRoute
from app.api.views import json_response
from app.domain.inbox import Result
from app.domain.words import Durability
from app.turns import in_turns

Source = Annotated[str | None, Query(description="who tells it, beside NDJSON", include_in_schema=False)]
Level = Annotated[Durability | None, Query(description="beside NDJSON", include_in_schema=False)]

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])


@router.post(
    "/v1/warehouse-events",
    response_model=EventsReply,
    response_model_exclude_unset=True,
    responses=errors(*WRITE, "unavailable"),
    openapi_extra=REQUEST_BODY,
)
async def take_events(
    request: Request,
    ops: Ops,
    settings: Conf,
    who: Who,
    metrics: MetricsOf,
    source: Source = None,
    durability: Level = None,
) -> Response:
    """Take up to 10,000 events of a warehouse system (16 MiB), and answer each.

    Events have the fields of the schema `WarehouseEvent`. With `Content-Type: application/x-ndjson` the body is an
    event a line, and `source` (and `durability`) a parameter. Repeating a call, or an event in another one, is safe.
    An event that cannot be booked yet is `parked` or `quarantined`, which needs the ledger: without it the call
    answers 503, and what it booked so far is a `duplicate` when it is repeated.
    """
    given = await read_events(request, source, durability)
    wanted = level(given.durability, settings)
    taken = await ops.inbox.take(given.source, given.events, wanted, who=who)
    counts = Counter(result.status.value for result in taken.results)
    for status, count in counts.items():
        metrics.add_outcomes("event", status, count)
    told = await in_turns(zip(taken.results, given.places, strict=True), _told)
    return json_response({"results": told, "counts": counts, "durability": taken.durability})


def _told(one: tuple[Result, Place]) -> dict[str, str | int | None]:
    result, (place, number) = one
    told: dict[str, str | int | None] = {"event_id": result.event_id, "status": result.status.value}
    return told | ({"detail": result.detail} if result.detail else {}) | {place: number}
