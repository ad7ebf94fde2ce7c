"""The write-behind worker, recovery and verify on real servers."""

import contextlib
from dataclasses import replace

import asyncpg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.bootstrap import Stores
from app.domain.commands import (
    Booking,
    Confirm,
    Deduct,
    Exchange,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Return,
    Unlock,
)
from app.domain.outcomes import Outcome
from app.domain.words import Place
from app.embedded.valkey import EmbeddedValkey
from app.hotstore.gate import Gate
from app.hotstore.library import Library, library
from app.ledger.writer import Writer
from app.recovery.attach import Attach
from app.recovery.findings import Finding
from app.settings import Settings
from app.worker.persist import Persist
from tests.integration.working import busy, differences, drain, execute, fetch, some_traffic, until, working


def persist_of(stores: Stores) -> Persist:
    return Persist(
        stores.client,
        stores.keys,
        stores.hot,
        Writer(stores.engine, 0),
        batch_events_max=100,
        trim_margin_seconds=0,
    )


async def recovered(stores: Stores) -> Finding | None:
    """What recovery found; None while a pooled connection is still one to the server before."""
    with contextlib.suppress(RedisConnectionError):
        return await stores.recovery().ensure_open()


async def test_every_event_reaches_the_ledger_once(stores: Stores) -> None:
    await some_traffic(stores)
    await drain(stores)
    await drain(stores)
    kinds = await fetch(stores, "SELECT n, kind FROM event ORDER BY epoch, n")
    assert [kind for _, kind in kinds] == [
        "open", "opening", "lock", "deduct", "lock", "confirm", "lock", "unlock", "return", "adjust",
    ]  # fmt: skip
    assert [n for n, _ in kinds] == list(range(10))
    assert await differences(stores) == []


async def test_the_outbox_is_trimmed_and_the_position_published(stores: Stores) -> None:
    await some_traffic(stores)
    persist = persist_of(stores)
    while await persist.run_once():
        pass
    assert await stores.client.xlen(stores.keys.outbox) == 1
    assert await stores.client.hget(stores.keys.meta, "persisted") == "1-9"


async def test_two_workers_persist_everything_once(stores: Stores) -> None:
    async with working(stores), working(stores):
        for i in range(50):
            await stores.hot.execute(Opening([OpeningRow(f"S{i}", "north", i)]))
        await until(lambda: fetch(stores, "SELECT 1 FROM position WHERE n = 50"))
    assert await fetch(stores, "SELECT count(*) FROM event") == [(51,)]


