"""Running it: is the process alive, can it serve, what are its figures."""

from fastapi import APIRouter, Request, Response

from app.api import problems
from app.api.dependencies import Conf, HealthOf, MetricsOf, Ops
from app.api.openapi import errors
from app.api.replies.problems import StatusReply
from app.api.strict import StrictRoute
from app.api.views import json_response
from app.api.warehouses import WarehouseWatch
from app.telemetry import METRICS_TYPE
from app.turns import in_turns

router = APIRouter(route_class=StrictRoute, tags=["running it"])


@router.get("/livez", response_model=StatusReply, responses=errors("invalid_request"))
async def read_liveness() -> Response:
    """Say that the process runs."""
    return json_response({"status": "alive"})


@router.get("/readyz", response_model=StatusReply, responses=errors("invalid_request", "not_ready"))
async def read_readiness(health: HealthOf) -> Response:
    """Say whether the process can serve; 503 with the reasons if not."""
    reasons = await health.readiness()
    if reasons:
        return problems.not_ready(reasons).response()
    notes = health.notes()
    return json_response({"status": "ready"} | ({"notes": notes} if notes else {}))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **errors("invalid_request"),
    },
)
async def read_metrics(request: Request, ops: Ops, settings: Conf, metrics: MetricsOf) -> Response:
    """Return the figures of this process, and how the warehouses stand."""
    watch: WarehouseWatch = request.app.state.warehouses
    await watch.tell(ops.reconciliations, settings, metrics)
    parts = await in_turns(metrics.parts(), bytes, slice_items=1)
    return Response(b"".join(parts), headers={"content-type": METRICS_TYPE})
