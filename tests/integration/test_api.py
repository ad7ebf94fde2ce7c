"""The HTTP API on a real hot store: what works, path by path."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import redis.asyncio

from app.domain.commands import Expire, OpeningRow
from tests.integration.api_client import World, remember, world_on


@pytest.fixture
async def world(hot_client: redis.asyncio.Redis) -> AsyncIterator[World]:
    async with world_on(hot_client, durability_wait_seconds=0.3) as world:
        yield world


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert (told["status"], told["code"]) == (status, code)
    assert {"type", "title", "detail"} <= set(told)
    return told


# Product pages


async def test_a_page_sums_what_each_warehouse_can_sell(world: World) -> None:
    answer = await world.http.get("/v1/availability/A")
    assert answer.json() == {
        "sku": "A",
        "sellable": 13,
        "in_stock": True,
        "version": 2,
        "warehouses": {"north": {"sellable": 8}, "south": {"sellable": 5}},
    }
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"] == '"1-2"'
    assert answer.headers["content-type"] == "application/json"


async def test_warehouses_restrict_sum_and_map(world: World) -> None:
    answer = (await world.http.get("/v1/availability/A?warehouses=south,west")).json()
    assert answer["warehouses"] == {"south": {"sellable": 5}, "west": {"sellable": 0}}
    assert answer["sellable"] == 5


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"1-2"', 304),
        ('W/"1-2"', 304),
        ('"x", "1-2"', 304),
        ('"x",W/"1-2" , "y"', 304),
        ("*", 304),
        ('"1-1"', 200),
        ('"x"', 200),
        ("1-2", 200),
        ("", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_if_none_match(world: World, method: str, condition: str, status: int) -> None:
    answer = await world.http.request(method, "/v1/availability/A", headers={"If-None-Match": condition})
    assert answer.status_code == status
    assert answer.headers["etag"] == '"1-2"'
    assert answer.headers["cache-control"] == "no-cache"
    if status == 304:
        assert answer.content == b""


async def test_head_has_the_headers_of_get_and_no_body(world: World) -> None:
    named = {"X-Request-ID": "r-1"}
    full = await world.http.get("/v1/availability/A", headers=named)
    head = await world.http.head("/v1/availability/A", headers=named)
    assert head.content == b""
    assert dict(head.headers) == dict(full.headers)


async def test_a_version_grows_with_every_change(world: World) -> None:
    await world.lock("L1", ("A", 1))
    answer = await world.http.get("/v1/availability/A", headers={"If-None-Match": '"1-2"'})
    assert (answer.status_code, answer.json()["version"]) == (200, 3)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_lists_tell_known_and_unknown(world: World, method: str) -> None:
    asked = ["B", "X", "A", "B"]
    if method == "GET":
        answer = await world.http.get("/v1/availability", params={"sku": asked})
    else:
        answer = await world.http.post("/v1/availability", json={"skus": asked})
    told = answer.json()
    assert [item["sku"] for item in told["items"]] == ["B", "A"]
    assert told["unknown"] == ["X"]
    assert told["items"][0]["in_stock"] is False


async def test_lists_are_bounded(world: World) -> None:
    fits = await world.http.get("/v1/availability", params={"sku": ["A"] * 200})
    assert fits.status_code == 200
    too_long = await world.http.get("/v1/availability", params={"sku": ["A"] * 201})
    assert problem(too_long, 422, "invalid_request")["errors"][0]["field"] == "sku"
    assert (await world.http.post("/v1/availability", json={"skus": ["A"] * 1000})).status_code == 200
    problem(await world.http.post("/v1/availability", json={"skus": ["A"] * 1001}), 422, "invalid_request")


async def test_the_last_known_answer_while_the_store_is_shut(world: World) -> None:
    await world.http.get("/v1/availability/A")
    await world.hot.flushall()
    answer = await world.http.get("/v1/availability/A")
    assert (answer.status_code, answer.json()["stale"], answer.json()["sellable"]) == (200, True, 13)
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    never_seen = await world.http.get("/v1/availability/B")
    problem(never_seen, 503, "not_ready")
    assert never_seen.headers["retry-after"] == "1"
    problem(await world.http.get("/v1/availability?sku=A&sku=B"), 503, "not_ready")
    problem(await world.lock("L1", ("A", 1)), 503, "not_ready")
    problem(await world.http.get("/v1/stock/A"), 503, "not_ready")


async def test_a_stale_answer_ends(hot_client: redis.asyncio.Redis) -> None:
    async with world_on(hot_client, stale_seconds_max=0) as world:
        await world.http.get("/v1/availability/A")
        await hot_client.flushall()
        problem(await world.http.get("/v1/availability/A"), 503, "not_ready")


# Paths


@pytest.mark.parametrize(
    ("segment", "sku"),
    [
        ("A%2F12", "A/12"),
        ("A%2f12", "A/12"),
        ("BANK%20CHARGES", "BANK CHARGES"),
        ("Gr%C3%B6%C3%9Fe", "Größe"),
        ("%41", "A"),
        ("Gr\u00c3\u00b6\u00c3\u009fe", "Größe"),
    ],
)
@pytest.mark.parametrize("route", ["/v1/availability/", "/v1/stock/"])
async def test_a_sku_in_a_path(world: World, route: str, segment: str, sku: str) -> None:
    answer = await world.at("GET", route + segment)
    assert (answer.status_code, answer.json()["sku"]) == (200, sku)


@pytest.mark.parametrize(
    "segment",
    [
        ".",
        "..",
        "%2E%2E",
        "%2e",
        "%",
        "%2",
        "%zz",
        "%ff",
        "\xff",
        "%C3%28",
        "%20A",
        "A%20",
        "%00",
        "%0A",
        "A%0A",
        "%7B",
        "%22",
        "%5C",
        "a" * 129,
        "e%CC%81",
        "%ED%A0%80",
    ],
)
@pytest.mark.parametrize(
    ("method", "before", "after", "name"),
    [
        ("GET", "/v1/availability/", "", "sku"),
        ("HEAD", "/v1/availability/", "", "sku"),
        ("GET", "/v1/stock/", "", "sku"),
        ("GET", "/v1/locks/", "", "lock_id"),
        ("POST", "/v1/locks/", "/confirm", "lock_id"),
        ("POST", "/v1/locks/", "/unlock", "lock_id"),
    ],
)
async def test_a_bad_code_in_a_path(
    world: World, method: str, before: str, after: str, name: str, segment: str
) -> None:
    answer = await world.at(method, before + segment + after)
    assert answer.status_code == 422
    if method != "HEAD":
        assert problem(answer, 422, "invalid_request")["errors"][0]["field"] == name


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/availability/", "/v1/availability/A/12", "/v1/locks/", "/nope"]
)
async def test_unknown_paths(world: World, path: str) -> None:
    problem(await world.at("GET", path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/availability", "GET, POST"),
        ("PUT", "/v1/availability/A", "GET, HEAD"),
        ("PUT", "/v1/locks", "GET, POST"),
        ("POST", "/v1/locks/L1", "GET"),
        ("BREW", "/v1/returns", "POST"),
    ],
)
async def test_methods_that_are_not_offered(world: World, method: str, path: str, allowed: str) -> None:
    answer = await world.at(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


async def test_unknown_skus_and_locks(remembering: World) -> None:
    for path, code in (
        ("/v1/availability/X", "unknown_sku"),
        ("/v1/stock/X", "unknown_sku"),
        ("/v1/locks/X", "unknown_lock"),
    ):
        problem(await remembering.http.get(path), 404, code)
    for step, body in (("confirm", None), ("unlock", {}), ("deduct", {"shipment_id": "s"})):
        problem(await remembering.step("X", step, body), 404, "unknown_lock")


@pytest.mark.parametrize(
    "query",
    ["?warehouses=a&warehouses=b", "?warehouses=", "?warehouses=a,,b", "?warehouses=%ff",
     "?warehouses=%zz", "?as_of=2025-01-01", "?%ff=1"],
)  # fmt: skip
async def test_bad_queries(world: World, query: str) -> None:
    problem(await world.at("GET", "/v1/availability/A" + query), 422, "invalid_request")


async def test_the_past_needs_postgres(world: World) -> None:
    for path in ("stock/A", "stock/A/explain", "locks/L"):
        target = f"/v1/{path}?as_of=2025-01-01T00:00:00Z"
        problem(await world.http.get(target), 503, "unavailable")


# Checkout


async def test_a_lock_from_its_creation_to_its_shipments(world: World) -> None:
    created = await world.lock("L1", ("A", 2), ("A", 1))
    told = created.json()
    assert created.status_code == 201
    assert told["lines"] == [{"sku": "A", "warehouse": "north", "quantity": 3, "deducted": 0}]
    assert (told["status"], told["durability"], told["position"]) == ("held", "disk", "s0-1-2")
    assert told["expires_at"].endswith("Z")
    assert (await world.http.get("/v1/locks/L1")).json() == {
        name: told[name] for name in ("lock_id", "status", "expires_at", "lines", "version")
    }
    confirmed = (await world.step("L1", "confirm")).json()
    assert (confirmed["status"], confirmed["expires_at"]) == ("confirmed", None)
    first = await world.step("L1", "deduct", {"shipment_id": "s1", "lines": [{"sku": "A", "quantity": 1}]})
    assert first.json()["status"] == "partly_deducted"
    again = await world.step("L1", "deduct", {"shipment_id": "s1", "lines": [{"sku": "A", "quantity": 1}]})
    assert again.json() == first.json() | {"current_status": "partly_deducted"}
    other = await world.step("L1", "deduct", {"shipment_id": "s1"})
    problem(other, 409, "shipment_id_reused")
    assert (await world.step("L1", "deduct", {"shipment_id": "s2"})).json()["status"] == "deducted"
    refused = problem(await world.step("L1", "unlock"), 409, "lock_not_held")
    assert (refused["current_status"], refused["lock_id"]) == ("deducted", "L1")
    stock = (await world.http.get("/v1/stock/A")).json()
    assert stock["warehouses"]["north"] == {
        "on_hand": 7, "available": 7, "locked": 0, "damaged": 0, "in_transit": 0, "buffer": 2, "sellable": 5,
    }  # fmt: skip


async def test_creating_again(world: World) -> None:
    first = await world.lock("L1", ("A", 2))
    await world.step("L1", "confirm")
    again = await world.lock("L1", ("A", 1), ("A", 1))
    assert again.status_code == 200
    assert again.json() == first.json() | {"current_status": "confirmed"}
    problem(await world.lock("L1", ("A", 3)), 409, "lock_id_reused")


async def test_every_shortage_is_told(world: World) -> None:
    refused = await world.lock("L1", ("A", 14), ("B", 1, "north"), ("X", 2), ("A/12", 1))
    assert problem(refused, 409, "insufficient_stock")["shortages"] == [
        {"sku": "A", "requested": 14, "sellable": 13},
        {"sku": "B", "warehouse": "north", "requested": 1, "sellable": 0},
        {"sku": "X", "requested": 2, "sellable": 0, "unknown": True},
    ]
    assert await world.sellable("A%2F12") == 4


async def test_expiry(world: World) -> None:
    assert (await world.lock("L1", ("A", 1), ttl_seconds=None)).json()["expires_at"] is None
    assert (await world.lock("L2", ("A", 1), ttl_seconds=2_592_000)).status_code == 201
    extended = await world.step("L2", "extend", {"ttl_seconds": None})
    assert extended.json()["expires_at"] is None
    problem(await world.step("L2", "extend", {}), 422, "invalid_request")


async def test_an_expired_lock_at_confirm(world: World) -> None:
    await world.lock("L1", ("A/12", 3))
    await world.hot.hset("{s0}:lock:L1", "x", "1")
    await world.operations.locks.hot.execute(Expire("L1"))
    await world.lock("L2", ("A/12", 2))
    told = problem(await world.step("L1", "confirm"), 409, "lock_expired")
    assert told["shortages"] == [{"sku": "A/12", "requested": 3, "sellable": 2}]
    assert told["current_status"] == "expired"
    problem(await world.step("L1", "extend", {"ttl_seconds": 5}), 409, "lock_expired")
    await world.step("L2", "unlock")
    assert (await world.step("L1", "confirm")).json()["status"] == "confirmed"


async def test_unlocking_some_needs_a_key(world: World) -> None:
    await world.lock("L1", ("A", 13))
    some = {"lines": [{"sku": "A", "quantity": 1, "warehouse": "north"}], "reason": 'changed "mind"\u00a0é'}
    told = problem(await world.step("L1", "unlock", some), 422, "invalid_request")
    assert told["errors"][0]["field"] == "Idempotency-Key"
    first = await world.step("L1", "unlock", some, key="k1")
    assert first.status_code == 200
    assert (await world.step("L1", "unlock", some, key="k1")).json()["lines"] == first.json()["lines"]
    some["lines"][0]["quantity"] = 2
    problem(await world.step("L1", "unlock", some, key="k1"), 409, "idempotency_key_reused")
    await world.step("L1", "unlock")
    assert (await world.step("L1", "unlock")).json()["status"] == "released"
    assert await world.sellable("A") == 13


async def test_a_sku_held_in_several_warehouses_must_name_one(world: World) -> None:
    await world.lock("L1", ("A", 13))
    lines = [{"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 1}]
    told = problem(
        await world.step("L1", "deduct", {"shipment_id": "s", "lines": lines}), 422, "invalid_request"
    )
    assert [error["field"] for error in told["errors"]] == ["lines[1].warehouse"]


async def test_more_than_the_lock_holds(world: World) -> None:
    await world.lock("L1", ("A", 2))
    lines = [{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}]
    told = problem(
        await world.step("L1", "deduct", {"shipment_id": "s", "lines": lines}), 409, "quantity_exceeds_lock"
    )
    assert told["exceeding"] == [
        {"sku": "A", "warehouse": "north", "requested": 3, "held": 2},
        {"sku": "B", "requested": 1, "held": 0},
    ]


async def test_replacing(world: World) -> None:
    await world.lock("L1", ("A", 2))
    body = {"lines": [{"sku": "A/12", "quantity": 4}], "warehouses": ["north"]}
    problem(await world.step("L1", "replace", body), 422, "invalid_request")
    replaced = await world.step("L1", "replace", body, key="r1")
    assert [line["sku"] for line in replaced.json()["lines"]] == ["A/12"]
    assert (await world.step("L1", "replace", body, key="r1")).json()["lines"] == replaced.json()["lines"]
    body["lines"] = [{"sku": "A/12", "quantity": 5}]
    told = problem(await world.step("L1", "replace", body, key="r2"), 409, "insufficient_stock")
    assert told["shortages"][0]["sku"] == "A/12"


@pytest.mark.parametrize(
    "headers",
    [
        [("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
        [("Idempotency-Key", " ")],
        [("Idempotency-Key", "{")],
        [("Idempotency-Key", b"\xff")],
        [("Idempotency-Key", "k" * 129)],
    ],
)
async def test_bad_keys(world: World, headers: list[tuple[str, str]]) -> None:
    await world.lock("L1", ("A", 2))
    told = problem(await world.http.post("/v1/locks/L1/confirm", headers=headers), 422, "invalid_request")
    assert told["errors"][0]["field"] == "Idempotency-Key"


async def test_a_lock_that_only_the_ledger_remembers(remembering: World, emptied_database_url: str) -> None:
    remember(emptied_database_url, "lock", "old", {"s": "deducted", "v": 2, "n": [["A", "north", 1, 1]]})
    told = (await remembering.http.get("/v1/locks/old")).json()
    assert (told["status"], told["lines"][0]["deducted"]) == ("deducted", 1)


async def test_a_lock_that_nobody_remembers_without_a_ledger(world: World) -> None:
    await world.lock("L1", ("A", 1))
    answer = await world.http.get("/v1/locks/other")
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert (await world.http.get("/v1/locks/L1")).status_code == 200


async def test_200_clients_and_100_units(world: World) -> None:
    await world.operations.openings.book([OpeningRow("hot", "north", 100)])

    async def buy(order: str) -> int:
        while (status := (await world.lock(order, ("hot", 1))).status_code) == 503:
            pass  # "repeat it with the same id": on a crowded machine a deadline may pass
        return status

    statuses = await asyncio.gather(*(buy(f"order-{i}") for i in range(200)))
    assert sum(status in {200, 201} for status in statuses) == 100  # 200: the repeat of one that had happened
    assert statuses.count(409) == 100
    assert await world.sellable("hot") == 0


async def test_backlog_full(world: World) -> None:
    await world.hot.hset("{s0}:meta", "outbox_max", "1")
    answer = await world.lock("L1", ("A", 1))
    problem(answer, 503, "backlog_full")
    assert answer.headers["retry-after"] == "1"


# Durability


async def test_the_level_ledger_is_waited_for(world: World) -> None:
    waiting = asyncio.create_task(world.lock("L1", ("A", 1), durability="ledger"))
    await asyncio.sleep(0)
    world.persisted[0] = "1-2"
    assert (await waiting).json()["durability"] == "ledger"


@pytest.mark.parametrize(
    ("persisted", "reached"),
    [("", "disk"), ("1-1", "disk"), ("1-2", "ledger"), ("1-9", "ledger")],
)
async def test_never_more_is_claimed_than_was_reached(world: World, persisted: str, reached: str) -> None:
    world.persisted[0] = persisted
    assert (await world.lock("L1", ("A", 1), durability="ledger")).json()["durability"] == reached


async def test_what_the_ledger_went_on_without_is_not_acknowledged(world: World) -> None:
    world.persisted[0] = "2-0"
    problem(await world.lock("L1", ("A", 1), durability="ledger"), 503, "outcome_unknown")


@pytest.mark.parametrize("asked", ["memory", "disk", "replica"])
async def test_other_levels_are_what_the_hot_store_gives(world: World, asked: str) -> None:
    assert (await world.lock("L1", ("A", 1), durability=asked)).json()["durability"] == "disk"


# Warehouse


async def test_a_return(world: World) -> None:
    happened = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    body = {
        "return_id": "R1",
        "warehouse": "north",
        "occurred_at": happened.astimezone(timezone(timedelta(hours=1))).isoformat().replace("+01", ".5+01"),
        "lines": [
            {"sku": "A", "quantity": 2, "condition": "sellable"},
            {"sku": "A", "quantity": 1, "condition": "damaged"},
            {"sku": "A", "quantity": 1, "condition": "sellable"},
        ],
    }
    booked = await world.http.post("/v1/returns", json=body)
    assert booked.status_code == 201
    told = booked.json()
    assert told["lines"] == [
        {"sku": "A", "quantity": 3, "condition": "sellable"},
        {"sku": "A", "quantity": 1, "condition": "damaged"},
    ]
    assert (told["occurred_at"], told["durability"]) == (f"{happened:%Y-%m-%dT%H:%M:%S}.500Z", "disk")
    again = await world.http.post("/v1/returns", json=body)
    assert (again.status_code, again.json()) == (200, told)
    counts = (await world.http.get("/v1/stock/A")).json()["warehouses"]["north"]
    assert (counts["available"], counts["damaged"]) == (13, 1)
    problem(await world.http.post("/v1/returns", json=body | {"warehouse": "south"}), 409, "return_id_reused")


async def test_an_adjustment(world: World) -> None:
    def body(number: int, **line: Any) -> dict[str, Any]:
        line = {"sku": "A", "reason": "counted", **line}
        return {"adjustment_id": f"A{number}", "warehouse": "north", "lines": [line]}

    async def counts() -> tuple[int, int]:
        told = (await world.http.get("/v1/stock/A")).json()["warehouses"]["north"]
        return told["available"], told["damaged"]

    for number, line, expected in (
        (1, {"quantity": 5}, (15, 0)),
        (2, {"quantity": -3}, (12, 0)),
        (3, {"quantity": 4, "to_state": "damaged"}, (8, 4)),
        (4, {"quantity": 1, "state": "damaged", "to_state": "available"}, (9, 3)),
        (5, {"quantity": -1, "state": "damaged"}, (9, 2)),
        (6, {"quantity": -20}, (-11, 2)),
    ):
        booked = await world.http.post("/v1/adjustments", json=body(number, **line))
        assert (booked.status_code, await counts()) == (201, expected)
        again = await world.http.post("/v1/adjustments", json=body(number, **line))
        assert (again.status_code, again.json()) == (200, booked.json())
    refused = await world.http.post("/v1/adjustments", json=body(7, quantity=-3, state="damaged"))
    assert problem(refused, 409, "insufficient_damaged")["shortages"] == [
        {"sku": "A", "warehouse": "north", "requested": 3, "sellable": 2}
    ]
    problem(await world.http.post("/v1/adjustments", json=body(1, quantity=6)), 409, "adjustment_id_reused")
    assert await world.sellable("A") == 5


async def test_buffers(world: World) -> None:
    async def put(units: int) -> dict[str, Any]:
        body = {"warehouse": "north", "lines": [{"sku": "A", "quantity": units}, {"sku": "B", "quantity": 0}]}
        told = await world.http.put("/v1/buffers", json=body)
        assert told.status_code == 200
        return dict(told.json())

    before = (await world.http.get("/v1/stock/A")).json()["version"]
    told = await put(7)
    assert (told["lines"][0], told["durability"]) == ({"sku": "A", "quantity": 7}, "disk")
    stock = (await world.http.get("/v1/stock/A")).json()
    assert (stock["version"], stock["warehouses"]["north"]["buffer"]) == (before + 1, 7)
    assert await world.sellable("A") == 3 + 5
    assert await put(7) == told
    await put(0)
    assert await world.sellable("A") == 10 + 5


# Running it


async def test_alive_ready_and_figures(world: World) -> None:
    assert (await world.http.get("/livez")).status_code == 200
    assert (await world.http.get("/readyz")).status_code == 200
    world.health.reasons.append("the hot store cannot be reached")
    answer = await world.http.get("/readyz")
    assert problem(answer, 503, "not_ready")["reasons"] == world.health.reasons
    assert answer.headers["retry-after"] == "1"
    await world.lock("L1", ("A", 1))
    await world.at("BREW", "/somewhere")
    figures = (await world.http.get("/metrics")).text
    assert 'sellable_http_requests_total{method="POST",route="/v1/locks",status="201"} 1.0' in figures
    assert 'method="other",route="unmatched",status="404"' in figures
    assert 'sellable_outcomes_total{command="lock",outcome="LOCKED"} 1.0' in figures


async def test_what_nobody_expected_is_a_problem_too(world: World) -> None:
    await world.hot.set("{s0}:stock:broken", "no hash")
    problem(await world.http.get("/v1/stock/broken"), 500, "internal_error")


async def test_docs(world: World) -> None:
    page = await world.http.get("/docs")
    assert page.status_code == 200
    assert "/openapi.json" in page.text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) == 3  # all from here: a shop's network may reach nobody else
    assert [(await world.http.get(part)).status_code for part in parts] == [200, 200, 200]
    schema = (await world.http.get("/openapi.json")).json()
    assert len(schema["paths"]) >= 33
    errors = schema["paths"]["/v1/locks"]["post"]["responses"]
    told = {200, 201, 400, 401, 403, 408, 409, 413, 414, 415, 422, 429, 431, 500, 503}
    assert told == set(map(int, errors))
    assert list(errors["409"]["content"]) == ["application/problem+json"]


# Keys

KEYS = "web:r-secret:read,shop:c-secret:checkout,wms:w-secret:read+warehouse,boss:a-secret:admin"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/availability/A", "read"),
        ("GET", "/v1/availability?sku=A", "read"),
        ("POST", "/v1/availability", "read"),
        ("GET", "/v1/stock/A", "read"),
        ("GET", "/v1/locks/L1", "read"),
        ("POST", "/v1/locks", "checkout"),
        ("POST", "/v1/locks/L1/confirm", "checkout"),
        ("POST", "/v1/locks/L1/extend", "checkout"),
        ("POST", "/v1/locks/L1/unlock", "checkout"),
        ("POST", "/v1/locks/L1/deduct", "checkout"),
        ("POST", "/v1/locks/L1/replace", "checkout"),
        ("POST", "/v1/returns", "warehouse"),
        ("POST", "/v1/adjustments", "warehouse"),
        ("POST", "/v1/exchanges", "warehouse"),
        ("POST", "/v1/transfers", "warehouse"),
        ("GET", "/v1/transfers/T1", "read"),
        ("POST", "/v1/transfers/T1/ship", "warehouse"),
        ("POST", "/v1/transfers/T1/receive", "warehouse"),
        ("POST", "/v1/transfers/T1/cancel", "warehouse"),
        ("PUT", "/v1/buffers", "warehouse"),
    ],
)
async def test_scopes(hot_client: redis.asyncio.Redis, method: str, path: str, scope: str) -> None:
    scopes = {"r-secret": "read", "c-secret": "checkout", "w-secret": "read warehouse", "a-secret": "all"}
    async with world_on(hot_client, api_keys=KEYS) as world:
        for secret, covers in scopes.items():
            answer = await world.http.request(
                method, path, headers={"Authorization": f"Bearer {secret}"}, content=b"not json"
            )
            allowed = scope in covers or covers == "all"
            assert (answer.status_code != 403) == allowed
            if not allowed:
                problem(answer, 403, "forbidden")
        for wrong in ("Bearer nope", "Bearer", "Basic r-secret", "r-secret", "Bearer \u00e9"):
            answer = await world.http.request(
                method, path, headers={"Authorization": wrong.encode("latin-1")}, content=b"not json"
            )
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        problem(await world.http.request(method, path, content=b"x" * 2_000_000), 401, "unauthorized")


async def test_open_routes_and_who(hot_client: redis.asyncio.Redis) -> None:
    async with world_on(hot_client, api_keys=KEYS) as world:
        for path in ("/livez", "/readyz"):
            assert (await world.http.get(path)).status_code == 200
        for path in ("/metrics", "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"):
            problem(await world.http.get(path), 401, "unauthorized")
            for secret, status in (("r-secret", 200), ("c-secret", 403)):
                given = {"Authorization": f"Bearer {secret}"}
                assert (await world.http.get(path, headers=given)).status_code == status
        body = {"lock_id": "L1", "lines": [{"sku": "A", "quantity": 1}]}
        await world.http.post("/v1/locks", json=body, headers={"Authorization": "bearer c-secret"})
        ((_, fields),) = await hot_client.xrevrange("{s0}:outbox", count=1)
        assert '"shop"' in fields["e"]


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 201), ("none", 201)]
)
async def test_pages_of_other_sites_do_not_write_without_keys(world: World, site: str, status: int) -> None:
    body = {"lock_id": "L1", "lines": [{"sku": "A", "quantity": 1}]}
    answer = await world.http.post("/v1/locks", json=body, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == status
    assert (await world.http.get("/v1/stock/A", headers={"Sec-Fetch-Site": site})).status_code == 200


async def test_the_largest_order(world: World) -> None:
    skus = [f"{i:04d}" + "ß" * 60 for i in range(2000)]
    await world.operations.openings.book([OpeningRow(sku, "north", 1) for sku in skus])
    lines = [(sku, 1) for sku in skus]
    created = await world.lock("big", *lines)
    assert created.status_code == 201
    assert len(created.json()["lines"]) == 2000
    assert (await world.lock("big", *reversed(lines))).status_code == 200
    refused = await world.lock("bigger", *lines)
    assert len(problem(refused, 409, "insufficient_stock")["shortages"]) == 2000
    swapped = await world.step("big", "replace", {"lines": [{"sku": skus[0], "quantity": 1}]}, key="r")
    assert len(swapped.json()["lines"]) == 1
    assert (await world.lock("bigger", *lines[1:])).status_code == 201
    shipped = await world.step("bigger", "deduct", {"shipment_id": "s"})
    assert shipped.json()["status"] == "deducted"
