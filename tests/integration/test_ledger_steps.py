"""Steps that change what was, in the ledger: projected, verified, replayed, rebuilt; and the list of locks from it."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.bootstrap import Stores
from app.domain.answers import Answer
from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Command,
    Confirm,
    Deduct,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Remember,
    Reopen,
    Replace,
    Transfer,
    TransferClose,
    TransferReceive,
    TransferShip,
    Unlock,
    Void,
)
from app.domain.words import LockStatus, Place
from app.hotstore.store import HotStore
from app.ledger.future_locks import FutureLocks
from app.ledger.lock_rows import LockRows
from app.recovery.findings import Finding
from tests.integration.test_recovery_findings import memory_of
from tests.integration.warehouse import House, problem
from tests.integration.working import differences, drain, fetch
from tests.recovery import copy_of_memory, put_back_memory

N, S = "north", "south"
ALL = frozenset(LockStatus)
BEFORE: tuple[Command, ...] = (
    Lock("back", (Line("A", 3),), (S,), ttl_ms=None),
    Unlock("back", "u1"),
    Lock("cart", (Line("A", 2),)),
    Lock("part", (Line("A", 4, N),), ttl_ms=None),
    Deduct("part", "p1", (Line("A", 1),)),
    Transfer("T1", N, S, (Line("A", 6),)),
    TransferShip("T1", "s1", None, (Line("A", 4),)),
    TransferReceive("T1", "r1", None, (Arrival("A", 1),)),
    Transfer("T2", N, S, (Line("B", 5),)),
    TransferShip("T2", "s1"),
)
STEPS: tuple[Command, ...] = (
    Reopen("back", "o1", 60_000),
    Replace("back", "x1", (Line("A", 2),)),
    Unlock("back", "u2"),
    Reopen("back", "", None),
    Replace("cart", "x2", (Line("A", 1), Line("B", 2)), renews=True, ttl_ms=90_000, version=1),
    Replace("part", "x3", (Line("B", 1), Line("A", 2, S))),
    Deduct("part", "p2", (Line("B", 1),)),
    Remember("never"),
    TransferClose("T1", in_transit="returned_to_source", reason='the "van" broke down'),
    TransferClose("T2", in_transit="lost"),
    Adjust("gone", S, (Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 50, "gone"),)),
    Deduct("part", "p3"),
    Void("part", "p2", (Line("B", 1, N),), 0, "the label alone was printed"),
)
AGAIN = (*(step for step in (*BEFORE, *STEPS) if getattr(step, "key", "")), Lock("never", (Line("A", 1),)))
"""What is known by an id of its own, or by its lock: asked again, it tells what it told."""


async def do(hot: HotStore, steps: Sequence[Command]) -> list[Answer]:
    return [await hot.execute(step) for step in steps]


async def begin(stores: Stores) -> None:
    await stores.hot.execute(
        Opening([OpeningRow("A", N, 20, 2), OpeningRow("A", S, 10), OpeningRow("B", N, 9)])
    )
    await do(stores.hot, BEFORE)
    await drain(stores)


async def test_after_each_recovery_every_repeat_answers_the_same(stores: Stores) -> None:
    """Verified as booked; replayed onto an older memory; rebuilt. A new epoch changes no answer."""
    await begin(stores)
    copy = await copy_of_memory(stores)
    assert [answer.outcome for answer in await do(stores.hot, STEPS)][-1] == "VOIDED"
    await drain(stores)
    assert await differences(stores) == []
    whole, told = await memory_of(stores), await do(stores.hot, AGAIN)
    assert {answer.outcome for answer in told} == {"REPEATED", "SHIPMENT_VOIDED"}
    assert any(answer.beyond_on_hand for answer in told)
    await put_back_memory(stores, copy)
    assert await stores.recovery().ensure_open() is Finding.BEHIND
    assert await memory_of(stores) == whole
    assert await do(stores.hot, AGAIN) == told
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.SAME
    assert await memory_of(stores) == whole
    assert await do(stores.hot, AGAIN) == told
    await drain(stores)
    assert await differences(stores) == []


async def test_what_a_fork_took_is_named_with_its_units(stores: Stores) -> None:
    """The ledger went on without this memory: what only the memory had is listed, and can be asked for again."""
    await begin(stores)
    copy = await copy_of_memory(stores)
    await do(stores.hot, STEPS[:1])
    await drain(stores)
    await put_back_memory(stores, copy)
    await stores.client.hset(stores.keys.meta, "tip", "another")
    assert await stores.recovery().ensure_open() in {Finding.FORK, Finding.DIFFERENT}
    answer = await stores.hot.execute(Reopen("back", "o1", 60_000))
    assert (answer.outcome, answer.lock and answer.lock.status) == ("REPEATED", "held")
    assert await differences(stores) == []


async def test_the_expiry_that_a_step_promised_while_the_clock_was_ahead(stores: Stores) -> None:
    """A replacement that renews and a reopening promise an expiry from then; one that does not renew promises none."""
    await begin(stores)
    await do(stores.hot, (Lock("kept", (Line("A", 1),), ttl_ms=900_000),))
    now = int((await stores.client.time())[0])
    await stores.client.hset(stores.keys.meta, "at", (now + 3600) * 1000)
    ahead = (
        Reopen("back", "", 60_000),
        Replace("cart", "x", (Line("A", 1),), renews=True, ttl_ms=90_000),
        Replace("kept", "y", (Line("A", 2),)),
    )
    await do(stores.hot, ahead)
    await drain(stores)
    found = await FutureLocks(stores.engine, 0).after(now + 1800)
    assert {(one.lock_id, one.ttl_ms) for one in found} == {("back", 60_000), ("cart", 90_000)}


# The list of locks


@pytest.fixture
async def listed(house: House) -> House:
    """One lock in each state, and one whose id came before its request."""
    hot = house.operations.locks.hot
    await hot.execute(Opening([OpeningRow("A", N, 50), OpeningRow("B", N, 50)]))
    steps: list[Command] = [Lock(one, (Line("A", 2, N),)) for one in ("a", "b", "c", "d", "e", "g/1")]
    steps += [Confirm("b"), Deduct("c", "s", (Line("A", 1),)), Deduct("d", "s"), Unlock("e"), Remember("f")]
    steps += [Lock("h", (Line("B", 1, N), Line("A", 1, N)), ttl_ms=1)]
    await do(hot, steps)
    async with asyncio.timeout(45):
        while (await hot.read_lock("h")).lock.status != "expired":  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
    return house


async def page(house: House, **params: Any) -> httpx.Response:
    return await house.http.get("/v1/locks", params=params)


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({}, "a b c d e f g/1 h"),
        ({"status": "held"}, "a g/1"),
        ({"status": ["held", "confirmed", "partly_deducted"]}, "a b c g/1"),
        ({"status": ["deducted", "expired"]}, "d h"),
        ({"status": ["released", "held"], "sku": "A"}, "a e g/1"),
        ({"sku": "B"}, "h"),
        ({"sku": "nothing"}, ""),
        ({"after": "d"}, "e f g/1 h"),
        ({"after": "c", "status": "held"}, "g/1"),
        ({"after": "z"}, ""),
    ],
)
async def test_the_list(listed: House, params: dict[str, Any], ids: str) -> None:
    answer = await page(listed, **params)
    assert answer.status_code == 200, answer.text
    assert [one["lock_id"] for one in answer.json()["items"]] == ids.split()
    assert answer.json()["next"] is None
    for one in answer.json()["items"][:1]:  # each as GET tells it
        assert (await listed.http.get(f"/v1/locks/{quote(one['lock_id'], safe='')}")).json() == one


async def test_pages(listed: House) -> None:
    seen: list[str] = []
    after: dict[str, Any] = {}
    while True:
        told = (await page(listed, limit=3, **after)).json()
        seen += [one["lock_id"] for one in told["items"]]
        if told["next"] is None:
            break
        assert told["next"] == seen[-1]
        after = {"after": told["next"]}
    assert seen == ["a", "b", "c", "d", "e", "f", "g/1", "h"]


async def test_a_page_looks_at_so_many_locks_and_no_more(listed: House) -> None:
    """However few belong on it: then it ends before it is full, and says where to go on."""
    await listed.caught_up()
    rows = LockRows(listed.stores.engine, looked_at_max=2)
    found, after, pages = [], "", 0
    while after is not None:
        one = await rows.page(ALL, "B", after, 100)
        found, after, pages = [*found, *(lock.lock_id for lock in one.locks)], one.following, pages + 1  # type: ignore[assignment]
    assert (found, pages) == (["h"], 5)
    only = await rows.page({LockStatus.HELD}, None, "", 100)
    assert ([lock.lock_id for lock in only.locks], only.following) == (["a"], "b")


async def test_the_newest_of_an_id_is_listed_wherever_it_is_kept(listed: House) -> None:
    """An id that was used again, and locks that were put away."""
    await listed.caught_up()
    move = "INSERT INTO closed_lock SELECT shard, lock_id, 0, opened_n, 0, changed_n, changed_at, record FROM lock"
    async with listed.stores.engine.begin() as connection:
        await connection.exec_driver_sql(f"{move} WHERE lock_id IN ('a', 'e')")
        await connection.exec_driver_sql("DELETE FROM lock WHERE lock_id = 'e'")
    assert [one["lock_id"] for one in (await page(listed)).json()["items"]] == [
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "g/1",
        "h",
    ]
    assert [one["lock_id"] for one in (await page(listed, status="released")).json()["items"]] == ["e", "f"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "open"}, "status[0]"),
        ({"sku": " A"}, "sku"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"after": "\x00"}, "after"),
        ({"lock_id": "a"}, "lock_id"),
    ],
)
async def test_what_no_list_is_asked_for(listed: House, params: dict[str, Any], field: str) -> None:
    told = problem(await page(listed, **params), 422, "invalid_request")
    assert told["errors"][0]["field"] == field


# Locks that the hot store has forgotten


async def forget(house: House, *lock_ids: str) -> None:
    await house.caught_up()
    for lock_id in lock_ids:
        assert (await house.operations.locks.hot.forget(lock_id, [])).outcome == "FORGOTTEN"


async def test_reopening_what_only_the_ledger_remembers(listed: House) -> None:
    await forget(listed, "e", "d", "h")
    path = "/v1/locks/{}/reopen"
    answer = await listed.http.post(path.format("e"), json={"ttl_seconds": 60})
    assert (answer.status_code, answer.json()["status"]) == (200, "held")
    problem(await listed.http.post(path.format("d"), json={"ttl_seconds": 60}), 409, "lock_not_held")
    problem(await listed.http.post(path.format("nobody"), json={"ttl_seconds": 60}), 404, "unknown_lock")
    assert await listed.differences() == []


async def test_giving_back_what_only_the_ledger_remembers(listed: House) -> None:
    await forget(listed, "d", "e", "f", "h")
    ids = ["d", "e", "f", "h", "nobody"]
    told = (await listed.http.post("/v1/locks/unlock", json={"lock_ids": ids})).json()["results"]
    assert [one.get("status") or one["code"] for one in told] == [
        "lock_not_held",
        "released",
        "released",
        "lock_expired",
        "unknown_lock",
    ]
    body = {"lock_ids": ids, "remember": True}
    told = (await listed.http.post("/v1/locks/unlock", json=body)).json()["results"]
    assert [one.get("status") or one["code"] for one in told] == [
        "lock_not_held",  # it has shipped: what is told of it stays so
        *("released",) * 4,
    ]
    assert (await listed.http.get("/v1/locks/d")).json()["status"] == "deducted"
    again = await listed.http.post("/v1/locks", json={"lock_id": "h", "lines": [{"sku": "A", "quantity": 1}]})
    assert (again.status_code, again.json()["status"]) == (200, "released")
    assert await listed.differences() == []
    assert await fetch(listed.stores, "SELECT count(*) FROM lock WHERE lock_id = 'h'") == [(2,)]


# Shipments that never left


@pytest.fixture
async def shipped(house: House) -> House:
    """L has 4 of A in north, of which p1 took 1 and p2 took 3; A has 10 there, and 6 are left."""
    hot = house.operations.locks.hot
    lock = Lock("L", (Line("A", 4, N),), ttl_ms=None)
    await do(hot, (lock, Deduct("L", "p1", (Line("A", 1),)), Deduct("L", "p2")))
    return house


async def void(house: House, shipment_id: str, lock_id: str = "L", **body: Any) -> httpx.Response:
    return await house.http.post(f"/v1/locks/{lock_id}/deduct/{shipment_id}/void", json=body or None)


async def test_a_parcel_that_never_left(shipped: House) -> None:
    answer = await void(shipped, "p2", reason="the label alone was printed")
    told = answer.json()
    assert (answer.status_code, told["status"], told["lines"][0]["deducted"]) == (200, "partly_deducted", 1)
    assert told["durability"] == "disk"
    counts = await shipped.counts("A")
    assert (counts["on_hand"], counts["locked"]) == (9, 3)
    again = await void(shipped, "p2")
    assert again.json() == told | {"current_status": "partly_deducted"}
    deduct = {"shipment_id": "p2"}
    problem(await shipped.http.post("/v1/locks/L/deduct", json=deduct), 409, "shipment_voided")
    ships = await shipped.http.post("/v1/locks/L/deduct", json={"shipment_id": "p3"})
    assert ships.json()["status"] == "deducted"
    newest = (await shipped.http.get("/v1/stock/A/history?limit=2")).json()["items"]
    assert [(one["cause"], one["from"], one["to"], one["quantity"]) for one in newest] == [
        ("deduct", "locked", "customer", 3),
        ("void", "customer", "locked", 3),
    ]
    assert newest[1]["reason"] == "the label alone was printed"
    assert await shipped.differences() == []


async def test_what_cannot_be_voided(shipped: House) -> None:
    problem(await void(shipped, "p9"), 404, "unknown_shipment")
    problem(await void(shipped, "p1", "nobody"), 404, "unknown_lock")
    problem(await void(shipped, "p1", lines=[]), 422, "invalid_request")
    back = {
        "return_id": "r",
        "warehouse": N,
        "lock_id": "L",
        "lines": [{"sku": "A", "quantity": 2, "condition": "sellable"}],
    }
    assert (await shipped.http.post("/v1/returns", json=back)).status_code == 201
    told = problem(await void(shipped, "p2"), 409, "shipment_returned")
    assert told["exceeding"] == [{"sku": "A", "requested": 3, "held": 2}]
    assert (await void(shipped, "p1")).status_code == 200
    event = {
        "event_id": "e",
        "type": "shipped",
        "occurred_at": "2026-01-01T00:00:00Z",
        "warehouse": N,
        "sku": "A",
    }
    events = [event | {"quantity": 1, "lock_id": "L", "shipment_id": "SSCC"}]
    await shipped.http.post("/v1/warehouse-events", json={"source": "wms", "events": events})
    problem(await void(shipped, "SSCC"), 409, "shipment_reported")
    assert await shipped.differences() == []


async def test_voiding_what_only_the_ledger_remembers(shipped: House) -> None:
    await shipped.caught_up()
    ops = [f"deduct:L{{{one}" for one in ("p1", "p2")]
    assert (await shipped.operations.locks.hot.forget("L", ops)).outcome == "FORGOTTEN"
    assert (await void(shipped, "p2")).json()["status"] == "partly_deducted"
    assert (await shipped.counts("A"))["locked"] == 3
    await do(shipped.operations.locks.hot, (Unlock("L"),))
    await shipped.caught_up()
    ops = ["deduct:L{p2", "void:L{p2"]
    assert (await shipped.operations.locks.hot.forget("L", ops)).outcome == "FORGOTTEN"
    again = await void(shipped, "p2")
    assert (again.status_code, again.json()["status"]) == (200, "deducted")  # as the ledger has it
    assert (await shipped.counts("A"))["locked"] == 0
    assert await shipped.differences() == []


async def test_voiding_the_shipment_of_an_earlier_lock_of_the_id(shipped: House) -> None:
    """The id was used again after the first lock was forgotten: that one's parcels are not this one's."""
    await shipped.caught_up()
    ops = [f"deduct:L{{{one}" for one in ("p1", "p2")]
    await shipped.operations.locks.hot.forget("L", ops)
    await do(shipped.operations.locks.hot, (Lock("L", (Line("A", 2, N),)), Deduct("L", "p1")))
    assert (await void(shipped, "p1")).json()["lines"] == [
        {"sku": "A", "warehouse": N, "quantity": 2, "deducted": 0}
    ]
    problem(await void(shipped, "p2"), 404, "unknown_shipment")
    assert await shipped.differences() == []


async def test_voiding_against_a_return(shipped: House) -> None:
    """Whichever comes first: a unit is on the shelf once."""
    line = {"sku": "A", "quantity": 3, "condition": "sellable"}
    body = {"warehouse": N, "lock_id": "R", "lines": [line]}
    for number in range(10):
        lock_id = f"R{number}"
        await do(shipped.operations.locks.hot, (Lock(lock_id, (Line("A", 3, N),)), Deduct(lock_id, "p")))
        voided, returned = await asyncio.gather(
            void(shipped, "p", lock_id),
            shipped.http.post("/v1/returns", json=body | {"return_id": lock_id, "lock_id": lock_id}),
        )
        codes = {voided.status_code, returned.status_code}
        assert codes in ({200, 409}, {409, 201}), (voided.text, returned.text)
        counts = await shipped.counts("A")
        assert counts["on_hand"] == 6
        assert counts["locked"] == (3 if voided.status_code == 200 else 0)
        await do(shipped.operations.locks.hot, (Unlock(lock_id),))
    assert await shipped.differences() == []
