"""Availability: what product pages show."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import AvailabilityBody
from app.api.codes import check_warehouses
from app.api.dependencies import Caching, Ops
from app.api.openapi import BODY, READ, errors
from app.api.replies.availability import AvailabilityListReply, AvailabilityReply
from app.api.shapes import codes
from app.api.strict import StrictRoute
from app.api.views import json_response, of_page
from app.api.words import WAREHOUSES_MAX, Sku, SkuInPath, Warehouse
from app.domain.codes import WAREHOUSE_LENGTH_MAX, check_warehouse
from app.operations.availability import Page
from app.operations.operations import Operations
from app.turns import in_turns

SKUS_IN_QUERY_MAX = 200

router = APIRouter(route_class=StrictRoute, tags=["product pages"], dependencies=[Depends(Needs("read"))])


def _split(text: str) -> str:
    codes = text.split(",")
    if len(codes) > WAREHOUSES_MAX:
        raise ValueError(f"must name {WAREHOUSES_MAX} warehouses at most")
    for code in codes:
        check_warehouse(code)
    return text


WarehousesInQuery = Annotated[
    str | None,
    AfterValidator(lambda text: _split(text) if text is not None else None),
    Query(
        description="restricts sum and map: codes, comma-separated",
        json_schema_extra=codes(WAREHOUSE_LENGTH_MAX, WAREHOUSES_MAX),
        examples=["north,south"],
    ),
]
EachWarehouseInQuery = Annotated[
    list[Warehouse] | None,
    Query(
        max_length=WAREHOUSES_MAX,
        description="the same, a code each time: also one that has a comma",
        examples=[["north", "aisle 3, left"]],
    ),
]
_COMMA_HINT = "a comma is part of the code: ask for several SKUs as ?sku=A&sku=B"


@router.get(
    "/v1/availability/{sku}",
    response_model=AvailabilityReply,
    response_model_exclude_unset=True,
    responses={
        304: {"description": "unchanged since the ETag given"},
        **errors(*READ, "unknown_sku", "unknown_warehouse"),
    },
)
async def read_availability(
    request: Request,
    sku: SkuInPath,
    ops: Ops,
    caching: Caching,
    warehouses: WarehousesInQuery = None,
    warehouse: EachWarehouseInQuery = None,
) -> Response:
    """Return how many units of a SKU can be sold, with an ETag; If-None-Match answers 304.

    While the hot store is away: the last known answer with `"stale": true` and no ETag.
    """
    asked = dict.fromkeys([*(warehouse or ()), *(warehouses.split(",") if warehouses else ())])
    await check_warehouses(ops.codes, *(("warehouses", code) for code in asked))
    (page,) = await ops.availability.read([sku], tuple(asked))
    if page is None:
        return problems.unknown_sku(sku).response()
    return _without_body(request, _page_response(request, page, caching))


router.head("/v1/availability/{sku}", include_in_schema=False)(read_availability)


def _page_response(request: Request, page: Page, caching: Mapping[str, str]) -> Response:
    if page.stale:
        return json_response(of_page(page), headers={"Cache-Control": "no-store"})
    tag = f'"{page.tag}"'
    headers = {"ETag": tag, **caching}
    if _matches(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return json_response(of_page(page), headers=headers)


def _matches(conditions: Sequence[str], tag: str) -> bool:
    """Whether If-None-Match names the tag: lists, weak tags and `*`, compared weakly (RFC 9110, 13.1.2).

    Our tags have no commas, so splitting a foreign tag that has one can only miss.
    """
    named = [part.strip(" \t").removeprefix("W/") for line in conditions for part in line.split(",")]
    return tag in named or [line.strip(" \t") for line in conditions] == ["*"]


def _without_body(request: Request, response: Response) -> Response:
    """Answer HEAD with the headers of GET alone; Content-Length stays that of GET."""
    if request.method == "HEAD":
        response.body = b""
    return response


@router.get(
    "/v1/availability",
    response_model=AvailabilityListReply,
    response_model_exclude_unset=True,
    responses=errors(*READ),
)
async def list_availability(
    sku: Annotated[list[Sku], Query(min_length=1, max_length=SKUS_IN_QUERY_MAX)], ops: Ops, caching: Caching
) -> Response:
    """Return what can be sold of up to 200 SKUs."""
    return await _list(sku, ops, caching, hint=_COMMA_HINT)


@router.post(
    "/v1/availability",
    response_model=AvailabilityListReply,
    response_model_exclude_unset=True,
    responses=errors(*READ, *BODY),
)
async def list_availability_of_many(body: AvailabilityBody, ops: Ops, caching: Caching) -> Response:
    """Return what can be sold of up to 1,000 SKUs."""
    return await _list(body.skus, ops, caching)


async def _list(
    skus: Sequence[str], ops: Operations, caching: Mapping[str, str], *, hint: str = ""
) -> Response:
    """Answer with the pages; with the `hint` where a SKU that nobody knows has a comma."""
    asked = list(dict.fromkeys(skus))
    pages = await ops.availability.read(asked)
    unknown = [sku for sku, page in zip(asked, pages, strict=True) if page is None]
    known = [page for page in pages if page]
    stale = any(page.stale for page in known)
    headers = {"Cache-Control": "no-store"} if stale else caching
    told = {"items": await in_turns(known, of_page), "unknown": unknown}
    if hint and any("," in sku for sku in unknown):
        told["hint"] = hint
    return json_response(told, headers=headers)
