"""What must neither stop the worker nor be taken twice: events written part by part, texts, months, leases, cursors."""

import asyncio
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import Booking, Line, Lock, Opening, OpeningRow, Receive
from app.domain.events import Position
from app.domain.words import Place
from app.errors import NotReadyError
from app.hotstore import outbox
from app.ledger import database
from app.ledger.horizon import Forgettable, Horizon
from app.ledger.parking import NAME_LENGTH_MAX
from app.ledger.quarantine import QuarantiningWriter
from app.ledger.queries import sql
from app.ledger.writer import MonthGoneError
from app.recovery.findings import Finding
from app.worker.persist import Persist
from tests.integration.test_quarantine import drain, faults, move_of, parked, plant, plant_text
from tests.integration.test_worker import differences, execute, fetch, until
from tests.integration.working import working

RECEIVED = "SELECT sku, good, damaged FROM purchase_order_receipt ORDER BY sku"


def booked(sku: str, place: Place, quantity: int) -> Booking:
    return Booking(sku, Place.SUPPLIER, place, quantity)


async def received(stores: Stores) -> list[tuple[Any, ...]]:
    return await fetch(stores, RECEIVED)


# A receipt with good and damaged units of one SKU


async def test_a_receipt_beside_a_poisonous_one_is_booked_whole(stores: Stores) -> None:
    """Written part by part, its good and its damaged units are two moves of one SKU."""
    await stores.hot.execute(Opening([OpeningRow("S1", "north", 100), OpeningRow("S2", "north", 1)]))
    key = stores.keys.stock("S1")
    version = int(await stores.client.hincrby(key, "v", 2))
    await stores.client.hset(key, mapping={"north:a": 110, "north:d": 2})
    good = ["S1", version - 1, "north", "s", "a", 10, [110, 0, 0, 0, 0], None]
    damaged = ["S1", version, "north", "s", "d", 2, [110, 0, 2, 0, 0], None]
    poison = await move_of(stores, "S2", quantity=2**70)
    await plant(stores, good, damaged, poison, kind="receive", document=["purchase_order", "PO1", {}])
    await drain(stores)
    assert await parked(stores) == {"S2": 1}
    assert await received(stores) == [("S1", 10, 2)]


async def test_a_receipt_that_was_parked_is_booked_once(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("S1", "north", 100)]))
    await drain(stores)
    await execute(
        stores, "ALTER TABLE stock ADD CONSTRAINT mended CHECK (sku <> 'S1' OR available < 105) NOT VALID"
    )
    lines = (booked("S1", Place.AVAILABLE, 10), booked("S1", Place.DAMAGED, 2))
    try:
        await stores.hot.execute(Receive("R1", "north", lines, purchase_order_id="PO1"))
        await drain(stores)
        assert await parked(stores) == {"S1": 2}
    finally:
        await execute(stores, "ALTER TABLE stock DROP CONSTRAINT mended")
    assert [(one.booked, one.left) for one in await stores.quarantine().retry()] == [(2, None)]
    assert await stores.quarantine().retry() == []
    assert await received(stores) == [("S1", 10, 2)]
    assert await differences(stores) == []
    assert await faults(stores) == []


# The cursor of what was forgotten


async def test_a_worker_that_stood_still_does_not_take_the_cursor_back(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    for i in range(3):
        await stores.hot.execute(Lock(f"L{i}", (Line("A", 1),)))
    await drain(stores)
    horizon = Horizon(stores.engine, 0, seconds=0, entries_max=0)
    for cursor in (Position(1, 2), Position(1, 4), Position(1, 3), Position(0, 9)):
        await horizon.advance(Forgettable({}, {}, [], [], cursor, 0, full=False))
    assert await fetch(stores, "SELECT forgotten_epoch, forgotten_n FROM position") == [(1, 4)]


# Texts that no event has


async def test_a_text_that_names_a_lock_and_a_transfer_parks_both(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("S1", "north", 100)]))
    text = b'[3,"x",0,null,null,null,null,null,"L1",{"s":"held"},[],["transfer","T1",{}],7]'
    where = await plant_text(stores, text)
    await stores.hot.execute(Lock("L9", (Line("S1", 1),)))
    await drain(stores)
    assert await parked(stores) == {where: 1, "lock L1": 1, "transfer T1": 1}
    assert await fetch(stores, "SELECT lock_id FROM lock") == [("L9",)]


