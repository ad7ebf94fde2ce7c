"""Stock-takes: counted then, booked now, and what happened in between stands."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.api.app import create_app
from app.bootstrap import Stores
from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Deduct,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Return,
    Transfer,
    TransferReceive,
    TransferShip,
)
from app.domain.events import Position
from app.domain.words import Place
from app.ledger import database
from app.ledger.counts import CountRows
from app.ledger.queries import sql
from app.operations.stock_takes import CountedLine, StockTake
from tests.integration.api_client import PretendHealth, World, world_on
from tests.integration.warehouse import House, now, problem, shelf


def later(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


async def count(house: House, take_id: str, counted_at: str, *units: tuple[Any, ...]) -> httpx.Response:
    """Units are (sku, on_hand, damaged)."""
    lines = [dict(zip(("sku", "on_hand", "damaged"), line, strict=False)) for line in units]
    body = {"stock_take_id": take_id, "warehouse": "north", "counted_at": counted_at, "lines": lines}
    body["new_skus"] = True
    return await house.http.post("/v1/stock-takes", json=body)


@pytest.mark.parametrize(
    ("counted", "difference", "then"),
    [((12,), 2, (12, 0)), ((9,), -1, (9, 0)), ((10,), 0, (10, 0)), ((8, 3), -2, (8, 3)), ((0,), -10, (0, 0))],
)
async def test_what_was_counted_is_what_is_there(
    house: House, counted: tuple[int, ...], difference: int, then: tuple[int, int]
) -> None:
    answer = await count(house, "T", await now(house), ("A", *counted))
    told = answer.json()
    assert (answer.status_code, told["lines"][0]["difference"]) == (201, difference)
    assert told["lines"][0].get("damaged_difference") == (counted[1] if len(counted) > 1 else None)
    assert await shelf(house) == then
    again = await count(house, "T", told["counted_at"], ("A", *counted))
    assert (again.status_code, again.json()) == (200, told)
    assert await shelf(house) == then
    assert await house.differences() == []


async def test_a_count_that_agrees_leaves_every_page_as_it_is(house: House) -> None:
    """The event says who counted what, and that it was counted is known: only where units differ, a page changes."""
    await house.stores.hot.execute(Opening([OpeningRow("C", "north", 4)]))
    pages = {sku: await house.http.get(f"/v1/availability/{sku}") for sku in ("A", "B", "C")}
    at = await now(house)
    told = (await count(house, "T", at, ("A", 10, 0), ("B", 0), ("C", 3))).json()
    assert [line["difference"] for line in told["lines"]] == [0, 0, -1]
    for sku, page in pages.items():
        again = await house.http.get(
            f"/v1/availability/{sku}", headers={"If-None-Match": page.headers["etag"]}
        )
        assert again.status_code == (200 if sku == "C" else 304)
    await house.caught_up()
    repeated = await count(house, "T", at, ("A", 10, 0), ("B", 0), ("C", 3))
    assert (repeated.status_code, repeated.json()) == (200, told)
    assert await differences_after_late_facts(house, at) == []


async def differences_after_late_facts(house: House, at: str) -> list[str]:
    """What happened before a count changes nothing any more: as it is remembered, and as the ledger remembers it."""
    ms = int(datetime.fromisoformat(at).timestamp() * 1000 + 0.5)
    for n, lose in enumerate((None, house.stores.client.flushall)):
        if lose is not None:
            await house.caught_up()
            await lose()
            await house.ready()
        for place in (Place.AVAILABLE, Place.DAMAGED):
            line = Booking("A", Place.ADJUSTMENT, place, 5)
            await house.stores.hot.execute(Adjust(f"{place}{n}", "north", (line,), ms))
        assert await shelf(house) == (10, 0)
    return await house.differences()


async def test_a_count_of_nothing_makes_a_sku_known(house: House) -> None:
    assert (await count(house, "T", await now(house), ("new", 0))).status_code == 201
    assert (await house.http.get("/v1/availability/new")).json()["sellable"] == 0
    assert await house.differences() == []


async def test_later_moves_stand(house: House) -> None:
    """Counted 12 where 10 should be; then 3 shipped and 4 came back: 13 now, and 4 were never counted away."""
    hot = house.stores.hot
    await hot.execute(Lock("L", (Line("A", 3, "north"),)))
    at = await now(house)
    await hot.execute(Deduct("L", "s"))
    await hot.execute(Return("r", "north", (Booking("A", Place.CUSTOMER, Place.AVAILABLE, 4),)))
    told = (await count(house, "T", at, ("A", 12, 1))).json()
    assert (told["lines"][0]["difference"], told["lines"][0]["damaged_difference"]) == (2, 1)
    assert await shelf(house) == (13, 1)
    assert await house.differences() == []


async def test_what_was_transferred_since_stands(house: House) -> None:
    """The end that a move's second warehouse is counts too: 10 and 5 were there before 4 went from north to south."""
    hot = house.stores.hot
    before = await now(house)
    await hot.execute(Transfer("T", "north", "south", (Line("A", 4),)))
    await hot.execute(TransferShip("T", "s"))
    under_way = await now(house)
    await hot.execute(TransferReceive("T", "r", None, (Arrival("A", 2, 1, 1),)))
    after = await now(house)
    await house.caught_up()
    shelves = CountRows(house.stores.engine)
    for at, north, south in ((before, 10, (5, 0)), (under_way, 6, (5, 0)), (after, 6, (7, 1))):
        ms = int(datetime.fromisoformat(at).timestamp() * 1000 + 0.5)
        assert await shelves.as_of("north", ["A"], ms) == {"A": (north, 0)}
        assert await shelves.as_of("south", ["A"], ms) == {"A": south}
    told = (await count(house, "C", before, ("A", 9, 0))).json()
    assert (told["lines"][0]["difference"], told["lines"][0]["damaged_difference"]) == (-1, 0)
    assert await shelf(house) == (5, 0)
    assert (await count(house, "C", before, ("A", 9, 0))).json() == told
    assert await house.differences() == []


