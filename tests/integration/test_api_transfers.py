"""Transfers over HTTP: the worked examples to the unit, and every refusal by its name."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis.asyncio

from tests.integration.api_client import World, remember, world_on
from tests.integration.test_api import problem


@pytest.fixture
async def world(hot_client: redis.asyncio.Redis) -> AsyncIterator[World]:
    async with world_on(hot_client) as world:
        yield world


async def received(world: World, sku: str, units: int, warehouse: str = "north") -> None:
    line = {"sku": sku, "quantity": units, "reason": "received"}
    body = {"adjustment_id": f"in-{sku}", "warehouse": warehouse, "lines": [line], "new_skus": True}
    assert (await world.http.post("/v1/adjustments", json=body)).status_code == 201


async def figures(world: World, sku: str, warehouse: str) -> tuple[int, int, int]:
    """on hand, locked, sellable"""
    found = (await world.http.get(f"/v1/stock/{sku}")).json()["warehouses"].get(warehouse, {})
    return tuple(found.get(name, 0) for name in ("on_hand", "locked", "sellable"))  # type: ignore[return-value]


async def transfer(world: World, transfer_id: str = "T1", *lines: tuple[str, int]) -> httpx.Response:
    body = {"transfer_id": transfer_id, "from": "north", "to": "south"}
    told = [{"sku": sku, "quantity": units} for sku, units in lines]
    return await world.http.post("/v1/transfers", json={**body, "lines": told})


async def step(world: World, name: str, transfer_id: str = "T1", **body: Any) -> httpx.Response:
    return await world.http.post(f"/v1/transfers/{transfer_id}/{name}", json=body)


def units(sku: str, quantity: int, **more: int) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity, **more}]


async def test_the_worked_example(world: World) -> None:
    """North has 1,000 and sends 100 to the south; product pages see the 100 again when they have arrived."""
    await received(world, "M", 1000)
    requested = await transfer(world, "T1", ("M", 100))
    assert requested.status_code == 201
    line = {"sku": "M", "quantity": 100, "shipped": 0, "received": 0, "damaged": 0, "lost": 0, "cancelled": 0}
    told = {"transfer_id": "T1", "from": "north", "to": "south", "status": "requested", "lines": [line]}
    assert requested.json() == told | {"position": requested.json()["position"], "durability": "disk"}
    assert await figures(world, "M", "north") == (1000, 100, 900)
    assert await world.sellable("M") == 900
    shipped = await step(world, "ship", shipment_id="s1")
    assert (shipped.status_code, shipped.json()["status"]) == (200, "shipped")
    assert await figures(world, "M", "north") == (900, 0, 900)
    assert await figures(world, "M", "south") == (0, 0, 0)
    assert (await world.http.get("/v1/stock/M")).json()["warehouses"]["south"]["in_transit"] == 100
    assert await world.sellable("M") == 900
    arrived = await step(world, "receive", receipt_id="r1", lines=units("M", 100))
    assert arrived.json()["status"] == "received"
    assert await figures(world, "M", "south") == (100, 0, 100)
    assert (await world.http.get("/v1/stock/M")).json()["warehouses"]["south"]["in_transit"] == 0
    assert await world.sellable("M") == 1000
    read = (await world.http.get("/v1/transfers/T1")).json()
    assert read == told | {"status": "received", "lines": [line | {"shipped": 100, "received": 100}]}


@pytest.mark.parametrize("end", ["cancelled", "shipped"])
async def test_the_phone(world: World, end: str) -> None:
    """Ten received; one locked; then the order is cancelled, or it ships."""
    await received(world, "phone", 10)
    assert await figures(world, "phone", "north") == (10, 0, 10)
    await world.lock("order", ("phone", 1))
    assert await figures(world, "phone", "north") == (10, 1, 9)
    if end == "cancelled":
        assert (await world.step("order", "unlock")).status_code == 200
        assert await figures(world, "phone", "north") == (10, 0, 10)
    else:
        assert (await world.step("order", "deduct", {"shipment_id": "s"})).status_code == 200
        assert await figures(world, "phone", "north") == (9, 0, 9)


async def test_in_parts_with_damage_and_loss(world: World) -> None:
    await received(world, "M", 50)
    await transfer(world, "T1", ("M", 30))
    one = await step(world, "ship", shipment_id="s1", lines=units("M", 12))
    assert one.json()["status"] == "partly_shipped"
    two = await step(world, "receive", receipt_id="r1", lines=units("M", 7, damaged=2, lost=1))
    assert two.json()["status"] == "partly_shipped"
    rest = await step(world, "cancel")
    assert rest.json()["status"] == "shipped"
    assert await figures(world, "M", "north") == (38, 0, 38)
    last = await step(world, "receive", receipt_id="r2", lines=units("M", 0, lost=2))
    line = {
        "sku": "M",
        "quantity": 30,
        "shipped": 12,
        "received": 7,
        "damaged": 2,
        "lost": 3,
        "cancelled": 18,
    }
    assert (last.json()["status"], last.json()["lines"]) == ("received", [line])
    counts = (await world.http.get("/v1/stock/M")).json()["warehouses"]["south"]
    assert (counts["available"], counts["damaged"], counts["in_transit"]) == (7, 2, 0)


async def test_repeats_answer_the_same(world: World) -> None:
    await received(world, "M", 50)
    requested = (await transfer(world, "T1", ("M", 20), ("M", 10))).json()
    shipped = (await step(world, "ship", shipment_id="s1", lines=units("M", 12))).json()
    arrived = (await step(world, "receive", receipt_id="r1", lines=units("M", 5))).json()
    before = (await world.http.get("/v1/stock/M")).json()
    now = {"current_status": "partly_shipped"}
    again = await transfer(world, "T1", ("M", 30))
    assert (again.status_code, again.json()) == (200, requested | now)
    again = await step(world, "ship", shipment_id="s1", lines=units("M", 6) + units("M", 6))
    assert (again.status_code, again.json()) == (200, shipped | now)
    again = await step(world, "receive", receipt_id="r1", lines=units("M", 5))
    assert (again.status_code, again.json()) == (200, arrived | now)
    assert (await world.http.get("/v1/stock/M")).json() == before
    cancelled = await step(world, "cancel")
    again = await step(world, "cancel")
    assert (again.status_code, again.json()) == (200, cancelled.json())


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("ship", {"shipment_id": "s1", "lines": units("M", 1)}, "shipment_id_reused"),
        ("ship", {"shipment_id": "s2", "lines": units("M", 20)}, "quantity_exceeds_transfer"),
        ("receive", {"receipt_id": "r1", "lines": units("M", 2)}, "receipt_id_reused"),
        ("receive", {"receipt_id": "r2", "lines": units("M", 10)}, "quantity_exceeds_transfer"),
        ("receive", {"receipt_id": "r2", "lines": units("M", 8, lost=2)}, "quantity_exceeds_transfer"),
    ],
)
async def test_refusals(world: World, name: str, body: dict[str, Any], code: str) -> None:
    await received(world, "M", 50)
    await transfer(world, "T1", ("M", 30))
    await step(world, "ship", shipment_id="s1", lines=units("M", 12))
    await step(world, "receive", receipt_id="r1", lines=units("M", 3))
    before = (await world.http.get("/v1/stock/M")).json()
    problem(await step(world, name, **body), 409, code)
    assert (await world.http.get("/v1/stock/M")).json() == before


async def test_a_refusal_says_how_much_is_left(world: World) -> None:
    await received(world, "M", 50)
    await transfer(world, "T1", ("M", 30))
    told = problem(
        await step(world, "receive", receipt_id="r", lines=units("M", 1)), 409, "quantity_exceeds_transfer"
    )
    assert (told["transfer_id"], told["current_status"]) == ("T1", "requested")
    assert told["exceeding"] == [{"sku": "M", "requested": 1, "held": 0}]


async def test_what_has_ended_is_over(world: World) -> None:
    await received(world, "M", 50)
    await transfer(world, "T1", ("M", 30))
    await step(world, "ship", shipment_id="s1")
    problem(await step(world, "cancel"), 409, "transfer_not_open")
    problem(await step(world, "ship", shipment_id="s2"), 409, "transfer_not_open")
    await step(world, "receive", receipt_id="r1", lines=units("M", 30))
    told = problem(
        await step(world, "receive", receipt_id="r2", lines=units("M", 1)), 409, "transfer_not_open"
    )
    assert told["current_status"] == "received"
    await transfer(world, "T2", ("M", 5))
    await step(world, "cancel", "T2")
    problem(await step(world, "ship", "T2", shipment_id="s1"), 409, "transfer_not_open")


async def test_a_request_needs_what_is_available_there(world: World) -> None:
    await received(world, "M", 50)
    body = {"transfer_id": "T1", "from": "north", "to": "south", "new_skus": True}
    both = [*units("M", 51), *units("X", 1)]
    asked = await world.http.post("/v1/transfers", json=body | {"lines": both})
    told = problem(asked, 409, "insufficient_stock")
    assert told["shortages"] == [
        {"sku": "M", "warehouse": "north", "requested": 51, "sellable": 50},
        {"sku": "X", "warehouse": "north", "requested": 1, "sellable": 0, "unknown": True},
    ]
    assert await figures(world, "M", "north") == (50, 0, 50)
    told = problem(
        await transfer(world, "T1", ("A", 11)), 409, "insufficient_stock"
    )  # 2 of 10 are its buffer
    assert told["shortages"] == [{"sku": "A", "warehouse": "north", "requested": 11, "sellable": 10}]
    assert (await transfer(world, "T0", ("A", 10))).status_code == 201  # withheld from sale, not from moving
    assert (await transfer(world, "T1", ("M", 50))).status_code == 201
    problem(await transfer(world, "T1", ("M", 49)), 409, "transfer_id_reused")


async def test_a_transfer_to_itself(world: World) -> None:
    body = {"transfer_id": "T1", "from": "north", "to": "north", "lines": units("A", 1)}
    told = problem(await world.http.post("/v1/transfers", json=body), 422, "invalid_request")
    assert told["errors"] == [{"field": "to", "message": "must be another warehouse than `from`"}]


async def test_unknown_transfers(remembering: World) -> None:
    problem(await remembering.http.get("/v1/transfers/none"), 404, "unknown_transfer")
    problem(await step(remembering, "ship", "none", shipment_id="s"), 404, "unknown_transfer")
    problem(await step(remembering, "cancel", "none"), 404, "unknown_transfer")


async def test_a_transfer_that_nobody_remembers_without_a_ledger(world: World) -> None:
    problem(await world.http.get("/v1/transfers/none"), 503, "unavailable")


async def test_a_transfer_that_only_the_ledger_remembers(
    remembering: World, emptied_database_url: str
) -> None:
    record = {"s": "received", "a": "north", "b": "south", "n": [["A", 3, 3, 3]]}
    remember(emptied_database_url, "transfer", "old", record)
    told = (await remembering.http.get("/v1/transfers/old")).json()
    assert (told["status"], told["lines"][0]["received"]) == ("received", 3)


async def test_new_obligations_wait_for_the_ledger(world: World) -> None:
    await transfer(world, "T1", ("A", 1))
    await world.hot.hset("{s0}:meta", "outbox_max", 1)
    problem(await transfer(world, "T2", ("A", 1)), 503, "backlog_full")
    assert (await step(world, "ship", shipment_id="s")).status_code == 200
