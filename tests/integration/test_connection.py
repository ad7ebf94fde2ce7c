"""The pipelined connection against a real server through a bad network: no reply ever reaches another's caller."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url

from app.embedded.valkey import EmbeddedValkey
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore import connection as module
from app.hotstore.connection import Connection
from tests.proxy import Proxy, bytewise, proxied


class Ends:
    """What a connection tells its owner."""

    def __init__(self) -> None:
        self.pushes: list[Any] = []
        self.lost: list[Connection] = []
        self.is_lost = asyncio.Event()

    def on_lost(self, connection: Connection) -> None:
        self.lost.append(connection)
        self.is_lost.set()


def make(ends: Ends, in_flight_max: int = 1_000) -> Connection:
    loop = asyncio.get_running_loop()
    return Connection(loop, in_flight_max=in_flight_max, on_push=ends.pushes.append, on_lost=ends.on_lost)


def ask(connection: Connection, *command: Any, seconds: float = 30.0) -> "asyncio.Future[Any]":
    """The reply, or the exception that stands for it, as a result."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_reply(reply: Any) -> None:
        if not answered.cancelled():
            answered.set_result(reply)

    connection.call(command, on_reply, deadline_seconds=seconds)
    return answered


@asynccontextmanager
async def connected(url: str, port: int, **more: Any) -> AsyncIterator[tuple[Connection, Ends]]:
    ends = Ends()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: make(ends, **more), "127.0.0.1", port)
    hello = await ask(connection, "HELLO", 3, "AUTH", "default", parse_url(url)["password"])
    assert isinstance(hello, dict), hello
    yield connection, ends
    connection.close()
    await asyncio.wait_for(ends.is_lost.wait(), 5)


@pytest.fixture
async def proxy(redis_server: EmbeddedValkey) -> AsyncIterator[Proxy]:
    async with proxied("127.0.0.1", redis_server.port) as proxy:
        yield proxy


async def eventually(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)


# Bytes in, replies out


class FakeTransport:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.aborted = 0

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def abort(self) -> None:
        self.aborted += 1

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == module.WRITE_HIGH_BYTES


def on_fake() -> tuple[Connection, Ends, FakeTransport]:
    ends, transport = Ends(), FakeTransport()
    connection = make(ends)
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, ends, transport


def wire(reply: Any) -> bytes:
    """RESP3."""
    match reply:
        case bool():
            return b"#t\r\n" if reply else b"#f\r\n"
        case None:
            return b"_\r\n"
        case int():
            return b":%d\r\n" % reply
        case str():
            raw = reply.encode("utf-8", "surrogateescape")
            return b"$%d\r\n%b\r\n" % (len(raw), raw)
        case dict():
            return b"%%%d\r\n" % len(reply) + b"".join(wire(k) + wire(v) for k, v in reply.items())
        case ("push", *items):
            return b">%d\r\n" % len(items) + b"".join(map(wire, items))
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(wire, reply))
    raise AssertionError(reply)


def chunks(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks) if a < b]


REPLIES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
PUSHES = st.lists(st.text(max_size=5), min_size=1, max_size=3).map(lambda items: ("push", *items))


@given(sent=st.lists(REPLIES | PUSHES, max_size=12), cuts=st.lists(st.integers(0, 2_000), max_size=30))
async def test_replies_and_pushes_come_in_the_order_of_their_bytes(sent: list[Any], cuts: list[int]) -> None:
    connection, ends, transport = on_fake()
    seen: list[Any] = []
    ends.pushes = seen
    connection._on_push = lambda push: seen.append(("push", *push))
    for reply in sent:
        if not isinstance(reply, tuple):
            connection.call(("PING",), seen.append, deadline_seconds=9)
    for chunk in chunks(b"".join(map(wire, sent)), cuts):
        connection.data_received(chunk)
    assert seen == sent
    assert connection.in_flight == 0
    assert not transport.aborted


async def test_every_byte_alone() -> None:
    sent = ["a", {"f": "1", "ä€": "2"}, ("push", "invalidate", ["k"]), ["x", [1, None]], 7]
    connection, ends, _ = on_fake()
    seen: list[Any] = []
    connection._on_push = lambda push: seen.append(("push", *push))
    for reply in sent:
        if not isinstance(reply, tuple):
            connection.call(("PING",), seen.append, deadline_seconds=9)
    for byte in bytewise(b"".join(map(wire, sent))):
        connection.data_received(byte)
    assert seen == sent
    assert not ends.lost


async def test_all_calls_of_a_turn_go_out_in_one_write() -> None:
    connection, _, transport = on_fake()
    for i in range(50):
        connection.call(("ECHO", str(i)), lambda _: None, deadline_seconds=9)
    assert transport.writes == []
    await asyncio.sleep(0)
    assert transport.writes == [b"".join(hiredis.pack_command(("ECHO", str(i))) for i in range(50))]


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"\x00", b"$-5\r\n", b"*99999999999\r\n", b"+OK\r\n"]
)
async def test_bytes_that_nobody_asked_for_end_the_connection(garbage: bytes) -> None:
    connection, _, transport = on_fake()
    connection.data_received(garbage)
    assert transport.aborted


@pytest.mark.parametrize("command", [("ECHO", "\ud800"), ("ECHO", None), ("ECHO", True), ("ECHO", ["a"])])
async def test_a_command_that_cannot_be_packed_takes_no_place(command: tuple[Any, ...]) -> None:
    connection, _, transport = on_fake()
    with pytest.raises((TypeError, ValueError)):
        connection.call(command, lambda _: None, deadline_seconds=9)
    got = ask(connection, "ECHO", "mine")
    await asyncio.sleep(0)
    connection.data_received(wire("mine"))
    assert await got == "mine"
    assert len(transport.writes) == 1


