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
    OpeningRow,
    Remember,
    Reopen,
    Replace,
    Transfer,
    TransferClose,
    TransferReceive,
    TransferShip,
    Unlock,
)
from app.domain.words import LockStatus, Place
from app.hotstore.store import HotStore
from app.ledger.future_locks import FutureLocks
from app.ledger.lock_rows import LockRows
from app.recovery.findings import Finding
from tests.integration.test_recovery_findings import memory_of
from tests.integration.warehouse import House, problem
from tests.integration.working import differences, drain, fetch
from tests.properties.rig import _METHODS
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
)
AGAIN = (*(step for step in (*BEFORE, *STEPS) if getattr(step, "key", "")), Lock("never", (Line("A", 1),)))
"""What is known by an id of its own, or by its lock: asked again, it tells what it told."""


async def do(hot: HotStore, steps: Sequence[Command]) -> list[Answer]:
    return [await _METHODS[type(step)](hot, step) for step in steps]


async def begin(stores: Stores) -> None:
    await stores.hot.opening([OpeningRow("A", N, 20, 2), OpeningRow("A", S, 10), OpeningRow("B", N, 9)])
    await do(stores.hot, BEFORE)
    await drain(stores)


async def test_after_each_recovery_every_repeat_answers_the_same(stores: Stores) -> None:
    """Verified as booked; replayed onto an older memory; rebuilt. A new epoch changes no answer."""
    await begin(stores)
    copy = await copy_of_memory(stores)
    assert [answer.outcome for answer in await do(stores.hot, STEPS)][-1] == "DEDUCTED"
    await drain(stores)
    assert await differences(stores) == []
    whole, told = await memory_of(stores), await do(stores.hot, AGAIN)
    assert {answer.outcome for answer in told} <= {"REPEATED", "UNCHANGED"}
    assert any(answer.beyond_on_hand for answer in told)
    await put_back_memory(stores, copy)
    assert await stores.recovery().ensure_open() is Finding.BEHIND
    assert await memory_of(stores) == whole
    assert await do(stores.hot, AGAIN) == told
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.DIFFERENT
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
    answer = await stores.hot.reopen(Reopen("back", "o1", 60_000))
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
    await hot.opening([OpeningRow("A", N, 50), OpeningRow("B", N, 50)])
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
