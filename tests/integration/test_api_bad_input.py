"""Bad input on every write route: a 4xx that names the field, and nothing written anywhere."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis.asyncio

from tests.integration.api_client import World, world_on
from tests.integration.conftest import opened


@pytest.fixture(scope="module")
async def world(valkey_url: str) -> AsyncIterator[World]:
    """One world for all of these: none of them may change it."""
    async with opened(valkey_url) as client, world_on(client) as world:
        await world.lock("L1", ("A", 2))
        await world.http.post("/v1/transfers", json=GOOD["/v1/transfers"] | {"transfer_id": "T1"})
        yield world


LINE = {"sku": "A", "quantity": 1}
RETURNED = {**LINE, "condition": "sellable"}
ADJUSTED = {**LINE, "reason": "counted"}

GOOD: dict[str, dict[str, Any]] = {
    "/v1/locks": {"lock_id": "N1", "lines": [LINE]},
    "/v1/locks/L1/unlock": {"lines": [LINE]},
    "/v1/locks/L1/deduct": {"shipment_id": "s1", "lines": [LINE]},
    "/v1/locks/L1/replace": {"lines": [LINE]},
    "/v1/returns": {"return_id": "R1", "warehouse": "north", "lines": [RETURNED]},
    "/v1/adjustments": {"adjustment_id": "A1", "warehouse": "north", "lines": [ADJUSTED]},
    "/v1/transfers": {"transfer_id": "N2", "from": "north", "to": "south", "lines": [LINE]},
    "/v1/transfers/T1/ship": {"shipment_id": "s1", "lines": [LINE]},
    "/v1/transfers/T1/receive": {"receipt_id": "r1", "lines": [LINE]},
}
TIMED = {"/v1/locks": GOOD["/v1/locks"], "/v1/locks/L1/extend": {"ttl_seconds": 5}}
BUFFERS = {"warehouse": "north", "lines": [LINE]}
WRITES = {
    **GOOD,
    **TIMED,
    "/v1/buffers": BUFFERS,
    "/v1/locks/L1/confirm": {},
    "/v1/transfers/T1/cancel": {},
    "/v1/availability": {"skus": ["A"]},
}
IDS = {
    "/v1/locks": "lock_id",
    "/v1/locks/L1/deduct": "shipment_id",
    "/v1/returns": "return_id",
    "/v1/adjustments": "adjustment_id",
    "/v1/transfers": "transfer_id",
    "/v1/transfers/T1/ship": "shipment_id",
    "/v1/transfers/T1/receive": "receipt_id",
}

NO_QUANTITY = [
    "0", "-1", "1.5", '"3"', "true", "false", "null", "1e-3", "1.000001", "NaN", "Infinity", "-Infinity", "1000000001",
    "9007199254740992", "9007199254740993", "18446744073709551616", "1" + "0" * 5000, "-1" + "0" * 5000, "1e400",
    "[]", "{}", '""',
]  # fmt: skip
NO_CODE = [
    "", " A", "A ", ".", "..", "{A}", 'A"', "A\\", "A\n", "A\x00", "\u200b", "e\u0301", "\ud800", "A\udfff", "\u202e",
    "x" * 129, None, 1, True, ["A"], {"A": 1},
]  # fmt: skip


def method_of(route: str) -> str:
    return "PUT" if route == "/v1/buffers" else "POST"


async def post(world: World, route: str, content: str | bytes) -> httpx.Response:
    raw = content if isinstance(content, bytes) else content.encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k1"}
    return await world.http.request(method_of(route), route, content=raw, headers=headers)


def refused(response: httpx.Response, field: str | None = None) -> list[dict[str, str]]:
    assert response.status_code == 422, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["code"] == "invalid_request"
    errors: list[dict[str, str]] = told["errors"]
    assert errors
    assert len(response.content) < 50_000
    if field is not None:
        assert [error["field"] for error in errors] == [field]
    return errors


@pytest.fixture(autouse=True, scope="module")
async def _nothing_was_written(world: World) -> AsyncIterator[None]:
    before = await everything(world.hot)
    yield
    assert await everything(world.hot) == before
    assert all(key.startswith("{s0}:") for key in before)


async def everything(hot: redis.asyncio.Redis) -> dict[str, Any]:
    return {key: await hot.dump(key) async for key in hot.scan_iter()}


@pytest.mark.parametrize("quantity", NO_QUANTITY, ids=lambda text: text[:20])
@pytest.mark.parametrize("route", GOOD)
async def test_quantities(world: World, route: str, quantity: str) -> None:
    if route == "/v1/adjustments" and quantity == "-1":
        pytest.skip("one less is an adjustment")
    text = json.dumps(GOOD[route]).replace('"quantity": 1', f'"quantity": {quantity}')
    refused(await post(world, route, text), "lines[0].quantity")


@pytest.mark.parametrize(
    "ttl", [text for text in NO_QUANTITY if text != "null"] + ["2592001"], ids=lambda text: text[:20]
)
@pytest.mark.parametrize("route", TIMED)
async def test_expiries(world: World, route: str, ttl: str) -> None:
    text = json.dumps({**TIMED[route], "ttl_seconds": "@"}).replace('"@"', ttl)
    refused(await post(world, route, text), "ttl_seconds")


@pytest.mark.parametrize("code", NO_CODE, ids=lambda code: ascii(code)[:20])
@pytest.mark.parametrize("route", GOOD)
async def test_skus(world: World, route: str, code: Any) -> None:
    body = {**GOOD[route], "lines": [{**GOOD[route]["lines"][0], "sku": code}]}
    refused(await post(world, route, json.dumps(body)), "lines[0].sku")


@pytest.mark.parametrize("code", NO_CODE, ids=lambda code: ascii(code)[:20])
@pytest.mark.parametrize("route", IDS)
async def test_ids(world: World, route: str, code: Any) -> None:
    refused(await post(world, route, json.dumps({**GOOD[route], IDS[route]: code})), IDS[route])


@pytest.mark.parametrize("code", [*NO_CODE, "w" * 25], ids=lambda code: ascii(code)[:20])
@pytest.mark.parametrize("route", ["/v1/returns", "/v1/adjustments"])
async def test_warehouses(world: World, route: str, code: Any) -> None:
    refused(await post(world, route, json.dumps({**GOOD[route], "warehouse": code})), "warehouse")


@pytest.mark.parametrize(
    ("route", "change", "field"),
    [
        ("/v1/locks", {"lines": []}, "lines"),
        ("/v1/locks", {"lines": None}, "lines"),
        ("/v1/locks", {"lines": {}}, "lines"),
        ("/v1/locks", {"lines": [1]}, "lines[0]"),
        ("/v1/locks", {"lines": [LINE] * 2001}, "lines"),
        ("/v1/locks", {"lines": [LINE, {"sku": "A"}]}, "lines[1].quantity"),
        ("/v1/locks", {"lines": [{**LINE, "warehouse": "{"}]}, "lines[0].warehouse"),
        ("/v1/locks", {"lines": [{**LINE, "warehouse": ""}]}, "lines[0].warehouse"),
        ("/v1/locks", {"lines": [{**LINE, "price": 3}]}, "lines[0].price"),
        ("/v1/locks", {"warehouses": []}, "warehouses"),
        ("/v1/locks", {"warehouses": "north"}, "warehouses"),
        ("/v1/locks", {"warehouses": ["north", ""]}, "warehouses[1]"),
        ("/v1/locks", {"warehouses": ["n"] * 101}, "warehouses"),
        ("/v1/locks/L1/unlock", {"lines": []}, "lines"),
        ("/v1/locks/L1/unlock", {"reason": ""}, "reason"),
        ("/v1/locks/L1/unlock", {"reason": "a\x00b"}, "reason"),
        ("/v1/locks/L1/unlock", {"reason": "\ud83d"}, "reason"),
        ("/v1/locks/L1/unlock", {"reason": "r" * 501}, "reason"),
        ("/v1/locks/L1/deduct", {"lines": []}, "lines"),
        ("/v1/locks/L1/deduct", {"shipment_id": None}, "shipment_id"),
        ("/v1/returns", {"lines": [{**RETURNED, "condition": "good"}]}, "lines[0].condition"),
        ("/v1/returns", {"lines": [LINE]}, "lines[0].condition"),
        ("/v1/returns", {"lines": [{**RETURNED, "warehouse": "north"}]}, "lines[0].warehouse"),
        ("/v1/returns", {"occurred_at": "yesterday"}, "occurred_at"),
        ("/v1/returns", {"occurred_at": "2025-11-28"}, "occurred_at"),
        ("/v1/returns", {"occurred_at": "2025-11-28T09:30:00"}, "occurred_at"),
        ("/v1/returns", {"occurred_at": "2025-02-30T09:30:00Z"}, "occurred_at"),
        ("/v1/returns", {"occurred_at": "1969-12-31T23:59:59Z"}, "occurred_at"),
        ("/v1/returns", {"occurred_at": "9999-12-31T23:59:59-23:00"}, "occurred_at"),
        ("/v1/returns", {"occurred_at": 1764322200}, "occurred_at"),
        ("/v1/adjustments", {"lines": [LINE]}, "lines[0].reason"),
        ("/v1/adjustments", {"lines": [{**ADJUSTED, "state": "locked"}]}, "lines[0].state"),
        ("/v1/adjustments", {"lines": [{**ADJUSTED, "to_state": "available"}]}, "lines[0].to_state"),
        (
            "/v1/adjustments",
            {"lines": [{**ADJUSTED, "to_state": "damaged", "quantity": -1}]},
            "lines[0].quantity",
        ),
        ("/v1/adjustments", {"lines": [{**ADJUSTED, "quantity": -1_000_000_001}]}, "lines[0].quantity"),
        ("/v1/transfers", {"lines": []}, "lines"),
        ("/v1/transfers", {"lines": [LINE] * 2001}, "lines"),
        ("/v1/transfers", {"from": "w" * 25}, "from"),
        ("/v1/transfers", {"from": None}, "from"),
        ("/v1/transfers", {"to": "{"}, "to"),
        ("/v1/transfers", {"to": "north"}, "to"),
        ("/v1/transfers", {"source": "north"}, "source"),
        ("/v1/transfers", {"lines": [{**LINE, "warehouse": "north"}]}, "lines[0].warehouse"),
        ("/v1/transfers/T1/ship", {"lines": []}, "lines"),
        ("/v1/transfers/T1/ship", {"lines": [{**LINE, "lost": 1}]}, "lines[0].lost"),
        ("/v1/transfers/T1/ship", {"occurred_at": "yesterday"}, "occurred_at"),
        ("/v1/transfers/T1/receive", {"lines": None}, "lines"),
        ("/v1/transfers/T1/receive", {"lines": [{**LINE, "lost": -1}]}, "lines[0].lost"),
        ("/v1/transfers/T1/receive", {"lines": [{**LINE, "damaged": 1.5}]}, "lines[0].damaged"),
        ("/v1/transfers/T1/receive", {"lines": [{"sku": "A", "lost": 1}]}, "lines[0].quantity"),
        ("/v1/transfers/T1/receive", {"lines": [{**LINE, "quantity": 0, "lost": 0}]}, "lines[0].quantity"),
        ("/v1/availability", {"skus": []}, "skus"),
        ("/v1/availability", {"skus": "A"}, "skus"),
        ("/v1/availability", {"skus": ["A", "\ud800"]}, "skus[1]"),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else None,
)
async def test_fields(world: World, route: str, change: dict[str, Any], field: str) -> None:
    refused(await post(world, route, json.dumps({**WRITES[route], **change})), field)


@pytest.mark.parametrize("route", WRITES)
async def test_unknown_fields(world: World, route: str) -> None:
    refused(await post(world, route, json.dumps({**WRITES[route], "ttl": 5})), "ttl")
    refused(await post(world, route, json.dumps({**WRITES[route], "\ud800": 5})))
    refused(await post(world, route, json.dumps({**WRITES[route], "x" * 10_000: 5})))


@pytest.mark.parametrize("route", [route for route in WRITES if route != "/v1/availability"])
async def test_durabilities(world: World, route: str) -> None:
    refused(await post(world, route, json.dumps({**WRITES[route], "durability": "forever"})), "durability")


NO_JSON = {
    "text": b"hello",
    "half": b'{"lock_id": ',
    "two": b"{}{}",
    "blank": b"  ",
    "a list": b"[]",
    "a text": b'"A"',
    "a number": b"1",
    "a comma": b'{"a": 1,}',
    "quotes": b"{'a': 1}",
    "Latin-1": b'{"lock_id": "caf\xe9"}',
    "UTF-16": '{"lock_id": "L"}'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf{}",
    "surrogates as UTF-8": b'{"lock_id": "\xed\xa0\x80"}',
    "twice": b'{"lines": [], "lines": []}',
    "twice, inside": b'{"lines": [{"sku": "A", "sku": "B", "quantity": 1}]}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "NUL": b"\x00",
    "a control character": b'{"lock_id": "\x01"}',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("route", WRITES)
async def test_what_is_not_json(world: World, route: str, body: bytes) -> None:
    refused(await post(world, route, body))


@pytest.mark.parametrize(
    "route", [route for route in WRITES if not route.endswith(("confirm", "unlock", "cancel"))]
)
async def test_empty_bodies(world: World, route: str) -> None:
    refused(await post(world, route, b""), "body")
    refused(await post(world, route, b"null"))


@pytest.mark.parametrize("route", WRITES)
async def test_other_media_types(world: World, route: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"):
        answer = await world.http.request(
            method_of(route), route, content=b"{}", headers={"Content-Type": kind}
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


class Counting:
    """A body in chunks, which knows how many were read."""

    def __init__(self, chunks: int) -> None:
        self.read = 0
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._chunks):
            self.read += 1
            yield b" " * 65_536


@pytest.mark.parametrize("route", WRITES)
async def test_bodies_over_1_mib(world: World, route: str) -> None:
    chunks = Counting(100)
    for content in (b" " * 1_048_577, chunks):
        answer = await world.http.request(
            method_of(route), route, content=content, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert chunks.read < 20
    refused(await post(world, route, b" " * 1_048_576))


async def test_many_errors_are_cut(world: World) -> None:
    lines = [{"sku": "", "quantity": 0}] * 2000
    assert len(refused(await post(world, "/v1/locks", json.dumps({"lock_id": "N", "lines": lines})))) == 100


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ([{"sku": "A", "quantity": -1}], "lines[0].quantity"),
        ([{"sku": "A", "quantity": 1_000_000_001}], "lines[0].quantity"),
        ([{"sku": "A", "quantity": 1.5}], "lines[0].quantity"),
        ([LINE, {"sku": "A", "quantity": 3}], "lines"),
        ([], "lines"),
    ],
)
async def test_buffers_that_mean_nothing(world: World, lines: list[Any], field: str) -> None:
    refused(await post(world, "/v1/buffers", json.dumps({**BUFFERS, "lines": lines})), field)
