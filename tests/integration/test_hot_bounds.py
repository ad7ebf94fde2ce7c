"""Attacks before anybody is known: requests that take for ever, that never end, and that mean two things."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.api.hot import bounded, waiting
from app.api.hot.hosts import Hosts
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import line
from tests import servers
from tests.hot import Api, Loop, Wire, ask, post, request, served, split_replies, start, stop
from tests.integration.test_hot_wire import BYE, COLD, HOT, chunked, lock, lock_id, silent

KEY = "a-key-for-the-attacks"
HEAD = b"POST /v1/locks HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
PAGE = b"GET /v1/availability/Z HTTP/1.1\r\nHost: shop\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    """One of our own: it is stopped now and then."""
    with servers.valkey(appendfsync="no") as server:
        yield server


@pytest.fixture(autouse=True, scope="module")
def _hurry() -> Iterator[None]:
    """The same time-outs, shorter; and a machine that is busy for a moment shall not make pages stale."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "FRESH_SECONDS", 30.0)
        patch.setattr(waiting, "LOOK_SECONDS", 0.05)
        for name, seconds in {"HEAD": 0.6, "BODY": 1.2, "SILENT": 0.6, "UPLOAD": 2.0, "REST": 0.6}.items():
            patch.setattr(bounded, f"{name}_SECONDS", seconds)
        patch.setattr(bounded, "IDLE_SECONDS", 0.3)
        patch.setattr(bounded, "LINGER_SECONDS", 0.3)
        patch.setattr(bounded, "UNREAD_SECONDS", 0.6)
        yield


@pytest.fixture(scope="module")
def world(server: EmbeddedValkey) -> Iterator[tuple[Loop, list[Api]]]:
    with served(server.url, ["protocol"], timeout_keep_alive=30) as world:
        yield world


@pytest.fixture
def api(world: tuple[Loop, list[Api]]) -> Api:
    return world[1][0]


def until_closed(client: Wire, drip: bytes = b"", before: bytes = b"") -> tuple[bytes, float]:
    """Send a piece again and again until the server ends the connection; what it said, and after how long."""
    began = time.monotonic()
    client.send(before)
    client.socket.settimeout(0.05)
    pieces: list[bytes] = []
    while time.monotonic() - began < 15:
        if _goes_on(client, pieces, drip):
            return b"".join(pieces), time.monotonic() - began
    raise AssertionError(f"it is still open after 15 s, and said {pieces!r}")


# Time

UPLOAD = HEAD.replace(b"/v1/locks", b"/v1/reconciliations") + b"Content-Length: 90000000\r\n\r\n"
COUNTS = b'{"warehouse":"north","as_of":"2025-01-01T00:00:00Z","counts":['
COUNT = b'{"sku":"A","on_hand":1},'
SLOW: dict[str, tuple[bytes, bytes, int]] = {
    "silent": (b"", b"", 0),
    "blank lines": (b"", b"\r\n", 0),
    "one byte": (b"G", b"", 408),
    "half a first line": (b"GET /v1/avail", b"", 408),
    "half a head": (PAGE, b"", 408),
    "a head that trickles": (PAGE, b"X: y\r\n", 408),
    "a target that trickles": (b"GET /", b"a", 408),
    "half a hot body": (HEAD + b"Content-Length: 90\r\n\r\n{", b"", 408),
    "a hot body that trickles": (HEAD + b"Content-Length: 1000\r\n\r\n", b" ", 408),
    "half a cold body": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"", 408),
    "chunks that trickle": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 408),
    "a cold body that trickles": (HEAD + b"Content-Length: 1000\r\nX-Request-ID: 1\r\nOrigin: x\r\n\r\n", b" ", 408),
    "trailers that trickle": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n", 408),
    "a body of a page": (PAGE + b"X: y\r\nContent-Length: 9000\r\n\r\n", b" ", 408),
    "a body nobody asked for": (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n", b" ", 200),
    "the rest of a refused body": (HEAD + b"Content-Length: 900000000\r\n\r\n", b" " * 4096, 413),
    "an upload that says nothing": (UPLOAD + COUNTS, b"", 408),
    "an upload that trickles": (UPLOAD + COUNTS, COUNT, 408),
}  # fmt: skip


