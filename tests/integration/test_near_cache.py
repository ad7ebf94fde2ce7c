"""The near cache on real servers: never an older count for longer than the bound, whatever the network does."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from app.api.auth import ApiKeys
from app.api.hot.handlers import HotCounts, HotRequest
from app.api.hot.pages import Pages
from app.domain.commands import Opening, OpeningRow
from app.domain.ranking import Ranking
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import wire
from app.hotstore.connection import Connection
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.line import Line
from app.hotstore.near_cache import REFETCH_SECONDS_MIN, Entry, NearCache
from app.hotstore.store import HotStore
from tests.integration.conftest import open_gate
from tests.integration.test_connection import eventually
from tests.integration.test_connection import wire as resp
from tests.proxy import Proxy, proxied

BOUND_SECONDS = 0.25
"""The promise: after a change is acknowledged, no reader sees the older count for longer."""
KEYS = Keys()


class Shop:
    """An API process, as far as product pages go: a line, and a cache on it."""

    def __init__(self, url: str, *, entries_max: int = 1_000, seconds: float = 1.0) -> None:
        self.cache: NearCache[int] = NearCache(KEYS, self._render, entries_max=entries_max)
        self.line = Line(
            url,
            KEYS,
            library(),
            deadline_seconds=seconds,
            on_push=self.cache.on_push,
            on_shut=self.cache.on_shut,
        )
        self.cache.line = self.line
        self.rendered = 0

    def _render(self, _sku: str, fields: dict[str, str]) -> int:
        self.rendered += 1
        return int(fields["north:a"])

    async def read(self, sku: str) -> int | None:
        """What a page shows that is not marked stale, or None."""
        entry = self.cache.get(sku)
        if entry is None or not self.cache.is_right(entry):
            entry = None if self.cache.is_away() else await self.fetch(sku)
        return entry.value if entry and self.cache.is_right(entry) else None

    async def fetch(self, sku: str) -> Entry[int] | None:
        got: asyncio.Future[Entry[int] | None] = asyncio.get_running_loop().create_future()
        self.cache.fetch(sku, lambda entry: got.done() or got.set_result(entry))
        return await got

    async def fill(self, *skus: str) -> None:
        for sku in skus:
            await self.until(sku)

    async def until(self, sku: str, wanted: int | None = None) -> None:
        """Read until it shows what is wanted, or anything."""
        async with asyncio.timeout(15):
            while (got := await self.read(sku)) is None or (wanted is not None and got != wanted):
                await asyncio.sleep(0.001)


@asynccontextmanager
async def shop_on(url: str, **more: Any) -> AsyncIterator[Shop]:
    shop = Shop(url, **more)
    shop.line.start()
    try:
        await eventually(lambda: shop.line.is_fresh)
        yield shop
    finally:
        await shop.line.close()


@pytest.fixture
async def proxy(redis_server: EmbeddedValkey) -> AsyncIterator[Proxy]:
    async with proxied("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def through(redis_server: EmbeddedValkey, proxy: Proxy) -> str:
    return redis_server.url.replace(f":{redis_server.port}/", f":{proxy.port}/")


@pytest.fixture
def wms(hot_client: redis.asyncio.Redis) -> HotStore:
    """Another process that changes stock."""
    return HotStore(wire.FunctionCaller(hot_client, deadline_seconds=5), KEYS, library())


async def put(wms: HotStore, sku: str, units: int) -> None:
    await wms.execute(Opening([OpeningRow(sku, "north", units)]))


# What is kept


async def test_a_change_elsewhere_drops_the_entry(wms: HotStore, redis_server: EmbeddedValkey) -> None:
    await put(wms, "A", 5)
    async with shop_on(redis_server.url) as shop:
        assert await shop.read("A") == 5
        assert await shop.read("A") == 5
        assert (shop.cache.counts.misses, shop.rendered) == (1, 1)
        for units in range(6, 12):
            await put(wms, "A", units)
            await shop.until("A", units)
        assert shop.cache.counts.invalidations == 6


async def test_our_own_lock_drops_the_entry_too(wms: HotStore, redis_server: EmbeddedValkey) -> None:
    await put(wms, "A", 5)
    async with shop_on(redis_server.url) as shop:
        assert await shop.read("A") == 5
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        opening = library().function("opening")
        command = ("FCALL", opening, 1, KEYS.meta, shop.line.epoch, "", 1, "A", "north", 9, "")
        shop.line.call(command, done.set_result)
        assert (await done)[0] == "OPENED"
        await shop.until("A", 9)


async def test_the_first_read_after_the_invalidation_was_parsed_is_new(
    wms: HotStore, through: str, proxy: Proxy
) -> None:
    """An answer that is overtaken by its invalidation is dropped again, both in one segment."""
    await put(wms, "A", 5)
    async with shop_on(through) as shop:
        proxy.to_client.hold()
        before = await tracked(wms)
        reading = asyncio.create_task(shop.fetch("A"))
        # The server has read A for us before the change: a tracked key makes it remember our connection.
        async with asyncio.timeout(5):
            while await tracked(wms) <= before:
                await asyncio.sleep(0.001)
        await put(wms, "A", 6)
        proxy.to_client.release()
        entry = await reading
        kept = shop.cache.get("A")
        assert entry is not None
        assert kept is entry
        assert entry.value == 5, "this read was under way before the change"
        await eventually(lambda: not entry.valid)
        await shop.until("A", 6)


async def tracked(wms: HotStore) -> int:
    caller: Any = wms._caller
    client = redis.asyncio.Redis(connection_pool=caller._pool)
    return int((await client.info("stats"))["tracking_total_keys"])


@pytest.mark.parametrize("cut", range(0, 120, 7))
async def test_reply_and_invalidation_in_one_chunk(cut: int) -> None:
    """The same on the bytes alone, wherever they are cut: nobody may find the entry valid afterwards."""
    loop = asyncio.get_running_loop()
    cache: NearCache[int] = NearCache(KEYS, lambda _sku, fields: int(fields["v"]), entries_max=10)
    connection = Connection(loop, in_flight_max=9, on_push=cache.on_push, on_lost=lambda _: None)
    connection.connection_made(NoTransport())  # type: ignore[arg-type]
    cache.line = OnConnection(connection)  # type: ignore[assignment]
    found: list[Entry[int] | None] = []
    cache.fetch("A", found.append)
    key = KEYS.stock("A")
    data = b"+OK\r\n" + resp({"v": "3", "north:a": "5"}) + resp(("push", "invalidate", [key]))
    for piece in (data[:cut], data[cut:]):
        if piece:
            connection.data_received(piece)
    assert found[0] is not None
    assert found[0].value == 3
    assert cache.get("A") is found[0]
    assert not cache.is_right(found[0])


class NoTransport:
    def write(self, _data: bytes) -> None: ...
    def abort(self) -> None: ...
    def set_write_buffer_limits(self, high: int) -> None: ...


class OnConnection:
    """A line that is always fresh, on a connection that a test feeds."""

    epoch = "1"
    is_fresh = True
    heard_at = 0.0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def call(self, command: tuple[Any, ...], on_reply: Any) -> None:
        self._connection.call(command, on_reply, deadline_seconds=9)

    def doubt(self) -> None: ...


async def test_readers_of_one_sku_share_one_read(wms: HotStore, through: str, proxy: Proxy) -> None:
    await put(wms, "A", 5)
    async with shop_on(through) as shop:
        proxy.to_client.hold()
        reading = [asyncio.create_task(shop.fetch("A")) for _ in range(200)]
        await asyncio.sleep(0.02)
        proxy.to_client.release()
        entries = await asyncio.gather(*reading)
        assert {entry.value for entry in entries if entry} == {5}
        assert None not in entries
        assert shop.rendered == 1
        assert shop.cache._fetching == {}


async def test_its_size_is_bounded(wms: HotStore, redis_server: EmbeddedValkey) -> None:
    await wms.execute(Opening([OpeningRow(f"S{i}", "north", i) for i in range(50)]))
    async with shop_on(redis_server.url, entries_max=10) as shop:
        for i in range(50):
            await shop.until(f"S{i}", i)
        assert len(shop.cache._entries) == 10
        assert shop.cache.get("S49") is not None
        assert shop.cache.get("S0") is None


async def test_no_entries_at_all(wms: HotStore, redis_server: EmbeddedValkey) -> None:
    await put(wms, "A", 5)
    async with shop_on(redis_server.url, entries_max=0) as shop:
        for units in (5, 6, 7):
            await put(wms, "A", units)
            assert await shop.read("A") == units
        assert shop.cache.get("A") is None


async def test_a_sku_that_nobody_knows_is_left_to_the_checked_way(
    wms: HotStore, redis_server: EmbeddedValkey
) -> None:
    async with shop_on(redis_server.url) as shop:
        assert await shop.fetch("nobody") is None
        assert shop.cache.get("nobody") is None


async def test_a_record_that_is_not_ours_harms_nobody(
    wms: HotStore, hot_client: redis.asyncio.Redis, redis_server: EmbeddedValkey
) -> None:
    await put(wms, "A", 5)
    await hot_client.hset(KEYS.stock("B"), mapping={"v": "NaN", "x": "y"})  # type: ignore[misc]
    await hot_client.set(KEYS.stock("C"), "a string")
    await hot_client.hset(KEYS.stock("D"), "north:a", b"\xff\xfe")  # type: ignore[misc]
    async with shop_on(redis_server.url) as shop:
        was = shop.line._connection
        assert [await shop.fetch(sku) for sku in "BCD"] == [None, None, None]
        assert await shop.read("A") == 5
        assert shop.line._connection is was
        assert shop.cache._fetching == {}


# Heavy change


async def test_a_sku_that_changes_all_the_time_is_read_again_every_few_ms_at_most(
    wms: HotStore, hot_client: redis.asyncio.Redis, redis_server: EmbeddedValkey
) -> None:
    await put(wms, "A", 1)
    async with shop_on(redis_server.url) as shop:
        await shop.fill("A")
        reads: list[float] = []
        call = shop.line.call
        loop = asyncio.get_running_loop()

        def counted(command: tuple[Any, ...], on_reply: Any) -> None:
            if command[0] == "HGETALL":
                reads.append(loop.time())
            call(command, on_reply)

        shop.line.call = counted  # type: ignore[method-assign]
        going = True

        async def change() -> None:
            for units in itertools.cycle((1, 2)):
                if not going:
                    return
                await put(wms, "A", units)

        async def read() -> None:
            while going:
                await shop.read("A")
                await asyncio.sleep(0)

        workers = [asyncio.create_task(one()) for one in (change, change, read, read)]
        await eventually(lambda: len(reads) >= 40)
        going = False
        await asyncio.gather(*workers)
        gaps = [b - a for a, b in itertools.pairwise(reads)]
        assert min(gaps) >= REFETCH_SECONDS_MIN * 0.9


# When the store is away, shut, emptied or another


async def test_after_a_cut_entries_are_stale_and_then_right_again(
    wms: HotStore, through: str, proxy: Proxy
) -> None:
    await put(wms, "A", 5)
    async with shop_on(through) as shop:
        await shop.fill("A")
        proxy.refuses = True
        proxy.cut()
        await eventually(shop.cache.is_away)
        entry = shop.cache.get("A")
        assert entry is not None
        assert not shop.cache.is_right(entry)
        assert entry.value == 5
        assert 0 <= shop.cache.stale_seconds(entry) < 5
        await put(wms, "A", 6)
        proxy.refuses = False
        await eventually(lambda: shop.line.is_fresh)
        assert not shop.cache.is_right(entry), "nobody told us of changes meanwhile"
        await shop.until("A", 6)


async def test_the_age_of_what_was_known_survives_reconnects(
    wms: HotStore, through: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reconnect must not make old answers younger: 60 s are 60 s."""
    await put(wms, "A", 5)
    async with shop_on(through) as shop:
        await shop.fill("A")
        entry = shop.cache.get("A")
        assert entry is not None
        proxy.cut()
        await eventually(lambda: not shop.cache.is_right(entry))
        loop = asyncio.get_running_loop()
        known_until = loop.time() - shop.cache.stale_seconds(entry)
        for _ in range(3):
            await eventually(lambda: shop.line.is_fresh)
            proxy.cut()
            await eventually(shop.cache.is_away)
            assert loop.time() - shop.cache.stale_seconds(entry) == pytest.approx(known_until, abs=0.005)


