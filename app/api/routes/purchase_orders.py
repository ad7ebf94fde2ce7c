"""Purchase orders: what was ordered, what came in, and what is still expected."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Response

from app.api import problems
from app.api.auth import Needs
from app.api.bodies import CloseBody, PurchaseOrderBody, ReceiptBody
from app.api.codes import check_codes, check_warehouses
from app.api.cursors import cursor_of, parts_of
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.openapi import READ, WRITE, errors
from app.api.replies.purchase_orders import (
    ExpectedListReply,
    PurchaseOrderListReply,
    PurchaseOrderReply,
    PurchaseOrderWrittenReply,
    ReceiptReply,
)
from app.api.strict import StrictRoute
from app.api.views import json_response, of_created, of_expected, of_purchase_order, of_receipt
from app.api.words import LIMIT_DEFAULT, AfterCursor, AfterId, IdInPath, Limit, Sku, Warehouse
from app.domain.outcomes import Outcome
from app.domain.words import BIGINT_MAX
from app.turns import in_turns

"""Where lines without a time stand in the order of a list."""
_KEPT = {"durability": "ledger"}
"""A plan is answered once Postgres has it."""

router = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("warehouse"))])
reading = APIRouter(route_class=StrictRoute, tags=["warehouse"], dependencies=[Depends(Needs("read"))])


@router.post(
    "/v1/purchase-orders",
    status_code=201,
    response_model=PurchaseOrderWrittenReply,
    response_model_exclude_unset=True,
    responses={
        200: {
            "model": PurchaseOrderWrittenReply,
            "description": "a repeat: the original answer, and current_status",
        },
        **errors(*WRITE, "unknown_warehouse", "warehouse_closed", "purchase_order_id_reused", "unavailable"),
    },
)
async def create_purchase_order(body: PurchaseOrderBody, ops: Ops, who: Who) -> Response:
    """Note what was ordered from a supplier. A plan: no stock moves before a receipt."""
    plan = body.plan()
    await check_codes(ops.codes, plan)
    created = await ops.purchase_orders.create(plan, who=who)
    if created.order is None:
        return problems.purchase_order_id_reused().response()
    told = of_created(created.order) | _KEPT
    if created.new:
        return json_response(told, 201)
    return json_response(told | {"current_status": created.order.status})


@reading.get(
    "/v1/purchase-orders",
    response_model=PurchaseOrderListReply,
    response_model_exclude_unset=True,
    responses=errors(*READ, "unavailable"),
)
async def list_purchase_orders(ops: Ops, limit: Limit = LIMIT_DEFAULT, after: AfterId = None) -> Response:
    """Return purchase orders by id."""
    orders = await ops.purchase_orders.list(after or "", limit)
    following = orders[-1].purchase_order_id if len(orders) == limit else None
    return json_response(
        {"items": await in_turns(orders, of_purchase_order, slice_items=1), "next": following}
    )


@reading.get(
    "/v1/purchase-orders/{purchase_order_id}",
    response_model=PurchaseOrderReply,
    response_model_exclude_unset=True,
    responses=errors(*READ, "unknown_purchase_order", "unavailable"),
)
async def read_purchase_order(purchase_order_id: IdInPath, ops: Ops) -> Response:
    """Return a purchase order with what has come in for it."""
    order = await ops.purchase_orders.get(purchase_order_id)
    if order is None:
        return problems.unknown_purchase_order(purchase_order_id).response()
    return json_response(of_purchase_order(order))


@router.post(
    "/v1/purchase-orders/{purchase_order_id}/receipts",
    status_code=201,
    response_model=ReceiptReply,
    response_model_exclude_unset=True,
    responses={
        200: {"model": ReceiptReply, "description": "a repeat: the original answer, with the current_status"},
        **errors(*WRITE, "unknown_purchase_order", "receipt_id_reused", "quantity_too_large", "unavailable"),
    },
)
async def receive_purchase_order(
    purchase_order_id: IdInPath, body: ReceiptBody, ops: Ops, settings: Conf, who: Who, metrics: MetricsOf
) -> Response:
    """Book what came in; repeatable by its receipt_id. What is beyond the plan is booked too, and flagged."""
    received = await ops.purchase_orders.receive(
        purchase_order_id,
        body.receipt_id,
        body.bookings(),
        level(body.durability, settings),
        occurred_at=body.occurred_at_ms,
        who=who,
    )
    if received is None:
        return problems.unknown_purchase_order(purchase_order_id).response()
    answer = received.told.answer
    metrics.count_outcome("receive", answer.outcome)
    if received.told.durability is None:
        return problems.of_receipt(answer).response()
    return json_response(of_receipt(body, received), 201 if answer.outcome is Outcome.RECEIVED else 200)


@router.post(
    "/v1/purchase-orders/{purchase_order_id}/close",
    response_model=PurchaseOrderWrittenReply,
    response_model_exclude_unset=True,
    responses=errors(*WRITE, "unknown_purchase_order", "unavailable"),
)
async def close_purchase_order(
    purchase_order_id: IdInPath, ops: Ops, body: CloseBody | None = None
) -> Response:
    """Expect nothing more of a purchase order; closing it again changes nothing."""
    del body
    order = await ops.purchase_orders.close(purchase_order_id)
    if order is None:
        return problems.unknown_purchase_order(purchase_order_id).response()
    return json_response(of_purchase_order(order) | _KEPT)


@reading.get(
    "/v1/expected",
    response_model=ExpectedListReply,
    responses=errors(*READ, "unknown_warehouse", "unavailable"),
)
async def list_expected(
    ops: Ops,
    sku: Annotated[Sku | None, Query()] = None,
    warehouse: Annotated[Warehouse | None, Query()] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: AfterCursor = None,
) -> Response:
    """Return what open purchase orders still bring, by SKU, warehouse and time."""
    start = cast("tuple[str, str, int]", tuple(parts_of(after, (str, str, int)) if after else ("", "", 0)))
    if warehouse is not None:
        await check_warehouses(ops.codes, ("warehouse", warehouse))
    found = await ops.purchase_orders.expected(start, limit, sku=sku, warehouse=warehouse)
    following = None
    if len(found) == limit:
        last = found[-1]
        at = BIGINT_MAX if last.expected_at is None else last.expected_at
        following = cursor_of((last.sku, last.warehouse, at))
    return json_response({"items": await in_turns(found, of_expected), "next": following})