async def test_a_caller_that_fails_harms_nobody() -> None:
    connection, _, transport = on_fake()

    def fails(_reply: Any) -> None:
        raise RuntimeError("mine alone")

    first = ask(connection, "PING")
    connection.call(("PING",), fails, deadline_seconds=9)
    last = ask(connection, "PING")
    connection.data_received(wire("a") + wire("b") + wire("c"))
    assert (await first, await last) == ("a", "c")
    connection.call(("PING",), fails, deadline_seconds=-1)
    late = ask(connection, "PING", seconds=-1)
    connection.expire()
    assert isinstance(await late, OutcomeUnknownError)
    assert not transport.aborted


# Through a bad network


async def test_replies_keep_their_order_when_every_byte_comes_alone(
    redis_server: EmbeddedValkey, proxy: Proxy
) -> None:
    proxy.to_client.split = proxy.to_server.split = bytewise
    async with connected(redis_server.url, proxy.port) as (connection, _):
        asked = [ask(connection, "ECHO", f"€{i}") for i in range(60)]
        assert await asyncio.gather(*asked) == [f"€{i}" for i in range(60)]


async def test_cancelled_callers_never_shift_replies(redis_server: EmbeddedValkey, proxy: Proxy) -> None:
    rng = random.Random(7)
    proxy.to_client.split = lambda data: chunks(data, [rng.randrange(4096) for _ in range(8)])
    async with connected(redis_server.url, proxy.port) as (connection, _):
        for _ in range(40):
            asked = {i: ask(connection, "ECHO", str(i), seconds=rng.choice([0.0, 9.0])) for i in range(50)}
            await asyncio.sleep(0)
            for i in rng.sample(range(50), 25):
                asked[i].cancel()
            if rng.random() < 0.5:
                connection.expire()
            for i, one in asked.items():
                if not one.cancelled():
                    reply = await one
                    assert reply == str(i) or isinstance(reply, OutcomeUnknownError)
        await eventually(lambda: connection.in_flight == 0)
        assert await ask(connection, "ECHO", "last") == "last"


async def test_a_late_reply_is_dropped(redis_server: EmbeddedValkey, proxy: Proxy) -> None:
    async with connected(redis_server.url, proxy.port) as (connection, _):
        proxy.to_client.hold()
        late = ask(connection, "ECHO", "late", seconds=0.01)
        in_time = ask(connection, "ECHO", "in time")
        await asyncio.sleep(0.02)
        connection.expire()
        assert isinstance(await late, OutcomeUnknownError)
        assert connection.in_flight == 2, "the place stays, for the late reply"
        connection.expire()
        proxy.to_client.release()
        assert await in_time == "in time"
        assert await ask(connection, "ECHO", "next") == "next"
        assert connection.in_flight == 0
        proxy.to_client.hold()
        told: list[Any] = []
        connection.call(("ECHO", "again"), told.append, deadline_seconds=0.0)
        connection.expire()
        proxy.to_client.release()
        assert await ask(connection, "ECHO", "last") == "last"
        assert len(told) == 1
        assert isinstance(told[0], OutcomeUnknownError)


async def test_calls_in_flight_are_bounded(redis_server: EmbeddedValkey, proxy: Proxy) -> None:
    async with connected(redis_server.url, proxy.port, in_flight_max=5) as (connection, _):
        proxy.to_client.hold()
        asked = [ask(connection, "ECHO", str(i)) for i in range(8)]
        refused = await asyncio.gather(*asked[5:])
        assert all(isinstance(reply, NotReadyError) for reply in refused)
        proxy.to_client.release()
        assert await asyncio.gather(*asked[:5]) == ["0", "1", "2", "3", "4"]
        assert await ask(connection, "ECHO", "again") == "again"


async def test_a_server_that_does_not_read_gets_no_more_calls(
    redis_server: EmbeddedValkey, proxy: Proxy
) -> None:
    async with connected(redis_server.url, proxy.port, in_flight_max=10**6) as (connection, _):
        proxy.to_server.hold()
        text = "x" * 200_000
        asked: list[asyncio.Future[Any]] = []
        async with asyncio.timeout(20):
            while not (asked and asked[-1].done()):
                asked.append(ask(connection, "ECHO", text))
                await asyncio.sleep(0.001)
        assert isinstance(await asked[-1], NotReadyError)
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 2 * module.WRITE_HIGH_BYTES
        proxy.to_server.release()
        assert await asyncio.gather(*asked[:-1]) == [text] * (len(asked) - 1)
        assert await ask(connection, "ECHO", "again") == "again"


async def test_a_cut_tells_everybody_that_nobody_knows(redis_server: EmbeddedValkey, proxy: Proxy) -> None:
    async with connected(redis_server.url, proxy.port) as (connection, ends):
        proxy.to_client.hold()
        asked = [ask(connection, "ECHO", str(i)) for i in range(20)]
        await asyncio.sleep(0.01)
        proxy.cut()
        replies = await asyncio.wait_for(asyncio.gather(*asked), 5)
        assert all(isinstance(reply, OutcomeUnknownError) for reply in replies)
        assert ends.lost == [connection]
        assert isinstance(await ask(connection, "PING"), NotReadyError)
        assert not connection.is_connected
