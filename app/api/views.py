"""Replies: what the operations' values look like as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from fastapi import Response

from app.api.bodies import (
    AdjustmentBody,
    BuffersBody,
    ExchangeBody,
    ReceiptBody,
    ReturnBody,
    ReturnLine,
    StockTakeBody,
)
from app.domain.answers import Answer, LockView, TransferLine, TransferView
from app.domain.documents import Units
from app.domain.events import Counts
from app.domain.past import Explanation, PastMove, StockThen
from app.domain.purchase_orders import Arrived, Expected, OpenLine, OrderStatus, PurchaseOrder
from app.domain.shortages import Remedy, ShortageCase
from app.domain.times import time_ms, time_text
from app.domain.warehouses import Stocked, Warehouse
from app.ledger.documents import Mismatch
from app.operations.availability import Page
from app.operations.durability import LASTING, Told
from app.operations.mismatches import Decided
from app.operations.purchase_orders import Received
from app.operations.shortages import Resolution
from app.operations.stock import Stock
from app.operations.stock_takes import Counted
from app.operations.unlocking import Unlocked

JSON = "application/json"
PROMISES_MAX = 100
"""Locks shown with one shortage."""


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `content` as JSON."""
    return Response(msgspec.json.encode(content), status, headers, JSON)


def wire_position(position: str, shard: int = 0) -> str:
    """Return a position as callers see it: opaque, and unlike that of any other shard."""
    return f"s{shard}-{position}"


def of_page(page: Page) -> dict[str, Any]:
    """Return a product page's answer."""
    told: dict[str, Any] = {
        "sku": page.sku,
        "sellable": page.sellable,
        "in_stock": page.sellable > 0,
        "version": page.version,
        "warehouses": {code: {"sellable": units} for code, units in page.warehouses.items()},
    }
    return told | ({"stale": True} if page.stale else {})


def of_stock(stock: Stock | StockThen) -> dict[str, Any]:
    """Return every count of a SKU, by warehouse."""
    warehouses = {code: _of_counts(counts) for code, counts in stock.warehouses.items()}
    return {"sku": stock.sku, "version": stock.version, "warehouses": warehouses}


def _of_counts(counts: Counts) -> dict[str, int]:
    return {
        "on_hand": counts.on_hand,
        "available": counts.available,
        "locked": counts.locked,
        "damaged": counts.damaged,
        "in_transit": counts.in_transit,
        "buffer": counts.buffer,
        "sellable": counts.sellable,
    }


def of_warehouse(warehouse: Warehouse) -> dict[str, Any]:
    """Return a warehouse."""
    return warehouse._asdict()


def of_stocked_warehouse(found: Stocked) -> dict[str, Any]:
    """Return a warehouse with what is in it."""
    there = found.units
    units = {
        "skus": there.skus,
        "on_hand": there.on_hand,
        "available": there.available,
        "locked": there.locked,
        "damaged": there.damaged,
        "in_transit": there.in_transit,
    }
    return of_warehouse(found.warehouse) | {"units": units}


def of_move(move: PastMove) -> dict[str, Any]:
    """Return a move with its cause; members that say nothing are left out."""
    told: dict[str, Any] = {
        "version": move.version,
        "cause": move.cause,
        "document": None if move.document is None else move.document._asdict(),
        "quantity": move.quantity,
        "from": move.source,
        "to": move.target,
        "warehouse": move.warehouse,
        "to_warehouse": move.to_warehouse,
        "reason": move.reason,
        "who": move.who,
        "occurred_at": time_text(move.occurred_at),
        "recorded_at": time_text(move.recorded_at),
        "position": wire_position(str(move.position)),
        "after": _of_counts(move.after),
        "to_after": None if move.to_after is None else _of_counts(move.to_after),
    }
    return {name: value for name, value in told.items() if value is not None}


def of_explanation(told: Explanation, items: list[dict[str, Any]], following: str | None) -> dict[str, Any]:
    """Return where every unit is, and a page of moves, which are shown already."""
    places = [
        ({} if one.warehouse is None else {"warehouse": one.warehouse})
        | {"place": one.place, "units": one.units}
        for one in told.places
    ]
    head = {"sku": told.sku, "version": told.version, "places": places, "total": told.total}
    return head | {"items": items, "next": following}


def of_lock(lock: LockView) -> dict[str, Any]:
    """Return a lock."""
    lines = [
        {
            "sku": line.sku,
            "warehouse": line.warehouse,
            "quantity": line.quantity,
            "deducted": line.deducted,
        }
        for line in lock.lines
    ]
    expires_at = time_text(lock.expires_at)
    head = {"lock_id": lock.lock_id, "status": lock.status, "expires_at": expires_at, "lines": lines}
    return head | {"version": lock.version}


def of_step(told: Told) -> dict[str, Any]:
    """Return a lock after a step: the body of GET, and how safe the step is."""
    lock = told.answer.lock
    if lock is None:
        raise ValueError(f"{told.answer.outcome} shows no lock")
    beyond = [one._asdict() for one in told.answer.beyond_on_hand]
    return of_lock(lock) | _written(told) | ({"beyond_on_hand": beyond} if beyond else {}) | _again(told)


