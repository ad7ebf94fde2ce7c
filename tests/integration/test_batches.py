"""Batches that are folded ahead: what is ordinary is written as a whole, and the ledger is the same either way."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap import Stores
from app.domain.chain import Entry, Link
from app.domain.commands import Line, Lock, Opening, OpeningRow, Unlock
from app.domain.events import Position
from app.errors import NotReadyError
from app.hotstore import outbox
from app.ledger import database, writer
from app.ledger.check import LedgerCheck
from app.ledger.horizon import Horizon
from app.ledger.writer import OutOfTurnError, Writer
from app.worker.persist import Persist
from tests.integration.books import Book
from tests.integration.working import differences, drain, execute, fetch, some_traffic

TABLES = {
    "event": "epoch, n",
    "move": "epoch, n, line",
    "stock": "sku, warehouse",
    "lock": "lock_id",
    "counted": "sku, warehouse",
    "balance": "sku, version, warehouse",
}


class Noting(Writer):
    """A writer that notes how it was asked to write."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        super().__init__(engine, shard)
        self.apart: list[int] = []

    async def write(self, entries: Sequence[Entry], *, home_epoch: int | None = None) -> Position | None:
        self.apart.append(len(entries))
        return await super().write(entries, home_epoch=home_epoch)


def persisting(stores: Stores, *, batch: int = 100) -> tuple[Persist, Noting]:
    noting = Noting(stores.engine, 0)
    given: dict[str, Any] = {"batch_events_max": batch, "trim_margin_seconds": 60}
    return Persist(stores.client, stores.keys, stores.hot, noting, **given), noting


async def contents(stores: Stores) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: await fetch(stores, f"SELECT * FROM {table} ORDER BY {by}")  # noqa: S608 - names of ours
        for table, by in TABLES.items()
    }


async def read(stores: Stores, after: Position, *, entries_max: int = 1) -> list[Entry]:
    return await outbox.read_after(stores.client, stores.keys, after, entries_max=entries_max)


