"""The ring of acknowledged commands, and processes that leave an old primary, on real servers."""

import asyncio
import json
import re
import time
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.api.hot.asgi import HotAsgi
from app.bootstrap import Stores, open_api, open_stores
from app.domain.commands import (
    Acknowledged,
    Booking,
    Confirm,
    Count,
    Deduct,
    Fact,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Transfer,
    Unlock,
)
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import Place
from app.embedded.valkey import EmbeddedValkey
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore.connection import Connection
from app.hotstore.line import Line as RedisLine
from app.hotstore.line import LineCaller
from app.hotstore.ring import Ring
from app.hotstore.store import HotStore
from app.ledger.drift import DriftRows
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.writer import Writer
from app.operations.epoch_watch import EpochWatch
from app.recovery.findings import Finding
from app.settings import Settings
from tests import servers
from tests.integration.test_recovery_findings import told
from tests.integration.working import differences, drain, execute, fetch, until, working


async def nobody(_epoch: int) -> None:
    """Leaves nothing."""


def ringed(stores: Stores) -> tuple[HotStore, Ring, EpochWatch]:
    """A process' store, its ring, and what watches."""
    ring = Ring(1_000)
    store = HotStore(stores.hot._caller, stores.keys, stores.hot._library, ring=ring)
    rows = RecoveryRows(stores.engine, 0)
    return store, ring, EpochWatch(rows, nobody, ring=ring)


async def test_a_flush_s_losses_are_named(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    store, ring, watch = ringed(stores)
    await store.execute(Opening([OpeningRow("A", "north", 10), OpeningRow("B", "south", 5)]))
    await store.execute(Lock("kept", (Line("A", 1),)))
    await drain(stores)
    await watch.look()
    assert len(ring) == 0
    await store.execute(Lock("gone", (Line("A", 2), Line("B", 1))))
    await store.execute(Deduct("kept", "s1"))
    await store.execute(Unlock("gone", "key", (Line("A", 1),)))
    await store.execute(Receive("r1", "north", (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 4),)))
    await store.execute(Unlock("gone", "key", (Line("A", 1),)))  # a repeat is no event
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    await watch.look()
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]  # the worker may still bring it
    await drain(stores)
    await watch.look()
    capsys.readouterr()
    lines = (await told(stores, capsys, as_json=False)).splitlines()
    assert [line.partition("  ")[2].partition("  ")[2] for line in lines] == [
        "lock of lock gone: 2 A in north, available -> locked; 1 B in south, available -> locked  [named]",
        "deduct of lock kept: 1 A in north, locked -> customer  [named]",
        "unlock of lock gone: 1 A in , locked -> available  [named]",
        "receive (receipt:r1): 4 A in north, supplier -> available  [named]",
        "",
    ]
    assert len(ring) == 0
    assert await differences(stores) == []


# A tail of which only the numbers are known


def watching(stores: Stores, ring: Ring | None = None) -> EpochWatch:
    """What looks how far the hot store is; without a ring it can name nothing."""
    return EpochWatch(RecoveryRows(stores.engine, 0), nobody, ring=ring, head=stores.hot.read_last)


async def file_missing(stores: Stores) -> list[tuple[str, int]]:
    """Run the duty; what it filed."""
    (duty,) = [duty for duty in stores.duties() if duty.name == "lost"]
    with capture_logs() as logs:
        await duty.run_once()
    return [
        (f"{log['first']} to {log['last']}", log["nothing_else_known"])
        for log in logs
        if log["event"] == "recovery.events_missing" and log["log_level"] == "error"
    ]