async def test_a_batch_is_written_whole_or_not_at_all(stores: Stores) -> None:
    await some_traffic(stores)
    await execute(
        stores,
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON position FOR EACH ROW EXECUTE FUNCTION refuse();
        """,
    )
    with pytest.raises(asyncpg.RaiseError):
        await persist_of(stores).run_once()
    counts = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM move), (SELECT count(*) FROM lock)"
    assert await fetch(stores, counts) == [(0, 0, 0)]
    await execute(stores, "DROP TRIGGER refuse ON position")
    await drain(stores)
    assert await differences(stores) == []


@pytest.mark.parametrize("flushed", [False, True])
async def test_a_restart_opens_a_new_epoch_and_loses_nothing(
    stores: Stores, redis_server: EmbeddedValkey, flushed: bool
) -> None:
    await some_traffic(stores)
    if flushed:
        await drain(stores)
        await stores.client.flushall()
    before = (await stores.hot.read_stock(["A", "B"]))[1] if not flushed else None
    redis_server.stop(immediate=not flushed)
    redis_server.start()
    found = await until(lambda: recovered(stores))
    assert found is (Finding.EMPTY if flushed else Finding.SAME)
    epoch, after = await stores.hot.read_stock(["A", "B"])
    assert epoch == "2"
    if before:
        assert [s and (s.version, s.warehouses) for s in before] == [
            s and (s.version, s.warehouses) for s in after
        ]
    await drain(stores)
    assert await differences(stores) == []


async def test_a_rebuilt_store_remembers_locks_and_ids(stores: Stores) -> None:
    await some_traffic(stores)
    partly = await stores.hot.execute(Unlock("two", "key-1", (Line("A", 1),), "half"))
    await drain(stores)
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    again = await stores.hot.execute(Lock("one", (Line("A", 9),)))
    assert (again.outcome, again.current_status) == (Outcome.REPEATED, "partly_deducted")
    assert sum(line.quantity for line in again.lock.lines) == 9
    repeated = await stores.hot.execute(Deduct("one", "s1", (Line("A", 3, "north"),)))
    assert repeated.outcome is Outcome.REPEATED
    unlocked = await stores.hot.execute(Unlock("two", "key-1", (Line("A", 1),), "half"))
    assert (unlocked.outcome, unlocked.lock, unlocked.position) == (
        Outcome.REPEATED,
        partly.lock,
        partly.position,
    )
    returned = await stores.hot.execute(
        Return("r1", "north", (Booking("A", Place.CUSTOMER, Place.DAMAGED, 1),))
    )
    assert returned.outcome is Outcome.REPEATED
    await drain(stores)
    assert await differences(stores) == []


async def test_returns_of_a_lock_and_exchanges_are_remembered_too(stores: Stores) -> None:
    await some_traffic(stores)
    back = Booking("A", Place.CUSTOMER, Place.AVAILABLE, 2)
    swap = Exchange("x1", "south", (back,), Lock("new", (Line("B", 2),), ttl_ms=None))
    assert (await stores.hot.execute(Return("r2", "north", (back,), lock_id="one"))).outcome == "RETURNED"
    assert (await stores.hot.execute(swap)).outcome is Outcome.EXCHANGED
    await stores.hot.execute(Confirm("new"))
    await drain(stores)
    assert await differences(stores) == []
    before = {key: await stores.client.dump(key) for key in await stores.client.keys("*:op:*")}
    records = {key: await stores.client.hgetall(key) for key in await stores.client.keys("*:lock:*")}
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    assert {key: await stores.client.dump(key) for key in await stores.client.keys("*:op:*")} == before
    assert {key: await stores.client.hgetall(key) for key in records} == records
    assert (await stores.hot.execute(swap)).current_status == "confirmed"
    assert (await stores.hot.execute(Return("r2", "north", (back,), lock_id="one"))).outcome == "REPEATED"
    more = await stores.hot.execute(Return("r3", "north", (back,), lock_id="one"))
    assert more.outcome is Outcome.QUANTITY_EXCEEDS_SHIPMENT  # 3 shipped, 2 came back
    await drain(stores)
    assert await differences(stores) == []


async def test_a_branch_the_ledger_does_not_continue_is_kept_and_rebuilt(stores: Stores) -> None:
    """What continues the ledger is booked, be the memory as damaged as it may; only what comes after is lost."""
    await some_traffic(stores)
    await drain(stores)
    for lock_id in ("booked", "gone", "lost"):
        last = (await stores.hot.execute(Lock(lock_id, (Line("B", 1),)))).position
        if lock_id == "gone":
            await stores.client.xdel(stores.keys.outbox, last)
    await stores.client.hset(stores.keys.meta, "tip", "0123456789abcdef")
    await stores.client.function_flush()
    assert await stores.recovery().ensure_open() is Finding.DIFFERENT
    assert await fetch(stores, "SELECT lock_id FROM lost_event") == [("lost",)]
    told = [(await stores.hot.read_lock(lock_id)).outcome for lock_id in ("booked", "gone", "lost")]
    assert told == [Outcome.READ, Outcome.UNKNOWN_LOCK, Outcome.UNKNOWN_LOCK]
    await drain(stores)
    assert await differences(stores) == []


async def test_a_forced_rebuild_loses_nothing_that_was_acknowledged(stores: Stores) -> None:
    await some_traffic(stores)
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.SAME
    assert (await stores.hot.read_lock("two")).lock.status == "confirmed"
    await drain(stores)
    assert await differences(stores) == []


async def test_new_code_beside_old_code_is_let_in(stores: Stores) -> None:
    await some_traffic(stores)
    old = library()
    newer = Library(
        "sellable_newer123",
        "_newer123",
        old.code.replace(old.suffix, "_newer123").replace(old.name, "sellable_newer123"),
    )
    gate = Gate(stores.client, stores.keys, newer)
    await gate.load_library()
    assert not await gate.is_open()
    assert await gate.adopt()
    assert await gate.is_open()
    assert await stores.gate.is_open()


async def test_processes_of_other_versions_are_let_in_by_whoever_comes(stores: Stores) -> None:
    """The worker lets in all that is loaded; where it is one of before that rule, an API process lets itself in."""
    old = library()
    code = old.code.replace(old.suffix, "_another1").replace(old.name, "sellable_another1")
    other = Gate(stores.client, stores.keys, Library("sellable_another1", "_another1", code))
    await other.load_library()
    (recover,) = [duty for duty in stores.duties() if duty.name == "recover"]
    assert not await other.is_open()
    await recover.run_once()
    assert await other.is_open()
    await stores.recovery().ensure_open(doubt=True)  # by a worker that tells its own library alone
    assert not await other.is_open()
    attach = Attach(other, lambda: True)
    await attach._try()
    assert await other.is_open()
    assert await stores.gate.is_open()
    await recover.run_once()
    await stores.client.hset(stores.keys.meta, "state", "shut")
    await attach._try()
    assert not await other.is_open()


async def test_migrate_lets_its_functions_in_beside_those_that_are_in_use(stores: Stores) -> None:
    old = library()
    code = old.code.replace(old.suffix, "_another2").replace(old.name, "sellable_another2")
    other = Gate(stores.client, stores.keys, Library("sellable_another2", "_another2", code))
    await replace(stores, gate=other).migrate()
    assert await other.is_open()


PLANTED = [
    ("hot count", "hot", "north available"),
    (
        "projection",
        "UPDATE stock SET locked = locked + 1 WHERE sku = 'A' AND warehouse = 'south'",
        "south locked",
    ),
    (
        "missing move",
        "DELETE FROM move WHERE sku = 'A' AND warehouse = 'north' AND target = 'customer'",
        "north locked",
    ),
    ("hot lock", "lock", "lock two"),
]


@pytest.mark.tier
@pytest.mark.parametrize(("name", "plant", "named"), PLANTED, ids=[row[0] for row in PLANTED])
async def test_verify_finds_what_is_planted(stores: Stores, name: str, plant: str, named: str) -> None:
    await some_traffic(stores)
    await drain(stores)
    assert await differences(stores) == []
    if plant == "hot":
        await stores.client.hincrby(stores.keys.stock("A"), "north:a", 1)
    elif plant == "lock":
        await stores.client.hset(stores.keys.lock("two"), "s", "held")
    else:
        await execute(stores, plant)
    found = await differences(stores)
    assert any(named in line for line in found), (name, found)


@pytest.mark.tier
async def test_verify_raises_no_false_alarm_under_traffic(stores: Stores) -> None:
    async with working(stores), busy(stores, clients=4):
        found = [await differences(stores) for _ in range(5)]
    assert found == [[]] * 5


async def test_overdue_locks_expire_once_each(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 300)]))
    for i in range(100):
        await stores.hot.execute(Lock(f"o{i}", (Line("A", 1),), ttl_ms=50))
    async with working(stores):
        await until(
            lambda: fetch(
                stores, "SELECT 1 FROM lock HAVING count(*) FILTER (WHERE status = 'expired') = 100"
            )
        )
    assert await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'expire'") == [(100,)]
    (stock,) = (await stores.hot.read_stock(["A"]))[1]
    assert stock.warehouses["north"].available == 300
    await drain(stores)
    assert await differences(stores) == []


class TestForget:
    @pytest.fixture
    def test_settings(self) -> Settings:
        return Settings(trim_margin_seconds=0, horizon_entries_max=1_000)

    async def test_ids_beyond_the_horizon_leave_the_hot_store(self, stores: Stores) -> None:
        await some_traffic(stores)
        for i in range(1_100):
            await stores.hot.execute(Opening([OpeningRow("C", "north", i)]))
        await drain(stores)
        async with working(stores):
            await until(lambda: _gone(stores, stores.keys.op("return:r1")))
            await until(lambda: _gone(stores, stores.keys.lock("three")))
        assert not await _gone(stores, stores.keys.lock("one"))
        assert not await _gone(stores, stores.keys.op("deduct:one{s1"))
        assert await differences(stores) == []


async def _gone(stores: Stores, key: str) -> bool:
    return not await stores.client.exists(key)
