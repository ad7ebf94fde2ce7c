"""What each level claims, on real servers: replicas that stand still, a Postgres that goes, settings that change."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from app.bootstrap import Stores, open_stores
from app.domain.commands import Line, Lock, Opening, OpeningRow
from app.domain.outcomes import Outcome
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.errors import ConfigurationError, OutcomeUnknownError
from app.operations.operations import Operations
from app.recovery.checks import HotLevel
from app.settings import Settings
from tests import servers
from tests.integration.working import until, working

ROWS = [OpeningRow("A", "north", 1_000)]
_numbers = iter(range(1_000_000))


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, durability_wait_seconds=20)


@pytest.fixture
async def operations(stores: Stores) -> Operations:
    await stores.hot.execute(Opening(ROWS))
    return stores.operations()


async def level(operations: Operations, wanted: str, lock_id: str = "") -> str | None:
    """The level that a new lock (or the one named) reaches."""
    lock = Lock(lock_id or f"L{next(_numbers)}", (Line("A", 1),))
    return (await operations.locks.create(lock, wanted)).durability


def impatient(operations: Operations) -> Operations:
    """The same, for what will not be reached."""
    durabilities = replace(operations.locks.durabilities, wait_seconds=0.2)
    return replace(operations, locks=replace(operations.locks, durabilities=durabilities))


@contextmanager
def stopped(pid: int | None) -> Iterator[None]:
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# replica


@pytest.fixture(scope="module")
def replica(redis_server: EmbeddedValkey) -> Iterator[EmbeddedValkey]:
    primary = urlsplit(redis_server.url)
    config = {"replicaof": f"{primary.hostname} {primary.port}", "masterauth": primary.password or ""}
    with servers.valkey(config=config) as server:
        yield server


@pytest.fixture
async def following(stores: Stores, replica: EmbeddedValkey) -> EmbeddedValkey:
    await stores.client.config_set("repl-diskless-sync-delay", 0)

    async def follows() -> bool:
        await stores.level.refresh()
        return stores.level.has_replicas

    await until(follows)
    return replica


async def test_the_replicas_are_asked_about_writes_of_other_connections(
    stores: Stores, following: EmbeddedValkey
) -> None:
    with stopped(following.pid):
        await stores.hot.execute(Opening(ROWS))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stores.replicas.held(), 0.2)
    held = await stores.replicas.held()
    assert held is not None
    assert held.by_all


async def test_replica_is_told_once_all_replicas_have_it(
    following: EmbeddedValkey, operations: Operations
) -> None:
    assert await level(operations, "replica", "one") == "replica"
    with stopped(following.pid):
        assert await level(operations, "disk") == "disk"  # nobody else waits behind the replica
        assert await level(impatient(operations), "replica", "two") == "disk"
        assert await level(impatient(operations), "replica", "two") == "disk"  # a repeat is held as well
    assert await level(operations, "replica", "two") == "replica"


async def test_many_wait_for_replicas_together(
    stores: Stores, following: EmbeddedValkey, operations: Operations
) -> None:
    async def waits() -> int:
        return int((await stores.client.info("commandstats"))["cmdstat_wait"]["calls"])

    await level(operations, "replica")
    before = await waits()
    levels = await asyncio.gather(*(level(operations, "replica") for _ in range(200)))
    assert set(levels) == {"replica"}
    assert await waits() - before < 100


async def test_a_replica_that_is_said_to_be_there_and_is_not(
    redis_server: EmbeddedValkey, emptied_database_url: str, following: EmbeddedValkey, operations: Operations
) -> None:
    settings = Settings(replicas=2, durability_wait_seconds=20)
    async with open_stores(redis_server.url, emptied_database_url, settings=settings) as two:
        await two.level.refresh()
        assert await level(two.operations(), "replica") == "disk"


async def test_without_fsync_replicas_are_not_enough(
    stores: Stores, following: EmbeddedValkey, operations: Operations
) -> None:
    await stores.client.config_set("appendfsync", "everysec")
    try:
        await stores.level.refresh()
        assert await level(operations, "replica") == "memory"
    finally:
        await stores.client.config_set("appendfsync", "always")


# ledger


async def test_ledger_is_told_once_it_is_committed(stores: Stores, operations: Operations) -> None:
    assert await level(impatient(operations), "ledger", "one") == "disk"  # no worker: the time is over
    async with working(stores):
        assert await level(operations, "ledger") == "ledger"
        assert await level(operations, "ledger", "one") == "ledger"
        assert set(await asyncio.gather(*(level(operations, "ledger") for _ in range(200)))) == {"ledger"}
        async with stores.engine.connect() as connection:
            listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sellable watch'"
            assert (await connection.exec_driver_sql(listening)).scalar_one() == 1
    await stores.watch.close()


async def test_the_watch_comes_back_with_postgres(
    stores: Stores, postgres_server: EmbeddedPostgres, operations: Operations
) -> None:
    async def comes_back() -> bool:
        return await level(operations, "ledger") == "ledger"

    async with working(stores):
        assert await level(operations, "ledger") == "ledger"
        postgres_server.stop(immediate=True)
        try:
            assert await level(impatient(operations), "ledger") == "disk"
        finally:
            postgres_server.start()
        await until(comes_back)
    await stores.watch.close()


async def test_after_an_epoch_ended_the_event_itself_is_looked_for(
    stores: Stores, operations: Operations
) -> None:
    kept = await operations.locks.create(Lock("kept", (Line("A", 1),)), "disk")
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
    while await persist.run_once():
        pass
    lost = await operations.locks.create(Lock("lost", (Line("A", 1),)), "disk")
    await stores.client.flushall()
    await stores.recovery().ensure_open()
    await stores.hot.execute(Opening(ROWS))
    while await persist.run_once():
        pass
    durabilities = operations.locks.durabilities
    assert (await durabilities.settle(kept.answer, "ledger")).durability == "ledger"
    with pytest.raises(OutcomeUnknownError):
        await durabilities.settle(lost.answer, "ledger")
    again = await operations.locks.create(Lock("lost", (Line("A", 1),)), "disk")
    assert again.answer.outcome is Outcome.LOCKED
    await stores.watch.close()


# disk, memory, and what is refused


@pytest.mark.parametrize(
    ("name", "value"),
    [("appendonly", "no"), ("appendfsync", "everysec"), ("no-appendfsync-on-rewrite", "yes")],
)
async def test_a_setting_that_is_changed_at_run_time_is_noticed(name: str, value: str) -> None:
    with servers.valkey() as server, capture_logs() as logs:
        async with open_stores(server.url, "postgresql://nobody@127.0.0.1:1/nowhere") as stores:
            await stores.check()
            assert stores.level.level == "disk"
            before = (await stores.client.config_get(name))[name]
            await stores.client.config_set(name, value)
            keeping = asyncio.create_task(stores.level.keep())
            await until(lambda: _is(stores.level, "memory"))
            await stores.client.config_set(name, before)
            await until(lambda: _is(stores.level, "disk"))
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
    assert [log for log in logs if log["event"] == "hot_store.breaks_a_promise" and name in log["what"]]


async def _is(level: HotLevel, wanted: str) -> bool:
    return level.level == wanted


async def test_a_doubted_level_is_read_anew_at_once(stores: Stores) -> None:
    keeping = asyncio.create_task(stores.level.keep())
    stores.level.doubt()
    assert stores.level.level == "memory"
    await until(lambda: _is(stores.level, "disk"))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize("turns", range(6))
async def test_keeping_ends_although_a_doubt_comes_at_the_same_moment(stores: Stores, turns: int) -> None:
    """Each turn of the loop between the two is another moment within the wait for a doubt."""
    keeping = asyncio.create_task(stores.level.keep())
    await asyncio.sleep(0)
    stores.level.doubt()
    for _ in range(turns):
        await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=10)
    assert keeping.cancelled()


async def test_a_server_that_evicts_is_refused_at_the_start_and_unready_later(stores: Stores) -> None:
    await stores.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigurationError, match="allkeys-lru"):
            await stores.check()
        await stores.level.refresh()
        assert stores.level.level == "memory"
        assert "allkeys-lru" in stores.level.problems[0]
    finally:
        await stores.client.config_set("maxmemory-policy", "noeviction")
    await stores.check()
    assert not stores.level.problems


async def test_who_may_not_read_the_settings_claims_memory(
    redis_server: EmbeddedValkey, stores: Stores
) -> None:
    target = urlsplit(redis_server.url)
    await stores.client.execute_command(
        "ACL", "SETUSER", "blind", "on", ">secret", "~*", "&*", "+@all", "-config"
    )
    url = f"redis://blind:secret@{target.hostname}:{target.port}/0"
    async with open_stores(url, "postgresql://nobody@127.0.0.1:1/nowhere") as blind:
        await blind.check()
        assert blind.level.level == "memory"
    await stores.client.execute_command("ACL", "DELUSER", "blind")
