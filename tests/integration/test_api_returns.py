"""Returns of a lock, and exchanges, over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis.asyncio

from tests.integration.api_client import World, world_on
from tests.integration.test_api import problem


@pytest.fixture
async def world(hot_client: redis.asyncio.Redis) -> AsyncIterator[World]:
    async with world_on(hot_client) as world:
        await world.lock("order", ("A", 4, "north"), ("A", 1, "south"), ("A/12", 2))
        await world.step("order", "deduct", {"shipment_id": "s1", "lines": [line("A", 3, warehouse="north")]})
        await world.step("order", "deduct", {"shipment_id": "s2", "lines": [line("A", 1, warehouse="south")]})
        yield world


def line(sku: str, quantity: int, **more: str) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, **more}


async def bring_back(world: World, number: int, *lines: tuple[str, int], **more: Any) -> httpx.Response:
    told = [line(sku, units, condition="sellable") for sku, units in lines]
    body = {"return_id": f"R{number}", "warehouse": "north", "lock_id": "order", "lines": told}
    return await world.http.post("/v1/returns", json=body | more)


async def everything(world: World) -> Any:
    return [(await world.http.get(f"/v1/stock/{sku}")).json() for sku in ("A", "B", "A%2F12")]


async def test_never_more_than_was_shipped_for_the_lock(world: World) -> None:
    first = await bring_back(world, 1, ("A", 1), ("A", 2))
    assert (first.status_code, first.json()["lock_id"], first.json()["lines"][0]["quantity"]) == (
        201,
        "order",
        3,
    )
    again = await bring_back(world, 1, ("A", 1), ("A", 2))
    assert (again.status_code, again.json()) == (200, first.json())
    before = await everything(world)
    told = problem(await bring_back(world, 2, ("A", 2), ("A/12", 1)), 409, "quantity_exceeds_shipment")
    assert told["exceeding"] == [
        {"sku": "A", "requested": 2, "held": 1},
        {"sku": "A/12", "requested": 1, "held": 0},
    ]
    assert await everything(world) == before
    assert (await bring_back(world, 2, ("A", 1))).status_code == 201  # a refusal is not remembered
    problem(await bring_back(world, 3, ("A", 1)), 409, "quantity_exceeds_shipment")
    problem(await bring_back(world, 1, ("A", 3), lock_id="other"), 409, "return_id_reused")
    await world.step("order", "deduct", {"shipment_id": "s3"})
    assert (await bring_back(world, 4, ("A", 1), ("A/12", 2), warehouse="west")).status_code == 201


async def test_a_return_of_a_lock_that_nobody_knows(
    hot_client: redis.asyncio.Redis, emptied_database_url: str
) -> None:
    async with world_on(hot_client, database_url=emptied_database_url) as world:
        told = problem(await bring_back(world, 1, ("A", 1), lock_id="none"), 404, "unknown_lock")
    assert told["lock_id"] == "none"
    assert "leave lock_id out" in told["detail"]


def exchange(**more: Any) -> dict[str, Any]:
    returned = [line("B", 2, condition="sellable"), line("A", 1, condition="damaged")]
    lock = {"lock_id": "new", "lines": [line("B", 2), line("A", 5)], "ttl_seconds": None}
    return {"exchange_id": "X1", "warehouse": "north", "returned": returned, "lock": lock} | more


async def test_an_exchange_is_both_halves_at_once(world: World) -> None:
    events = await world.hot.xlen("{s0}:outbox")
    booked = await world.http.post("/v1/exchanges", json=exchange())
    assert booked.status_code == 201, booked.text
    told = booked.json()
    assert told["returned"] == exchange()["returned"]
    assert (told["lock"]["status"], told["lock"]["expires_at"]) == ("held", None)
    assert await world.hot.xlen("{s0}:outbox") == events + 1
    north = (await world.http.get("/v1/stock/B")).json()["warehouses"]["north"]
    assert (north["available"], north["locked"]) == (0, 2)  # what came back is held again at once
    assert (await world.http.get("/v1/stock/A")).json()["warehouses"]["north"]["damaged"] == 1
    await world.step("new", "confirm")
    again = await world.http.post("/v1/exchanges", json=exchange())
    assert (again.status_code, again.json()) == (200, told | {"current_status": "confirmed"})
    assert (await world.step("new", "deduct", {"shipment_id": "s"})).json()["status"] == "deducted"
    again = await world.http.post("/v1/exchanges", json=exchange())
    assert again.json() == told | {"current_status": "deducted"}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"lock": {"lock_id": "new", "lines": [line("B", 3)]}}, 409, "insufficient_stock"),
        ({"lock": {"lock_id": "new", "lines": [line("B", 1), line("X", 1)]}}, 409, "insufficient_stock"),
        ({"lock": {"lock_id": "order", "lines": [line("A", 1)]}}, 409, "lock_id_reused"),
        ({"lock": {"lock_id": "new", "lines": []}}, 422, "invalid_request"),
        ({"lock": {"lock_id": "new", "lines": [line("A", 1)], "durability": "disk"}}, 422, "invalid_request"),
        ({"returned": []}, 422, "invalid_request"),
        ({"returned": [line("A", 1)]}, 422, "invalid_request"),
    ],
)
async def test_neither_half_without_the_other(
    world: World, change: dict[str, Any], status: int, code: str
) -> None:
    before = await everything(world), await world.hot.xlen("{s0}:outbox")
    problem(await world.http.post("/v1/exchanges", json=exchange(**change)), status, code)
    assert (await everything(world), await world.hot.xlen("{s0}:outbox")) == before


async def test_an_exchange_id_stands_for_one_content(world: World) -> None:
    await world.http.post("/v1/exchanges", json=exchange())
    other = exchange(returned=[line("B", 1, condition="sellable")])
    problem(await world.http.post("/v1/exchanges", json=other), 409, "exchange_id_reused")
    second = exchange(exchange_id="X2")
    problem(await world.http.post("/v1/exchanges", json=second), 409, "lock_id_reused")
    await world.hot.hset("{s0}:meta", "outbox_max", 1)
    third = exchange(exchange_id="X3", lock={"lock_id": "newer", "lines": [line("A", 1)]})
    problem(await world.http.post("/v1/exchanges", json=third), 503, "backlog_full")