# Such that no compression makes them short enough for an index.
LONG = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(3000))


async def test_a_text_that_names_a_sku_longer_than_any_index_holds_is_parked(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("S1", "north", 100)]))
    where = await plant_text(
        stores, f'[3,"x",0,null,null,null,null,null,null,null,[["{LONG}",1]],7]'.encode()
    )
    await stores.hot.execute(Lock("L9", (Line("S1", 1),)))
    await drain(stores)
    assert await parked(stores) == {where: 1, LONG[:NAME_LENGTH_MAX]: 1}
    assert await fetch(stores, "SELECT lock_id FROM lock") == [("L9",)]


async def test_an_event_with_a_name_longer_than_any_index_holds_stops_nothing_else(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("S1", "north", 100)]))
    await plant(stores, await move_of(stores, "S1"), await move_of(stores, LONG), op=LONG, fingerprint="f")
    await stores.hot.execute(Lock("L9", (Line("S1", 1),)))
    await drain(stores)
    assert await parked(stores) == {LONG[:NAME_LENGTH_MAX]: 1}
    assert await fetch(stores, "SELECT sku, available FROM stock") == [("S1", 104)]
    assert await fetch(stores, "SELECT part, ended_as FROM quarantine WHERE ended_at IS NOT NULL") == [
        ("event", "kept raw")
    ]


# What is known under the lease


A_NEWER_EPOCH = "INSERT INTO epoch VALUES (0, 7, 1, 0, '', 'h', 'x', now())"
A_PARKED_MOVE = """
    INSERT INTO quarantined_event VALUES (0, 1, 0, '', now());
    INSERT INTO quarantine (shard, epoch, n, part, line, subject) VALUES (0, 1, 0, 'move', 0, 'A');
"""


@pytest.mark.parametrize(
    ("meanwhile", "written"),
    [(A_NEWER_EPOCH, None), (A_PARKED_MOVE, Position(1, 2))],
    ids=["epoch", "parked"],
)
async def test_what_was_written_while_the_lease_was_asked_for_is_seen(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, meanwhile: str, written: Position | None
) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await drain(stores)
    await stores.hot.execute(Lock("L", (Line("A", 1),)))
    entries = await outbox.read_after(stores.client, stores.keys, Position(1, 1), entries_max=10)
    waits = "AND (SELECT pg_advisory_xact_lock(7)) IS NOT NULL FOR UPDATE"
    slow = sql("lease_position").replace("FOR UPDATE", waits)
    monkeypatch.setattr("app.ledger.writer.sql", lambda name: slow if name == "lease_position" else sql(name))
    async with database.driver_transaction(stores.engine) as pg:
        await pg.execute("SELECT pg_advisory_xact_lock(7)")
        writing = asyncio.create_task(QuarantiningWriter(stores.engine, 0).write(entries, home_epoch=1))
        await until(
            lambda: fetch(stores, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        )
        await pg.execute(meanwhile)
    assert await writing == written
    assert await fetch(stores, "SELECT locked FROM stock") == [(0,)]


# A ledger without this month's partitions


async def without_months(stores: Stores) -> None:
    """As a copy of before they were made."""
    listed = "SELECT relname FROM pg_class WHERE relname ~ '^(event|move)_[0-9]{4}_' AND relkind = 'r'"
    months = [name for (name,) in await fetch(stores, listed)]
    assert months
    gone = "".join(f"DROP TABLE {name};" for name in months)
    await execute(stores, f"TRUNCATE event, move, stock, lock, position, event_id CASCADE; {gone}")


def persisting(stores: Stores) -> Persist:
    writer = QuarantiningWriter(stores.engine, 0)
    return Persist(
        stores.client, stores.keys, stores.hot, writer, batch_events_max=100, trim_margin_seconds=60
    )


async def test_an_older_copy_without_this_month_is_written_again(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100)]))
    persist = persisting(stores)
    while await persist.run_once():
        pass
    await without_months(stores)
    for i in range(3):
        await stores.hot.execute(Lock(f"L{i}", (Line("A", 1),)))
    for _ in range(4):  # it finds no position at first
        await persist.run_once()
    assert await parked(stores) == {}
    assert await fetch(stores, "SELECT n FROM position") == [(4,)]
    assert await differences(stores) == []


