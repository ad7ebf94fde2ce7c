"""Shortages: opened and closed with the counts, listed with the locks concerned, resolved by breaking some."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import Stores
from app.commands.shortages import shortages
from app.domain.commands import Adjust, Booking, Buffer, Deduct, Line, Lock, Receive, Unlock
from app.domain.shortages import Choice, Promise, ShortageCase, suggested
from app.domain.words import Place
from app.errors import SellableError
from app.ledger import database
from tests.integration.api_client import World, world_on
from tests.integration.warehouse import House, house_on, problem


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with house_on(stores) as house:
        await stores.hot.execute(Buffer("north", (Line("A", 0),)))
        yield house


async def adjust(house: House, number: int, units: int, warehouse: str = "north") -> None:
    places = (Place.AVAILABLE, Place.ADJUSTMENT) if units < 0 else (Place.ADJUSTMENT, Place.AVAILABLE)
    line = Booking("A", *places, abs(units))
    await house.stores.hot.execute(Adjust(f"a{number}", warehouse, (line,)))


async def locked(house: House, *locks: tuple[str, int]) -> None:
    for lock_id, units in locks:
        await house.stores.hot.execute(Lock(lock_id, (Line("A", units, "north"),), ttl_ms=None))


async def cases(house: House) -> list[dict[str, Any]]:
    await house.caught_up()
    return list((await house.http.get("/v1/shortages")).json()["items"])


async def resolve(house: House, case: dict[str, Any], *lock_ids: str) -> dict[str, Any]:
    body = {"lock_ids": list(lock_ids)}
    answer = await house.http.post(f"/v1/shortages/{case['shortage_id']}/resolve", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_loss_below_what_is_promised_opens_a_case_that_closes_by_itself(house: House) -> None:
    await locked(house, ("L1", 3), ("L2", 4), ("L3", 2))
    await adjust(house, 1, -1)  # 10 on hand, 9 locked: nothing is short yet
    assert await cases(house) == []
    await adjust(house, 2, -3)
    (case,) = await cases(house)
    assert (case["sku"], case["warehouse"], case["units"]) == ("A", "north", 3)
    assert [(one["lock_id"], one["units"]) for one in case["locks"]] == [("L3", 2), ("L2", 4), ("L1", 3)]
    assert case["suggested"] == ["L3", "L2"]
    assert case["transfers"] == [{"from": "south", "quantity": 3}]
    assert (await house.counts("A"))["sellable"] == 0
    await adjust(house, 3, -2)
    assert [(one["units"], one["shortage_id"]) for one in await cases(house)] == [(5, case["shortage_id"])]
    assert await house.differences() == []
    line = (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 5),)
    await house.stores.hot.execute(Receive("R", "north", line))
    assert await cases(house) == []
    await adjust(house, 4, -1)
    (again,) = await cases(house)
    assert again["shortage_id"] != case["shortage_id"]  # a case of its own: the other one is history
    assert await house.differences() == []


async def test_resolving_breaks_promises_until_nothing_is_short(house: House) -> None:
    await locked(house, ("L1", 3), ("L2", 4))
    other = Lock("L3", (Line("A", 2, "north"), Line("A", 1, "south")), ttl_ms=None)
    await house.stores.hot.execute(other)
    await house.stores.hot.execute(Deduct("L1", "s", (Line("A", 1, "north"),)))
    await adjust(house, 1, -4)
    (case,) = await cases(house)
    assert (case["units"], case["suggested"]) == (3, ["L3", "L2"])
    told = await resolve(house, case, *case["suggested"], "nobody's")
    outcomes = [(one["lock_id"], one["outcome"], one["units"]) for one in told["results"]]
    assert outcomes == [("L3", "unlocked", 2), ("L2", "unlocked", 4), ("nobody's", "unknown_lock", 0)]
    assert told["durability"] == "disk"
    assert await cases(house) == []
    lock = (await house.http.get("/v1/locks/L3")).json()
    assert [(line["warehouse"], line["quantity"]) for line in lock["lines"]] == [("south", 1)]
    again = await resolve(house, case, "L3", "L2", "L1")
    assert [one["outcome"] for one in again["results"]] == ["unchanged"] * 3  # closed: no promise more
    assert (await house.counts("A"))["locked"] == 2
    assert await house.differences() == []


async def test_resolving_an_open_case_again_breaks_the_same_once(house: House) -> None:
    await locked(house, ("L1", 3), ("L2", 4))
    await adjust(house, 1, -9)
    (case,) = await cases(house)
    first, second = await resolve(house, case, "L1"), await resolve(house, case, "L1")
    assert [one["results"][0]["outcome"] for one in (first, second)] == ["unlocked", "unchanged"]
    assert [(one["units"], one["suggested"]) for one in await cases(house)] == [(3, ["L2"])]


async def test_what_lasts_only_a_moment_is_no_case(stores: Stores) -> None:
    async with house_on(stores) as house:
        await house.caught_up()
    await locked(house, ("L1", 9))
    await adjust(house, 1, -5)
    await stores.hot.execute(Unlock("L1"))
    async with house_on(stores) as house:
        assert await cases(house) == []
        async with database.driver_transaction(stores.engine) as pg:
            assert await pg.fetchval("SELECT count(*) FROM shortage") == 0


async def test_the_list_and_unknown_cases(house: House) -> None:
    await adjust(house, 1, -11)
    await adjust(house, 2, -6, "south")
    told = (await house.http.get("/v1/shortages?limit=1")).json()
    await house.caught_up()
    told = (await house.http.get("/v1/shortages?limit=1")).json()
    rest = (await house.http.get(f"/v1/shortages?limit=9&after={told['next']}")).json()
    assert [one["warehouse"] for one in told["items"] + rest["items"]] == ["north", "south"]
    assert rest["next"] is None
    for unknown in ("0", "99", "x", "-1", "9" * 30, "\u0661"):
        answer = await house.http.post(f"/v1/shortages/{unknown}/resolve", json={"lock_ids": ["L"]})
        problem(answer, 404, "unknown_shortage")
    for bad in ({}, {"lock_ids": []}, {"lock_ids": ["{"]}, {"lock_ids": "L"}, {"lock_ids": ["L"] * 101}):
        problem(await house.http.post("/v1/shortages/1/resolve", json=bad), 422, "invalid_request")
    problem(await house.http.get("/v1/shortages?after=x"), 422, "invalid_request")


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE shortage SET units = 4", "SKU A north short: open case 4, projection 1"),
        ("UPDATE shortage SET closed_at = now()", "SKU A north short: open case 0, projection 1"),
        (
            "INSERT INTO shortage (shard, sku, warehouse, units, opened_at) VALUES (0, 'A', 'south', 2, now())",
            "SKU A south short: open case 2, projection 0",
        ),
    ],
)
async def test_verify_finds_a_wrong_case(house: House, statement: str, difference: str) -> None:
    await adjust(house, 1, -11)
    await house.caught_up()
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute(statement)
    assert await house.differences() == [difference]


PROMISES = (
    Promise("L4", "held", 2),
    Promise("L3", "held", 5),
    Promise("L2", "held", 5),
    Promise("L1", "held", 1),
)


@pytest.mark.parametrize(
    ("units", "choice", "chosen"),
    [
        (0, "latest", []),
        (1, "latest", ["L4"]),
        (2, "latest", ["L4"]),
        (3, "latest", ["L4", "L3"]),
        (99, "latest", ["L4", "L3", "L2", "L1"]),
        (3, "largest", ["L3"]),
        (6, "largest", ["L3", "L2"]),
    ],
)
def test_which_promises_to_break(units: int, choice: Choice, chosen: list[str]) -> None:
    assert suggested(ShortageCase(1, "A", "north", units, 0, None, PROMISES), choice) == chosen


async def test_without_postgres(hot_client: Any) -> None:
    world: World
    async with world_on(hot_client) as world:
        problem(await world.http.get("/v1/shortages"), 503, "unavailable")
        answer = await world.http.post("/v1/shortages/1/resolve", json={"lock_ids": ["L"]})
        problem(answer, 503, "unavailable")


async def test_the_commands(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELLABLE_REDIS_URL", "redis://here")
    monkeypatch.setenv("SELLABLE_DATABASE_URL", "postgresql://here")

    @asynccontextmanager
    async def opened(_redis: str, _database: str) -> AsyncIterator[Any]:
        yield house.operations

    async def run(action: str, **more: Any) -> tuple[int, str]:
        code = await shortages(action=action, data_dir=tmp_path, open_operations=opened, **more)
        return code, capsys.readouterr().out

    await locked(house, ("L1", 9))
    await adjust(house, 1, -2)
    await house.caught_up()
    code, text = await run("list")
    assert (code, "SKU A in north: 1 short; break: L1" in text) == (0, True)
    (item,) = json.loads((await run("list", as_json=True))[1].splitlines()[-1])["items"]
    assert (item["units"], item["suggested"]) == (1, ["L1"])
    code, text = await run("resolve", shortage_id=item["shortage_id"], lock_ids=["L1"])
    assert (code, "lock L1: unlocked, 9 units" in text) == (0, True)
    await house.caught_up()
    assert "0 open" in (await run("list"))[1]
    with pytest.raises(SellableError, match="no shortage"):
        await run("resolve", shortage_id=99, lock_ids=["L1"])
