"""The main job: opening stock and orders from files, through HTTP, held against an oracle of plain sums."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.orders import Opening, Row, Shop, generate, read_opening, read_orders, write
from tests.acceptance.service import ROOT, Service
from tests.servers import until

SHARED = Path(os.environ.get("SELLABLE_SHARED_DATA", ROOT.parent / "shared" / "data"))


def import_stock(service: Service, file: Path) -> str:
    done = service.sellable("import-stock", str(file), "--new-warehouses")
    assert done.returncode == 0, done.stderr
    return done.stdout


def replay(service: Service, file: Path) -> dict[str, Any]:
    done = service.sellable("replay", str(file), "--summary", "json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def check_counts(service: Service, shop: Shop) -> None:
    """GET /v1/stock of every SKU, count for count."""
    skus = {sku for sku, _ in shop.on_hand}
    told = {
        (answer["sku"], warehouse): counts
        for answer in service.get_many(f"/v1/stock/{quote(sku, safe='')}" for sku in skus)
        for warehouse, counts in answer["warehouses"].items()
    }
    assert {place: counts["on_hand"] for place, counts in told.items()} == dict(shop.on_hand)
    assert {counts["locked"] for counts in told.values()} == {0}


def check_orders(service: Service, shop: Shop) -> None:
    """GET of every order: it shipped, or nothing is known of it."""
    ends = service.get_many(f"/v1/locks/{quote(order_id, safe='')}" for order_id in shop.shipped)
    assert {end["status"] for end in ends} == {"deducted"}
    ends = service.get_many(f"/v1/locks/{quote(order_id, safe='')}" for order_id in shop.refused)
    assert {end["code"] for end in ends} == {"unknown_lock"}


def check_shortages(service: Service, shop: Shop, rows: Iterable[Row]) -> None:
    """Order again what is still refused: every shortage is told, with what was asked and what could be sold."""
    asked: dict[str, list[Row]] = {}
    for row in rows:
        if row.kind == "order" and row.order_id in shop.refused:
            asked.setdefault(row.order_id, []).append(row)
    still_refused = {order_id: short for order_id in asked if (short := shop.short_of(asked[order_id]))}
    assert still_refused
    for order_id, short in still_refused.items():
        lines = [_line(row) for row in asked[order_id]]
        answer = service.post("/v1/locks", {"lock_id": order_id, "lines": lines})
        assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_stock")
        told = answer.json()["shortages"]
        assert {
            (one["sku"], one.get("warehouse", "")): (one["requested"], one["sellable"]) for one in told
        } == short


def _line(row: Row) -> dict[str, Any]:
    line = {"sku": row.sku, "quantity": row.quantity}
    return {**line, "warehouse": row.warehouse} if row.warehouse else line


def run(service: Service, opening: list[Opening], rows: list[Row], stock: Path, orders: Path) -> None:
    shop = Shop()
    shop.open(opening)
    assert import_stock(service, stock).startswith(f"imported {len(opening)} rows ({len(opening)} changed)")

    shop.trade(rows)
    told = replay(service, orders)
    kinds = [row.kind for row in rows]
    documents = {(row.order_id, row.kind) for row in rows}
    assert told["rows"] == len(rows)
    assert told["order_rows"] == kinds.count("order")
    assert told["return_rows"] == kinds.count("return")
    assert told["adjustment_rows"] == kinds.count("adjustment")
    assert told["orders"] == sum(kind == "order" for _, kind in documents)
    assert told["returns"] == sum(kind == "return" for _, kind in documents)
    assert told["adjustments"] == sum(kind == "adjustment" for _, kind in documents)
    assert (told["locked"], told["shipped"]) == (len(shop.shipped), len(shop.shipped))
    assert (told["refused"], told["shortages"]) == (len(shop.refused), shop.shortages)
    assert told["refused_rows"] == sum(row.kind == "order" and row.order_id in shop.refused for row in rows)
    assert (told["failed"], told["unsent"], told["bad_lines"]) == (0, 0, 0)
    assert shop.shipped
    check_counts(service, shop)
    check_orders(service, shop)
    check_shortages(service, shop, rows)

    # Again: what was done stays as it is. What was refused is asked anew, and returns may have come in.
    before = set(shop.shipped)
    shop.trade(rows)
    again = replay(service, orders)
    assert (again["locked"], again["refused"]) == (len(shop.shipped), len(shop.refused))
    assert before <= shop.shipped
    check_counts(service, shop)
    assert "no difference" in service.verify()


@pytest.mark.tier
def test_a_small_shop(service: Service, place: Path) -> None:
    opening, rows = generate("small-", orders=200, seed=1)
    stock, orders = write(place / "stock.csv", Opening, opening), write(place / "orders.csv", Row, rows)
    assert {row.kind for row in rows} == {"order", "return", "adjustment"}
    run(service, opening, rows, stock, orders)
    # By now no refused order fits, so one more time changes nothing at all.
    events = service.sql("SELECT count(*) FROM event")
    replay(service, orders)
    until(service.persisted)
    assert service.sql("SELECT count(*) FROM event") == events


@pytest.mark.parametrize("month", ["2010-12-01_03"])
def test_a_real_shop(service: Service, month: str) -> None:
    stock, orders = SHARED / f"stock-{month}.csv", SHARED / f"orders-{month}.csv"
    if not stock.exists():
        pytest.skip(f"{stock} is not on this machine: SELLABLE_SHARED_DATA names another place")
    run(service, read_opening(stock), read_orders(orders), stock, orders)
