"""Servers that would break a promise are refused at the start, each with one clear sentence."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis

from app.bootstrap import Stores, open_api, open_stores
from app.domain.commands import Opening, OpeningRow
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.errors import ConfigurationError
from app.ledger.migrate import check_schema
from app.recovery.findings import Finding
from app.settings import Settings
from tests import servers
from tests.integration.test_epoch_watch import _url_of
from tests.integration.working import differences, drain, execute, until


@pytest.fixture
async def empty(stores: Stores) -> AsyncIterator[Stores]:
    """The hot store without anything."""
    await stores.client.flushall()
    await stores.client.function_flush()
    yield stores
    await stores.client.flushall()
    await stores.client.config_set("maxmemory-policy", "noeviction")


async def refusal(stores: Stores) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await stores.check()
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_redis_of_something_else(empty: Stores) -> None:
    await empty.client.set("session:1", "x")
    assert "'session:1'" in await refusal(empty)
    told = Settings(redis_shared=True)
    async with open_stores(empty.redis_url, _url_of(empty), settings=told) as shared:
        await shared.check()
        assert await shared.recovery().ensure_open() is Finding.EMPTY
    await empty.check()  # once it is at home there, the others' keys may be
    assert await empty.client.get("session:1") == "x"


async def test_a_key_of_ours_that_is_something_else_s(empty: Stores) -> None:
    await empty.client.set(empty.keys.meta, "x")
    assert "belongs to something else" in await refusal(empty)


async def test_a_redis_that_evicts(empty: Stores) -> None:
    await empty.client.config_set("maxmemory-policy", "allkeys-lru")
    assert "noeviction" in await refusal(empty)


async def test_a_replica_given_as_primary(empty: Stores) -> None:
    with servers.valkey() as replica:
        with redis.Redis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", 1)
        async with open_stores(replica.url, _url_of(empty), settings=Settings()) as stores:
            assert "replica" in await refusal(stores)


async def test_two_installations_on_one_redis(stores: Stores, database_url: str) -> None:
    """Without a prefix they would share counts; with one they live side by side."""
    async with open_stores(stores.redis_url, database_url, settings=Settings()) as second:
        assert "another installation" in await refusal(second)
        await stores.client.function_flush()
        with pytest.raises(ConfigurationError, match="another installation"):
            await second.recovery().ensure_open()
    apart = Settings(prefix="two-", trim_margin_seconds=0)
    async with open_stores(stores.redis_url, database_url, settings=apart) as second:
        await second.check()
        assert await second.recovery().ensure_open() is Finding.EMPTY
        assert await stores.recovery().ensure_open() is Finding.SAME
        await second.hot.execute(Opening([OpeningRow("A", "north", 1)]))
        await stores.hot.execute(Opening([OpeningRow("A", "north", 2)]))
        assert await second.recovery().ensure_open(force_rebuild=True) is Finding.SAME
        for one, on_hand in ((stores, 2), (second, 1)):
            (stock,) = (await one.hot.read_stock(["A"]))[1]
            assert stock.warehouses["north"].on_hand == on_hand
            await drain(one)
            assert await differences(one) == []


async def test_a_ledger_that_never_saw_this_hot_store(stores: Stores) -> None:
    await execute(stores, "TRUNCATE installation")
    assert "another installation" in await refusal(stores)


@pytest.mark.parametrize(
    ("revision", "sentence"), [("0001", "run `sellable migrate`"), ("ae1027a6acf", "no schema of Sellable")]
)
async def test_a_database_at_another_schema(
    redis_server, database_url: str, revision: str, sentence: str
) -> None:
    servers.flush(redis_server)
    async with open_stores(redis_server.url, database_url, settings=Settings()) as stores:
        await execute(stores, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608
        with pytest.raises(ConfigurationError, match=sentence):
            await check_schema(stores.engine)
        settings = Settings(redis_url=stores.redis_url, database_url=database_url)
        with pytest.raises(ConfigurationError, match=sentence):
            async with open_api(settings):
                pass
        await execute(stores, "UPDATE alembic_version SET version_num = '9999'")
        await check_schema(stores.engine)


async def test_readyz_says_why_and_metrics_show_it(stores: Stores) -> None:
    settings = Settings(redis_url=stores.redis_url, database_url=_url_of(stores))
    async with open_api(settings) as served:
        transport = httpx.ASGITransport(served.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:

            async def reasons() -> str:
                response = await http.get("/readyz")
                return (
                    " ".join(response.json().get("reasons", [])) if response.status_code == 503 else "ready"
                )

            async def says(text: str) -> None:
                async def said() -> bool:
                    return text in await reasons()

                async with asyncio.timeout(10):
                    await until(said)

            async def gate_open(wanted: str) -> None:
                async def is_so() -> bool:
                    return f"sellable_gate_open {wanted}" in (await http.get("/metrics")).text

                await until(is_so)

            await says("ready")
            await gate_open("1.0")
            assert "sellable_epoch 1.0" in (await http.get("/metrics")).text
            await stores.client.function_flush()
            await says("not loaded yet")
            await stores.gate.load_library()
            await says("not let in yet")
            await stores.client.hset(stores.keys.meta, "home", "another run of the server")
            await says("was restarted or replaced")
            await gate_open("0.0")
            await stores.client.hset(stores.keys.meta, "state", "rebuilding")
            await says("is being rebuilt")
            await stores.client.flushall()
            await says("is empty")
            await stores.recovery().ensure_open()
            await says("ready")
            await gate_open("1.0")


# A start without the hot store


async def test_a_process_that_starts_without_the_hot_store_serves_as_soon_as_it_is_there(
    postgres_server: EmbeddedPostgres, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers 503 and says why; then it is checked as at any start, and refuses a server that it may not use."""
    monkeypatch.setattr("app.bootstrap.api.START_SECONDS_MAX", 0.1)
    monkeypatch.setattr("app.bootstrap.api.CHECK_SECONDS", 0.01)
    with servers.scratch() as place:
        server = EmbeddedValkey(place / "redis", config={"maxmemory-policy": "allkeys-lru"})
        server.prepare()
        settings = Settings(redis_url=server.url, database_url=database_url)
        async with open_api(settings) as served, http_of(served.app) as http:
            assert "cannot be reached" in await reasons(http)
            assert (await http.get("/livez")).status_code == 200
            lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 1}]}
            assert (await http.post("/v1/locks", json=lock)).status_code == 503
            server.start()
            try:
                await until(lambda: says(http, "it must be noeviction"))
                with redis.Redis.from_url(server.url) as client:
                    client.config_set("maxmemory-policy", "noeviction")
                await until(lambda: says(http, "memory is empty"))
                async with open_stores(server.url, database_url, settings=Settings()) as stores:
                    await stores.recovery().ensure_open()
                    await stores.hot.execute(Opening([OpeningRow("A", "north", 1)]))
                await until(lambda: says(http, "ready"))
                assert (await http.post("/v1/locks", json=lock)).status_code == 201
                served.leave()
                assert await reasons(http) == "this process is being stopped"
                assert (await http.get("/v1/locks/L")).status_code == 200
            finally:
                server.stop(immediate=True)


def http_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def reasons(http: httpx.AsyncClient) -> str:
    answer = await http.get("/readyz")
    return " ".join(answer.json()["reasons"]) if answer.status_code == 503 else "ready"


async def says(http: httpx.AsyncClient, text: str) -> bool:
    return text in await reasons(http)
