"""The FastAPI application: every route, the strict edge around them, and one place for errors."""

from functools import partial

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app import __version__
from app.api import problems
from app.api.admin import AdminDoor
from app.api.api_keys import keys_of
from app.api.auth import ApiKeys
from app.api.caching import page_headers
from app.api.docs_page import add_docs
from app.api.edge import Edge
from app.api.openapi import describe, description
from app.api.ports import Health
from app.api.routes import (
    adjustments,
    availability,
    buffers,
    exchanges,
    locks,
    mismatches,
    purchase_orders,
    reconciliations,
    returns,
    running,
    shortages,
    stock,
    stock_takes,
    transfers,
    warehouse_events,
    warehouses,
)
from app.api.security import SecurityLog
from app.api.uploads import Uploads
from app.api.warehouses import WarehouseWatch
from app.errors import SellableError
from app.operations.operations import Operations
from app.settings import Settings
from app.telemetry import Metrics

ROUTERS: tuple[APIRouter, ...] = (
    availability.router,
    locks.router,
    locks.reading,
    stock.router,
    returns.router,
    adjustments.router,
    exchanges.router,
    transfers.router,
    transfers.reading,
    buffers.router,
    purchase_orders.router,
    purchase_orders.reading,
    stock_takes.router,
    shortages.router,
    shortages.reading,
    mismatches.router,
    mismatches.reading,
    warehouse_events.router,
    warehouses.router,
    warehouses.reading,
    reconciliations.router,
    reconciliations.reading,
    running.router,
)
PAGE_ROUTERS: tuple[APIRouter, ...] = (availability.router, running.router)


def create_app(
    operations: Operations,
    settings: Settings,
    health: Health,
    *,
    metrics: Metrics | None = None,
    keys: ApiKeys | None = None,
    security: SecurityLog | None = None,
    pages_only: bool = False,
) -> FastAPI:
    """Return the application; nothing connects. `keys` are those of the settings, where others use them, too.

    `pages_only`: it has the routes of product pages, and those about the process itself.

    Raises `ConfigurationError` if the keys cannot be read.
    """
    app = FastAPI(
        title="Sellable",
        version=__version__,
        description=description(),
        redirect_slashes=False,
        openapi_url=None,  # `add_docs` serves it, and the pages about it
        docs_url=None,
        redoc_url=None,
    )
    app.state.operations = operations
    app.state.settings = settings
    app.state.health = health
    app.state.metrics = metrics or Metrics()
    app.state.uploads = Uploads()
    app.state.warehouses = WarehouseWatch()
    app.state.keys = keys or ApiKeys(keys_of(settings))
    app.state.page_headers = page_headers(settings.cache_control, for_all=app.state.keys.open)
    for router in (
        PAGE_ROUTERS if pages_only else ROUTERS
    ):  # as they are: FastAPI matches included routers twice on each request
        app.router.routes.extend(router.routes)
    for kind in (problems.ProblemError, RequestValidationError, HTTPException, SellableError):
        app.add_exception_handler(kind, problems.answer_problem)
    app.add_exception_handler(405, _method_not_allowed)
    app.add_middleware(
        Edge,
        metrics=app.state.metrics,
        security=security or SecurityLog(),
        door=AdminDoor(app.state.keys, settings.admin_port),
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    add_docs(app)
    return app


async def _method_not_allowed(request: Request, _error: Exception) -> Response:
    """Name every method of the path: the framework names those of the first route only."""
    methods: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= set(getattr(route, "methods", None) or ())
    allowed = {"Allow": ", ".join(sorted(methods))}
    return problems.Problem("method_not_allowed", "see the header Allow", headers=allowed).response()