async def test_a_move_counts_at_both_its_ends(house: House) -> None:
    """No command moves units from shelf to shelf; the query must not depend on that."""
    await house.caught_up()
    at = int(datetime.now(UTC).timestamp() * 1000)
    async with database.driver_transaction(house.stores.engine) as pg:
        event = await pg.fetchrow(
            "SELECT shard, epoch, n FROM move WHERE sku = 'A' ORDER BY epoch DESC, n DESC LIMIT 1"
        )
        await pg.execute(
            "INSERT INTO move SELECT (jsonb_populate_record(move, jsonb_build_object("
            "'line', 99, 'source', 'available', 'target', 'damaged', 'quantity', 3, 'warehouse', 'north', "
            "'to_warehouse', 'south', 'occurred_at', $1::timestamptz))).* FROM move WHERE sku = 'A' LIMIT 1",
            datetime.now(UTC) + timedelta(hours=1),
        )
    shelves = CountRows(house.stores.engine)
    assert await shelves.as_of("north", ["A"], at) == {"A": (13, 0)}
    assert await shelves.as_of("south", ["A"], at) == {"A": (5, -3)}
    position = Position(event["epoch"], event["n"])
    assert (await shelves.changes("south", position))["A"] == (5, 3)


async def test_the_time_of_counting_is_inclusive(house: House) -> None:
    at = await now(house)
    ms = int(datetime.fromisoformat(at).timestamp() * 1000 + 0.5)
    for number, occurred_at in enumerate((ms - 1, ms, ms + 1)):
        line = Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 10**number)
        await house.stores.hot.execute(Adjust(f"a{number}", "north", (line,), occurred_at))
    told = (await count(house, "T", at, ("A", 21))).json()
    assert told["lines"][0]["difference"] == 0
    assert await shelf(house) == (121, 0)


async def test_a_count_is_known_to_the_counts_after_it(house: House) -> None:
    at = await now(house)
    await count(house, "T1", at, ("A", 7))
    assert (await count(house, "T2", at, ("A", 7))).json()["lines"][0]["difference"] == 0
    assert (await count(house, "T3", await now(house), ("A", 6))).json()["lines"][0]["difference"] == -1
    assert await shelf(house) == (6, 0)


async def test_many_counts_at_once_book_the_difference_once(house: House) -> None:
    at = await now(house)
    answers = await asyncio.gather(*(count(house, f"T{n}", at, ("A", 7)) for n in range(12)))
    assert sorted(answer.json()["lines"][0]["difference"] for answer in answers) == [-3] + [0] * 11
    assert await shelf(house) == (7, 0)


async def test_counts_of_several_processes_take_turns(house: House) -> None:
    others = [house.stores.operations() for _ in range(3)]
    at = int(datetime.now(UTC).timestamp() * 1000)
    takes = [StockTake(f"T{n}", "north", at, (CountedLine("A", 7),)) for n in range(3)]
    booked = await asyncio.gather(
        *(other.stock_takes.book(take, "disk") for other, take in zip(others, takes, strict=True))
    )
    assert sorted(counted.differences["A"].on_hand for counted in booked) == [-3, 0, 0]


async def test_one_id_one_content(house: House) -> None:
    at = await now(house)
    told = (await count(house, "T", at, ("A", 7))).json()
    problem(await count(house, "T", at, ("A", 8)), 409, "stock_take_id_reused")
    await house.caught_up()
    await house.stores.hot.forget("", ["stock-take:T"])  # beyond the horizon of the hot store
    assert (await count(house, "T", at, ("A", 7))).json() == told
    problem(await count(house, "T", at, ("A", 8)), 409, "stock_take_id_reused")
    assert await shelf(house) == (7, 0)


