"""Bad requests over the wire, byte for byte: a 4xx that names the field, and nothing in Redis that is not ours."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.service import Service

SKU = "bodies"
BAD_QUANTITIES = [
    "0", "-1", "1.5", '"3"', "true", "NaN", "-Infinity", "9007199254740992", "1000000001", "null", "[]",
]  # fmt: skip
BAD_SKUS = [
    "a{b}",
    'a"b',
    "a\\b",
    "a\nb",
    "a\x00b",
    "x" * 65,
    "",
    " a",
    "a ",
    "e\u0301",
    "..",
    "\u200b",
    "\u202e",
]
BAD_BODIES = {
    b"hello": "body",
    b"": "body",
    b"\xff\xfe": "body",
    b"[]": "body",
    b"[" * 50_000: "body",
    b'{"lock_id": "x"}': "lines",
    b'{"lock_id": "x", "lines": []}': "lines",
    b'{"lock_id": "x", "lines": [], "lines": []}': "lines",
    b'{"lock_id": "x{y}", "lines": [{"sku": "bodies", "quantity": 1}]}': "lock_id",
    b'{"lock_id": "x", "lines": [{"sku": "bodies", "quantity": 1}], "colour": "red"}': "colour",
    b'{"lock_id": "x", "lines": [{"sku": "bodies", "quantity": 1, "note": 1}]}': "lines[0].note",
    b'{"lock_id": "x", "lines": [{"sku": "bodies", "quantity": 1}], "ttl_seconds": 0}': "ttl_seconds",
    b'{"lock_id": "x", "lines": [{"sku": "bodies", "quantity": 1, "warehouse": "{"}]}': "lines[0].warehouse",
}
BAD_PATHS = [
    "/v1/stock/..",
    "/v1/stock/%2e%2e",
    "/v1/stock/a%7Bb%7D",
    "/v1/stock/e%CC%81",
    "/v1/stock/a%00b",
    "/v1/stock/%FF",
    "/v1/stock/%zz",
    "/v1/stock/" + "x" * 65,
    "/v1/stock/%20a",
    "/v1/availability/..",
    "/v1/availability/a%22b",
    "/v1/locks/..",
    "/v1/locks/x%7By",
]


class Wire:
    """One request on a socket of its own, as bytes; the answer's status and body."""

    def __init__(self, service: Service) -> None:
        where = urlsplit(service.url(""))
        self._address = (where.hostname, where.port)

    def send(self, request: bytes) -> tuple[int, Any]:
        with socket.create_connection(self._address, timeout=20) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        kind = next((line for line in head.lower().splitlines() if line.startswith(b"content-type")), b"")
        return int(head.split()[1]), json.loads(body) if b"json" in kind else body

    def request(self, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        return self.send(f"{head}{kind}\r\n".encode("latin-1") + body)


@pytest.fixture(scope="module")
def wire(service: Service) -> Wire:
    service.open_stock((SKU, "north", 5))
    return Wire(service)


@pytest.fixture(autouse=True, scope="module")
def _nothing_foreign(service: Service, wire: Wire) -> Any:
    assert wire
    before = service.stock(SKU)
    yield
    assert service.stock(SKU) == before
    assert service.get("/v1/locks/x").status_code == 404
    with service.redis() as client:
        assert {key[:5] for key in client.scan_iter(count=1_000)} == {"{s0}:"}
    assert service.is_ready()


def told(answer: tuple[int, Any]) -> list[str]:
    """The fields that a refusal names."""
    status, problem = answer
    assert status == 422, problem
    assert problem["code"] == "invalid_request"
    return [error["field"] for error in problem["errors"]]


def lock(sku: str, quantity: str) -> bytes:
    return f'{{"lock_id": "x", "lines": [{{"sku": {json.dumps(sku)}, "quantity": {quantity}}}]}}'.encode()


def test_quantities(wire: Wire) -> None:
    for quantity in BAD_QUANTITIES:
        assert told(wire.request("POST", "/v1/locks", lock(SKU, quantity))) == ["lines[0].quantity"], quantity


def test_skus(wire: Wire) -> None:
    for sku in BAD_SKUS:
        assert told(wire.request("POST", "/v1/locks", lock(sku, "1"))) == ["lines[0].sku"], ascii(sku)


def test_bodies(wire: Wire) -> None:
    for body, field in BAD_BODIES.items():
        assert told(wire.request("POST", "/v1/locks", body)) == [field], body[:60]


def test_paths(wire: Wire) -> None:
    for path in BAD_PATHS:
        assert len(told(wire.request("GET", path))) == 1, path


def test_a_path_that_leads_out(wire: Wire) -> None:
    for path in ("/v1/stock/../../etc/passwd", "/../livez", "/v1//stock/A", "/v1/locks/a/b/c"):
        status, problem = wire.request("GET", path)
        assert (status, problem["code"]) == (404, "not_found"), path


def test_too_large(service: Service) -> None:
    headers = {"Content-Type": "application/json"}
    answer = service.client.post(service.url("/v1/locks"), content=b" " * (1024 * 1024 + 1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_what_is_no_http(wire: Wire) -> None:
    for request in (
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/locks HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /v1/stock/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/locks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    ):
        status, _ = wire.send(request)
        assert 400 <= status < 500, request
