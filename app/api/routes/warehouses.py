"""Warehouses: the list of them, with what is in each."""

from fastapi import APIRouter, Depends, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import WarehouseBody
from app.api.dependencies import Ops
from app.api.openapi import READ, UNKNOWN_PLACE, WRITE, errors
from app.api.replies.warehouses import StockedWarehouseReply, WarehouseListReply, WarehouseReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_stocked_warehouse, of_warehouse
from app.api.words import LIMIT_DEFAULT, AfterCode, Limit, WarehouseInPath
from app.turns import in_turns

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])
reading = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])


@router.put("/v1/warehouses/{code}", response_model=WarehouseReply, responses=errors(*WRITE, "unavailable"))
async def put_warehouse(code: WarehouseInPath, ops: Ops, body: WarehouseBody | None = None) -> Response:
    """List a warehouse, or change what is given of it. Repeating it is safe."""
    body = body or WarehouseBody()
    sets_rank = "rank" in body.model_fields_set
    done = await ops.codes.warehouses.put(
        code, name=body.name, closed=body.closed, rank=body.rank, sets_rank=sets_rank
    )
    return json_response(of_warehouse(done) | {"durability": "ledger"})


@reading.get("/v1/warehouses", response_model=WarehouseListReply, responses=errors(*READ, "unavailable"))
async def list_warehouses(ops: Ops, limit: Limit = LIMIT_DEFAULT, after: AfterCode = None) -> Response:
    """Return warehouses by code, with what the ledger says is in each."""
    found = await ops.codes.warehouses.stocked_after(after or "", limit)
    following = found[-1].warehouse.code if len(found) == limit else None
    return json_response({"items": await in_turns(found, of_stocked_warehouse), "next": following})


@reading.get(
    "/v1/warehouses/{code}",
    response_model=StockedWarehouseReply,
    responses=errors(*READ, UNKNOWN_PLACE, "unavailable"),
)
async def read_warehouse(code: WarehouseInPath, ops: Ops) -> Response:
    """Return a warehouse, with what the ledger says is in it."""
    found = await ops.codes.warehouses.stocked(code)
    if found is None:
        return problems.unknown_warehouse(code).response()
    return json_response(of_stocked_warehouse(found))
