"""The edge of a running service, as a stranger on this machine meets it."""

import socket

import httpx

from tests.acceptance.service import Service


def said(service: Service, raw: bytes) -> bytes:
    """What the service says to these bytes, until it closes."""
    url = httpx.URL(service.url(""))
    with socket.create_connection((url.host, url.port), timeout=20) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        whole = b""
        while data := client.recv(65_536):
            whole += data
        return whole


def test_without_keys_it_answers_to_this_machine_only(service: Service) -> None:
    for host, status in (("evil.test", 403), ("localhost", 404), ("127.0.0.1:8080", 404)):
        answer = service.client.get(service.url("/v1/stock/nobody"), headers={"Host": host})
        assert answer.status_code == status, host
    for path in ("/livez", "/readyz"):
        assert service.client.get(service.url(path), headers={"Host": "evil.test"}).status_code == 200
    refused = service.client.post(service.url("/v1/locks"), json={}, headers={"Origin": "http://evil.test"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_what_is_no_http_gets_a_problem(service: Service) -> None:
    for raw, status in (
        (b"HELLO\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ):
        head, _, body = said(service, raw).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert b"content-type: application/problem+json" in head
        assert b'"detail"' in body