@pytest.mark.parametrize("before", [[], [HOT, COLD, HOT]], ids=["first", "behind others"])
def test_slow_requests_end_and_kept_connections_go_on(api: Api, before: list[bytes]) -> None:
    """All at once: each ends in its time, with an answer that says why if it had begun."""
    kept = Wire(api.port)
    kept.send(HOT)
    clients: dict[str, tuple[Wire, list[bytes], float]] = {}
    # Behind an answer, silence is the keep-alive timer's; that has its own tests.
    slow = {name: how for name, how in SLOW.items() if not before or name != "silent"}
    for name, (beginning, _, _) in slow.items():
        client = Wire(api.port)
        for raw in before:
            client.send(raw)
            client.replies(1)
        client.socket.settimeout(0.01)
        client.send(beginning)
        clients[name] = client, [], time.monotonic()
    seconds: dict[str, float] = {}
    deadline = time.monotonic() + 15
    kept.replies(1)
    while len(seconds) < len(clients) and time.monotonic() < deadline:
        kept.send(HOT)
        assert kept.replies(1)[0].status == 200
        for name, (client, said, began) in clients.items():
            if name not in seconds and _goes_on(client, said, SLOW[name][1]):
                seconds[name] = time.monotonic() - began
    for client in (kept, *(client for client, _, _ in clients.values())):
        client.socket.close()
    assert sorted(seconds) == sorted(slow)
    for name in slow:
        replies = split_replies(b"".join(clients[name][1]))
        assert [reply.status for reply in replies] == [SLOW[name][2]] * bool(SLOW[name][2]), name
        if SLOW[name][2] == 408:
            assert replies[0].header("content-type") == "application/problem+json"


def _goes_on(client: Wire, said: list[bytes], drip: bytes) -> bool:
    """Send one more piece; whether the server has ended the connection."""
    with contextlib.suppress(ConnectionError):  # what it said before can still be read
        client.send(drip)
    try:
        data = client.socket.recv(65_536)
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    said.append(data)
    return not data


def test_an_upload_has_time_while_it_comes_in(api: Api) -> None:
    """Longer than any other body; and what ended one has its place back."""
    with Wire(api.port) as client:
        said, seconds = until_closed(client, COUNT, UPLOAD + COUNTS)
    assert b" 408 " in said
    assert seconds > bounded.BODY_SECONDS
    servers.until(lambda: not api.server.server_state.tasks)


def test_a_client_that_reads_nothing_is_left(api: Api) -> None:
    many = request("GET", "/v1/availability?" + "&".join(f"sku=S{i}" for i in range(200)))
    with Wire(api.port) as client:
        client.socket.settimeout(0.2)
        try:
            for _ in range(5_000):
                client.send(many)
        except (TimeoutError, ConnectionError):
            pass
        servers.until(lambda: not api.connections)


def test_an_answer_that_takes_its_time_is_no_slow_request(
    world: tuple[Loop, list[Api]], api: Api, server: EmbeddedValkey
) -> None:
    with Wire(api.port) as client:
        client.send(HOT)
        client.replies(1)
        with silent(server):
            client.send(lock(lock_id()) + HOT[:20])
            client.socket.settimeout(3 * bounded.HEAD_SECONDS)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
        client.socket.settimeout(20)
        client.send(HOT[20:])
        assert [reply.status for reply in client.replies(2)] == [201, 200]


# Size

MUCH = 8_000_000


def pour(port: int, beginning: bytes, more: bytes, bytes_max: int = MUCH) -> tuple[list[Any], int]:
    """Send `more` until the server ends the connection; its answers, and how much it took."""
    with Wire(port) as client:
        sent = 0
        client.send(beginning)
        try:
            while sent < bytes_max:
                client.send(more)
                sent += len(more)
        except (ConnectionError, TimeoutError):
            pass
        return split_replies(client.rest()), sent


