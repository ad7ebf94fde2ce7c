"""Warehouse events in every order, each twice: the same counts, and none counts twice."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import Line as LockLine
from app.domain.commands import Lock, Transfer
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.hotstore.store import HotStore
from tests.integration.warehouse import House, house_on

SAMPLE = 60
EVENTS: list[dict[str, Any]] = [
    {"type": "received", "quantity": 7, "damaged": 1, "receipt_id": "r"},
    {"type": "transfer_shipped", "quantity": 6, "transfer_id": "T", "shipment_id": "s"},
    {"type": "transfer_received", "quantity": 4, "damaged": 1, "warehouse": "south", "transfer_id": "T"},
    {"type": "adjusted", "quantity": -2, "reason": "broken"},
    {"type": "returned", "quantity": 1, "condition": "damaged", "lock_id": "L"},
    {"type": "shipped", "quantity": 5, "lock_id": "L", "shipment_id": "s"},
]
COUNTED = {"type": "counted", "on_hand": 11, "damaged": 3}
"""What was on the shelf in the north after the first two of the events; the others happened later."""
STOCKED = 20


@asynccontextmanager
async def on_a_line(stores: Stores) -> AsyncIterator[House]:
    """The whole service, over the one pipelined connection that an API process has."""
    line = Line(str(stores.redis_url), stores.keys, library(), deadline_seconds=10)
    hot = HotStore(LineCaller(line), stores.keys, library())
    line.start()
    try:
        async with asyncio.timeout(30):
            while not line.epoch:
                await asyncio.sleep(0.01)
        async with house_on(replace(stores, hot=hot)) as house:
            yield house
    finally:
        await line.close()


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with on_a_line(stores) as house:
        yield house


def at(number: int) -> str:
    when = BEGUN + timedelta(seconds=number)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


BEGUN = datetime.now(UTC) - timedelta(hours=1)


def twice(order: Sequence[int], rng: random.Random) -> list[int]:
    """The events in this order, each once more at some later place."""
    places = list(order)
    for event in order:
        places.insert(rng.randint(places.index(event) + 1, len(places)), event)
    return places


def named(number: int, kinds: Sequence[dict[str, Any]], event: int) -> dict[str, Any]:
    """An event of one history: its SKU and documents are its own."""
    told = {"event_id": f"{number}-{event}", "warehouse": "north", "sku": f"P{number}"} | kinds[event]
    told["occurred_at"] = kinds[event].get("occurred_at", at(event + 1))
    for name in ("lock_id", "transfer_id", "receipt_id"):
        if name in told:
            told[name] += str(number)
    return told


async def send(house: House, events: list[dict[str, Any]]) -> list[str]:
    statuses: list[str] = []
    for part in (events[i : i + 10_000] for i in range(0, len(events), 10_000)):
        answer = await house.http.post("/v1/warehouse-events", json={"source": "wms", "events": part})
        assert answer.status_code == 200, answer.text
        statuses += [one["status"] for one in answer.json()["results"]]
    return statuses


async def stock_up(house: House, number: int) -> None:
    sku, hot = f"P{number}", house.stores.hot
    await hot.execute(Lock(f"L{number}", (LockLine(sku, 4, "north"),), ttl_ms=None))
    await hot.execute(Transfer(f"T{number}", "north", "south", (LockLine(sku, 5),)))


async def live_all(house: House, kinds: Sequence[dict[str, Any]], orders: Sequence[Sequence[int]]) -> None:
    """Each order on a SKU of its own, side by side: a call has one event of each."""
    rng = random.Random(1)
    first = [{"type": "received", "quantity": STOCKED, "occurred_at": at(0)}]
    await send(house, [named(n, first, 0) | {"event_id": f"{n}-first"} for n in range(len(orders))])
    await asyncio.gather(*(stock_up(house, number) for number in range(len(orders))))
    histories = [twice(order, rng) for order in orders]
    applied: dict[str, int] = {}
    for step in range(2 * len(kinds)):
        events = [named(number, kinds, history[step]) for number, history in enumerate(histories)]
        for event, status in zip(events, await send(house, events), strict=True):
            assert status in {"applied", "duplicate"}
            applied[event["event_id"]] = applied.get(event["event_id"], 0) + (status == "applied")
    assert set(applied.values()) == {1}
    assert len(applied) == len(kinds) * len(orders)


async def shelves(house: House, number: int) -> dict[str, tuple[int, ...]]:
    places = (await house.http.get(f"/v1/stock/P{number}")).json()["warehouses"]
    names = ("available", "locked", "damaged", "in_transit")
    return {warehouse: tuple(counts[name] for name in names) for warehouse, counts in places.items()}


async def all_the_same(house: House, number: int, wanted: dict[str, tuple[int, ...]]) -> None:
    for each in range(number):
        assert await shelves(house, each) == wanted, each
    assert await house.differences() == []


# 20 + 7 - 6 shipped to the south (one beyond the transfer's 5) - 2 - 5 shipped (one beyond the lock's 4).
PLAIN = {"north": (14, 0, 2, 0), "south": (4, 0, 1, 0)}
# 11 counted after the first three, then - 2 - 5; of the damaged ones 3, then 1 came back.
WITH_A_COUNT = {"north": (4, 0, 4, 0), "south": (4, 0, 1, 0)}


def counted_kinds() -> list[dict[str, Any]]:
    """The transfer leaves before the count and arrives after it."""
    kinds = [*EVENTS, COUNTED | {"occurred_at": at(3)}]
    kinds[2] = EVENTS[2] | {"occurred_at": at(7)}
    return kinds


def sampled(length: int, count: int) -> Iterator[tuple[int, ...]]:
    rng = random.Random(length)
    for _ in range(count):
        yield tuple(rng.sample(range(length), length))


async def test_some_orders_of_six_events(house: House) -> None:
    await live_all(house, EVENTS, list(sampled(6, SAMPLE)))
    await all_the_same(house, SAMPLE, PLAIN)


async def test_some_orders_of_six_events_and_a_count(house: House) -> None:
    kinds = counted_kinds()
    await live_all(house, kinds, list(sampled(7, SAMPLE)))
    await all_the_same(house, SAMPLE, WITH_A_COUNT)


async def test_a_sequence_told_by_eight_at_once(house: House) -> None:
    """Each sends all but the first, in an order of its own; nobody is refused. With the first, all get their turn."""
    first, *events = (
        named(0, [{"type": "received", "quantity": 1}], 0) | {"event_id": f"s{i}", "sequence": i}
        for i in range(1, 201)
    )

    async def tell(seed: int) -> list[str]:
        mine = random.Random(seed).sample(events, len(events))
        parts = [mine[first : first + 20] for first in range(0, len(mine), 20)]
        return [status for part in parts for status in await send(house, part)]

    told = await asyncio.gather(*(tell(seed) for seed in range(8)))
    assert {status for each in told for status in each} == {"parked"}
    assert await send(house, [first]) == ["applied"]
    async with asyncio.timeout(30):  # one by one, each at a time of its own, they would take minutes
        while await house.operations.inbox.list(("", ""), 1):
            await asyncio.sleep(0.02)
    assert (await shelves(house, 0))["north"] == (200, 0, 0, 0)
    assert await house.differences() == []


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_all_orders_of_six_events(house: House) -> None:
    orders = list(itertools.permutations(range(6)))
    await live_all(house, EVENTS, orders)
    await all_the_same(house, len(orders), PLAIN)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_all_orders_of_six_events_and_a_count(house: House) -> None:
    kinds = counted_kinds()
    orders = list(itertools.permutations(range(7)))
    await live_all(house, kinds, orders)
    await all_the_same(house, len(orders), WITH_A_COUNT)
