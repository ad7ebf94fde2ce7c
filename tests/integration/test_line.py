"""The line to the hot store: greeted, kept up, watched; and what it says of itself when something breaks."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from app.bootstrap import open_stores
from app.domain.commands import Line as OrderLine
from app.domain.commands import Lock, Opening, OpeningRow
from app.embedded.valkey import EmbeddedValkey
from app.errors import ConfigurationError, NotReadyError, OutcomeUnknownError, UnavailableError
from app.hotstore import line as module
from app.hotstore import wire
from app.hotstore.gate import Gate
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.hotstore.store import HotStore
from app.settings import Settings
from tests import servers
from tests.integration.conftest import open_gate, opened
from tests.integration.test_connection import eventually
from tests.proxy import Proxy, bytewise, proxied


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    """One of our own, with a Unix socket, whose users a test may change."""
    with servers.scratch() as place, servers.valkey(config={"unixsocket": str(place / "s")}) as server:
        server.socket = place / "s"  # type: ignore[attr-defined]
        yield server


@pytest.fixture
async def client(server: EmbeddedValkey) -> AsyncIterator[redis.asyncio.Redis]:
    async with opened(server.url) as client:
        yield client


@pytest.fixture
async def proxy(server: EmbeddedValkey) -> AsyncIterator[Proxy]:
    async with proxied("127.0.0.1", server.port) as proxy:
        yield proxy


class Watched(Line):
    """A line that counts how often it said that what was read may be wrong."""

    def __init__(self, url: str, *, keys: Keys | None = None, seconds: float = 0.5) -> None:
        self.shuts = 0
        self.pushes: list[Any] = []
        super().__init__(
            url,
            keys or Keys(),
            library(),
            deadline_seconds=seconds,
            on_push=self.pushes.append,
            on_shut=self._count,
        )

    def _count(self) -> None:
        self.shuts += 1


@asynccontextmanager
async def running(url: str, **more: Any) -> AsyncIterator[Watched]:
    line = Watched(url, **more)
    line.start()
    try:
        yield line
    finally:
        async with asyncio.timeout(5):
            await line.close()


def through(server: EmbeddedValkey, proxy: Proxy) -> str:
    return server.url.replace(f":{server.port}/", f":{proxy.port}/")


def ask(line: Line, *command: Any) -> "asyncio.Future[Any]":
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    line.call(command, lambda reply: answered.done() or answered.set_result(reply))
    return answered


def store_on(line: Line) -> HotStore:
    return HotStore(LineCaller(line), Keys(), library())


LOCK = Lock("L1", (OrderLine("A", 1),))


# Greeting


async def test_it_finds_the_open_epoch_and_answers(
    server: EmbeddedValkey, client: redis.asyncio.Redis
) -> None:
    async with running(server.url) as line:
        await eventually(lambda: line.is_fresh)
        assert line.epoch == "1"
        await store_on(line).execute(Opening([OpeningRow("A", "north", 3)]))
        answer = await store_on(line).execute(LOCK)
        assert answer.outcome == "LOCKED"
        assert await client.hget(Keys().stock("A"), "north:l") == "1"


async def test_nothing_goes_out_before_the_greeting_is_over(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy
) -> None:
    """A call before SELECT would reach another database."""
    proxy.to_client.hold()
    async with running(through(server, proxy).replace("/0", "/5")) as line:
        await eventually(lambda: proxy.connections)
        assert isinstance(await ask(line, "SET", "stray", "1"), NotReadyError)
        proxy.to_client.split = bytewise
        proxy.to_client.release()

        async def is_set() -> bool:
            return await ask(line, "SET", "stray", "2") == "OK"

        async with asyncio.timeout(10):
            while not await is_set():
                await asyncio.sleep(0.005)
        assert await client.get("stray") is None
        async with wire.connect(server.url.replace("/0", "/5")) as fifth:
            assert await fifth.get("stray") == "2"


async def test_another_database(server: EmbeddedValkey, client: redis.asyncio.Redis) -> None:
    url = server.url.replace("/0", "/3")
    async with wire.connect(url) as third:
        await open_gate(third, Keys(), epoch=9)
        async with running(url) as line:
            await eventually(lambda: line.epoch == "9")
            assert await ask(line, "DBSIZE") == await third.dbsize()


async def test_a_unix_socket(server: EmbeddedValkey, client: redis.asyncio.Redis) -> None:
    password = urlsplit(server.url).password
    async with running(f"unix://:{password}@{server.socket}") as line:  # type: ignore[attr-defined]
        await eventually(lambda: line.is_fresh)


@pytest.mark.parametrize("secret", ["simple", "wörd/:@?#%&"])
async def test_a_user_of_the_access_list(
    server: EmbeddedValkey, client: redis.asyncio.Redis, secret: str
) -> None:
    from urllib.parse import quote  # noqa: PLC0415

    await client.execute_command(
        "ACL", "SETUSER", "shop", "on", "resetpass", f">{secret}", "~*", "&*", "+@all"
    )
    try:
        url = f"redis://shop:{quote(secret, safe='')}@127.0.0.1:{server.port}/0"
        async with running(url) as line:
            await eventually(lambda: line.is_fresh)
            assert await ask(line, "ACL", "WHOAMI") == "shop"
    finally:
        await client.execute_command("ACL", "DELUSER", "shop")


async def test_a_wrong_password_is_told_once_and_tried_again(
    server: EmbeddedValkey, client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", (0.005, 0.01))
    await client.execute_command("ACL", "SETUSER", "shop", "on", "resetpass", ">right", "~*", "&*", "+@all")
    with capture_logs() as logs:
        async with running(f"redis://shop:wrong@127.0.0.1:{server.port}/0") as line:
            seen = await client.info("stats")

            async def tried_often() -> bool:
                now = await client.info("stats")
                return bool(now["total_connections_received"] >= seen["total_connections_received"] + 5)

            async with asyncio.timeout(10):
                while not await tried_often():
                    await asyncio.sleep(0.01)
            assert isinstance(await ask(line, "PING"), NotReadyError)
            await client.execute_command("ACL", "SETUSER", "shop", ">wrong")
            await eventually(lambda: line.is_fresh)
    await client.execute_command("ACL", "DELUSER", "shop")
    warnings = [entry for entry in logs if entry["event"] == "line.waits"]
    assert len(warnings) == 1, warnings
    assert (
        warnings[0]["why"]
        == "Redis refuses us: the user or the password of SELLABLE_REDIS_URL is wrong, or the user is off"
    )
    assert [entry["event"] for entry in logs][-1] == "line.goes_on"


async def test_a_start_with_a_wrong_password_is_refused_clearly(server: EmbeddedValkey) -> None:
    url = f"redis://:wrong@127.0.0.1:{server.port}/0"
    async with open_stores(url, "postgresql://nobody@127.0.0.1:1/none", settings=Settings()) as stores:
        with pytest.raises(
            (UnavailableError, ConfigurationError), match=r"Redis.*(?i:password|WRONGPASS|auth)"
        ):
            await stores.check()


async def test_a_url_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Watched("http://127.0.0.1")


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    """A certificate of our own for 127.0.0.1, with its key in the same file."""
    with servers.scratch() as place:
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
        command += ["-keyout", str(place / "key"), "-out", str(place / "certificate")]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no openssl here to make a certificate")
        whole = place / "whole.pem"
        whole.write_text((place / "key").read_text() + (place / "certificate").read_text())
        yield whole


@pytest.mark.parametrize(
    ("options", "reaches"),
    [("?ssl_ca_certs={}", True), ("?ssl_cert_reqs=none", True), ("", False)],
)
async def test_tls(
    server: EmbeddedValkey, client: redis.asyncio.Redis, certificate: Path, options: str, reaches: bool
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with proxied("127.0.0.1", server.port, tls=tls) as proxy:
        url = through(server, proxy).replace("redis://", "rediss://") + options.format(certificate)
        with capture_logs() as logs:
            async with running(url) as line:
                await eventually(lambda: line.is_fresh or logs)
                assert line.is_fresh is reaches
        assert reaches or "certificate" in logs[0]["why"].lower()


# Breaking


async def test_a_cut_line_comes_back_and_asks_for_the_epoch_again(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy
) -> None:
    async with running(through(server, proxy)) as line:
        await eventually(lambda: line.is_fresh)
        proxy.refuses = True
        proxy.to_client.hold()
        asked = [ask(line, "ECHO", str(i)) for i in range(10)]
        await asyncio.sleep(0.01)
        shuts = line.shuts
        proxy.cut()
        assert all(isinstance(reply, OutcomeUnknownError) for reply in await asyncio.gather(*asked))
        await eventually(lambda: not line.epoch)
        assert not line.is_fresh
        assert line.shuts > shuts
        assert isinstance(await ask(line, "PING"), NotReadyError)
        tries = proxy.connections
        await open_gate(client, Keys(), epoch=2)
        await eventually(lambda: proxy.connections >= tries + 3)
        proxy.to_client.release()
        proxy.refuses = False
        await eventually(lambda: line.is_fresh)
        assert line.epoch == "2"
        assert await ask(line, "ECHO", "back") == "back"


async def test_tries_are_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses double up to a second, so that a server that is down is not hammered."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def brief(seconds: float, *rest: Any) -> None:
        if seconds != module.BEAT_SECONDS:
            slept.append(seconds)
        await sleep(0, *rest)

    monkeypatch.setattr(module.asyncio, "sleep", brief)
    async with running("redis://127.0.0.1:1/0"):
        async with asyncio.timeout(10):
            while len(slept) < 12:
                await sleep(0.001)
    assert all(0.01 <= seconds <= 1.0 for seconds in slept)
    assert slept[0] <= 0.02
    assert min(slept[8:12]) >= 0.5


async def test_silence_makes_it_stale_and_then_ends_it(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open: bytes vanish in both directions, and nobody says that the connection is gone."""
    monkeypatch.setattr(module, "SILENT_SECONDS_MAX", 1.0)
    async with running(through(server, proxy)) as line:
        await eventually(lambda: line.is_fresh)
        was = line._connection
        proxy.to_client.drops = proxy.to_server.drops = True
        await asyncio.sleep(module.FRESH_SECONDS + 0.02)
        assert not line.is_fresh
        assert line.epoch == "1", "silence alone is no news of the gate"
        assert isinstance(await ask(line, "PING"), OutcomeUnknownError)
        await eventually(lambda: line._connection is not was)
        proxy.to_client.drops = proxy.to_server.drops = False
        await eventually(lambda: line.is_fresh)


