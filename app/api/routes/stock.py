"""Stock: every count of a SKU, as the warehouse sees it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator

from app.api import problems
from app.api.auth import Needs
from app.api.dependencies import Ops
from app.api.openapi import READ, errors
from app.api.replies import StockReply
from app.api.strict import StrictRoute
from app.api.views import json_response, of_stock
from app.api.words import SkuInPath, not_yet

NotYet = Annotated[str | None, AfterValidator(not_yet), Query(include_in_schema=False)]

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])


@router.get("/v1/stock/{sku}", response_model=StockReply, responses=errors(*READ, "unknown_sku"))
async def read_stock(sku: SkuInPath, ops: Ops, as_of: NotYet = None) -> Response:
    """Return every count of a SKU by warehouse, as of now."""
    del as_of
    stock = await ops.stock.read(sku)
    return problems.unknown_sku(sku).response() if stock is None else json_response(of_stock(stock))
