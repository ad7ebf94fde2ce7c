"""Steps that change what was, or open it again, over HTTP: a table of calls and answers, and what races come to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import redis.asyncio

from app.domain.commands import Expire
from tests.integration.api_client import World, world_on
from tests.integration.test_api import problem


@pytest.fixture
async def world(hot_client: redis.asyncio.Redis) -> AsyncIterator[World]:
    """A has 10 in north (2 of them its buffer) and 5 in south; Postgres is away."""
    async with world_on(hot_client, durability_wait_seconds=0.3) as world:
        yield world


class Call(NamedTuple):
    """A POST, what it answers, and some members of that; `expire` is the sweeper's step, for it has no route."""

    path: str
    body: Any
    status: int
    seen: Any = None
    headers: dict[str, str] | None = None


def lines(*given: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(("sku", "quantity", "warehouse"), one, strict=False)) for one in given]


def lock(*given: tuple[Any, ...], status: int = 201, seen: Any = None, **more: Any) -> Call:
    return Call("/v1/locks", {"lock_id": "L", "lines": lines(*given), **more}, status, seen)


def step(name: str, status: int = 200, seen: Any = None, body: Any = None, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(f"/v1/locks/L/{name}", body, status, seen, named)


def replace(
    *given: tuple[Any, ...], key: str = "k", status: int = 200, seen: Any = None, **more: Any
) -> Call:
    headers = {"Idempotency_Key": key} | {name: more.pop(name) for name in ("If_Match",) if name in more}
    return step("replace", status, seen, {"lines": lines(*given), **more}, **headers)


def invalid(field: str) -> dict[str, Any]:
    return {"code": "invalid_request", "errors": [{"field": field}]}


TRANSFER = {"transfer_id": "T", "from": "north", "to": "south", "lines": lines(("A", 6))}
SHIP_TWO = Call("/v1/transfers/T/ship", {"shipment_id": "s", "lines": lines(("A", 2))}, 200)
GONE = {
    "adjustment_id": "gone",
    "warehouse": "north",
    "lines": [{"sku": "A", "quantity": -7, "reason": "gone"}],
}
MISSING = Call("/v1/adjustments", GONE, 201)
EXPIRE = Call("expire", None, 0)
ONE_BEYOND = [{"sku": "A", "warehouse": "north", "units": 1}]


def close(status: int = 200, seen: Any = None, **body: Any) -> Call:
    return Call("/v1/transfers/T/close", body, status, seen)


TABLE: dict[str, list[Call]] = {
    "every answer has a version": [
        lock(("A", 4), seen={"version": 1}),
        step("extend", seen={"version": 2}, body={"ttl_seconds": 60}),
        step("confirm", seen={"version": 3}),
        step("confirm", seen={"version": 3}),
        step("deduct", seen={"version": 4}, body={"shipment_id": "s", "lines": lines(("A", 1))}),
        step(
            "deduct",
            seen={"version": 4, "current_status": "partly_deducted"},
            body={"shipment_id": "s", "lines": lines(("A", 1))},
        ),
        step("unlock", seen={"version": 5}),
    ],
    "a repeated creation of what ended says so": [
        lock(("A", 4), ttl_seconds=60),
        lock(
            ("A", 4),
            ttl_seconds=60,
            status=200,
            seen={"status": "held", "current_status": "held", "original_status": None},
        ),
        step("unlock"),
        lock(
            ("A", 4),
            ttl_seconds=60,
            status=200,
            seen={
                "status": "released",
                "current_status": "released",
                "original_status": "held",
                "version": 2,
            },
        ),
        lock(("A", 3), ttl_seconds=60, status=409, seen={"code": "lock_id_reused"}),
    ],
    "two tabs: the second is told": [
        lock(("A", 1)),
        replace(("A", 2), key="tab-1", If_Match='"1"', seen={"version": 2, "lines": [{"quantity": 2}]}),
        replace(
            ("A", 5),
            key="tab-2",
            If_Match='"1"',
            status=412,
            seen={"code": "lock_changed", "version": 2, "current_status": "held"},
        ),
        replace(("A", 2), key="tab-1", If_Match='"1"', seen={"version": 2, "current_status": "held"}),
        replace(("A", 5), key="tab-2", If_Match='"2"', seen={"version": 3}),
        replace(("A", 1), key="any", If_Match="*", seen={"version": 4}),
    ],
    "conditions that are none": [
        lock(("A", 1)),
        *(
            replace(("A", 2), If_Match=text, status=422, seen=invalid("If-Match"))
            for text in ("1", '"x"', 'W/"1"', '"1", "2"', '""', '"-1"', '"1.0"', '"9999999999"')
        ),
        replace(("A", 2), If_Match=' "1" ', seen={"version": 2}),
    ],
    "adding to a cart renews it": [
        lock(("A", 1), ttl_seconds=None, seen={"expires_at": None}),
        replace(("A", 2), key="a", ttl_seconds=900, seen={"status": "held", "expires_at": str}),
        replace(("A", 3), key="b", seen={"expires_at": str}),
        replace(("A", 4), key="c", ttl_seconds=None, seen={"expires_at": None}),
        replace(("A", 4), key="d", ttl_seconds=0, status=422, seen=invalid("ttl_seconds")),
        step("confirm"),
        replace(
            ("A", 5),
            key="e",
            ttl_seconds=900,
            status=409,
            seen={"code": "lock_not_held", "current_status": "confirmed"},
        ),
    ],
    "the rest of a part-shipped order changes": [
        lock(("A", 4, "north")),
        step("deduct", body={"shipment_id": "s", "lines": lines(("A", 1))}),
        replace(
            ("A", 5),
            key="more",
            seen={
                "status": "partly_deducted",
                "lines": [{"warehouse": "north", "quantity": 6, "deducted": 1}],
            },
        ),
        replace(("A", 1), key="less", seen={"lines": [{"quantity": 2, "deducted": 1}]}),
        replace(
            ("A", 2, "south"),
            key="there",
            seen={
                "lines": [
                    {"warehouse": "north", "quantity": 1, "deducted": 1},
                    {"warehouse": "south", "quantity": 2, "deducted": 0},
                ]
            },
        ),
        replace(
            ("A", 13),
            key="all",
            status=409,
            seen={"code": "insufficient_stock", "shortages": [{"sku": "A", "requested": 13, "sellable": 12}]},
        ),
        step("deduct", body={"shipment_id": "t"}, seen={"status": "deducted"}),
        replace(("A", 1), key="late", status=409, seen={"code": "lock_not_held"}),
    ],
    "a changed order stays where it is": [
        lock(("A", 4), warehouses=["south"], seen={"lines": [{"warehouse": "south"}]}),
        replace(("A", 3), key="a", seen={"lines": [{"warehouse": "south", "quantity": 3}]}),
        replace(
            ("A", 6), key="b", status=409, seen={"shortages": [{"sku": "A", "requested": 6, "sellable": 5}]}
        ),
        step("unlock", body={"lines": lines(("A", 1))}, Idempotency_Key="u"),
        replace(("A", 6), key="b", status=409, seen={"code": "insufficient_stock"}),
        replace(
            ("A", 3), key="c", warehouses=["north"], seen={"lines": [{"warehouse": "north", "quantity": 3}]}
        ),
    ],
    "an expired lock is held again": [
        lock(("A", 4)),
        EXPIRE,
        step("replace", 409, {"code": "lock_expired"}, {"lines": lines(("A", 1))}, Idempotency_Key="k"),
        step("reopen", 200, {"status": "held", "expires_at": str, "version": 3}, {"ttl_seconds": 60}),
        step("reopen", 200, {"status": "held", "version": 3}, {"ttl_seconds": 60}),
        step("confirm", seen={"status": "confirmed"}),
        step("reopen", 409, {"code": "lock_not_held", "current_status": "confirmed"}, {"ttl_seconds": 60}),
    ],
    "a released lock is held again, if there is enough": [
        lock(("A", 12)),
        step("unlock"),
        Call("/v1/locks", {"lock_id": "M", "lines": lines(("A", 2))}, 201),
        step(
            "reopen",
            409,
            {"code": "insufficient_stock", "shortages": [{"sku": "A", "requested": 12, "sellable": 11}]},
            {"ttl_seconds": None},
        ),
        Call("/v1/locks/M/unlock", None, 200),
        step("reopen", 200, {"status": "held", "expires_at": None}, {"ttl_seconds": None}),
        step("reopen", 422, invalid("ttl_seconds"), {}),
        step("reopen", 422, invalid("ttl_seconds"), {"ttl_seconds": "60"}),
    ],
    "reopened with a key": [
        lock(("A", 1)),
        step("unlock", Idempotency_Key="u", seen={"status": "released"}),
        step("reopen", 200, {"status": "held"}, {"ttl_seconds": 60}, Idempotency_Key="k"),
        step(
            "unlock", Idempotency_Key="u", seen={"status": "released", "current_status": "held", "version": 2}
        ),
        step(
            "reopen",
            200,
            {"status": "held", "current_status": "held"},
            {"ttl_seconds": 60},
            Idempotency_Key="k",
        ),
        step("reopen", 409, {"code": "idempotency_key_reused"}, {"ttl_seconds": 61}, Idempotency_Key="k"),
    ],
    "many are given back": [
        lock(("A", 1)),
        Call("/v1/locks", {"lock_id": "M", "lines": lines(("A", 2))}, 201),
        Call("/v1/locks/M/deduct", {"shipment_id": "s", "lines": lines(("A", 1))}, 200),
        Call("/v1/locks", {"lock_id": "N", "lines": lines(("A", 1))}, 201),
        Call("/v1/locks/N/deduct", {"shipment_id": "s"}, 200),
        Call(
            "/v1/locks/unlock",
            {"lock_ids": ["L", "M", "N", "nobody", "L"]},
            200,
            {
                "durability": "disk",
                "position": str,
                "results": [
                    {"lock_id": "L", "status": "released"},
                    {"lock_id": "M", "status": "deducted"},
                    {"lock_id": "N", "code": "lock_not_held"},
                    {"lock_id": "nobody", "code": "unavailable"},
                    {"lock_id": "L", "status": "released"},
                ],
            },
        ),
        Call(
            "/v1/locks/unlock",
            {"lock_ids": ["L", "M"], "remember": False},
            200,
            {"results": [{"lock_id": "L", "status": "released"}, {"lock_id": "M", "status": "deducted"}]},
        ),
    ],
    "bodies that are none of many": [
        Call("/v1/locks/unlock", None, 422, invalid("body")),
        Call("/v1/locks/unlock", {"lock_ids": []}, 422, invalid("lock_ids")),
        Call("/v1/locks/unlock", {"lock_ids": ["x"] * 1001}, 422, invalid("lock_ids")),
        Call("/v1/locks/unlock", {"lock_ids": ["x", " "]}, 422, invalid("lock_ids[1]")),
        Call("/v1/locks/unlock", {"lock_ids": ["x"], "remember": 1}, 422, invalid("remember")),
        Call("/v1/locks/unlock", {"lock_ids": ["x"], "reason": "why"}, 422, invalid("reason")),
    ],
    "given back before it came": [
        Call(
            "/v1/locks/unlock",
            {"lock_ids": ["L", "other"], "remember": True},
            200,
            {"results": [{"lock_id": "L", "status": "released"}, {"lock_id": "other", "status": "released"}]},
        ),
        lock(("A", 4), status=200, seen={"status": "released", "lines": [], "original_status": None}),
        lock(("B", 4), status=200, seen={"status": "released"}),
        Call(
            "/v1/locks/unlock",
            {"lock_ids": ["L"], "remember": True},
            200,
            {"results": [{"lock_id": "L", "status": "released"}]},
        ),
        step("confirm", 409, {"code": "lock_not_held", "current_status": "released"}),
        step("reopen", 409, {"code": "lock_not_held"}, {"ttl_seconds": 60}),
    ],
    "one is given back before it came": [
        step("unlock", 503, {"code": "unavailable"}),  # only the ledger could know it
        step("unlock", 200, {"status": "released", "lines": [], "version": 1}, {"remember": True}),
        step("unlock", 200, {"status": "released"}, {"remember": True}),
        lock(("A", 4), status=200, seen={"status": "released"}),
        step(
            "unlock",
            422,
            invalid("remember"),
            {"remember": True, "lines": lines(("A", 1))},
            Idempotency_Key="k",
        ),
    ],
    "all of a SKU needs no warehouse": [
        lock(
            ("A", 12),
            ("A/12", 1),
            seen={
                "lines": [
                    {"warehouse": "north", "quantity": 8},
                    {"warehouse": "south", "quantity": 4},
                    {"sku": "A/12"},
                ]
            },
        ),
        step("unlock", 422, invalid("lines[0].warehouse"), {"lines": lines(("A", 11))}, Idempotency_Key="k"),
        step(
            "unlock",
            200,
            {"status": "held", "lines": [{"sku": "A/12", "quantity": 1}]},
            {"lines": lines(("A", 12))},
            Idempotency_Key="k",
        ),
    ],
    "more left than was there": [
        lock(("A", 4, "north")),
        MISSING,
        step(
            "deduct",
            409,
            {"code": "beyond_on_hand", "beyond_on_hand": ONE_BEYOND, "current_status": "held"},
            {"shipment_id": "s", "only_if_on_hand": True},
        ),
        step("deduct", 200, {"status": "deducted", "beyond_on_hand": ONE_BEYOND}, {"shipment_id": "s"}),
        step(
            "deduct",
            200,
            {"status": "deducted", "beyond_on_hand": ONE_BEYOND, "current_status": "deducted"},
            {"shipment_id": "s"},
        ),
    ],
    "as much left as was there": [
        lock(("A", 3, "north")),
        MISSING,
        step(
            "deduct",
            200,
            {"status": "deducted", "beyond_on_hand": None},
            {"shipment_id": "s", "only_if_on_hand": True},
        ),
    ],
    "a write-off of more than is there": [
        Call(
            "/v1/adjustments",
            GONE
            | {
                "adjustment_id": "w",
                "lines": [{"sku": "A", "quantity": -11, "reason": "gone"}],
                "only_if_on_hand": True,
            },
            409,
            {"code": "beyond_on_hand", "beyond_on_hand": ONE_BEYOND},
        ),
        Call(
            "/v1/adjustments",
            GONE
            | {
                "adjustment_id": "w",
                "lines": [{"sku": "A", "quantity": -10, "reason": "gone"}],
                "only_if_on_hand": True,
            },
            201,
        ),
        Call(
            "/v1/adjustments",
            GONE | {"adjustment_id": "w", "lines": [{"sku": "A", "quantity": -10, "reason": "gone"}]},
            200,
        ),
        MISSING,
    ],
    "a transfer is closed short": [
        Call("/v1/transfers", TRANSFER, 201),
        SHIP_TWO,
        close(
            seen={"status": "shipped", "lines": [{"shipped": 2, "cancelled": 4, "returned": None}]},
            reason="not needed",
        ),
        close(seen={"status": "shipped"}),
        Call("/v1/transfers/T/receive", {"receipt_id": "r", "lines": lines(("A", 1))}, 200),
        close(
            in_transit="returned_to_source",
            seen={"status": "received", "lines": [{"received": 1, "returned": 1}]},
        ),
        close(in_transit="returned_to_source", seen={"status": "received"}),
        Call(
            "/v1/transfers/T/receive",
            {"receipt_id": "s", "lines": lines(("A", 1))},
            409,
            {"code": "transfer_not_open"},
        ),
    ],
    "a transfer is lost": [
        Call("/v1/transfers", TRANSFER, 201),
        Call("/v1/transfers/T/ship", {"shipment_id": "s"}, 200),
        close(status=409, seen={"code": "transfer_not_open", "current_status": "shipped", "detail": str}),
        close(status=422, in_transit="found", seen=invalid("in_transit")),
        close(in_transit="lost", seen={"status": "received", "lines": [{"lost": 6, "received": 0}]}),
    ],
    "no transfer is closed that only the ledger could know": [
        close(status=503, seen={"code": "unavailable"})
    ],
    "the buffer may be moved": [
        Call("/v1/transfers", TRANSFER | {"lines": lines(("A", 10))}, 201),
        lock(("A", 1, "north"), status=409),
    ],
}


def shows(told: Any, seen: Any) -> bool:
    """Whether an answer has these members: a type stands for any value of it, None for none; lists item by item."""
    if isinstance(seen, type):
        return isinstance(told, seen)
    if isinstance(seen, dict):
        return all(shows((told or {}).get(name), value) for name, value in seen.items())
    if isinstance(seen, list):
        return len(told) == len(seen) and all(map(shows, told, seen))
    return bool(told == seen)


@pytest.mark.parametrize("name", TABLE)
async def test_calls(world: World, name: str) -> None:
    for number, call in enumerate(TABLE[name]):
        if call is EXPIRE:
            await expire(world)
            continue
        answer = await world.http.post(call.path, json=call.body, headers=call.headers)
        assert answer.status_code == call.status, f"call {number}: {answer.text}"
        assert shows(answer.json(), call.seen or {}), f"call {number}: {answer.text}"
        if (
            call.path.startswith("/v1/locks/L/")
            and answer.status_code == 200
            and "current_status" not in answer.json()
        ):
            seen = (await world.http.get("/v1/locks/L")).json()
            assert seen == {name: answer.json()[name] for name in seen}  # the body of GET, and more


async def expire(world: World, lock_id: str = "L") -> Any:
    """The sweeper's step on a lock that is overdue."""
    await world.hot.hset(f"{{s0}}:lock:{lock_id}", "x", "1")
    await world.hot.zadd("{s0}:due", {lock_id: 1})
    return await world.operations.locks.hot.execute(Expire(lock_id))


# Races


async def test_of_two_tabs_one_wins(world: World) -> None:
    """Each has read the same version: one adds a line, the other is told, and nothing is lost."""
    await world.lock("L", ("A", 1))
    for version in range(1, 11):
        bodies = ({"lines": lines(("A", version + 1))}, {"lines": lines(("A/12", 1))})
        answers = await asyncio.gather(
            *(
                world.http.post(
                    "/v1/locks/L/replace",
                    json=body,
                    headers={"Idempotency-Key": f"{version}-{i}", "If-Match": f'"{version}"'},
                )
                for i, body in enumerate(bodies)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412]
        winner = next(answer.json() for answer in answers if answer.status_code == 200)
        now = (await world.http.get("/v1/locks/L")).json()
        assert (now["lines"], now["version"]) == (winner["lines"], version + 1)


async def test_reopening_against_the_sweeper(world: World) -> None:
    """The sweeper comes with what was due a moment ago: what was reopened meanwhile stays held."""
    await world.lock("L", ("A", 3))
    for _ in range(10):
        await expire(world)
        reopened, swept = await asyncio.gather(
            world.step("L", "reopen", {"ttl_seconds": 60}), world.operations.locks.hot.execute(Expire("L"))
        )
        assert reopened.json()["status"] == "held"
        assert swept.outcome == "NOT_DUE"
        assert (await world.http.get("/v1/locks/L")).json()["status"] == "held"
        assert (await world.http.get("/v1/stock/A")).json()["warehouses"]["north"]["locked"] == 3
        assert await world.hot.zscore("{s0}:due", "L") > 1


async def test_giving_back_against_creating(world: World) -> None:
    """Whichever comes first, nothing is held in the end, and the creation is told so or held for a moment."""
    for number in range(10):
        lock_id = f"race-{number}"
        created, given = await asyncio.gather(
            world.lock(lock_id, ("A", 1)),
            world.http.post("/v1/locks/unlock", json={"lock_ids": [lock_id], "remember": True}),
        )
        assert given.json()["results"] == [{"lock_id": lock_id, "status": "released"}]
        assert (created.status_code, created.json()["status"]) in {(201, "held"), (200, "released")}
        assert (await world.http.get(f"/v1/locks/{lock_id}")).json()["status"] == "released"
    assert await world.sellable("A") == 13


async def test_a_thousand_at_once(world: World) -> None:
    ids = [f"many-{number}" for number in range(1000)]
    given = await world.http.post("/v1/locks/unlock", json={"lock_ids": ids, "remember": True})
    assert given.json()["results"] == [{"lock_id": one, "status": "released"} for one in ids]
    assert problem(await world.http.get("/v1/locks/other"), 503, "unavailable")