async def test_bytes_that_are_late_do_not_make_it_fresh(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy
) -> None:
    """Bytes that keep coming, each of them late, prove nothing about now."""
    async with running(through(server, proxy)) as line:
        await eventually(lambda: line.is_fresh)
        proxy.to_client.delay_seconds = 0.4
        await eventually(lambda: not line.is_fresh)
        loop, seen = asyncio.get_running_loop(), set()
        ends = loop.time() + 0.8
        while loop.time() < ends:
            assert not line.is_fresh
            assert line._connection is not None
            seen.add(line._connection.received_at)
            await asyncio.sleep(0.002)
        assert len(seen) > 5, "bytes did come all the time"
        proxy.to_client.delay_seconds = 0.0
        await eventually(lambda: line.is_fresh)


async def test_garbage_ends_the_connection_and_the_line_comes_back(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy
) -> None:
    async with running(through(server, proxy)) as line:
        await eventually(lambda: line.is_fresh)
        was = line._connection
        proxy.inject(b"HTTP/1.1 200 OK\r\n\r\n")
        await eventually(lambda: line._connection is not was and line.is_fresh)
        assert await ask(line, "ECHO", "x") == "x"


async def test_a_server_that_accepts_and_says_nothing(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy
) -> None:
    proxy.to_client.hold()
    async with running(f"{through(server, proxy)}?socket_connect_timeout=0.1") as line:
        await eventually(lambda: proxy.connections >= 3)
        assert isinstance(await ask(line, "PING"), NotReadyError)
        proxy.to_client.release()
        await eventually(lambda: line.is_fresh)


