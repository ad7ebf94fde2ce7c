"""What recovery can find when it compares the stores, and what it does then: a test a finding, on real servers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from app.bootstrap import Stores, open_stores
from app.commands.lost import lost
from app.domain.commands import (
    Arrival,
    Booking,
    Confirm,
    Deduct,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Transfer,
    TransferReceive,
    TransferShip,
    Unlock,
)
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import Place
from app.embedded.valkey import EmbeddedValkey
from app.errors import FencedError
from app.hotstore.gate import Gate
from app.ledger.snapshot_rows import SnapshotRows
from app.recovery.findings import Finding
from app.settings import Settings
from tests import servers
from tests.integration.test_worker import persist_of
from tests.integration.working import differences, drain, fetch, some_traffic, until, working
from tests.recovery import (
    commands_on,
    copy_of_ledger,
    copy_of_memory,
    put_back_ledger,
    put_back_memory,
    restart_without_tail,
)


async def memory_of(stores: Stores) -> dict[str, object]:
    """Every record, as it is."""
    found: dict[str, object] = {}
    for key in await stores.client.keys("*"):
        kind = await stores.client.type(key)
        if kind == "hash" and key != stores.keys.meta:
            found[key] = await stores.client.hgetall(key)
        elif kind == "string":
            found[key] = await stores.client.get(key)
        elif kind == "zset":
            found[key] = await stores.client.zrange(key, 0, -1, withscores=True)
    return found


async def more_traffic(stores: Stores) -> None:
    hot = stores.hot
    await hot.execute(Opening([OpeningRow("New", "east", 7)]))
    await hot.execute(Lock("four", (Line("B", 1), Line("New", 2))))
    await hot.execute(Unlock("two", "key-1", (Line("A", 1),), 'the "customer"'))
    await hot.execute(Deduct("one", "s2"))
    await hot.execute(Transfer("T", "east", "north", (Line("New", 3),)))
    await hot.execute(TransferShip("T", "s1", None, (Line("New", 2),)))
    await hot.execute(TransferReceive("T", "r1", None, (Arrival("New", 1, damaged=1),)))
    await hot.execute(
        Receive("r9", "south", (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 6),), None, "PO-1")
    )


async def found(stores: Stores) -> Finding | None:
    return await stores.recovery().ensure_open()


async def test_behind_what_the_ledger_has_is_replayed(stores: Stores) -> None:
    await some_traffic(stores)
    copy = await copy_of_memory(stores)
    await more_traffic(stores)
    await drain(stores)
    whole = await memory_of(stores)
    await put_back_memory(stores, copy)
    assert await found(stores) is Finding.BEHIND
    assert await memory_of(stores) == whole
    await more_traffic(stores)  # every id is known
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM event WHERE lock_id = 'four'") == [(1,)]
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]


async def test_a_replay_that_breaks_off_goes_on_where_it_was(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_traffic(stores)
    copy = await copy_of_memory(stores)
    await more_traffic(stores)
    await drain(stores)
    whole = await memory_of(stores)
    await put_back_memory(stores, copy)
    replay = Gate.replay

    async def half(self, steps, *, fence):
        await replay(self, steps[:3], fence=fence)
        raise FencedError("killed")

    monkeypatch.setattr(Gate, "replay", half)
    assert await found(stores) is None
    assert not await stores.gate.is_open()
    monkeypatch.setattr(Gate, "replay", replay)
    assert await found(stores) is Finding.BEHIND
    assert await memory_of(stores) == whole
    await drain(stores)
    assert await differences(stores) == []


async def test_a_replayed_entry_can_be_read_again_by_a_ledger_that_went_back(stores: Stores) -> None:
    await some_traffic(stores)
    await drain(stores)
    copy = await copy_of_memory(stores)
    await copy_of_ledger(stores)
    await more_traffic(stores)
    await drain(stores)
    await put_back_memory(stores, copy)
    assert await found(stores) is Finding.BEHIND
    await put_back_ledger(stores)
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM event WHERE lock_id = 'four'") == [(1,)]


async def fork(stores: Stores) -> None:
    """Two branches: the hot store's has `more_traffic`, the ledger's another order of the same units."""
    await some_traffic(stores)
    await drain(stores)
    at_fork = await copy_of_memory(stores)
    await more_traffic(stores)
    branch = await copy_of_memory(stores)
    await put_back_memory(stores, at_fork)
    assert await found(stores) is Finding.SAME
    await stores.hot.execute(Lock("other", (Line("B", 2),), ttl_ms=None))
    await stores.hot.execute(Confirm("two", "key-2"))
    await drain(stores)
    await put_back_memory(stores, branch)


async def test_fork_the_ledger_s_branch_wins_and_the_other_is_listed(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    await fork(stores)
    with capture_logs() as logs:
        assert await found(stores) is Finding.FORK
    kept = await fetch(stores, "SELECT event ->> 1, lock_id, finding FROM lost_event ORDER BY epoch, n")
    await listed_as_logged(stores, logs, capsys, events=len(kept))
    await drain(stores)
    assert await differences(stores) == []
    assert kept == [
        ("opening", None, "fork"), ("lock", "four", "fork"), ("unlock", "two", "fork"), ("deduct", "one", "fork"),
        ("transfer", None, "fork"), ("transfer_ship", None, "fork"), ("transfer_receive", None, "fork"),
        ("receive", None, "fork"),
    ]  # fmt: skip
    assert (await stores.hot.read_lock("four")).outcome is Outcome.UNKNOWN_LOCK
    assert (await stores.hot.read_lock("other")).lock.status == "held"
    corrected = await fetch(
        stores, "SELECT sku, warehouse, before, after FROM stock_correction ORDER BY 1, 2"
    )
    assert [row[:2] for row in corrected] == [
        ("A", "north"), ("A", "south"), ("B", "north"), ("New", "east"), ("New", "north"),
    ]  # fmt: skip
    again = await stores.hot.execute(Lock("four", (Line("B", 1),)))
    assert again.outcome is Outcome.LOCKED
    await drain(stores)
    assert await differences(stores) == []


async def test_what_was_lost_is_told_with_orders_skus_and_quantities(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    await fork(stores)
    await found(stores)
    capsys.readouterr()
    lines, text = await told(stores, capsys, as_json=False), await told(stores, capsys, as_json=True)
    assert "lock of lock four: 1 B in north, available -> locked; 2 New in east" in lines
    assert "SKU B in north: available 2 -> 1, locked 1 -> 2" in lines
    assert "8 events lost, 5 counts set right" in lines
    listed = json.loads(text)
    assert listed["events"][1]["lines"][0] == {
        "sku": "B", "warehouse": "north", "source": "available", "target": "locked", "quantity": 1,
    }  # fmt: skip
    assert listed["counts"][0]["before"] != listed["counts"][0]["after"]


async def told(stores: Stores, capsys: pytest.CaptureFixture[str], *, as_json: bool) -> str:
    with commands_on(stores) as opened:
        assert await lost(as_json=as_json, data_dir=Path(), open_stores=opened) == 0
    return capsys.readouterr().out


async def test_a_fork_is_mended_without_touching_the_rest(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.hot.execute(Opening([OpeningRow("Far", "west", 1)]))
    await fork(stores)

    def rebuilds(*_args):
        raise AssertionError("a fork of a few events needs no rebuild")

    monkeypatch.setattr(SnapshotRows, "stock_lines", rebuilds)
    assert await found(stores) is Finding.FORK


async def test_a_long_fork_is_rebuilt(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.recovery.fork.FORK_EVENTS_MAX", 1)
    await fork(stores)
    assert await found(stores) is Finding.FORK
    assert await fetch(stores, "SELECT count(*) FROM lost_event WHERE finding = 'fork'") == [(8,)]
    await drain(stores)
    assert await differences(stores) == []


async def test_a_fork_of_which_an_entry_was_lost_is_rebuilt(stores: Stores) -> None:
    """What the lost entry touched is not known, so it cannot be mended."""
    await some_traffic(stores)
    await drain(stores)
    at_fork = await copy_of_memory(stores)
    await stores.hot.execute(Opening([OpeningRow("Lost", "east", 7)]))
    await stores.hot.execute(Lock("four", (Line("B", 1),)))
    _, (entry_id, _) = await stores.client.xrevrange(stores.keys.outbox, count=2)
    assert await stores.client.xdel(stores.keys.outbox, entry_id) == 1
    branch = await copy_of_memory(stores)
    await put_back_memory(stores, at_fork)
    assert await found(stores) is Finding.SAME
    await stores.hot.execute(Lock("other", (Line("A", 1),)))
    await drain(stores)
    await put_back_memory(stores, branch)
    assert await found(stores) is Finding.FORK
    assert (await stores.hot.read_stock(["Lost"]))[1] == [None]
    await drain(stores)
    assert await differences(stores) == []


async def go_back_and_trim(stores: Stores) -> None:
    """Postgres comes from an older copy, and what it lacks is trimmed."""
    await some_traffic(stores)
    await drain(stores)
    await copy_of_ledger(stores)
    await more_traffic(stores)
    await drain(stores)
    await stores.hot.execute(Lock("late", (Line("B", 1),)))
    await drain(stores)
    await put_back_ledger(stores)


async def test_carry_over_books_what_the_hot_store_holds(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    await go_back_and_trim(stores)
    before = await memory_of(stores)
    await stores.client.function_flush()
    with capture_logs() as logs:
        assert await found(stores) is Finding.CARRY_OVER
    await listed_as_logged(stores, logs, capsys, events=0)
    await drain(stores)
    assert await differences(stores) == []
    after = await memory_of(stores)
    assert _without_versions(after) == _without_versions(before)
    booked = await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'carry_over' AND lock_id = 'four'")
    assert booked == [(1,)]
    await stores.client.flushall()  # what was booked is enough to rebuild from, ids too
    assert await found(stores) is Finding.EMPTY
    assert _without_versions(await memory_of(stores)) == _without_versions(before)
    await more_traffic(stores)
    await drain(stores)
    assert await differences(stores) == []


@pytest.mark.tier
async def test_a_branch_that_began_before_what_was_trimmed_is_a_fork(stores: Stores) -> None:
    """Postgres came from an older copy, and another memory went on from it; then the first home comes back.

    Its epochs have higher numbers than the ledger's, and its outbox begins after them: nearly a carry-over, but for the
    branch that the ledger has acknowledged meanwhile.
    """
    await some_traffic(stores)
    await drain(stores)
    await copy_of_ledger(stores)
    beginning = await copy_of_memory(stores)
    for _ in range(2):  # epochs 2 and 3
        await stores.client.function_flush()
        assert await found(stores) is Finding.SAME
        await more_traffic(stores)
        await drain(stores)
    await stores.hot.execute(Lock("late", (Line("B", 1),)))
    await drain(stores)
    first_home = await copy_of_memory(stores)
    await put_back_ledger(stores)
    await put_back_memory(stores, beginning)
    assert await found(stores) is Finding.SAME  # epoch 2 again
    await stores.hot.execute(Lock("at the other", (Line("B", 2),), ttl_ms=None))
    await drain(stores)
    await put_back_memory(stores, first_home)
    assert await found(stores) is Finding.FORK
    assert (await stores.hot.read_lock("at the other")).lock.status == "held"
    assert (await stores.hot.read_lock("late")).outcome is Outcome.UNKNOWN_LOCK
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'carry_over'") == [(0,)]
    named = await fetch(
        stores, "SELECT DISTINCT lock_id FROM lost_event WHERE lock_id IS NOT NULL ORDER BY 1"
    )
    assert [lock_id for (lock_id,) in named] == ["four", "late"]


async def listed_as_logged(
    stores: Stores, logs: list[Any], capsys: pytest.CaptureFixture[str], *, events: int
) -> None:
    """`lost list` has as many events as the log said that it keeps for it."""
    said = [log.get("events", log.get("locks")) for log in logs if log.get("table") == "lost_event"]
    capsys.readouterr()
    with commands_on(stores) as opened:
        assert await lost(as_json=True, data_dir=Path(), open_stores=opened) == 0
    assert (sum(said), len(json.loads(capsys.readouterr().out)["events"])) == (events, events), logs


def _without_versions(memory: dict) -> dict:
    return {
        key: {name: value for name, value in record.items() if name != "v"}
        if isinstance(record, dict) and ":stock:" in key
        else record
        for key, record in memory.items()
    }


async def test_a_carry_over_that_breaks_off_goes_on(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    await go_back_and_trim(stores)
    before = await memory_of(stores)
    await stores.client.function_flush()
    carry, calls = Gate.carry, iter(range(100))

    async def once(self, steps, *, fence, epoch):
        if next(calls):
            raise FencedError("killed")
        await carry(self, steps, fence=fence, epoch=epoch)

    monkeypatch.setattr(Gate, "carry", once)
    assert await found(stores) is None
    monkeypatch.setattr(Gate, "carry", carry)
    assert await found(stores) is Finding.CARRY_OVER
    await drain(stores)
    assert await differences(stores) == []
    assert _without_versions(await memory_of(stores)) == _without_versions(before)


async def test_a_ledger_that_went_back_beneath_a_running_store_is_noticed(stores: Stores) -> None:
    await go_back_and_trim(stores)
    async with working(stores):
        await stores.hot.execute(Lock("after", (Line("B", 1),)))

        async def carried() -> bool:
            rows = await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'carry_over'")
            return rows != [(0,)] and await stores.gate.is_open()

        await until(carried)
    await drain(stores)
    assert await differences(stores) == []


async def test_what_a_ledger_that_went_back_lacks_is_not_trimmed(stores: Stores) -> None:
    """The worker had seen it committed, longer ago than the margin; then a standby took over that never had it."""
    persist = persist_of(stores)
    persist._batch_events = persist._batch_events_max = 1
    await some_traffic(stores)
    while await persist.run_once():
        pass
    await copy_of_ledger(stores)
    persist._trim_margin_seconds = 3_600
    await more_traffic(stores)
    while await persist.run_once():
        pass
    for n, (at, position) in enumerate(persist._marks):  # two hours later
        persist._marks[n] = (at - 7_200, position)
    await put_back_ledger(stores)
    persist._at = persist._ahead = None  # as after any error of Postgres
    while await persist.run_once():
        (first,) = await stores.client.xrange(stores.keys.outbox, count=1)
        at = (await persist._writer.position()).position
        assert Position.parse(first[0]) <= at
    assert await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'carry_over'") == [(0,)]
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM event WHERE lock_id = 'four'") == [(1,)]


async def test_a_lock_that_ended_in_the_gap_is_not_open_any_more(stores: Stores) -> None:
    await some_traffic(stores)
    await drain(stores)
    await copy_of_ledger(stores)
    await stores.hot.execute(Deduct("one", "s2"))
    await stores.hot.execute(Unlock("two"))
    await drain(stores)
    await stores.hot.forget("one", ["deduct:one{s1", "deduct:one{s2"])
    await stores.hot.execute(Unlock("three"))
    await drain(stores)
    await put_back_ledger(stores)
    await stores.client.function_flush()
    assert await found(stores) is Finding.CARRY_OVER
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT status FROM lock WHERE lock_id = 'one'") == [("released",)]


async def test_postgres_away_the_gate_stays_shut(stores: Stores) -> None:
    persist = persist_of(stores)
    await some_traffic(stores)
    await stores.client.function_flush()
    recovery = stores.recovery()

    async def away(*_args, **_kwargs):
        raise OSError("away")

    recovery._rows.take_lease = away
    with pytest.raises(OSError, match="away"):
        await recovery.ensure_open()
    assert not await stores.gate.is_open()
    assert await asyncio.wait_for(found(stores), 10) is Finding.SAME
    while await persist.run_once():
        pass
    assert await differences(stores) == []


async def test_a_rebuild_that_does_not_add_up_is_not_opened(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_traffic(stores)
    await drain(stores)
    await stores.client.flushall()
    sums = SnapshotRows.stock_sums

    async def one_more(self):
        skus, units = await sums(self)
        return skus, units + 1

    monkeypatch.setattr(SnapshotRows, "stock_sums", one_more)
    assert await found(stores) is None
    assert not await stores.gate.is_open()
    monkeypatch.undo()
    assert await found(stores) is Finding.DIFFERENT  # half rebuilt: begun anew
    await drain(stores)
    assert await differences(stores) == []


async def test_a_record_that_was_not_set_as_it_should_be_is_noticed(stores: Stores) -> None:
    await stores.client.function_flush()
    await stores.gate.load_library()
    await stores.gate.shut(fence=99)
    await stores.gate.rebuild_begin(fence=99, tip="", recorded_at_ms=0, last="0-0")
    await stores.client.hset(stores.keys.stock("A"), "south:a", "5")  # nobody has cleared it away
    with pytest.raises(FencedError, match="something else writes"):
        await stores.gate.load_stock(["A\tv\t1\tnorth:a\t1"], fence=99)
    await stores.client.hset(stores.keys.op("x"), "y", "z")
    await stores.client.delete(stores.keys.op("x"))
    many = "\t".join(f"w{i}:a\t{i}" for i in range(300))  # more than a small hash holds
    assert await stores.gate.load_stock([f"B\tv\t300\t{many}"], fence=99) == sum(range(300))


# Real servers that lost their tail


async def test_an_append_only_file_that_lost_its_tail_is_behind(
    stores: Stores, redis_server: EmbeddedValkey
) -> None:
    await some_traffic(stores)
    await more_traffic(stores)
    await drain(stores)
    whole = await memory_of(stores)
    await restart_without_tail(stores, redis_server, cut=2_500)
    assert await asyncio.wait_for(found(stores), 20) is Finding.BEHIND
    assert await memory_of(stores) == whole
    await drain(stores)
    assert await differences(stores) == []


@pytest.mark.tier
async def test_a_promoted_replica_that_missed_the_tail_there_and_back(
    stores: Stores, redis_server: EmbeddedValkey
) -> None:
    """A -> B -> A: B missed what the ledger has, then A comes back with what only A had."""
    quick = Settings(trim_margin_seconds=0, call_deadline_seconds=0.1)
    await some_traffic(stores)
    with servers.valkey() as second, redis.Redis.from_url(second.url) as replica:
        await _follow(redis_server, replica)
        replica.replicaof("NO", "ONE")  # from here on it misses everything
        await stores.hot.execute(Lock("in the ledger", (Line("B", 1),)))
        await drain(stores)
        await stores.hot.execute(Lock("only at A", (Line("B", 1),)))
        url = stores.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        async with open_stores(second.url, url, settings=quick) as moved:
            assert await moved.recovery().ensure_open() is Finding.BEHIND
            assert (await moved.hot.read_lock("in the ledger")).lock.status == "held"
            await moved.hot.execute(Lock("at B", (Line("B", 1),)))
            await drain(moved)
            assert await differences(moved) == []
        await stores.client.function_flush()
        async with open_stores(redis_server.url, url, settings=quick) as back:
            assert await back.recovery().ensure_open() is Finding.FORK
            assert (await back.hot.read_lock("at B")).lock.status == "held"
            assert (await back.hot.read_lock("only at A")).outcome is Outcome.UNKNOWN_LOCK
            await drain(back)
            assert await differences(back) == []
            assert await fetch(back, "SELECT lock_id FROM lost_event") == [("only at A",)]


async def _follow(primary: EmbeddedValkey, replica: redis.Redis) -> None:
    with redis.Redis.from_url(primary.url) as client:
        password = client.connection_pool.connection_kwargs["password"]
    replica.config_set("masterauth", password)
    replica.replicaof("127.0.0.1", primary.port)

    async def is_up() -> bool:
        info = replica.info("replication")
        return info["master_link_status"] == "up" and info["slave_repl_offset"] > 0

    await until(is_up)