async def test_a_repeat_lacks_what_left_the_ledger(house: House) -> None:
    """It was booked, whatever the ledger can still say of it: no answer that makes a client try for ever."""
    at = await now(house)
    told = (await count(house, "T", at, ("A", 7, 1), ("B", 2))).json()
    await house.caught_up()
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute("DELETE FROM move USING event WHERE op = 'stock-take:T' AND move.sku = 'A'"
                         " AND (move.epoch, move.n) = (event.epoch, event.n)")  # fmt: skip
    again = await count(house, "T", at, ("A", 7, 1), ("B", 2))
    assert (again.status_code, again.json()["lines"]) == (
        200,
        [{"sku": "A", "on_hand": 7, "damaged": 1}, told["lines"][1]],
    )
    async with database.driver_transaction(
        house.stores.engine
    ) as pg:  # as archiving does, but for the partition
        await pg.execute(sql("archive_ops"), 0, datetime.now(UTC) + timedelta(days=1))
        await pg.execute("DELETE FROM move; DELETE FROM event WHERE op = 'stock-take:T'")
    again = await count(house, "T", at, ("A", 7, 1), ("B", 2))
    assert (again.status_code, again.json()["lines"][1]) == (200, {"sku": "B", "on_hand": 2})
    assert again.json()["position"] == told["position"]


async def test_a_count_below_what_is_promised_is_a_shortage(house: House) -> None:
    await house.stores.hot.execute(Lock("L", (Line("A", 8, "north"),)))
    assert (await count(house, "T", await now(house), ("A", 5))).status_code == 201
    counts = await house.counts("A")
    assert (counts["available"], counts["locked"], counts["sellable"]) == (-3, 8, 0)


async def test_more_damaged_taken_since_than_were_counted(house: House) -> None:
    await count(house, "T1", await now(house), ("A", 10, 2))
    at = await now(house)
    away = (Booking("A", Place.DAMAGED, Place.ADJUSTMENT, 2),)
    await house.stores.hot.execute(Adjust("a", "north", away))
    problem(await count(house, "T2", at, ("A", 10, 1)), 409, "insufficient_damaged")
    assert await shelf(house) == (10, 0)


async def test_a_sku_nobody_knew(house: House) -> None:
    body = {"stock_take_id": "T", "warehouse": "north", "counted_at": await now(house), "new_skus": True}
    found = await house.http.post("/v1/stock-takes", json=body | {"lines": [{"sku": "new", "on_hand": 4}]})
    assert found.json()["lines"][0]["difference"] == 4
    assert await shelf(house, "new") == (4, 0)


@pytest.fixture
async def world(hot_client: Any) -> AsyncIterator[World]:
    """A world whose Postgres is away."""
    async with world_on(hot_client) as world:
        yield world


GOOD: dict[str, Any] = {
    "stock_take_id": "T",
    "warehouse": "north",
    "counted_at": "2025-01-01T00:00:00Z",
    "lines": [{"sku": "A", "on_hand": 1}],
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"counted_at": later(86_400)}, "counted_at"),
        ({"counted_at": "yesterday"}, "counted_at"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "A", "on_hand": 1}, {"sku": "A", "on_hand": 2}]}, "lines"),
        ({"lines": [{"sku": "A", "on_hand": -1}]}, "lines[0].on_hand"),
        ({"lines": [{"sku": "A", "on_hand": 1, "damaged": -1}]}, "lines[0].damaged"),
        ({"lines": [{"sku": "A"}]}, "lines[0].on_hand"),
        ({"warehouse": "{"}, "warehouse"),
    ],
)
async def test_bad_input(world: World, change: dict[str, Any], field: str) -> None:
    answer = await world.http.post("/v1/stock-takes", json={**GOOD, **change})
    assert field in [one["field"] for one in problem(answer, 422, "invalid_request")["errors"]]


async def test_without_postgres_nothing_can_be_compared(world: World) -> None:
    before = await world.hot.xlen("{s0}:outbox")
    told = problem(await world.http.post("/v1/stock-takes", json=GOOD), 503, "unavailable")
    assert "Postgres cannot be reached" in told["detail"]
    assert await world.hot.xlen("{s0}:outbox") == before


async def test_a_ledger_that_is_behind_cannot_be_compared(stores: Stores) -> None:
    """What the caller hears is that: Postgres is there."""
    operations = stores.operations()  # nobody carries events into the ledger
    await operations.openings.book([OpeningRow("A", "north", 10)])
    impatient = replace(operations.stock_takes.durabilities, wait_seconds=0.05)
    stock_takes = replace(operations.stock_takes, durabilities=impatient)
    app = create_app(replace(operations, stock_takes=stock_takes), stores.settings, PretendHealth())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        told = problem(await http.post("/v1/stock-takes", json=GOOD), 503, "unavailable")
    assert "the ledger has not caught up" in told["detail"]