# The gate


async def test_missing_functions_and_a_shut_gate_are_noticed(
    server: EmbeddedValkey, client: redis.asyncio.Redis
) -> None:
    async with running(server.url) as line:
        await eventually(lambda: line.is_fresh)
        shuts = line.shuts
        await client.execute_command("FUNCTION", "FLUSH")
        await eventually(lambda: not line.epoch)
        assert line.shuts > shuts
        with pytest.raises(NotReadyError):
            await store_on(line).execute(LOCK)
        await open_gate(client, Keys(), epoch=2)
        await eventually(lambda: line.epoch == "2")
        await Gate(client, Keys(), library()).shut(fence=2)
        await eventually(lambda: not line.epoch)
        with pytest.raises(NotReadyError):
            await store_on(line).execute(LOCK)
        await open_gate(client, Keys(), epoch=3)
        await eventually(lambda: line.is_fresh and line.epoch == "3")


async def test_a_new_epoch_is_noticed(server: EmbeddedValkey, client: redis.asyncio.Redis) -> None:
    async with running(server.url) as line:
        await eventually(lambda: line.is_fresh)
        shuts = line.shuts
        await open_gate(client, Keys(), epoch=2)
        await eventually(lambda: line.epoch == "2")
        assert line.shuts > shuts


async def test_doubt_ends_with_the_next_answer(server: EmbeddedValkey, client: redis.asyncio.Redis) -> None:
    async with running(server.url) as line:
        await eventually(lambda: line.is_fresh)
        line.doubt()
        assert not line.is_fresh
        await eventually(lambda: line.is_fresh)
        assert line.epoch == "1"


