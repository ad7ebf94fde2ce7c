"""The short way answers what the application would: the same requests, three ways, byte for byte."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.api import auth
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import line
from tests.hot import JSON, Api, Reply, ask, post, request, served

KEYS = "shop:s-read:read,till:s-till:checkout,both:s-both:read+checkout"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def apis(redis_server: EmbeddedValkey) -> Iterator[list[Api]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "FRESH_SECONDS", 30.0)  # a machine that is busy for a moment makes pages stale
        with served(redis_server.url, durability_wait_seconds=0.01) as (_, apis):
            yield apis


def same(apis: list[Api], raw: bytes) -> Reply:
    """Ask all of them; a page may be behind for a moment, never for longer than the bound."""
    deadline = time.monotonic() + 1.0
    replies = {api.kind: ask(api.port, raw) for api in apis}
    is_read = not raw.startswith(b"POST /v1/locks")
    while (
        is_read
        and len({str(reply.essence) for reply in replies.values()}) > 1
        and time.monotonic() < deadline
    ):
        replies = {api.kind: ask(api.port, raw) for api in apis}
    for kind, reply in replies.items():
        if kind == "protocol" and reply.header("connection") == "close" and reply.status == 400:
            # The parser's refusal: uvicorn's own has no problem in it.
            assert (reply.status, reply.header("content-type")) == (400, "application/problem+json"), raw[
                :300
            ]
            assert replies["plain"].status == 400
            continue
        assert reply.essence == replies["plain"].essence, f"{kind} differs on {raw[:300]!r}"
    return replies["plain"]


def lock_id() -> str:
    return f"L{next(_numbers)}"


def order(name: str, *lines: tuple[Any, ...], **more: Any) -> str:
    listed = [dict(zip(("sku", "quantity", "warehouse"), line, strict=False)) for line in lines]
    return json.dumps({"lock_id": name, "lines": listed, **more})


# Product pages

TARGETS = [
    "/v1/availability/A", "/v1/availability/B", "/v1/availability/nobody", "/v1/availability/", "/v1/availability",
    "/v1/availability/%41", "/v1/availability/A%2F12", "/v1/availability/A%2f12", "/v1/availability/A/12",
    "/v1/availability/BANK%20CHARGES", "/v1/availability/BANK+CHARGES", "/v1/availability/%42ANK%20CHARGES",
    "/v1/availability/Gr%C3%B6%C3%9Fe", "/v1/availability/Gro%CC%88%C3%9Fe", "/v1/availability/%C3", "/v1/availability/%",
    "/v1/availability/%2", "/v1/availability/%zz", "/v1/availability/A%", "/v1/availability/%00", "/v1/availability/%20A",
    "/v1/availability/.", "/v1/availability/..", "/v1/availability/%2E%2E", "/v1/availability/%7BA%7D", "/v1/availability/%22",
    "/v1/availability/" + "x" * 64, "/v1/availability/" + "x" * 65, "/v1/availability/A;x", "/v1/availability/A,B",
    "/v1/availability/A?", "/v1/availability/A?x=1", "/v1/availability/A?warehouses=south",
    "/v1/availability/A?warehouses=north,south", "/v1/availability/A?warehouses=", "/v1/availability/A?warehouses=west",
    "/v1/availability/A?warehouses=a&warehouses=b", "/v1/availability/A#x", "/v1/availability/A?warehouses=%",
    "/v1/availability//A", "//v1/availability/A", "/v1/availability/A/", "/V1/availability/A", "/v1/./availability/A",
    "/v1/availability/..%2FA", "/v1/%61vailability/A", "/v1/availability/A%3Fx", "/v1/availability/A%23x",
    "http://shop/v1/availability/A", "http://shop/v1/availability/A?warehouses=south", "*", "/",
    "/v1/availability?sku=A", "/v1/availability?sku=A&sku=B", "/v1/availability?sku=B&sku=A&sku=B",
    "/v1/availability?sku=A&sku=nobody", "/v1/availability?sku=nobody", "/v1/availability?sku=", "/v1/availability?",
    "/v1/availability?sku=A&", "/v1/availability?&sku=A", "/v1/availability?sku=A;sku=B", "/v1/availability?sku=%41",
    "/v1/availability?sku=A%2F12&sku=A", "/v1/availability?sku=A/12&sku=A", "/v1/availability?sku=BANK+CHARGES",
    "/v1/availability?sku=BANK%20CHARGES&sku=A", "/v1/availability?sku=A&x=1", "/v1/availability?SKU=A",
    "/v1/availability?sku=A=B", "/v1/availability?sku=A&sku", "/v1/availability?sku=A#sku=B", "/v1/availability?sku=.",
    "/v1/availability?sku=A&sku=..", "/v1/availability?sku={A}", "/v1/availability?sku=Gr%C3%B6%C3%9Fe",
    "/v1/availability?" + "&".join(["sku=A"] * 200), "/v1/availability?" + "&".join(["sku=A"] * 201),
    "/v1/availability?" + "&".join(f"sku=N{i}" for i in range(200)), "/v1/availability?sku=" + "x" * 65,
    "/v1/availability?%73ku=A", "/v1/availability?sku=A&sku=%", "/v1/availability?warehouses=north&sku=A",
    "/v1/locks", "/v1/locks/nobody", "/v1/locks/nobody/confirm", "/livez", "/nowhere", "/v1/availability/A?%00",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", TARGETS)
def test_pages(apis: list[Api], method: str, target: str) -> None:
    same(apis, request(method, target))
    same(apis, request(method, target))  # once from the cache, if it can be


@pytest.mark.parametrize("target", [b"/v1/availability/Gr\xc3\xb6\xc3\x9fe", b"/v1/availability/\xff", b"/v1/availability?sku=\xc3\xb6", b"/v1/availability/A\x01"])  # fmt: skip
def test_targets_that_are_not_ascii(apis: list[Api], target: bytes) -> None:
    """uvicorn refuses them in plain text, our protocol with a problem."""
    replies = {api.kind: ask(api.port, request("GET", target)) for api in apis}
    assert {kind: reply.status for kind, reply in replies.items()} == dict.fromkeys(replies, 400)
    assert json.loads(replies["protocol"].body)["code"] == "malformed_request"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "POST", "TRACE", "PROPFIND"])
@pytest.mark.parametrize(
    "target", ["/v1/availability/A", "/v1/availability?sku=A", "/v1/locks", "/v1/locks/L/confirm"]
)
def test_methods(apis: list[Api], method: str, target: str) -> None:
    same(apis, request(method, target, b""))


CONDITIONS = [
    ['"1-2"'], ['W/"1-2"'], ['w/"1-2"'], ['"x", "1-2"'], ['"x",W/"1-2" , "y"'], ["*"], [" * "], ['*, "1-1"'], ['"1-1"'],
    ["1-2"], [""], ['"x"', '"1-2"'], ["*", "*"], ["*", '"x"'], ['"1-2"\t'], ['"1-2";'], ['""1-2""'], [b'"1-2"\xa0'],
    [b"\xff"], ["W/W/"],
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("conditions", CONDITIONS)
def test_if_none_match(apis: list[Api], method: str, conditions: list[str | bytes]) -> None:
    tag = same(apis, request("GET", "/v1/availability/A")).header("etag")
    assert tag
    for i, value in enumerate(conditions):
        raw = value if isinstance(value, bytes) else value.encode()
        conditions = [*conditions[:i], raw.replace(b'"1-2"', tag.encode()), *conditions[i + 1 :]]
    named = [("If-None-Match", value) for value in conditions]
    for target in ("/v1/availability/A", "/v1/availability/nobody", "/v1/availability?sku=A"):
        same(apis, request(method, target, headers=named))


HEADERS = [
    [("Connection", "close")], [("Accept", "text/html")], [("Accept-Encoding", "gzip")], [("Sec-Fetch-Site", "cross-site")],
    [("Content-Encoding", "gzip")], [("Idempotency-Key", "k")], [("Authorization", "Bearer x")], [("Range", "bytes=0-1")],
    [("If-Match", '"x"')], [("If-Modified-Since", "Mon, 01 Jan 2035 00:00:00 GMT")], [("Origin", "http://x")],
    [("Upgrade", "websocket"), ("Connection", "Upgrade")], [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")],
    [("X-Long", "x" * 20_000)], [("Cookie", "a=b")], [("Content-Type", "text/plain")],
]  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: headers[0][0])
def test_headers(apis: list[Api], headers: list[tuple[str, str]]) -> None:
    same(apis, request("GET", "/v1/availability/A", headers=headers))
    same(apis, post("/v1/locks", order(lock_id(), ("A/12", 1)), *headers))


def test_a_page_may_have_a_body(apis: list[Api]) -> None:
    same(apis, request("GET", "/v1/availability/A", b"x" * 1000))
    same(apis, request("GET", "/v1/availability/A", b""))


def test_clean_requests_take_the_short_way(apis: list[Api]) -> None:
    """Else all of this would compare the application with itself."""
    name = lock_id()
    lock = order(name, ("A/12", 2)).encode()
    page = request("GET", "/v1/availability/A%2F12")
    tag = ask(apis[0].port, page).header("etag")
    assert tag
    clean = [
        page,
        request("HEAD", "/v1/availability/A%2F12"),
        request("GET", "/v1/availability/A%2F12", headers=[("If-None-Match", tag)]),
        request("GET", "/v1/availability?sku=A&sku=B"),
        post("/v1/locks", lock),
        post("/v1/locks", lock),
        post("/v1/locks", lock.replace(b": 2", b": 3")),
        post("/v1/locks", order(lock_id(), ("B", 99))),
        request("POST", f"/v1/locks/{name}/confirm"),
        post(f"/v1/locks/{name}/confirm", '{"durability":"memory"}'),
        post(f"/v1/locks/{name}/deduct", '{"shipment_id":"s1"}'),
        request("POST", f"/v1/locks/{name}/unlock"),
    ]
    for raw in clean:
        for api in apis:
            api.cold.clear()
            reply = ask(api.port, raw)
            assert bool(api.cold) is (api.kind == "plain"), (api.kind, raw, reply)


# Checkout


def test_a_locks_whole_life(apis: list[Api]) -> None:
    one, two, three, four = (lock_id() for _ in range(4))
    assert same(apis, post("/v1/locks", order(one, ("Z", 2)))).status == 201
    repeated = same(apis, post("/v1/locks", order(one, ("Z", 2))))
    assert (repeated.status, json.loads(repeated.body)["current_status"]) == (200, "held")
    assert same(apis, post("/v1/locks", order(one, ("Z", 3)))).status == 409
    assert same(apis, post("/v1/locks", order(two, ("Z", 1_000_000), ("nobody", 1)))).status == 409
    steps = [
        f"/v1/locks/{name}/{step}" for name in (one, "nobody") for step in ("confirm", "unlock", "deduct")
    ]
    for body in (
        None,
        "",
        "{}",
        "null",
        "[]",
        '{"durability":"memory"}',
        '{"durability":"ledger"}',
        "{",
        '{"x":1}',
    ):
        for target in steps:
            raw = body.encode() if body is not None else None
            same(apis, request("POST", target, raw))
            same(apis, request("POST", target, raw, [JSON]))
            same(apis, request("POST", target, raw, [JSON, ("Idempotency-Key", "k1")]))
    same(apis, post("/v1/locks", order(three, ("Z", 1), ("Z", 1, "south"), ("Z", 1, "south"), ("B", 1))))
    same(apis, post("/v1/locks", order(three, ("Z", 1), ("Z", 1, "south"), ("Z", 1, "south"))))
    for target in (f"/v1/locks/{three}/confirm", f"/v1/locks/{three}/confirm", f"/v1/locks/{three}/unlock"):
        same(apis, request("POST", target))
    same(apis, post("/v1/locks", order(four, ("Z", 2), ttl_seconds=None)))
    for shipment in ("s1", "s1", "s2"):
        same(apis, post(f"/v1/locks/{four}/deduct", json.dumps({"shipment_id": shipment})))
    same(apis, request("POST", f"/v1/locks/{four}/unlock"))
    for name in (one, three, four):
        same(apis, request("GET", f"/v1/locks/{name}"))
    for sku in ("Z", "B"):
        same(apis, request("GET", f"/v1/availability/{sku}"))


L = '"lines":[{"sku":"A/12","quantity":1}]'
BODIES: list[str | bytes] = [
    f'{{"lock_id":"@",{L}}}', f' {{ "lock_id" : "@" , {L} }} ', f'{{"lock_id":\n"@",\t{L}\r\n}}', f'{{{L},"lock_id":"@"}}',
    # a name twice, told and hidden
    f'{{"lock_id":"@","lock_id":"@x",{L}}}', f'{{"lock_id" :"@","lock_id":"@x",{L}}}',
    f'{{"lock_id":"@","lock_id" :"@x",{L}}}', f'{{"lock_id"\t:"@","lock_id":"@x",{L}}}', f'{{"lock_id"\n:"@","lock_id":"@x",{L}}}',
    f'{{"lock_id"\r:"@","lock_id":"@x",{L}}}', f'{{"lock_id" \t:"@","lock_id" :"@x","lock_id":"@y",{L}}}',
    f'{{"lock_id":"@",{L},"lines" :[{{"sku":"B","quantity":1}}]}}', f'{{"lock_id":"@",{L},{L}}}', f'{{"lock_id":"@","lines":[],{L}}}',
    '{"lock_id":"@","lines":[{"sku":"B","sku":"A/12","quantity":1}]}', '{"lock_id":"@","lines":[{"sku" :"B","sku":"A/12","quantity":1}]}',
    '{"lock_id":"@","lines":[{"sku":"A/12","quantity":2,"quantity" :1}]}', f'{{"lock\\u005fid":"@",{L}}}',
    f'{{"lock\\u005fid":"@","lock_id" :"@x",{L}}}', f'{{"lock_id":"@",{L},"ttl_seconds":5,"ttl_seconds":null}}',
    f'{{"lock_id":"@",{L},"ttl_seconds" :5,"ttl_seconds":6}}', f'{{"lock_id":"@",{L},"durability" :"disk","durability":"disk"}}',
    '{"lock_id":"@","lines":[{"sku":"A\\":/12","quantity":1}]}', '{"lock_id":"@\\":","lines":[{"sku":"A/12","quantity":1}]}',
    '{"lock_id":"@":","lines":[{"sku":"A/12","quantity":1}]}', '{"lock_id":"@ :","lines":[{"sku":"A/12","quantity":1}]}',
    '{"lock_id":"@:","lines":[{"sku":"A/12","quantity":1}]}', '{"lock_id":"@","lines":[{"sku":"a :b","quantity":1}]}',
    # texts
    '{"lock_id":"@","lines":[{"sku":"\\u0041/12","quantity":1}]}', '{"lock_id":"@","lines":[{"sku":"\\u0041\\/12","quantity":1}]}',
    '{"lock_id":"@","lines":[{"sku":"Größe","quantity":1}]}', '{"lock_id":"@","lines":[{"sku":"Gr\\u00f6\\u00dfe","quantity":1}]}',
    '{"lock_id":"@","lines":[{"sku":"Gro\u0308ße","quantity":1}]}', '{"lock_id":"@ä😀","lines":[{"sku":"A/12","quantity":1}]}',
    '{"lock_id":"@\\ud83d\\ude00","lines":[{"sku":"A/12","quantity":1}]}', '{"lock_id":"@\\ud83d","lines":[{"sku":"A/12","quantity":1}]}',
    '{"lock_id":"@\\u0000","lines":[{"sku":"A/12","quantity":1}]}', '{"lock_id":"@\\n","lines":[{"sku":"A/12","quantity":1}]}',
    '{"lock_id":" @","lines":[{"sku":"A/12","quantity":1}]}', '{"lock_id":"","lines":[{"sku":"A/12","quantity":1}]}',
    '{"lock_id":"@' + "x" * 130 + '","lines":[{"sku":"A/12","quantity":1}]}', '{"lock_id":"@/?#%","lines":[{"sku":"A/12","quantity":1}]}',
    b'{"lock_id":"@\xff","lines":[{"sku":"A/12","quantity":1}]}', b'{"lock_id":"@\xed\xa0\x80","lines":[{"sku":"A/12","quantity":1}]}',
    # numbers
    *(f'{{"lock_id":"@","lines":[{{"sku":"A/12","quantity":{n}}}]}}' for n in (
        "0", "-1", "1.0", "1e0", "01", "+1", '"1"', "true", "null", "[1]", "1000000000", "1000000001", "9" * 30, "9" * 5000,
        "NaN", "-0", "1.", ".5", "0x1", "1 2", "")),
    # missing, null, unknown, wrong
    "{}", "[]", "null", '""', "0", "", " ", "{", "}", f'{{"lock_id":"@",{L}}}x', f'{{"lock_id":"@",{L}}} ', f'{{"lock_id":"@",{L},}}',
    f'\ufeff{{"lock_id":"@",{L}}}', f'{{"lock_id":"@",{L}}}\x00', f'{{"lock_id":"@",{L}}}{{}}', f'{{"lock_id":null,{L}}}', f"{{{L}}}",
    f'{{"lock_id":1,{L}}}', f'{{"lock_id":["@"],{L}}}', '{"lock_id":"@"}', '{"lock_id":"@","lines":null}', '{"lock_id":"@","lines":[]}',
    '{"lock_id":"@","lines":[null]}', '{"lock_id":"@","lines":{}}', '{"lock_id":"@","lines":[{}]}', '{"lock_id":"@","lines":[{"sku":"A/12"}]}',
    f'{{"lock_id":"@",{L},"x":1}}', f'{{"lock_id":"@",{L},"lock_id ":"@"}}', '{"lock_id":"@","lines":[{"sku":"A/12","quantity":1,"x":1}]}',
    f'{{"lock_id":"@",{L},"warehouses":null}}', f'{{"lock_id":"@",{L},"warehouses":[]}}', f'{{"lock_id":"@",{L},"warehouses":["north"]}}',
    f'{{"lock_id":"@",{L},"warehouses":["west"]}}', f'{{"lock_id":"@",{L},"warehouses":["north","north"]}}', f'{{"lock_id":"@",{L},"warehouses":"north"}}',
    f'{{"lock_id":"@",{L},"warehouses":{json.dumps(["north"] * 101)}}}', f'{{"lock_id":"@",{L},"warehouses":["{"w" * 25}"]}}',
    '{"lock_id":"@","lines":[{"sku":"A/12","quantity":1,"warehouse":null}]}', '{"lock_id":"@","lines":[{"sku":"A/12","quantity":1,"warehouse":""}]}',
    '{"lock_id":"@","lines":[{"sku":"A/12","quantity":1,"warehouse":"north"}]}', '{"lock_id":"@","lines":[{"sku":"A/12","quantity":1,"warehouse":"west"}]}',
    *(f'{{"lock_id":"@",{L},"ttl_seconds":{n}}}' for n in ("null", "1", "2592000", "2592001", "0", "-1", "1.5", '"9"', "true", "[]")),
    *(f'{{"lock_id":"@",{L},"durability":{n}}}' for n in ("null", '"disk"', '"memory"', '"ledger"', '"replica"', '"Disk"', '""', "1", "[]")),
    '{"lock_id":"@","lines":' + json.dumps([{"sku": "A/12", "quantity": 1}] * 2001) + "}",
    '{"lock_id":"@","lines":' + json.dumps([{"sku": f"N{i}", "quantity": 1} for i in range(2000)], separators=(",", ":")) + "}",
    '{"lock_id":' + "[" * 5000 + "]" * 5000 + "}", '{"x":' + "[" * 50_000, "x" * 1_048_576, "x" * 1_048_577, " " * 1_048_576,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies(apis: list[Api], body: str | bytes) -> None:
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    raw = raw.replace(b"@", lock_id().encode())
    first = same(apis, post("/v1/locks", raw))
    if first.status == 201:
        assert same(apis, post("/v1/locks", raw)).status == 200
        name = quote(json.loads(first.body)["lock_id"], safe="")
        assert same(apis, request("POST", f"/v1/locks/{name}/unlock")).status == 200


TYPES = [
    "application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=latin-1", "text/json",
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/problem+json",
    "application/vnd.x+json", "", "json", "application/json,application/json", "application/jsonx", b"application/json\xa0",
]  # fmt: skip


@pytest.mark.parametrize("kind", [*TYPES, None])
def test_content_types(apis: list[Api], kind: str | bytes | None) -> None:
    name = lock_id()
    headers = [] if kind is None else [("Content-Type", kind)]
    same(apis, request("POST", "/v1/locks", order(name, ("A/12", 1)).encode(), headers))
    same(apis, request("POST", f"/v1/locks/{name}/confirm", None, headers))
    same(apis, request("POST", f"/v1/locks/{name}/confirm", b"{}", headers))
    same(apis, request("POST", f"/v1/locks/{name}/confirm", b"{}", [*headers, JSON]))
    same(apis, request("POST", f"/v1/locks/{name}/unlock", b"{}", headers))
    same(apis, request("POST", f"/v1/locks/{name}/unlock", None))


STEPS = [
    "/v1/locks/{}/confirm", "/v1/locks/{}/confirm?", "/v1/locks/{}/confirm?x=1", "/v1/locks/{}?x=/confirm", "/v1/locks/{}#/confirm",
    "/v1/locks/{}%3Fx=/confirm", "/v1/locks/{}%23/confirm", "/v1/locks/{}/confirm#x", "/v1/locks/{}/confirm/", "/v1/locks//confirm",
    "/v1/locks/{}//confirm", "/v1/locks/{}%2Fx/confirm", "/v1/locks/{}/x/confirm", "/v1/locks/{}%/confirm", "/v1/locks/%C3/confirm",
    "/v1/locks/./confirm", "/v1/locks/../confirm", "/v1/locks/%2E/confirm", "/v1/locks/confirm", "/v1/locks/{}/CONFIRM",
    "/v1/locks/{}/unlock?x=/confirm", "/v1/locks/{}/deduct", "/v1/locks/{}/confirm;x", "/v1/locks/%20{}/confirm", "/v1/locks?x=/confirm",
    "/v1/locks/{}/unlock", "http://shop/v1/locks/{}/confirm", "/v1/locks/" + "x" * 129 + "/confirm", "/v1/locks/{}/extend",
]  # fmt: skip


@pytest.mark.parametrize("target", STEPS)
def test_paths_of_steps(apis: list[Api], target: str) -> None:
    name = lock_id()
    for held in (name, f"{name}?x=", f"{name}#"):
        assert same(apis, post("/v1/locks", order(held, ("A/12", 1)))).status == 201
    same(apis, request("POST", target.replace("{}", name)))
    for held in (name, f"{name}?x=", f"{name}#"):
        same(apis, request("GET", f"/v1/locks/{quote(held, safe='')}"))
        assert same(apis, request("POST", f"/v1/locks/{quote(held, safe='')}/unlock")).status == 200


def test_an_error_that_nobody_expected_is_answered(apis: list[Api], redis_server: EmbeddedValkey) -> None:
    import redis  # noqa: PLC0415

    name = lock_id()
    with redis.Redis.from_url(redis_server.url) as client:
        for api in apis:
            client.set(f"{{{api.kind}s0}}:lock:{name}", "no record of ours")
    with capture_logs() as logs:
        assert same(apis, post("/v1/locks", order(name, ("A/12", 1)))).status == 500
        assert same(apis, request("POST", f"/v1/locks/{name}/confirm")).status == 500
    assert [entry["event"] for entry in logs] == ["a request failed"] * 6
    assert same(apis, request("GET", "/v1/availability/A")).status == 200


# Keys


@pytest.fixture(scope="module")
def locked_apis(redis_server: EmbeddedValkey, apis: list[Api]) -> Iterator[list[Api]]:
    from tests import servers  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch, servers.valkey(appendfsync="no") as server:
        patch.setattr(
            auth, "WRONG_KEYS_MAX", 10_000
        )  # refusals that say when to come again differ by the moment
        with served(server.url, api_keys=KEYS) as (_, locked):
            yield locked


@pytest.mark.parametrize("given_key", [
    [], ["Bearer s-read"], ["Bearer s-till"], ["Bearer s-both"], ["bearer s-both"], ["Basic s-both"], ["Bearer wrong"], ["Bearer"],
    ["Bearer  s-both "], ["s-both"], ["Bearer s-both", "Bearer s-both"], ["Bearer wrong", "Bearer s-both"], [b"Bearer \xff"], [""],
])  # fmt: skip
def test_keys(locked_apis: list[Api], given_key: list[str | bytes]) -> None:
    name = lock_id()
    headers = [("Authorization", value) for value in given_key]
    same(locked_apis, request("GET", "/v1/availability/A", headers=headers))
    same(locked_apis, request("GET", "/v1/availability/nobody", headers=headers))
    same(locked_apis, request("GET", "/v1/availability?sku=A", headers=headers))
    same(locked_apis, request("GET", "/v1/availability/A?x=1", headers=headers))
    for body in (order(name, ("A/12", 1)), "{", order(name, ("A/12", 99))):
        same(locked_apis, post("/v1/locks", body, *headers))
        same(locked_apis, post("/v1/locks", body, *headers, ("Sec-Fetch-Site", "cross-site")))
    for step in ("confirm", "unlock", "deduct"):
        same(locked_apis, request("POST", f"/v1/locks/{name}/{step}", None, headers))


# Bodies that nobody thought of

NAMES = st.sampled_from(["H1", "H2", "H3", "Größe", "A/12", "nobody"])
TEXT = NAMES | st.text(max_size=6)
SKUS = st.sampled_from(["A", "B", "A/12", "Größe", "nobody"])
LEAF = st.none() | st.booleans() | st.integers(-2, 5) | st.floats() | TEXT
LINE = st.fixed_dictionaries(
    {"sku": SKUS | LEAF, "quantity": st.integers(1, 3) | LEAF},
    optional={"warehouse": st.just("north") | LEAF, "x": LEAF},
)
LOCK_BODY = st.fixed_dictionaries(
    {"lock_id": NAMES, "lines": st.lists(LINE, max_size=4)},
    optional={
        "warehouses": st.lists(st.sampled_from(["north", "south", "west"]), max_size=3) | LEAF,
        "ttl_seconds": st.integers(1, 1000) | LEAF,
        "durability": st.sampled_from(["disk", "memory"]) | LEAF,
        "x": LEAF,
    },
)
GOOD_LINE = st.fixed_dictionaries(
    {"sku": SKUS, "quantity": st.integers(1, 3)}, optional={"warehouse": st.just("north")}
)
GOOD_BODY = st.fixed_dictionaries(
    {
        "lock_id": st.from_regex("H[0-9]{1,2}", fullmatch=True),
        "lines": st.lists(GOOD_LINE, min_size=1, max_size=3),
    },
    optional={"ttl_seconds": st.none() | st.integers(1, 1000), "warehouses": st.just(["south", "north"])},
)


@st.composite
def written(draw: Any) -> bytes:
    """A body as some encoder writes it, and then perhaps a little broken."""
    body = draw(GOOD_BODY | LOCK_BODY)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), (",\n", "\t:")]))
    text = json.dumps(body, ensure_ascii=draw(st.booleans()), separators=separators)
    if draw(st.integers(0, 3)) == 0:  # a name again
        again = json.dumps(body, separators=draw(st.sampled_from([(",", ":"), (",", " :")])))
        text = text[:-1] + "," + again[1:]
    raw = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 2)) == 0 and raw:  # bytes changed
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + draw(st.binary(max_size=2)) + raw[at + draw(st.integers(0, 2)) :]
    return raw


@given(body=written(), step=st.sampled_from(["", "confirm", "unlock", "deduct"]))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_body(apis: list[Api], body: bytes, step: str) -> None:
    same(apis, post("/v1/locks", body))
    if step:
        raw = b'{"shipment_id":"s"}' if step == "deduct" else None
        same(apis, request("POST", f"/v1/locks/H1/{step}", raw, [JSON] if raw else []))