def _again(told: Told) -> dict[str, Any]:
    """Return what a repeat says besides: the status by now, and of an ended lock what was answered first."""
    answer = told.answer
    now = {"current_status": answer.current_status} if answer.current_status else {}
    return now | ({"original_status": answer.original_status} if answer.original_status else {})


def of_unlocked(lock_ids: Sequence[str], done: Unlocked, code_of: Callable[[Answer], str]) -> dict[str, Any]:
    """Return what became of each lock: its status, or why it cannot be given back."""
    results = []
    for lock_id, answer in zip(lock_ids, done.answers, strict=True):
        told: dict[str, Any] = {"lock_id": lock_id}
        if answer is None:
            told["code"] = "unavailable"
        elif answer.outcome in LASTING and answer.lock is not None:
            told["status"] = answer.lock.status
        else:
            told["code"] = code_of(answer)
        results.append(told)
    return {"results": results, "position": wire_position(done.position), "durability": done.durability}


def of_transfer(transfer: TransferView) -> dict[str, Any]:
    """Return a transfer."""
    lines = [_of_transfer_line(line) for line in transfer.lines]
    ends = {"from": transfer.source, "to": transfer.destination}
    return {"transfer_id": transfer.transfer_id, **ends, "status": transfer.status, "lines": lines}


def _of_transfer_line(line: TransferLine) -> dict[str, Any]:
    told = line._asdict()
    if not line.returned:
        del told["returned"]
    return told


def of_transfer_step(told: Told) -> dict[str, Any]:
    """Return a transfer after a step: the body of GET, and how safe the step is."""
    transfer = told.answer.transfer
    if transfer is None:
        raise ValueError(f"{told.answer.outcome} shows no transfer")
    return of_transfer(transfer) | _written(told) | _again(told)


def of_return(body: ReturnBody, told: Told) -> dict[str, Any]:
    """Return a booked return: its content, merged per SKU and condition."""
    lines = _merged(body.lines)
    head = {"return_id": body.return_id, "warehouse": body.warehouse}
    head |= {"lock_id": body.lock_id} if body.lock_id else {}
    return head | _when(body) | _booked(lines, told)


def of_exchange(body: ExchangeBody, told: Told) -> dict[str, Any]:
    """Return a booked exchange: what came back, and the lock as it began."""
    lock = told.answer.lock
    if lock is None:
        raise ValueError(f"{told.answer.outcome} shows no lock")
    head = {"exchange_id": body.exchange_id, "warehouse": body.warehouse} | _when(body)
    halves = {"returned": _merged(body.returned), "lock": of_lock(lock)}
    return head | halves | _written(told) | _again(told)


