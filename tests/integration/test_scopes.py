"""Who may call what: every route, by every key, method and way to send a key, over a socket."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.api.api_keys import SCOPES, digest_of
from app.api.app import ROUTERS
from app.api.auth import Needs
from tests import servers
from tests.hot import Api, Reply, Wire, request, served

SECRETS = {scope: f"{scope}-0123456789abcdef" for scope in SCOPES}
ENDED, UNKNOWN = "ended-0123456789abcdef", "unknown-0123456789abcdef"
_YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y%m%d")
KEYS = ",".join(
    [
        *(f"{scope}:{secret}:{scope}" for scope, secret in SECRETS.items()),
        f"ended:sha256:{digest_of(ENDED.encode()).hex()}:admin:{_YESTERDAY}",
    ]
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
OPEN = {"/livez", "/readyz"}
BESIDE = {
    "/metrics": "read",
    "/docs": "read",
    "/openapi.json": "read",
    "/static-offline-docs/swagger-ui.css": "read",
}
"""What the routers do not have, or do not say themselves."""
READING_POSTS = {"/v1/availability"}
REFUSED = {401, 429}
"""429: too many wrong keys came from here."""

Route = tuple[str, str, str | None]
"""Method, path, and the scope that it needs."""


def routes() -> list[Route]:
    found: dict[tuple[str, str], str | None] = {}
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            needs = [one.dependency.scope for one in route.dependencies if isinstance(one.dependency, Needs)]
            assert len(needs) <= 1
            for method in route.methods:
                found[method, route.path] = needs[0] if needs else BESIDE.get(route.path)
    for path, scope in BESIDE.items():
        found["GET", path] = scope
    return [(method, path, scope) for (method, path), scope in sorted(found.items())]


ROUTES = routes()


def target_of(path: str) -> str:
    """A path with something in its places, of a kind that the short way takes."""
    for name in ("{sku}", "{lock_id}", "{shipment_id}", "{source}", "{event_id}"):
        path = path.replace(name, "A")
    while "{" in path:
        path = path[: path.index("{")] + "1" + path[path.index("}") + 1 :]
    return path + ("?sku=A" if path == "/v1/availability" else "")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with (
        servers.valkey(appendfsync="no") as server,
        served(server.url, ["protocol"], api_keys=KEYS, durability_wait_seconds=0.05) as (_loop, (api,)),
    ):
        yield api


class Caller:
    """One connection, opened again where the server has closed it."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ask(self, method: str, target: str, *headers: tuple[str, str], body: bytes | None = None) -> Reply:
        json = [("Content-Type", "application/json")] if body is not None else []
        raw = request(method, target, body, [*headers, *json])
        with Wire(self._api.port) as client:
            client.send(raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            answer = client.rest()
        head, _, content = answer.partition(b"\r\n\r\n")
        return Reply(int(head.split()[1]), [], content)


def bearer(secret: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {secret}"


def body_of(method: str) -> bytes | None:
    return b"{}" if method == "POST" else None


def test_every_route_says_whom_it_is_for() -> None:
    """What changes something is never for readers, and what is for everybody is listed here."""
    assert len(ROUTES) > 50
    for method, path, scope in ROUTES:
        if scope is None:
            assert path in OPEN, path
        elif method not in {"GET", "HEAD"}:
            assert scope != "read" or path in READING_POSTS, path
        else:
            assert scope == "read", path


def test_each_key_on_each_route(api: Api) -> None:
    caller, holes = Caller(api), list[Any]()
    for method, path, scope in ROUTES:
        target, body = target_of(path), body_of(method)
        for name, secret in SECRETS.items():
            status = caller.ask(method, target, bearer(secret), body=body).status
            may = scope is None or name in {scope, "admin"}
            if (status in {401, 403}) == may or (not may and status != 403):
                holes.append((method, path, name, status))
        status = caller.ask(method, target, body=body).status
        if (status == 401) != (scope is not None):
            holes.append((method, path, "no key", status))
    assert holes == []


def carriers(secret: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Ways to send a key that are none: (added to the query, headers)."""
    return [
        (f"access_token={secret}", []),
        (f"api_key={secret}", []),
        (f"Authorization=Bearer%20{secret}", []),
        ("", [("X-API-Key", secret)]),
        ("", [("Cookie", f"Authorization=Bearer {secret}")]),
        ("", [("Proxy-Authorization", f"Bearer {secret}")]),
        (
            "",
            [
                ("X-Authorization", f"Bearer {secret}"),
                ("X-Forwarded-For", "127.0.0.1"),
                ("X-Forwarded-User", "admin"),
            ],
        ),
        ("", [("Authorization", secret)]),
        ("", [("Authorization", f"Basic {secret}")]),
        ("", [("Authorization", f"Bearer {secret}x")]),
        ("", [("Authorization", f"Bearer {secret[:-1]}")]),
        ("", [("Authorization", f"Bearer {secret.upper()}")]),
        ("", [("Authorization", f"Bearer {digest_of(secret.encode()).hex()}")]),
        ("", [("Authorization", f"Bearer {UNKNOWN}, Bearer {secret}")]),
        ("", [bearer(secret), bearer(UNKNOWN)]),
        ("", [bearer(UNKNOWN), bearer(secret)]),
        ("", [bearer(secret), bearer(secret)]),
        ("", [bearer(ENDED)]),
        ("", [bearer(UNKNOWN)]),
        ("", [bearer("")]),
    ]


def test_a_key_comes_in_one_way_alone(api: Api) -> None:
    """Of each route one way that is none, in turn; and of some routes all of them."""
    caller, ways = Caller(api), carriers(SECRETS["admin"])
    guarded = [(method, path) for method, path, scope in ROUTES if scope is not None]
    whole = {
        "/v1/availability/{sku}",
        "/v1/locks",
        "/v1/locks/{lock_id}/unlock",
        "/v1/stock/{sku}",
        "/metrics",
    }
    let_in = []
    for index, (method, path) in enumerate(guarded):
        for query, headers in ways if path in whole else [ways[index % len(ways)]]:
            target = target_of(path)
            target += f"{'&' if '?' in target else '?'}{query}" if query else ""
            status = caller.ask(method, target, *headers, body=body_of(method)).status
            if status not in REFUSED:
                let_in.append((method, path, query, headers, status))
    assert let_in == []
    right = [("Authorization", f"{scheme} {SECRETS['read']}") for scheme in ("Bearer", "bearer", "BEARER")]
    assert [caller.ask("GET", "/v1/availability/A", one).status for one in right] == [200, 200, 200]


def test_a_trailer_brings_no_key(api: Api) -> None:
    head = b"POST /v1/locks HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailer = f"0\r\nAuthorization: Bearer {SECRETS['admin']}\r\n\r\n".encode()
    with Wire(api.port) as client:
        client.send(head + b"2\r\n{}\r\n" + trailer)
        assert client.replies(1)[0].status == 401


def test_no_other_method_does_anything(api: Api) -> None:
    """Whoever calls: a method that a path does not have is 405, or 501 where the parser does not know it."""
    offered: dict[str, set[str]] = {}
    for method, path, _ in ROUTES:
        offered.setdefault(path, set()).add(method)
    caller, holes = Caller(api), []
    for index, (path, methods) in enumerate(offered.items()):
        others = [method for method in METHODS if method not in methods]
        if path not in OPEN | BESIDE.keys():  # of those, the framework answers HEAD
            for method in others if index % 8 == 0 else others[index % 3 :: 3]:
                reply = caller.ask(method, target_of(path), bearer(SECRETS["admin"]), body=body_of(method))
                if reply.status != 405:
                    holes.append((method, path, reply.status))
    assert holes == []