LARGE: dict[str, tuple[bytes, bytes, int, str]] = {
    "one header": (PAGE + b"X: ", b"y" * 65_536, 431, "head_too_large"),
    "a header's name": (PAGE, b"X" * 65_536, 431, "head_too_large"),
    "fields": (PAGE, b"X: y\r\n" * 10_000, 431, "head_too_large"),
    "a target": (b"GET /", b"a" * 65_536, 414, "uri_too_long"),
    "a page's target": (b"GET /v1/availability/", b"a" * 65_536, 414, "uri_too_long"),
    "a trailer": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"y" * 65_536, 431, "head_too_large"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 10_000, 431, "head_too_large"),
    "a chunk's extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"y" * 65_536, 431, "head_too_large"),
    "extensions": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", (b"1;" + b"y" * 999 + b"\r\n \r\n") * 60, 431, "head_too_large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_at_once(world: tuple[Loop, list[Api]], api: Api, name: str) -> None:
    beginning, more, status, code = LARGE[name]
    parsed: list[int] = []

    class Counting:
        """The parser, and how much it was given."""

        def __init__(self, parser: Any) -> None:
            self._parser = parser

        def feed_data(self, data: bytes) -> None:
            parsed.append(len(data))
            self._parser.feed_data(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._parser, name)

    async def watch() -> None:
        (protocol,) = api.connections
        protocol.parser = Counting(protocol.parser)

    with Wire(api.port) as client:
        client.send(HOT)
        client.replies(1)
        world[0].run(watch())
        client.send(beginning)
        sent = 0
        try:
            while sent < MUCH:
                client.send(more)
                sent += len(more)
        except (ConnectionError, TimeoutError):
            pass
        replies = split_replies(client.rest())
    assert [reply.status for reply in replies] == [status]
    assert f'"code":"{code}"'.encode() in replies[0].body
    assert (replies[0].header("content-type"), replies[0].header("connection")) == (
        "application/problem+json",
        "close",
    )
    assert sum(parsed) <= len(beginning) + bounded.HEAD_BYTES_MAX + 2 * bounded.PIECE_BYTES + len(HOT)
    assert ask(api.port, HOT).status == 200


def field(size: int) -> bytes:
    return b"X: " + b"y" * (size - 5) + b"\r\n"


@pytest.mark.parametrize("cut", [1_000_000, 16_000, 1_400])
def test_the_bounds_are_exact(api: Api, cut: int) -> None:
    start_line = b"GET /v1/availability/Z HTTP/1.1\r\nHost: shop\r\n"
    whole = 65_536 - len(start_line) - 2
    cases = [
        (start_line + field(30_000) + field(whole - 30_000 - 20) + b"\r\n", 200),
        (start_line + field(30_000) + field(whole - 30_000 + 20) + b"\r\n", 431),
        (start_line + b"X: y\r\n" * 99 + b"\r\n", 200),
        (start_line + b"X: y\r\n" * 100 + b"\r\n", 431),
        (b"GET /livez?" + b"a" * (32_768 - 7) + b" HTTP/1.1\r\nHost: shop\r\n\r\n", 422),
        (b"GET /livez?" + b"a" * (32_769 - 7) + b" HTTP/1.1\r\nHost: shop\r\n\r\n", 414),
        (chunked("/v1/locks", b"{}")[:-2] + b"X: y\r\n" * 97 + b"\r\n", 422),
        (chunked("/v1/locks", b"{}")[:-2] + b"X: y\r\n" * 98 + b"\r\n", 431),
    ]
    for raw, status in cases:
        with Wire(api.port) as client:
            for at in range(0, len(raw), cut):
                client.send(raw[at : at + cut])
            assert client.replies(1)[0].status == status, raw[:60]