async def test_a_month_that_goes_under_a_writer_is_no_poison(stores: Stores) -> None:
    """It is tried again, and the months are made anew."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100), OpeningRow("B", "north", 100)]))
    entries = await outbox.read_after(stores.client, stores.keys, Position(0, 0), entries_max=10)
    poison = await plant(stores, await move_of(stores, "A"), await move_of(stores, "B", quantity=2**70))
    writer = QuarantiningWriter(stores.engine, 0)
    await writer.position()
    await writer.write(entries)
    await without_months(stores)
    await fetch(
        stores, "INSERT INTO position (shard, epoch, n, tip, recorded_at) VALUES (0, 0, 0, '', now())"
    )
    with pytest.raises(MonthGoneError):
        await writer.write(entries)
    entries = await outbox.read_after(stores.client, stores.keys, Position(0, 0), entries_max=10)
    assert await writer.write(entries) == Position.parse(poison)
    assert await parked(stores) == {"B": 1}


# An entry that the outbox lost


async def lose_an_entry(stores: Stores) -> None:
    """Of two SKUs, and a lock whose only event it is."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100), OpeningRow("B", "north", 100)]))
    for i in range(6):
        await stores.hot.execute(Lock(f"L{i}", (Line("B" if i == 2 else "A", 1),)))
    assert await stores.client.xdel(stores.keys.outbox, "1-4") == 1


async def test_what_comes_before_a_lost_entry_is_written(stores: Stores) -> None:
    await lose_an_entry(stores)
    persist = persisting(stores)
    assert await persist.run_once()
    assert await fetch(stores, "SELECT n FROM position") == [(3,)]
    with pytest.raises(
        NotReadyError, match=r"outbox entry .* does not continue .*; the hot store is compared with"
    ):
        await persist.run_once()


async def test_a_lost_entry_is_carried_over_once(stores: Stores) -> None:
    """The hot store has what it did: no order is lost, and the worker goes on."""
    await lose_an_entry(stores)
    last = "SELECT 1 FROM event WHERE lock_id = 'after'"
    async with working(stores):
        await until(lambda: fetch(stores, "SELECT 1 FROM epoch WHERE finding = 'carry_over'"))
        await until(stores.gate.is_open)
        await stores.hot.execute(Lock("after", (Line("A", 1),)))
        await until(lambda: fetch(stores, last))
    assert await differences(stores) == []
    assert await faults(stores) == []
    findings = [finding for (finding,) in await fetch(stores, "SELECT finding FROM epoch ORDER BY epoch")]
    assert findings.count("carry_over") == 2  # of what was booked, and of the epoch after it
    assert set(findings) - {"carry_over"} == {"empty"}
    open_locks = await fetch(stores, "SELECT lock_id FROM lock WHERE status = 'held' ORDER BY 1")
    assert [name for (name,) in open_locks] == ["L0", "L1", "L2", "L3", "L4", "L5", "after"]
    await drain(stores)


async def test_a_rebuild_does_not_throw_away_what_only_the_hot_store_has(stores: Stores) -> None:
    await lose_an_entry(stores)
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.CARRY_OVER
    assert await stores.gate.is_open()
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM lock WHERE status = 'held'") == [(6,)]