async def start_again(stores: Stores) -> None:
    """Empty the ledger, as if no event had been written."""
    names = ", ".join([*TABLES, "position", "event_id", "shortage"])
    await execute(stores, f"TRUNCATE {names}")


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
async def test_what_is_ordinary_is_written_as_it_was_folded(
    stores: Stores, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BALANCE_MOVES", 3)
    await some_traffic(stores)
    persist, noting = persisting(stores, batch=batch)
    while await persist.run_once():
        pass
    assert noting.apart == []
    assert await differences(stores) == []
    folded = await contents(stores)
    assert len(folded["event"]) == 10
    if batch == 1:  # then balances are noted at the same versions
        assert folded["balance"]
        await start_again(stores)
        careful, at = Writer(stores.engine, 0), Position(0, 0)
        await careful.position()
        while entries := await read(stores, at):
            at = await careful.write(entries) or at
        assert await contents(stores) == folded


async def test_a_batch_that_another_worker_has_written_is_not_written_again(stores: Stores) -> None:
    await some_traffic(stores)
    persist, noting = persisting(stores, batch=3)
    assert await persist.run_once()  # and the next three are folded
    await drain(stores)
    while await persist.run_once():
        pass
    assert noting.apart  # which found that the ledger was further
    assert await fetch(stores, "SELECT count(*), count(DISTINCT n) FROM event") == [(10, 10)]
    assert await differences(stores) == []


async def test_a_batch_says_that_it_is_not_its_turn(stores: Stores) -> None:
    await some_traffic(stores)
    late = Writer(stores.engine, 0)
    entries = await read(stores, Position(0, 0), entries_max=5)
    batch = late.batch(Link(entries[2].position, entries[2].tip))
    batch.add(entries[3:])
    await drain(stores)
    with pytest.raises(OutOfTurnError, match="1-9"):
        await late.write_batch(batch)


async def test_something_wrong_in_a_batch_takes_nothing_from_the_others(stores: Stores) -> None:
    """Nothing before the event that breaks the chain is lost, nothing behind it is booked."""
    await some_traffic(stores)
    last = (await stores.client.xrevrange(stores.keys.outbox, count=1))[0][0]
    epoch, n = last.split("-")
    await stores.client.xadd(stores.keys.outbox, {"p": "0" * 16, "e": "[3]"}, id=f"{epoch}-{int(n) + 2}")
    persist, noting = persisting(stores)
    assert await persist.run_once()
    assert noting.apart == [11]
    with pytest.raises(NotReadyError, match="does not continue"):
        await persist.run_once()
    assert await fetch(stores, "SELECT count(*) FROM event") == [(10,)]


# Running sums


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    opened = database.open_engine(database_url)
    yield opened
    await opened.dispose()


async def faults(engine: AsyncEngine) -> list[str]:
    return [str(fault) async for fault in LedgerCheck(engine, 0, now=datetime.now(UTC)).faults()]


@pytest.mark.parametrize(
    "left_behind",
    [
        "UPDATE stock SET summed = NULL, supplier = 5",  # from before there were any
        "UPDATE stock SET summed = version - 1, adjustment = 1, occurred_to = '2000-01-01'",  # an older worker wrote
        "UPDATE stock SET summed = NULL, customer = 7 WHERE warehouse = 'south'",
    ],
)
async def test_sums_that_were_left_behind_are_made_anew(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, left_behind: str
) -> None:
    monkeypatch.setattr(writer, "BALANCE_MOVES", 4)
    book = Book(Writer(engine, 0))
    book.open()

    async def some_moves() -> None:
        for number in range(5):
            book.add("receive", book.move("A", "sa", 3 + number))
            book.add("adjust", book.move("A", "at", 1, to="south"), book.move("A", "ta", 1, "south"))
            book.add("deduct", book.move("A", "ac", 2), occurred_at=book.at - number)
        await book.write(4)

    await some_moves()
    async with database.driver_transaction(engine) as pg:
        await pg.execute(left_behind)
    book.add("adjust", book.move("A", "ja", 1, "south"))
    await book.write()
    await some_moves()
    async with database.driver_transaction(engine) as pg:
        rows = await pg.fetch("SELECT supplier, customer, adjustment, summed = version AS fresh FROM stock")
        balances = await pg.fetch(
            "SELECT version, min(occurred_from) = (SELECT min(occurred_at) FROM move "
            "WHERE move.version > before AND move.version <= balance.version) "
            "AND max(occurred_to) = (SELECT max(occurred_at) FROM move "
            "WHERE move.version > before AND move.version <= balance.version) AS exact "
            "FROM (SELECT *, lag(version, 1, 0::bigint) OVER (ORDER BY version) AS before FROM "
            "(SELECT version, min(occurred_from) AS occurred_from, max(occurred_to) AS occurred_to FROM balance "
            "GROUP BY version) AS each) AS balance GROUP BY version, before"
        )
    sums = [sum(row[name] for row in rows) for name in ("supplier", "customer", "adjustment")]
    assert sums == [-50, 20, -1]
    assert all(row["fresh"] for row in rows)
    assert len(balances) > 6
    assert all(row["exact"] for row in balances)
    assert not [fault for fault in await faults(engine) if "balance" in fault]


# What may be forgotten


async def test_forgetting_ends_at_the_first_event_that_is_not_past(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    for number in range(3):
        await stores.hot.execute(Lock(f"L{number}", (Line("A", 1),)))
        await stores.hot.execute(Unlock(f"L{number}"))
    await drain(stores)
    capped = Horizon(stores.engine, 0, seconds=86_400, entries_max=3)
    batch = await capped.next_batch()
    assert (set(batch.locks), batch.cursor) == ({"L0"}, Position(1, 3))
    await capped.advance(batch)
    assert (await capped.next_batch()).cursor == Position(1, 3)
    # What comes in a later epoch waits for what came before it, however old it says that it is.
    await execute(
        stores,
        """
        INSERT INTO epoch (shard, epoch, prev_epoch, prev_n, prev_tip, home, finding) VALUES (0, 2, 1, 7, '', '', '');
        INSERT INTO event (shard, epoch, n, schema, kind, recorded_at, occurred_at, prev, tip)
        SELECT 0, 2, n, 3, 'open', (SELECT min(recorded_at) FROM event), now(), '', '' FROM generate_series(0, 2) AS n
        """,
    )
    in_time = Horizon(stores.engine, 0, seconds=86_400, entries_max=1_000)
    assert (await in_time.next_batch()).cursor == Position(1, 3)
    at_once = Horizon(stores.engine, 0, seconds=0, entries_max=1_000)
    batch = await at_once.next_batch()
    assert (set(batch.locks), batch.cursor) == ({"L1", "L2"}, Position(1, 7))
    await at_once.advance(batch)
    assert (await at_once.next_batch()).cursor == Position(2, 2)
    await at_once.advance(await at_once.next_batch())
    assert (await at_once.next_batch()).cursor == Position(2, 2)