async def test_a_full_queue_is_no_news_of_the_gate(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT_MAX", 30)
    async with running(through(server, proxy), seconds=5.0) as line:
        await eventually(lambda: line.is_fresh)
        proxy.to_client.hold()
        asked = [ask(line, "ECHO", str(i)) for i in range(100)]
        refused = list(await asyncio.gather(*asked[40:]))
        assert all(isinstance(reply, NotReadyError) for reply in refused)
        await asyncio.sleep(3 * module.BEAT_SECONDS)
        assert line.epoch == "1"
        proxy.to_client.release()
        await asyncio.gather(*asked)
        await eventually(lambda: line.is_fresh)


# Ending


@pytest.mark.parametrize("moment", ["at once", "greeting", "open", "down"])
async def test_a_clean_end_leaves_nothing(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy, moment: str
) -> None:
    before = asyncio.all_tasks()
    line = Watched(through(server, proxy))
    if moment == "greeting":
        proxy.to_client.hold()
    proxy.refuses = moment == "down"
    line.start()
    asked = None
    if moment == "open":
        await eventually(lambda: line.is_fresh)
        proxy.to_client.hold()
        asked = ask(line, "PING")
        await asyncio.sleep(0)
    elif moment != "at once":
        await eventually(lambda: proxy.connections)
    async with asyncio.timeout(2):
        await line.close()
        if asked is not None:
            assert isinstance(await asked, OutcomeUnknownError)
    assert isinstance(await ask(line, "PING"), NotReadyError)
    ours = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("line")}
    assert not ours
    await eventually(lambda: not proxy._tasks or moment == "greeting")


async def test_a_cancelled_caller_of_the_store_shifts_nothing(
    server: EmbeddedValkey, client: redis.asyncio.Redis, proxy: Proxy
) -> None:
    """Each answer echoes what it is about; a shifted one would be told as unknown."""
    proxy.to_client.delay_seconds = 0.005
    async with running(through(server, proxy), seconds=10.0) as line:
        await eventually(lambda: line.is_fresh)
        store = store_on(line)
        await store.execute(Opening([OpeningRow("A", "north", 10_000)]))
        for turn in range(10):
            calls: list[asyncio.Task[Any]] = [
                asyncio.create_task(store.execute(Lock(f"L{turn}-{i}", (OrderLine("A", 1),))))
                for i in range(30)
            ]
            await asyncio.sleep(0.003 if turn % 2 else 0)
            for one in calls[::3]:
                one.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for i, answer in enumerate(answers):
                if i % 3:
                    assert answer.lock.lock_id == f"L{turn}-{i}"  # type: ignore[union-attr]
