"""Raw bytes against the protocol class and against uvicorn's own: the same answers, in order, and no smuggling."""

import contextlib
import itertools
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from app.embedded.valkey import EmbeddedValkey
from app.hotstore import line
from tests import servers
from tests.hot import Api, Loop, Reply, Wire, ask, post, request, served, split_replies, start, stop

PAIR = ("protocol", "plain")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    """One of our own: it is stopped now and then."""
    with servers.valkey(appendfsync="no") as server:
        yield server


@pytest.fixture(autouse=True, scope="module")
def _patient() -> Iterator[None]:
    """These are about bytes: a machine that is busy for a moment shall not make pages stale."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "FRESH_SECONDS", 30.0)
        yield


@pytest.fixture(scope="module")
def world(server: EmbeddedValkey) -> Iterator[tuple[Loop, list[Api]]]:
    with served(server.url, [*PAIR, "alone"]) as world:
        yield world


@pytest.fixture
def loop(world: tuple[Loop, list[Api]]) -> Loop:
    return world[0]


@pytest.fixture
def apis(world: tuple[Loop, list[Api]]) -> list[Api]:
    return world[1][:2]


@pytest.fixture
def api(world: tuple[Loop, list[Api]]) -> Api:
    """With the protocol class, on a shard that nobody compares."""
    return world[1][2]


@contextmanager
def silent(server: EmbeddedValkey) -> Iterator[None]:
    """Redis is there and says nothing."""
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # a test may have killed it meanwhile
            os.kill(pid, signal.SIGCONT)


def lock_id() -> str:
    return f"W{next(_numbers)}"


def lock(name: str, sku: str = "A/12", quantity: int = 1) -> bytes:
    return post("/v1/locks", f'{{"lock_id":"{name}","lines":[{{"sku":"{sku}","quantity":{quantity}}}]}}')


def chunked(target: str, *chunks: bytes, head: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    start = f"POST {target} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n".encode()
    return start + head + b"Transfer-Encoding: chunked\r\n\r\n" + body


HOT = request("GET", "/v1/availability/Z")
MANY = request("GET", "/v1/availability?sku=Z&sku=B")
LONG = request("GET", "/v1/availability?" + "&".join(f"sku=S{i}" for i in range(200)))
HEAD = request("HEAD", "/v1/availability/Z")
COLD = request("GET", "/v1/availability/Z?warehouses=north")
MISSING = request("GET", "/v1/availability/nobody")
BYE = request("GET", "/v1/availability/B", headers=[("Connection", "close")])


def methods_of(requests: Sequence[bytes]) -> list[str]:
    return [raw.split(b" ", 1)[0].decode() for raw in requests]


def stream(port: int, pieces: Sequence[bytes], methods: Sequence[str], pause: float = 0.0) -> list[Any]:
    """Send pieces, and return the essence of every answer until the server closes."""
    with Wire(port) as client:
        for piece in pieces:
            client.send(piece)
            if pause:
                time.sleep(pause)
        return [essence(reply) for reply in split_replies(client.rest(), methods)]


def essence(reply: Reply) -> tuple[Any, ...]:
    """What both have in common: what is no HTTP is refused by both, by ours with a problem."""
    if reply.status != 400:
        return reply.essence
    is_ours = b'"code":"malformed_request"' in reply.body
    kind = "application/problem+json" if is_ours else "text/plain; charset=utf-8"
    assert (reply.header("content-type"), reply.header("connection")) == (kind, "close")
    return (400,)


def both(
    apis: list[Api], requests: Sequence[bytes], cut: Callable[[bytes], Sequence[bytes]], **more: Any
) -> list[Any]:
    """Send the same bytes to both; their last request has to end the connection."""
    answers = {
        api.kind: stream(api.port, cut(b"".join(requests)), methods_of(requests), **more) for api in apis
    }
    assert answers["protocol"] == answers["plain"]
    return answers["plain"]


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# Pieces


def test_requests_cut_at_every_byte(apis: list[Api]) -> None:
    for kind in (HOT, COLD, HEAD, MANY):
        assert len(both(apis, [kind, kind, BYE], bytewise)) == 3
    name = lock_id()
    assert [one[0] for one in both(apis, [lock(name), lock(name), BYE], bytewise)] == [201, 200, 200]


@pytest.mark.tier
def test_a_request_in_two_pieces_wherever_it_is_cut(apis: list[Api]) -> None:
    name = lock_id()
    data = HOT + lock(name) + BYE
    assert both(apis, [data], whole)[0][0] == 200
    expected = both(apis, [data], whole)
    for at in range(1, len(data)):
        for api in apis:
            assert stream(api.port, [data[:at], data[at:]], [], pause=0.0005) == expected, at


@pytest.mark.parametrize("count", [2, 3, 10, 200])
def test_many_in_one_segment(apis: list[Api], count: int) -> None:
    assert len(both(apis, [HOT] * count + [BYE], whole)) == count + 1
    assert len(both(apis, [COLD] * count + [BYE], whole)) == count + 1


@pytest.mark.tier
def test_hot_and_cold_mixed_come_in_order(apis: list[Api]) -> None:
    for mix in itertools.permutations([HOT, COLD, HEAD, MISSING, MANY], 4):
        answers = both(apis, [*mix, BYE], whole)
        assert len(answers) == 5
        assert both(apis, [*mix, BYE], bytewise) == answers


def test_locks_between_pages_come_in_order(apis: list[Api]) -> None:
    first, second = lock_id(), lock_id()
    cold = chunked("/v1/locks", lock(second).partition(b"\r\n\r\n")[2])
    steps = [request("POST", f"/v1/locks/{name}/confirm") for name in (first, second)]
    requests = [lock(first), COLD, cold, HOT, *steps, MISSING, lock(first), BYE]
    assert [one[0] for one in both(apis, requests, whole)] == [201, 200, 201, 200, 200, 200, 404, 200, 200]
    assert [one[0] for one in both(apis, requests, bytewise)] == [200, 200, 200, 200, 200, 200, 404, 200, 200]


def test_a_lock_that_waits_holds_back_what_is_behind_it(apis: list[Api], server: EmbeddedValkey) -> None:
    name = lock_id()
    for api in apis:
        ask(api.port, HOT)
        with Wire(api.port) as client:
            with silent(server):
                client.send(lock(name) + HOT + COLD + HOT)
                client.socket.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    client.replies(1)
                client.socket.settimeout(20)
            assert [reply.status for reply in client.replies(4)] == [201, 200, 200, 200]


# Bodies


def test_header_blocks_that_were_met_before(apis: list[Api]) -> None:
    """One request a segment: these go past the parser once their header block was met."""
    name, key = lock_id(), [("Authorization", "Bearer nobody's")]
    turns = [
        HOT,
        HOT,
        request("GET", "/v1/availability/B"),
        MANY,
        HOT.replace(b"/Z ", b"/Z?x=1 "),
        HOT,
        MISSING,
    ]
    turns += [lock(name), lock(name), lock(lock_id()), lock("no id"), lock(lock_id(), "BANK CHARGES"), HEAD]
    turns += [request("GET", "/v1/availability/Z", headers=key), request("GET", "/v1/availability/A%2F12")]
    turns += [
        HOT.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HOT.replace(b"GET", b"PUT"),
        HOT.replace(b"/Z ", b"/Z# "),
    ]
    for raw in turns:
        requests = [HOT, raw, BYE]
        answers = [stream(api.port, requests, methods_of(requests), pause=0.02) for api in apis]
        assert answers[0] == answers[1], raw


def test_slow_bodies(apis: list[Api]) -> None:
    name = lock_id()
    raw = lock(name)
    pieces = [raw[:-40], raw[-40:-20], raw[-20:-1], raw[-1:], BYE]
    answers = [stream(api.port, pieces, [], pause=0.03) for api in apis]
    assert answers[0] == answers[1]
    assert [one[0] for one in answers[0]] == [201, 200]


def test_a_large_body_in_small_pieces(apis: list[Api]) -> None:
    """Collected without copying all of it again for each piece."""
    body = b'{"lock_id":"' + b"x" * 1_000_000 + b'","lines":[]}'
    raw = post("/v1/locks", body)
    pieces = [raw[i : i + 1000] for i in range(0, len(raw), 1000)]
    assert [one[0] for one in both(apis, [*pieces, BYE], lambda _: [*pieces, BYE])] == [422, 200]


def test_chunked_bodies(apis: list[Api]) -> None:
    name = lock_id()
    body = lock(name).partition(b"\r\n\r\n")[2]
    for chunks in ([body], [body[:5], body[5:]], [body[i : i + 1] for i in range(len(body))], []):
        raw = chunked("/v1/locks", *chunks)
        for cut in (whole, bytewise):
            assert len(both(apis, [raw, HOT, BYE], cut)) == 3
    upper = chunked("/v1/locks", body).replace(b"chunked", b"Chunked")
    assert len(both(apis, [upper, HOT, BYE], whole)) == 3


def test_expect_100_continue(apis: list[Api]) -> None:
    for target in (f"/v1/locks/{lock_id()}/confirm", "/v1/locks"):
        raw = post(target, lock(lock_id()).partition(b"\r\n\r\n")[2], ("Expect", "100-continue"))
        head, _, body = raw.partition(b"\r\n\r\n")
        told = []
        for api in apis:
            with Wire(api.port) as client:
                client.send(head + b"\r\n\r\n")
                assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
                client.send(body + BYE)
                told.append([reply.essence for reply in split_replies(client.rest())])
        assert told[0] == told[1]
        assert len(told[0]) == 2


# Versions, connections, upgrades


ENDS = [
    HOT.replace(b"HTTP/1.1", b"HTTP/1.0"),
    HOT.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host", b"Connection: keep-alive\r\nHost"),
    lock("V1").replace(b"HTTP/1.1", b"HTTP/1.0"),
    request("GET", "/v1/availability/Z", headers=[("Connection", "close")]),
    request("GET", "/v1/availability/Z", headers=[("Connection", "Keep-Alive, Close")]),
    request("HEAD", "/v1/availability/Z", headers=[("Connection", "close")]),
    post("/v1/locks", lock("V2").partition(b"\r\n\r\n")[2], ("Connection", "close")),
    request("POST", "/v1/locks/V2/confirm", None, [("Connection", "close")]),
    HOT.replace(b"HTTP/1.1", b"HTTP/2.0"),
    HOT.replace(b"HTTP/1.1", b"HTTP/0.9"),
    b"GET /v1/availability/Z\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("raw", ENDS, ids=range(len(ENDS)))
def test_requests_that_end_the_connection(apis: list[Api], raw: bytes) -> None:
    assert len(both(apis, [raw], whole)) <= 1
    assert len(both(apis, [raw], bytewise)) <= 1


def test_what_comes_behind_the_last_request_is_not_carried_out(apis: list[Api]) -> None:
    hot, cold = lock_id(), lock_id()
    behind = lock(hot) + chunked("/v1/locks", lock(cold).partition(b"\r\n\r\n")[2])
    for last in (
        BYE,
        COLD.replace(b"Host", b"Connection: close\r\nHost"),
        HEAD.replace(b"Host", b"Connection: close\r\nHost"),
    ):
        for api in apis:
            ask(api.port, BYE)
            assert len(stream(api.port, [last + behind], methods_of([last]))) == 1
            for name in (hot, cold):
                # The hot store has none, and nobody can ask the ledger.
                assert ask(api.port, request("GET", f"/v1/locks/{name}")).status == 503


def test_an_upgrade_that_nobody_offers(hasty: list[Api]) -> None:
    for raw in (HOT, lock(lock_id()), COLD):
        asked = raw.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost")
        assert both(hasty, [asked, BYE], whole)
    connect = b"CONNECT shop:80 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    both(hasty, [connect], whole)


def test_blank_lines_between_requests(apis: list[Api]) -> None:
    assert len(both(apis, [b"\r\n\r\n", HOT, b"\r\n", HOT, BYE], lambda data: [data])) == 3


# Attacks


def smuggled(name: str) -> bytes:
    return lock(name)


def attacks(name: str) -> list[bytes]:
    """Requests that two parsers could read differently, each with a lock hidden in its body."""
    inner = smuggled(name)
    size = b"%d" % len(inner)
    start = b"POST /v1/locks/none/confirm HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    te = b"Transfer-Encoding: chunked\r\n"
    heads = [
        b"Content-Length: 0\r\nContent-Length: " + size + b"\r\n",
        b"Content-Length: " + size + b"\r\nContent-Length: 0\r\n",
        b"Content-Length: " + size + b"\r\nContent-Length: " + size + b"\r\n",
        b"Content-Length: 0, " + size + b"\r\n",
        b"Content-Length: 0\r\n" + te,
        te + b"Content-Length: " + size + b"\r\n",
        b"Content-Length: " + size + b"\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: identity, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding\t: chunked\r\n", b" Transfer-Encoding: chunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n", b"X: y\nTransfer-Encoding: chunked\r\n", b"X: y\rTransfer-Encoding: chunked\r\n",
        b"Content-Length : " + size + b"\r\n", b"Content-Length: +" + size + b"\r\n", b"Content-Length: -1\r\n",
        b"Content-Length: 0x10\r\n", b"Content-Length: 1_0\r\n", b"Content-Length: 1 0\r\n", b"Content-Length: " + b"9" * 30 + b"\r\n",
        b"Content-Length: " + b"0" * 30 + size + b"\r\n", b"Content-Length: \r\n", b"Content-Length: 0\x00\r\n",
        b"Content-Length: 0\r\n\x00: x\r\n", b"Content-Length: 0 \r\n", b"Content-Length:\t0\t\r\n", b"Content_Length: " + size + b"\r\n",
        b"Content-Length: 0\r\nX: a\r\rContent-Length: 5\r\n", b"Content-Length: 0\r\n(x): y\r\n", b"Content-Length: 0\r\nnocolon\r\n",
        b"Content-Length: 0\r\n: empty\r\n", b"Content-Length: \xb2\r\n",
    ]  # fmt: skip
    found = [start + head + b"\r\n" + inner for head in heads]
    found += [start + te + b"\r\n" + rest + inner for rest in (b"0\r\n\r\n", b"0;x=y\r\n\r\n", b"0\n\n", b"00\r\n\r\n", b"-1\r\n", b"0x0\r\n\r\n", b"\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n")]  # fmt: skip
    found += [
        b"GET /v1/availability/Z HTTP/1.1\r\nHost: shop\r\nContent-Length: " + size + b"\r\n\r\n" + inner
    ]
    found += [b"GET /v1/availability/Z HTTP/1.1\r\nHost: shop\r\n\r\n" + inner]
    found += [
        b"GET /v1/availability/Z\r\nX: y HTTP/1.1\r\nHost: shop\r\n\r\n" + inner, b"GET  /v1/availability/Z HTTP/1.1\r\n\r\n",
        b"GET\t/v1/availability/Z HTTP/1.1\r\n\r\n", b"GET /v1/availability/Z X HTTP/1.1\r\n\r\n", b"get /v1/availability/Z HTTP/1.1\r\n\r\n",
        b"GET /v1/availability/Z HTTP/1.1\nHost: shop\n\n", b"GET /v1/availability/Z\x00 HTTP/1.1\r\n\r\n", b"GET v1/availability/Z HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00", b"GET /v1/availability/Z HTTP/1.1\r\nX: \x01\r\n\r\n", b"GET /v1/availability/Z HTTP/11\r\n\r\n",
        b"POST /v1/locks HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n", b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v1/availability/" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n", b"GET /v1/availability/Z HTTP/1.1\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
    ]  # fmt: skip
    return found


ATTACKS = attacks("@")


@pytest.mark.parametrize("number", range(len(ATTACKS)))
def test_attacks(apis: list[Api], number: int) -> None:
    """Both read the bytes alike; what is hidden is carried out by neither, or by both. Ours refuses some more."""
    answers: dict[str, Any] = {}
    name = lock_id()
    for api in apis:
        with Wire(api.port) as client:
            client.send(attacks(name)[number])
            client.socket.settimeout(0.15)
            raw = b""
            closed = False
            while not closed:
                try:
                    data = client.socket.recv(65_536)
                except TimeoutError:
                    break
                except ConnectionResetError:
                    data = b""
                raw, closed = raw + data, not data
        held = ask(api.port, request("GET", f"/v1/locks/{name}")).status
        last = split_replies(raw)[-1:]
        answers[api.kind] = [essence(reply) for reply in last], closed, held
        if (
            api.kind == "protocol"
            and last
            and (last[0].status in {414, 431} or b" Host field" in last[0].body)
        ):
            assert (closed, held) == (
                True,
                503,
            )  # the hot store has no such lock, and nobody can ask the ledger
            return
    assert answers["protocol"] == answers["plain"]


def test_garbage_behind_a_hot_request(apis: list[Api]) -> None:
    """What is right is answered or not, as the bytes happened to come; what is wrong ends it."""
    for api in apis:
        statuses = [one[0] for one in stream(api.port, [HOT + b"\x00\x01\r\n\r\n"], [])]
        assert statuses in ([400], [200, 400])
        assert [one[0] for one in stream(api.port, [HOT, b"\x00\x01\r\n\r\n"], [], pause=0.05)] == [200, 400]


def test_nothing_of_a_request_becomes_a_header(apis: list[Api]) -> None:
    name = "x%0d%0aX-Evil:%201"
    for target in (f"/v1/availability/{name}", f"/v1/availability?sku={name}"):
        for answer in both(apis, [request("GET", target), BYE], whole):
            assert not any("evil" in header.lower() for header, _ in answer[1])


# Going away


def test_clients_that_leave_at_any_moment(api: Api, server: EmbeddedValkey) -> None:
    """Nothing is logged (`served` looks), and nothing is left."""
    raw = lock(lock_id())
    moments = [
        raw[:10],
        raw[:-10],
        raw,
        HOT,
        HOT + raw[:30],
        COLD,
        COLD + HOT,
        HOT * 50,
        COLD * 50,
        raw + COLD * 9,
        b"",
    ]
    for reset, sent in itertools.product((False, True), moments):
        with silent(server):
            client = Wire(api.port)
            client.send(sent)
            if reset:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
    servers.until(lambda: not api.connections)
    servers.until(lambda: not api.server.server_state.tasks)
    assert ask(api.port, HOT).status == 200


@pytest.mark.tier
def test_a_client_that_does_not_read(loop: Loop, api: Api) -> None:
    """What it is owed stays bounded, and comes when it reads again. (uvicorn's own reads on and on.)"""
    with Wire(api.port) as client:
        client.socket.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 50_000_000:
                sent += client.socket.send((LONG * 100)[sent % len(LONG) :])
        assert sent < 50_000_000, "it went on reading requests for one who reads no answers"

        async def owed() -> tuple[int, int]:
            (protocol,) = api.connections
            return protocol.transport.get_write_buffer_size(), len(protocol.pipeline)

        buffered, queued = loop.run(owed())
        assert buffered < 1_000_000
        assert queued < 1_000
        client.socket.settimeout(20)
        replies = client.replies(sent // len(LONG))
        assert len(replies) == sent // len(LONG)
        assert {reply.status for reply in replies} == {200}


def test_a_client_that_does_not_read_and_leaves(api: Api) -> None:
    """The answer under way waits for room when the client goes: it must be told, and it is not the last that was read."""
    with Wire(api.port) as client:
        client.socket.settimeout(0.2)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 50_000_000:
                sent += client.socket.send((LONG * 100)[sent % len(LONG) :])
        servers.until(lambda: api.server.server_state.tasks)
    servers.until(lambda: not api.connections)
    servers.until(lambda: not api.server.server_state.tasks)


@pytest.mark.tier
def test_requests_that_wait_are_bounded(loop: Loop, api: Api, server: EmbeddedValkey) -> None:
    """Behind a lock that waits, no more is read than was under way."""
    with Wire(api.port) as client:
        sent = 0
        with silent(server):
            client.send(lock(lock_id()))
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while sent < 50_000_000:
                    sent += client.socket.send((HOT * 1000)[sent % len(HOT) :])
            assert sent < 50_000_000

            async def queued() -> int:
                (protocol,) = api.connections
                return len(protocol.pipeline)

            assert loop.run(queued()) < 300_000 / len(HOT)
        client.socket.settimeout(20)
        assert [reply.status for reply in client.replies(1001)] == [201] + [200] * 1000


@pytest.mark.parametrize("count", [1_000, pytest.param(9_000, marks=pytest.mark.long)])
def test_idle_connections(world: Any, server: EmbeddedValkey, count: int) -> None:
    loop = world[0]
    api = loop.run(start("protocol", server.url, "protocol", timeout_keep_alive=120))
    clients = []
    try:
        for i in range(count):
            client = socket.create_connection(("127.0.0.1", api.port))
            clients.append(client)
            if i % 2:
                client.sendall(HOT)
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert len(api.connections) == count
        assert ask(api.port, HOT).status == 200
        for client, raw in zip(clients[::2][:50], itertools.cycle([HOT, COLD]), strict=False):
            client.sendall(raw)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        for client in clients:
            client.close()
    servers.until(lambda: not api.connections)
    loop.run(stop(api))


# Time-outs


@pytest.fixture(scope="module")
def hasty(world: Any, server: EmbeddedValkey) -> Iterator[list[Api]]:
    """Both with a keep-alive time-out of 0.3 s, on the shards of `world`."""
    loop = world[0]
    more = [loop.run(start(kind, server.url, kind, timeout_keep_alive=0.3)) for kind in PAIR]
    yield more
    for api in more:
        loop.run(stop(api))


CLOSING = [[HOT], [COLD], [HOT, COLD], [COLD, HOT], [HOT] * 3, [MANY, MISSING, HOT]]


@pytest.mark.parametrize("requests", CLOSING, ids=range(len(CLOSING)))
def test_idle_keep_alive_ends(hasty: list[Api], requests: list[bytes]) -> None:
    for api in hasty:
        with Wire(api.port) as client:
            for raw in requests:
                client.send(raw)
                assert client.replies(1)
            began = time.monotonic()
            assert client.is_closed()
            assert 0.2 < time.monotonic() - began < 5


def test_keep_alive_lasts_while_it_is_used(hasty: list[Api]) -> None:
    for api in hasty:
        with Wire(api.port) as client:
            ends = time.monotonic() + 1.0
            for raw in itertools.cycle([HOT, HOT, COLD]):
                client.send(raw)
                assert client.replies(1)[0].status == 200
                if time.monotonic() > ends:
                    break
                time.sleep(0.1)


def test_a_request_that_takes_its_time_is_not_idle(hasty: list[Api]) -> None:
    name = lock_id()
    raw = lock(name)
    with contextlib.ExitStack() as stack:
        slow = []
        for api, cut, before in itertools.product(hasty, (20, len(raw) - 5), ([], [HOT], [COLD])):
            client = stack.enter_context(Wire(api.port))
            for one in before:
                client.send(one)
                client.replies(1)
            client.send(raw[:cut])  # in the header, in the body
            slow.append((client, raw[cut:]))
        time.sleep(0.6)
        for client, rest in slow:
            client.send(rest)
            assert client.replies(1)[0].status in {200, 201}


def test_a_lock_that_waits_is_not_idle(hasty: list[Api], server: EmbeddedValkey) -> None:
    for api in hasty:
        with Wire(api.port) as client:
            client.send(HOT)
            client.replies(1)
            with silent(server):
                client.send(lock(lock_id()))
                client.socket.settimeout(0.6)
                assert not client.is_closed()
            client.socket.settimeout(20)
            assert client.replies(1)[0].status == 201


def test_a_graceful_end_answers_what_is_under_way(world: Any, server: EmbeddedValkey) -> None:
    loop = world[0]
    for kind in PAIR:
        api = loop.run(start(kind, server.url, kind))
        with Wire(api.port) as waiting, Wire(api.port) as idle:
            idle.send(HOT)
            idle.replies(1)
            with silent(server):
                waiting.send(lock(lock_id()))
                if kind == "plain":
                    servers.until(lambda api=api: api.server.server_state.tasks)
                else:
                    servers.until(lambda api=api: api.line and api.line.in_flight)
                api.server.should_exit = True
                assert idle.is_closed()
            (reply,) = waiting.replies(1)
            assert (reply.status, reply.header("connection")) == (201, "close")
            assert waiting.is_closed()
        loop.run(stop(api))