async def listed(stores: Stores, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    lines = (await told(stores, capsys, as_json=False)).splitlines()
    return [re.sub(r"  \d{4}-\S+  ", "  ", line) for line in lines]


async def four_locks(store: HotStore) -> None:
    for i in range(4):
        await store.execute(Lock(f"L{i}", (Line("A", 1),)))


async def test_a_lost_tail_is_listed_by_number_where_nobody_can_name_it(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await drain(stores)
    before = watching(stores)
    await before.look()
    assert await fetch(stores, "SELECT count(*) FROM seen") == [(0,)]  # all is persisted: nothing to note
    await four_locks(stores.hot)
    await before.look()
    await before.look()
    assert await fetch(stores, "SELECT epoch, n FROM seen") == [(1, 5)]
    # That process ends here, and Redis comes back without anything.
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    assert await file_missing(stores) == []  # the worker may still bring it
    await drain(stores)
    assert await file_missing(stores) == [("1-2 to 1-5", 4)]
    assert await file_missing(stores) == []
    assert await listed(stores, capsys) == [
        "1-2 to 1-5  4 events of which nothing else is known  [seen]",
        "4 events lost, 0 counts set right",
    ]
    (event,) = json.loads(await told(stores, capsys, as_json=True))["events"]
    assert (event["position"], event["last"], event["events"], event["kind"]) == ("1-2", "1-5", 4, "unknown")
    assert (await DriftRows(stores.engine, 0).figures()).lost == 4


async def test_of_a_lost_tail_only_what_nobody_named_is_listed_by_number(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes: one has a ring, and did the last two of four. It is told of by the ring, the rest by number."""
    ring = Ring(100)
    named = HotStore(stores.hot._caller, stores.keys, stores.hot._library, ring=ring)
    watch = watching(stores, ring)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await drain(stores)
    await stores.hot.execute(Lock("who knows", (Line("A", 1),)))
    await stores.hot.execute(Lock("nobody", (Line("A", 1),)))
    await named.execute(Lock("one", (Line("A", 1),)))
    await named.execute(Lock("two", (Line("A", 1),)))
    await watch.look()
    await stores.client.flushall()
    await stores.recovery().ensure_open()
    await drain(stores)
    await watch.look()  # at once: what it has seen it tells though there was no second look before
    assert await file_missing(stores) == [("1-2 to 1-5", 2)]
    lines = await listed(stores, capsys)
    assert [line.partition("  ")[2][:12] for line in lines[:2]] == ["2 events of ", "lock of lock"]
    assert lines[-1] == "4 events lost, 0 counts set right"
    assert (await DriftRows(stores.engine, 0).figures()).lost == 4


async def test_nothing_is_missing_where_the_memory_is_whole_or_was_carried_over(stores: Stores) -> None:
    watch = watching(stores)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await four_locks(stores.hot)
    for _ in range(2):
        await watch.look()
    assert await fetch(stores, "SELECT n FROM seen") == [(5,)]
    await stores.client.function_flush()
    assert (
        await stores.recovery().ensure_open() is Finding.SAME
    )  # what was ahead is drained before it is compared
    await drain(stores)
    assert await file_missing(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM seen") == [(0,)]
    await stores.hot.execute(Lock("more", (Line("A", 1),)))
    for _ in range(2):
        await watch.look()
    await stores.client.execute_command("XTRIM", stores.keys.outbox, "MAXLEN", 0)
    assert await stores.recovery().ensure_open(doubt=True) is Finding.DIFFERENT
    await drain(stores)
    assert await file_missing(stores) == [("2-1 to 2-1", 1)]


async def test_a_ledger_from_an_older_copy_beside_a_lost_memory_is_no_silent_loss(stores: Stores) -> None:
    """What a living process has seen persisted, and what then is not there any more, is missed too."""
    watch = watching(stores)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await four_locks(stores.hot)
    await drain(stores)
    await watch.look()
    await execute(
        stores, "ALTER TABLE event DISABLE TRIGGER ALL; DELETE FROM move; DELETE FROM event WHERE n > 2"
    )
    await execute(stores, "UPDATE position SET n = 2, tip = (SELECT tip FROM event WHERE n = 2)")
    await execute(stores, "TRUNCATE stock, lock")
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    await drain(stores)
    await watch.look()
    assert await file_missing(stores) == [("1-3 to 1-5", 3)]


WMS: list[tuple[str, dict[str, Any], str]] = [
    (
        "received",
        {"quantity": 4, "damaged": 1},
        "receive{id}: 4 {a}, supplier -> available; 1 {a}, supplier -> damaged",
    ),
    ("shipped", {"quantity": 1, "document_id": "kept"}, "deduct of lock kept{id}: 1 {a}, locked -> customer"),
    ("shipped", {"quantity": 2}, "deduct{id}: 2 {a}, available -> customer"),
    ("returned", {"quantity": 1, "state": Place.DAMAGED}, "return{id}: 1 {a}, customer -> damaged"),
    ("adjusted", {"quantity": -2}, "adjust{id}: 2 {a}, available -> adjustment"),
    ("adjusted", {"quantity": 2, "state": Place.DAMAGED}, "adjust{id}: 2 {a}, adjustment -> damaged"),
    (
        "transfer_shipped",
        {"quantity": 2, "document_id": "T"},
        "transfer_ship{id}: 2 {a}, locked -> in_transit",
    ),
    ("transfer_shipped", {"quantity": 1}, "transfer_ship{id}: 1 {a}, available -> adjustment"),
    (
        "transfer_received",
        {"warehouse": "south", "quantity": 1, "lost": 1, "document_id": "T"},
        "transfer_receive{id}: 1 {b}, in_transit -> available; 1 {b}, in_transit -> adjustment",
    ),
    (
        "transfer_received",
        {"warehouse": "south", "quantity": 1, "damaged": 1, "lost": 1},
        "transfer_receive{id}: 1 {b}, adjustment -> available; 1 {b}, adjustment -> damaged",
    ),
    ("received", {"quantity": 9, "mode": "drop", "odd": "twice"}, "drop{id}: no units"),
]
"""Type, what else the event says, and how it is named; {a} and {b} are the SKU in the two warehouses."""


async def test_what_a_warehouse_told_is_named(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    """Its events under their own ids, counts with their differences, openings with what they set."""
    store, ring, watch = ringed(stores)
    await store.execute(Opening([OpeningRow("A", "north", 10)]))
    await store.execute(Lock("kept", (Line("A", 1),)))
    await store.execute(Transfer("T", "north", "south", (Line("A", 2),)))
    await drain(stores)
    await watch.look()
    expected = []
    for number, (kind, says, line) in enumerate(WMS):
        fact = {"warehouse": "north", "sku": "A", "occurred_at": int(time.time() * 1000)} | says
        answer = await store.execute(Fact("wms", f"e{number}", kind, **fact))
        assert answer.outcome in {Outcome.BOOKED, Outcome.DROPPED}
        expected.append(line.format(id=f" (event:wms{{e{number})", a="A in north", b="A in south"))
    found = (Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 3),)
    await store.execute(Count("C", "north", found))
    await store.execute(Opening([OpeningRow("A", "north", 20), OpeningRow("B", "south", 5, 1)]))
    expected.append("count (stock-take:C): 3 A in north, adjustment -> available")
    expected.append("opening (to 20 A in north, 5 B in south): no units")
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    await drain(stores)
    await watch.look()
    capsys.readouterr()
    lines = (await told(stores, capsys, as_json=False)).splitlines()
    named = [line.partition("  ")[2].partition("  ")[2] for line in lines[:-1]]
    assert named == [f"{line}  [named]" for line in expected]
    assert len(ring) == 0


async def test_nothing_is_named_that_the_ledger_or_a_branch_knows(stores: Stores) -> None:
    store, ring, watch = ringed(stores)
    await store.execute(Opening([OpeningRow("A", "north", 10)]))
    await store.execute(Lock("one", (Line("A", 1),)))
    await stores.client.function_flush()
    assert await stores.recovery().ensure_open() is Finding.SAME
    await drain(stores)
    await watch.look()
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]
    assert len(ring) == 0


class OpenedBetween:
    """A ledger in which a new epoch is opened, and persisted, between the two questions of one look."""

    def __init__(self) -> None:
        self.filed: list[Acknowledged] = []
        self._newest = 1
        self._reached = Position(1, 3)

    async def newest_noted_epoch(self) -> int:
        newest, self._newest, self._reached = self._newest, 2, Position(2, 1)
        return newest

    async def reached(self) -> Position:
        return self._reached

    async def file(self, named: list[Acknowledged]) -> int:
        self.filed += named
        return len(named)

    async def note_seen(self, position: Position) -> None:
        """It is of no interest here."""


async def test_what_is_lost_is_named_though_the_epoch_changes_between_two_questions() -> None:
    epochs, ring = OpenedBetween(), Ring(100)
    watch = EpochWatch(epochs, nobody, ring=ring)
    ring.add(Confirm("L1"), ["CONFIRMED", "L1", "1-9", "confirmed", "", "[]", "2"])
    await watch.look()
    await watch.look()
    assert [one.effect.lock_id for one in epochs.filed] == ["L1"]
    assert len(ring) == 0


async def test_the_ring_is_bounded() -> None:
    ring, holds = Ring(3), Lock("x", (Line("A", 1),))
    for n in range(5):
        ring.add(holds, ["LOCKED", "x", f"1-{n}", "held", "", "[]", "1"])
    ring.add(holds, ["REPEATED", "x", "1-9", "held", "", "[]", "1"])
    assert [one.position.n for one in ring.before(2)] == [2, 3, 4]
    ring.drop(Position(1, 3))
    assert len(ring) == 1


@pytest.mark.tier
async def test_both_ways_into_an_api_process_fill_its_ring(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await drain(stores)
    settings = Settings(redis_url=stores.redis_url, database_url=_url_of(stores))
    async with open_api(settings) as served:
        transport = httpx.ASGITransport(HotAsgi(served.app, served.hot))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            await until(lambda: _is_ready(http))
            for lock_id, more in (("hot", {}), ("cold", {"durability": "ledger"})):
                body = {"lock_id": lock_id, "lines": [{"sku": "A", "quantity": 1}]} | more
                async with asyncio.timeout(15):
                    assert (await http.post("/v1/locks", json=body)).status_code == 201
            await stores.client.flushall()
            assert await stores.recovery().ensure_open() is Finding.EMPTY
            async with working(stores):
                await until(lambda: fetch(stores, "SELECT 1 FROM lost_event HAVING count(*) = 2"))
    lost = await fetch(stores, "SELECT lock_id FROM lost_event ORDER BY 1")
    assert lost == [("cold",), ("hot",)]


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


def _url_of(stores: Stores) -> str:
    return stores.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


# The old primary


async def test_a_process_leaves_a_memory_of_an_earlier_epoch(stores: Stores) -> None:
    line = RedisLine(stores.redis_url, stores.keys, stores.hot._library, deadline_seconds=5)
    store = HotStore(LineCaller(line), stores.keys, stores.hot._library)
    line.start()
    try:
        await until(lambda: _true(line.epoch))
        await store.execute(Opening([OpeningRow("A", "north", 10)]))

        async def leave(epoch_min: int) -> None:
            store.leave(epoch_min)
            line.leave(epoch_min)

        rows = RecoveryRows(stores.engine, 0)
        watch = EpochWatch(rows, leave)
        await watch.look()
        await store.execute(Lock("here", (Line("A", 1),)))
        await rows.add_epoch(7, await rows.tip(), home="another", finding="new_home")
        await watch.look()
        for _ in range(2):
            await until(lambda: _true(line._connection))
            with pytest.raises((NotReadyError, OutcomeUnknownError)):
                await store.execute(Lock("not here", (Line("A", 1),)))
        assert not line.epoch
    finally:
        await line.close()
    assert (await stores.hot.read_lock("not here")).outcome == "UNKNOWN_LOCK"


async def _true(value: object) -> bool:
    return bool(value)


async def test_postgres_away_does_not_stop_locks(stores: Stores) -> None:
    store, _, watch = ringed(stores)
    await store.execute(Opening([OpeningRow("A", "north", 10)]))
    await watch.look()

    async def away() -> int:
        raise OSError("away")

    watch._epochs.newest_noted_epoch = away
    with pytest.raises(OSError, match="away"):
        await watch.look()
    assert (await store.execute(Lock("one", (Line("A", 1),)))).outcome == "LOCKED"


async def test_a_worker_writes_nothing_of_an_old_home(stores: Stores) -> None:
    """It read the entries before the new epoch was noted, and comes to write them after."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await drain(stores)
    await stores.hot.execute(Lock("tail", (Line("A", 1),)))
    from app.hotstore import outbox  # noqa: PLC0415

    writer = Writer(stores.engine, 0)
    at, _ = await writer.position()
    entries = await outbox.read_after(stores.client, stores.keys, at, entries_max=10)
    rows = RecoveryRows(stores.engine, 0)
    await rows.add_epoch(2, await rows.tip(), home="another", finding="new_home")
    assert await writer.write(entries, home_epoch=1) is None
    assert (await writer.position())[0] == at
    assert await writer.write(entries, home_epoch=2) == entries[-1].position


async def test_a_reply_after_the_deadline_is_never_success() -> None:
    loop = asyncio.get_running_loop()
    told_of: list[object] = []
    connection = Connection(loop, in_flight_max=9, on_push=lambda _: None, on_lost=lambda _: None)

    class Nowhere(asyncio.Transport):
        def set_write_buffer_limits(self, high=None, low=None) -> None:
            """Unlimited."""

        def write(self, data) -> None:
            """Away."""

    connection.connection_made(Nowhere())
    connection.call(("PING",), told_of.append, deadline_seconds=-1)
    connection.call(("PING",), told_of.append, deadline_seconds=60)
    connection.data_received(b"+PONG\r\n+PONG\r\n")
    assert isinstance(told_of[0], OutcomeUnknownError)
    assert told_of[1] == "PONG"


async def test_a_new_home_is_opened_only_when_the_old_one_s_replies_are_over(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def quick(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr("app.recovery.recovery.asyncio.sleep", quick)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await stores.client.function_flush()
    assert await stores.recovery().ensure_open() is Finding.SAME  # the same process: nobody else can answer
    assert 3.0 not in waited
    await drain(stores)
    with servers.valkey() as other:
        async with open_stores(other.url, _url_of(stores), settings=Settings()) as moved:
            assert await moved.recovery().ensure_open() is Finding.EMPTY
            assert 3.0 in waited
            assert (await fetch(stores, "SELECT max(epoch) FROM epoch")) == [(3,)]


async def test_a_restart_on_its_own_data_is_no_new_home(
    stores: Stores, redis_server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    redis_server.stop(immediate=True)
    redis_server.start()
    await stores.client.connection_pool.disconnect()

    recovery = stores.recovery()
    monkeypatch.setattr(recovery, "_rules", recovery._rules.__class__(0, settle_seconds=1e9))
    assert await asyncio.wait_for(recovery.ensure_open(), 20) is Finding.SAME