async def test_an_emptied_memory_is_never_no_stock(
    wms: HotStore, hot_client: redis.asyncio.Redis, redis_server: EmbeddedValkey
) -> None:
    await put(wms, "A", 5)
    async with shop_on(redis_server.url) as shop:
        await shop.fill("A")
        entry = shop.cache.get("A")
        await hot_client.flushall()
        await eventually(lambda: not shop.line.epoch)
        assert shop.cache.get("A") is entry
        assert entry is not None
        assert not shop.cache.is_right(entry)
        assert await shop.read("A") is None
        assert await shop.fetch("A") is None
        await open_gate(hot_client, KEYS, epoch=2)
        await put(wms, "A", 4)
        await eventually(lambda: shop.line.is_fresh)
        await shop.until("A", 4)


async def test_a_flush_is_noticed_before_the_next_beat(
    wms: HotStore,
    hot_client: redis.asyncio.Redis,
    redis_server: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its push alone: not one reader may find an entry right once it was parsed."""
    await put(wms, "A", 5)
    async with shop_on(redis_server.url) as shop:
        await shop.fill("A")
        seen: list[bool] = []
        on_push = shop.cache.on_push

        def watched(push: list[Any]) -> None:
            on_push(push)
            if push[1] is None:
                seen.append(shop.cache.is_away())

        assert shop.line._connection is not None
        shop.line._connection._on_push = watched
        await hot_client.flushall()
        await eventually(lambda: seen)
        assert seen == [True]


async def test_a_new_epoch_ends_every_entry(
    wms: HotStore, hot_client: redis.asyncio.Redis, redis_server: EmbeddedValkey
) -> None:
    """Versions can recur after a lost tail, so an entry of before is not even compared."""
    await put(wms, "A", 5)
    async with shop_on(redis_server.url) as shop:
        await shop.fill("A")
        entry = shop.cache.get("A")
        assert entry is not None
        await open_gate(hot_client, KEYS, epoch=2)
        await eventually(lambda: shop.line.epoch == "2")
        assert not shop.cache.is_right(entry)
        await shop.until("A", 5)
        assert shop.cache.get("A") is not entry


async def test_a_read_that_waited_while_the_gate_was_shut_fills_nothing(
    wms: HotStore, through: str, proxy: Proxy
) -> None:
    """What is read after the connection's end was decided would never be dropped again."""
    await put(wms, "A", 5)
    async with shop_on(through) as shop:
        await shop.fill("A")
        await put(wms, "A", 6)
        await eventually(lambda: not shop.cache.get("A").valid)  # type: ignore[union-attr]
        entry = shop.cache.get("A")
        assert entry is not None
        entry.fetched_at = asyncio.get_running_loop().time()
        reading = asyncio.create_task(shop.fetch("A"))
        await asyncio.sleep(0)
        shop.line._set_epoch("")
        assert await reading is None
        assert shop.cache.get("A") is entry


async def test_a_read_under_way_when_everything_ended_fills_nothing(
    wms: HotStore, through: str, proxy: Proxy
) -> None:
    await put(wms, "A", 5)
    async with shop_on(through) as shop:
        proxy.to_client.hold()
        reading = asyncio.create_task(shop.fetch("A"))
        await asyncio.sleep(0)
        shop.cache.on_shut()
        proxy.to_client.release()
        assert await reading is None
        assert shop.cache.get("A") is None


# The promise


async def test_what_may_not_be_tracked_is_not_kept() -> None:
    """Nobody would tell us when it changes."""
    loop = asyncio.get_running_loop()
    cache: NearCache[int] = NearCache(KEYS, lambda _sku, fields: int(fields["v"]), entries_max=10)
    connection = Connection(loop, in_flight_max=9, on_push=cache.on_push, on_lost=lambda _: None)
    connection.connection_made(NoTransport())  # type: ignore[arg-type]
    cache.line = OnConnection(connection)  # type: ignore[assignment]
    found: list[Entry[int] | None] = []
    cache.fetch("A", found.append)
    connection.data_received(b"-NOPERM\r\n" + resp({"v": "3", "north:a": "5"}))
    assert found[0] is not None
    assert cache.get("A") is None


async def test_a_list_shows_nothing_that_was_overtaken_while_the_rest_was_read() -> None:
    loop = asyncio.get_running_loop()
    pages = Pages(ApiKeys({}), HotCounts(), cache_control="no-cache", stale_seconds_max=60, ranking=Ranking())
    pages.cache = cache = NearCache(KEYS, pages.render, entries_max=10)
    connection = Connection(loop, in_flight_max=9, on_push=cache.on_push, on_lost=lambda _: None)
    connection.connection_made(NoTransport())  # type: ignore[arg-type]
    cache.line = OnConnection(connection)  # type: ignore[assignment]
    answers: list[Any] = []
    read = resp({"v": "3", "north:a": "5"})
    for overtaken in (False, True):
        cache.fetch("A", lambda _entry: None)
        connection.data_received(b"+OK\r\n" + read)
        listed = HotRequest(b"GET", f"/v1/availability?sku=A&sku=B{overtaken}".encode(), [])
        pages.many(listed, lambda *answer: answers.append(answer[0]), lambda: answers.append("declined"))
        push = resp(("push", "invalidate", [KEYS.stock("A")])) if overtaken else b""
        connection.data_received(b"+OK\r\n" + push + read)
    assert answers == [200, "declined"]


async def test_no_reader_sees_an_older_count_for_longer_than_the_bound(
    wms: HotStore, redis_server: EmbeddedValkey
) -> None:
    """Two processes on one server, one behind a network that gets worse at random; every fresh answer is checked."""
    loop, rng = asyncio.get_running_loop(), random.Random()
    skus = ["A", "B", "C"]
    acknowledged: dict[str, list[tuple[float, int]]] = {sku: [] for sku in skus}
    for sku in skus:
        await put(wms, sku, 0)
        acknowledged[sku].append((loop.time(), 0))
    fresh = dict.fromkeys(("near", "far"), 0)
    going = True

    async def change() -> None:
        for units in itertools.count(1):
            if not going:
                return
            sku = rng.choice(skus)
            await put(wms, sku, units)
            acknowledged[sku].append((loop.time(), units))
            await asyncio.sleep(rng.choice([0.0, 0.0, 0.001, 0.02, 0.15]))

    async def read(shop: Shop, name: str) -> None:
        while going:
            sku = rng.choice(skus)
            got = await shop.read(sku)
            seen_at = loop.time()
            if got is not None:
                fresh[name] += 1
                oldest = max(
                    units for at, units in acknowledged[sku] if at <= seen_at - BOUND_SECONDS or not units
                )
                assert got >= oldest, f"{name} saw {got} of {sku}, {oldest} was acknowledged long before"
            await asyncio.sleep(rng.choice([0.0, 0.0005, 0.003]))

    async def worsen(proxy: Proxy) -> None:
        """Each kind of trouble once, in any order, with good times between."""
        ways = [proxy.to_client, proxy.to_server]
        for trouble in rng.sample(["late", "later", "up late", "held", "held long", "cut", "cut"], 7):
            match trouble:
                case "late" | "later":
                    ways[0].delay_seconds = 0.1 if trouble == "late" else 0.4
                    await asyncio.sleep(1.0)
                case "up late":
                    ways[1].delay_seconds = 0.3
                    await asyncio.sleep(0.7)
                case "held" | "held long":
                    ways[0].hold()
                    await asyncio.sleep(0.1 if trouble == "held" else 0.35)
                    ways[0].release()
                case "cut":
                    proxy.cut()
            for way in ways:
                way.delay_seconds = 0.0
            await asyncio.sleep(rng.choice([0.05, 0.2]))

    async with proxied("127.0.0.1", redis_server.port) as proxy:
        url = redis_server.url.replace(f":{redis_server.port}/", f":{proxy.port}/")
        async with shop_on(redis_server.url) as near, shop_on(url) as far:
            workers = [change(), worsen(proxy)]
            workers += [read(near, "near") for _ in range(2)] + [read(far, "far") for _ in range(10)]
            tasks = [asyncio.create_task(one) for one in workers]
            await asyncio.wait([tasks[1]], timeout=20)
            going = False
            await asyncio.gather(*tasks)
    assert fresh["near"] > 100
    assert fresh["far"] > 20