def test_tiny_chunks_are_no_trailers(api: Api) -> None:
    body = lock(lock_id()).partition(b"\r\n\r\n")[2]
    raw = chunked("/v1/locks", *[b" "] * 20_000, *[body[i : i + 1] for i in range(len(body))])
    assert ask(api.port, raw).status == 201


def test_a_refusal_waits_its_turn(world: tuple[Loop, list[Api]], api: Api, server: EmbeddedValkey) -> None:
    """A client would take a refusal that comes too early for the answer to what it sent before."""
    for before in (lock(lock_id()), chunked("/v1/locks", lock(lock_id()).partition(b"\r\n\r\n")[2])):
        with Wire(api.port) as client:
            with silent(server):
                client.send(before + b"NO SUCH THING\r\n\r\n")
                client.socket.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.socket.recv(1)
            client.socket.settimeout(20)
            (first, *others) = split_replies(client.rest())
            assert (first.status, first.header("connection"), others) == (201, "close", [])


# Meaning

TRAILING = b"Authorization: Bearer %b\r\nIdempotency-Key: k\r\nExpect: x\r\nHost: evil\r\n" % KEY.encode()


def test_trailers_are_no_headers(world: tuple[Loop, list[Api]], server: EmbeddedValkey) -> None:
    loop, (api,) = world
    locked = loop.run(start("protocol", server.url, "protocol", api_keys=f"boss:{KEY}:admin"))
    try:
        name = lock_id()
        body = lock(name).partition(b"\r\n\r\n")[2]
        raw = chunked("/v1/locks", body)[:-2] + TRAILING + b"\r\n"
        for cut in (len(raw), 1, len(raw) - len(TRAILING) - 2):
            with Wire(locked.port) as client:
                for at in range(0, len(raw), cut):
                    client.send(raw[at : at + cut])
                (reply,) = client.replies(1)
                assert (reply.status, b"unauthorized" in reply.body) == (401, True)
        assert (
            ask(
                locked.port,
                raw.replace(b"Host: shop", b"Host: shop\r\nAuthorization: Bearer " + KEY.encode(), 1),
            ).status
            == 201
        )
        # What comes behind is read as it stands: the trailers changed nothing.
        assert [one.status for one in _all(api.port, raw + HOT + BYE)] == [200, 200, 200]
    finally:
        loop.run(stop(locked))


def _all(port: int, raw: bytes) -> list[Any]:
    with Wire(port) as client:
        client.send(raw)
        return split_replies(client.rest())


