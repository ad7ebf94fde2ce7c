"""kill -9 of each part in the middle of a replay: the rest runs, and every order is accounted for."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.acceptance.orders import Opening, Row, write
from tests.acceptance.service import COMMAND, ROLES, ROOT, Service, environment
from tests.servers import until

ORDERS = 400
SPEED = 100  # the orders of one second take a hundredth of it, so that kills fall between them


def rows_of(orders: int) -> list[Row]:
    """An order a second: one unit of what all want, and two of one of five others; some returns."""
    rows = []
    for number in range(orders):
        at = f"2025-01-31T10:{number // 60:02}:{number % 60:02}Z"
        if number % 20 == 19:
            rows.append(Row(f"back-{number}", "other-0", 1, at, "south", "return"))
            continue
        rows.append(Row(f"order-{number}", "wanted", 1, at))
        rows.append(Row(f"order-{number}", f"other-{number % 5}", 2, at))
    return rows


def status_of(service: Service, order_id: str) -> str:
    """What became of an order; "" while nobody can say."""
    try:
        answer = service.get(f"/v1/locks/{order_id}")
    except httpx.TransportError:
        return ""
    if answer.status_code == 404:
        return "unknown"
    return str(answer.json().get("status", "")) if answer.status_code == 200 else ""


@pytest.mark.tier
def test_every_part_is_killed_in_the_middle(up: Callable[..., Service], place: Path) -> None:
    rows = rows_of(ORDERS)
    orders = list(dict.fromkeys(row.order_id for row in rows if row.kind == "order"))
    returns = [row for row in rows if row.kind == "return"]
    opening = [Opening("wanted", "north", 10_000), *(Opening(f"other-{i}", "south", 120) for i in range(5))]
    service = up().ready()
    service.open_stock(*opening)
    pids = service.where()["pids"]

    arguments = ["replay", str(write(place / "orders.csv", Row, rows)), "--concurrency", "4"]
    arguments += ["--speed", str(SPEED), "--summary", "json", "--data-dir", str(service.data)]
    with (place / "replay.err").open("w") as errors:
        replay = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        for nth, role in enumerate(ROLES, start=1):
            order_id = orders[nth * len(orders) // 20]
            until(lambda order_id=order_id: status_of(service, order_id) == "deducted")
            assert replay.poll() is None, "the replay was over before the kill"
            service.kill(role)
        told = json.loads(replay.communicate(timeout=100)[0])
    assert replay.returncode == 0, (place / "replay.err").read_text()

    fresh = service.where()["pids"]
    assert all(fresh[role] != pids[role] for role in ROLES)
    assert fresh["supervisor"] == pids["supervisor"]
    assert (told["orders"], told["failed"], told["unsent"]) == (len(orders), 0, 0)
    assert told["locked"] + told["refused"] == len(orders)

    ends = Counter(status_of(service, order_id) for order_id in orders)
    assert ends == {"deducted": told["locked"], "unknown": told["refused"]}
    assert told["refused"] > 0
    shipped = {order_id for order_id in orders if status_of(service, order_id) == "deducted"}
    left = {(row.sku, row.warehouse): row.quantity for row in opening}
    left["other-0", "south"] += len(returns)
    for row in rows:
        if row.order_id in shipped:
            left[row.sku, "north" if row.sku == "wanted" else "south"] -= row.quantity
    for (sku, warehouse), quantity in left.items():
        counts = service.stock(sku)[warehouse]
        assert (counts["on_hand"], counts["locked"]) == (quantity, 0)
    assert "no difference" in service.verify()