def _merged(lines: Sequence[ReturnLine]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        sums[line.sku, line.condition] = sums.get((line.sku, line.condition), 0) + line.quantity
    return [{"sku": sku, "quantity": units, "condition": how} for (sku, how), units in sums.items()]


def of_adjustment(body: AdjustmentBody, told: Told) -> dict[str, Any]:
    """Return a booked adjustment: its content, line by line, for each has its reason."""
    lines = [line.model_dump(exclude_none=True) for line in body.lines]
    head = {"adjustment_id": body.adjustment_id, "warehouse": body.warehouse}
    return head | _when(body) | _booked(lines, told)


def of_buffers(body: BuffersBody, told: Told) -> dict[str, Any]:
    """Return the buffers that were set."""
    return {"warehouse": body.warehouse} | _booked([line.model_dump() for line in body.lines], told)


def of_purchase_order(order: PurchaseOrder) -> dict[str, Any]:
    """Return a purchase order as the ledger knows it."""
    told: dict[str, Any] = {
        "purchase_order_id": order.purchase_order_id,
        "warehouse": order.warehouse,
        "status": order.status,
        "created_at": time_text(order.created_at),
    }
    if order.closed_at is not None:
        told["closed_at"] = time_text(order.closed_at)
    lines = [_planned(line, line.outstanding) for line in order.lines]
    return told | {"lines": lines, "received": [_arrived(one) for one in order.arrived]}


def of_created(order: PurchaseOrder) -> dict[str, Any]:
    """Return a purchase order as it was when it was created: nothing had come yet."""
    told = of_purchase_order(replace(order, closed_at=None, arrived=()))
    lines = [_planned(line, line.quantity) for line in order.lines]
    return told | {"status": OrderStatus.OPEN, "lines": lines}


def _planned(line: OpenLine, outstanding: int) -> dict[str, Any]:
    when = {} if line.expected_at is None else {"expected_at": time_text(line.expected_at)}
    return {"sku": line.sku, "quantity": line.quantity, **when, "outstanding": outstanding}


def _arrived(one: Arrived) -> dict[str, Any]:
    return {"sku": one.sku, "quantity": one.quantity, "damaged": one.damaged, "over": one.over}


def of_receipt(body: ReceiptBody, received: Received) -> dict[str, Any]:
    """Return a booked receipt: its content, merged per SKU, and what is beyond the plan."""
    sums: dict[str, list[int]] = {}
    for line in body.lines:
        units = sums.setdefault(line.sku, [0, 0])
        units[0] += line.quantity
        units[1] += line.damaged
    lines = [{"sku": sku, "quantity": good, "damaged": bad} for sku, (good, bad) in sums.items()]
    order = received.order
    told: dict[str, Any] = {"receipt_id": body.receipt_id, "purchase_order_id": order.purchase_order_id}
    told |= {"warehouse": order.warehouse, "current_status": order.status} | _when(body)
    if received.over is not None:
        told["over_received"] = [_arrived(one) for one in received.over]
    return told | _booked(lines, received.told)


def of_expected(expected: Expected) -> dict[str, Any]:
    """Return what is still expected of a SKU at a time."""
    return expected._asdict() | {"expected_at": time_text(expected.expected_at)}


def of_stock_take(body: StockTakeBody, counted: Counted) -> dict[str, Any]:
    """Return a booked stock-take: what was counted, and the differences."""
    lines = []
    for line in body.lines:
        difference = counted.differences.get(line.sku)
        told: dict[str, Any] = {"sku": line.sku, "on_hand": line.on_hand}
        if difference is not None:
            told["difference"] = difference.on_hand
        if line.damaged is not None:
            told["damaged"] = line.damaged
        if line.damaged is not None and difference is not None:
            told["damaged_difference"] = difference.damaged
        lines.append(told)
    head = {"stock_take_id": body.stock_take_id, "warehouse": body.warehouse}
    return head | {"counted_at": time_text(time_ms(body.counted_at))} | _booked(lines, counted.told)


def of_case(case: ShortageCase, suggested: Sequence[str], remedies: Sequence[Remedy]) -> dict[str, Any]:
    """Return a shortage case, with the locks to break and what other warehouses could send."""
    return {
        "shortage_id": str(case.shortage_id),
        "sku": case.sku,
        "warehouse": case.warehouse,
        "units": case.units,
        "opened_at": time_text(case.opened_at),
        "locks": [promise._asdict() for promise in case.promises[:PROMISES_MAX]],
        "suggested": list(suggested),
        "transfers": [{"from": remedy.warehouse, "quantity": remedy.units} for remedy in remedies],
    }


def of_resolution(done: Resolution) -> dict[str, Any]:
    """Return what became of the locks that were named."""
    case = done.shortage
    return {
        "shortage_id": str(case.shortage_id),
        "sku": case.sku,
        "warehouse": case.warehouse,
        "results": [one._asdict() for one in done.results],
        "position": wire_position(done.position),
        "durability": done.durability,
    }


def _when(body: ReturnBody | AdjustmentBody | ExchangeBody | ReceiptBody) -> dict[str, Any]:
    return {"occurred_at": time_text(body.occurred_at_ms)} if body.occurred_at else {}


def of_mismatch(case: Mismatch) -> dict[str, Any]:
    """Return a case, with what each reporter said and what is booked."""
    kind, _, rest = case.family.partition(":")
    document, names = _DOCUMENTS[kind]
    ids = dict(zip(names, rest.rsplit("{", 1) if len(names) > 1 else [rest], strict=True))
    told: dict[str, Any] = {"mismatch_id": str(case.mismatch_id), "document": document}
    told |= {name: text for name, text in ids.items() if text and not text.startswith("{")}
    if case.lock_id:
        told["lock_id"] = case.lock_id
    said = [
        {"reporter": one.reporter} | _of_units(one.document, one.warehouse, one.units)
        for one in case.sums.claims
    ]
    booked = [_of_units(*one) for one in case.sums.booked]
    told |= {"sku": case.sku, "differs": case.differs, "said": said, "booked": booked}
    return told | {"opened_at": time_text(case.opened_at)}


_DOCUMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "deduct": ("shipment", ("lock_id",)),
    "transfer_ship": ("transfer_shipment", ("transfer_id",)),
    "transfer_receive": ("transfer_receipt", ("transfer_id",)),
    "receipt": ("receipt", ("purchase_order_id", "receipt_id")),
    "return": ("return", ("return_id",)),
    "adjustment": ("adjustment", ("adjustment_id",)),
}
"""By kind of family: what its documents are called, and the ids in its name."""


def _of_units(document: str, warehouse: str, units: Units) -> dict[str, Any]:
    told: dict[str, Any] = {"document_id": document} if document and not document.startswith("{") else {}
    return told | {"warehouse": warehouse, "quantity": units[0], "damaged": units[1], "lost": units[2]}


def of_decided(done: Decided) -> dict[str, Any]:
    """Return what was decided of a case."""
    position = done.answer.position if done.answer else ""
    told = {"mismatch_id": str(done.case.mismatch_id), "sku": done.case.sku, "decision": done.decision}
    return (
        told | ({"position": wire_position(position)} if position else {}) | {"durability": done.durability}
    )


def _booked(lines: list[dict[str, Any]], told: Told) -> dict[str, Any]:
    waiting = {"waiting": msgspec.json.decode(told.answer.detail)} if told.answer.detail else {}
    return {"lines": lines} | waiting | _written(told)


def _written(told: Told) -> dict[str, Any]:
    return {"position": wire_position(told.answer.position), "durability": told.durability}