AMBIGUOUS = {
    "two hosts": (PAGE + b"Host: other\r\n\r\n", 400),
    "the same host twice": (PAGE + b"host: shop\r\n\r\n", 400),
    "no host": (b"GET /v1/availability/Z HTTP/1.1\r\nX: y\r\n\r\n", 400),
    "no host, cold": (b"GET /livez HTTP/1.1\r\nX: y\r\n\r\n", 400),
    "chunks in 1.0": (chunked("/v1/locks", b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "another coding": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "a coding in 1.0": (PAGE.replace(b"1.1", b"1.0") + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "gzip": (post("/v1/locks", b"{}", ("Content-Encoding", "gzip")), 415),
    "gzip, hidden": (post("/v1/locks", b"{}", ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")), 415),
    "latin-1": (request("POST", "/v1/locks", b"{}", [("Content-Type", "application/json; charset=latin-1")]), 415),
    "no HTTP": (b"HELLO\r\n\r\n", 400),
    "a control character": (PAGE + b"X: \x01\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_means_two_things_or_none_is_refused(api: Api, name: str) -> None:
    raw, status = AMBIGUOUS[name]
    reply = ask(api.port, raw)
    assert (reply.status, reply.header("content-type")) == (status, "application/problem+json")
    assert ask(api.port, b"GET /livez HTTP/1.0\r\n\r\n").status == 200


# Names and sites, without keys


@pytest.fixture(scope="module")
def named(world: tuple[Loop, list[Api]], server: EmbeddedValkey) -> Iterator[Api]:
    loop = world[0]
    hosts = Hosts(("shop.test", "other.test:8443"))
    api = loop.run(start("protocol", server.url, "protocol", hosts=hosts))
    yield api
    loop.run(stop(api))


RIGHT = (
    "localhost", "localhost:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:80", "LocalHost", "shop.test", "SHOP.test:99",
    "a.localhost", "other.test:8443", "localhost.", "api", "sellable:8080", "x",
)  # fmt: skip
WRONG = (
    "evil.test", "evil.test:8080", "127.0.0.1.evil.test", "localhost.evil.test", "", "10.0.0.1", "[::2]", "other.test",
    "shop.test@evil.test", "127.0.0.1:80@evil", "localhost:80:80", "shop.test/evil", "2130706433", "0x7f000001",
    "evil.",
)  # fmt: skip
ASKED = (
    HOT,
    COLD,
    request("GET", "/docs"),
    request("POST", "/v1/locks/none/confirm"),
    request("GET", "/nowhere"),
)


@pytest.mark.parametrize("host", [*RIGHT, *WRONG])
def test_names(named: Api, host: str) -> None:
    for raw in (*ASKED, lock(lock_id())):
        for _ in range(2):  # the second time past the parser
            reply = ask(named.port, raw.replace(b"Host: shop", b"Host: " + host.encode()))
            assert (reply.status == 403) == (host in WRONG), raw
            if host in WRONG:
                assert b'"code":"forbidden_host"' in reply.body
    for path in ("/livez", "/readyz"):
        assert ask(named.port, request("GET", path).replace(b"shop", host.encode())).status == 200


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8080", True),
        ("https://LOCALHOST:8080", True),
        ("http://localhost:3000", False),
        ("http://localhost:8080.evil.test", False),
        ("https://evil.test", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_other_sites(named: Api, origin: str, allowed: bool) -> None:
    for raw in (HOT, COLD, lock(lock_id())):
        asked = raw.replace(b"Host: shop", b"Host: localhost:8080\r\nOrigin: " + origin.encode())
        assert (ask(named.port, asked).status != 403) == allowed


def test_a_target_that_names_another_host(named: Api) -> None:
    for host, status in ((b"evil.test", 403), (b"localhost:1", 200)):
        raw = HOT.replace(b"GET /", b"GET http://" + host + b"/").replace(b"Host: shop", b"Host: localhost")
        assert ask(named.port, raw).status == status


# How many


def test_connections_beyond_the_bound_are_turned_away(
    world: tuple[Loop, list[Api]], server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "HEAD_SECONDS", 30.0)
    loop = world[0]
    api = loop.run(start("protocol", server.url, "protocol", connections_max=20))
    try:
        kept = [Wire(api.port) for _ in range(20)]
        for client in kept[:10]:
            client.send(HOT)
            assert client.replies(1)[0].status == 200
        servers.until(lambda: len(api.connections) == 20)
        for _ in range(3):
            reply = ask(api.port, HOT)
            assert (reply.status, reply.header("retry-after"), reply.header("connection")) == (
                503,
                "1",
                "close",
            )
            assert b"too_many_connections" in reply.body
        crowd = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(200)]
        for client in kept:
            client.send(HOT)
            assert client.replies(1)[0].status == 200
        for one in crowd:
            one.close()
        kept.pop().socket.close()
        servers.until(lambda: ask(api.port, HOT).status == 200)
        for client in kept:
            client.socket.close()
    finally:
        loop.run(stop(api))


def test_nothing_is_left_waiting(world: tuple[Loop, list[Api]], api: Api) -> None:
    protocol: Any = api.server.config.http_protocol_class
    servers.until(lambda: not api.connections and not len(protocol.waiting))
    many: Callable[[], int] = lambda: len(protocol.waiting)  # noqa: E731
    with Wire(api.port) as client:
        client.send(HOT)
        client.replies(1)
        servers.until(lambda: not many())
        client.send(HOT * 3 + COLD)
        client.replies(4)
        assert many() == 0
