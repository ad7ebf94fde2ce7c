"""Ledger care: the check finds each removed or edited row, partitions are there in time, archiving loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap import Stores
from app.domain.events import Document
from app.domain.times import moment
from app.ledger import database, writer
from app.ledger.archive import Archive, Archived, Waits
from app.ledger.audit import Audit
from app.ledger.check import LedgerCheck
from app.ledger.counts import CountRows
from app.ledger.ledger import Ledger
from app.ledger.partitions import Month, Partitions
from app.ledger.past import FOREVER_MS, PastRows
from app.ledger.writer import Writer
from app.worker import partitions, retention
from tests.integration.books import Book
from tests.integration.working import drain, some_traffic


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with database.driver_transaction(engine) as pg:
        for one in statements:
            await pg.execute(one)


async def fetch(engine: AsyncEngine, statement: str) -> list[tuple[Any, ...]]:
    async with database.driver_transaction(engine) as pg:
        return [tuple(row) for row in await pg.fetch(statement)]


async def faults(engine: AsyncEngine, now: datetime | None = None) -> list[str]:
    check = LedgerCheck(engine, 0, now=now or datetime.now(UTC))
    return [str(fault) async for fault in check.faults()]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A ledger of its own: these tests change its tables."""
    opened = database.open_engine(database_url)
    yield opened
    await opened.dispose()


def three_months(engine: AsyncEngine) -> Book:
    """Moves of a busy SKU in every month, of one only in the first, of one only in the last; and a transfer."""
    book = Book(Writer(engine, 0))
    book.open()
    book.add("opening", book.move("hot", "ja", 500, buffer=7), book.move("old", "ja", 5))
    receipt = Document("purchase_order", "P", {})
    book.add("receive", book.move("hot", "sa", 40), op="receipt:R1", document=receipt)
    for number in range(60):
        lock = {"s": "held", "v": 1, "n": [["hot", "north", 1, 0]]}
        taken = book.add("lock", book.move("hot", "al", 1), at=100_000_000, lock=(f"L{number}", lock))
        done = {"s": "deducted", "v": 2, "n": [["hot", "north", 1, 1]]}
        late = taken.event.recorded_at - 40_000_000 if number % 7 == 0 else None
        book.add("deduct", book.move("hot", "lc", 1), lock=(f"L{number}", done), occurred_at=late)
        book.add(
            "adjust",
            book.move("hot", "at", 2, to="south"),
            book.move("hot", "ta", 1, "south"),
            op=f"a:{number}",
        )
    book.add("opening", book.move("new", "ja", 3), book.move("hot", "bb", 0, buffer=2))
    return book


@pytest.fixture
async def book(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(writer, "BALANCE_MOVES", 20)
    written = three_months(engine)
    await written.write(25)
    assert len(await fetch(engine, "SELECT DISTINCT version FROM balance WHERE sku = 'hot'")) > 5
    await Partitions(engine, months_ahead=1).make_ahead(moment(written.at))
    return written


def then(book: Book) -> datetime:
    return moment(book.at)


# The check


async def test_real_traffic_is_whole(stores: Stores) -> None:
    await some_traffic(stores)
    await drain(stores)
    await Partitions(stores.engine, months_ahead=1).make_ahead(datetime.now(UTC))
    assert await faults(stores.engine) == []
    check = LedgerCheck(stores.engine, 0, now=datetime.now(UTC))
    assert [fault async for fault in check.faults()] == []
    assert (check.events, check.unsealed) == (10, 0)


PLANTS: dict[str, tuple[str, str]] = {
    "a removed event": ("DELETE FROM event WHERE n = 20", "event 1-21: follows 1-19"),
    "a removed event's moves": ("DELETE FROM event WHERE n = 20", "event 1-20: is missing, but its move 0"),
    "the first event removed": ("DELETE FROM event WHERE n = 0", "event 1-1: follows 0-0"),
    "the last event removed": (
        "DELETE FROM event WHERE n = (SELECT max(n) FROM event)",
        "is where the ledger should end",
    ),
    "a removed move": ("DELETE FROM move WHERE sku = 'hot' AND version = 30", "SKU hot: version 31 follows version 29"),
    "the last move removed": ("DELETE FROM move WHERE sku = 'new'", "it or its moves are not as they were written"),
    "a quantity in a move": (
        "UPDATE move SET quantity = quantity + 1 WHERE sku = 'hot' AND version = 30",
        "SKU hot: version 30 left",
    ),
    "a quantity that nothing else shows": (
        "UPDATE move SET quantity = 6, available_after = 6 WHERE sku = 'old'",
        "event 1-1: it or its moves",
    ),
    "a quantity in an event": (
        """UPDATE event SET lock = jsonb_set(lock, '{n,0,2}', '9') WHERE n = 30 AND lock IS NOT NULL""",
        "event 1-30: it or its moves",
    ),
    "another reason": ("UPDATE move SET reason = 'theft' WHERE sku = 'old'", "event 1-1: it or its moves"),
    "another time": (
        "UPDATE move SET occurred_at = occurred_at - interval '1 day' WHERE sku = 'old'",
        "event 1-1: it or its moves",
    ),
    "another who": ("UPDATE event SET who = 'nobody' WHERE n = 9", "event 1-9: it or its moves"),
    "a move that never was": (
        """INSERT INTO move SELECT (jsonb_populate_record(move, '{"line": 9, "version": 2}')).*
        FROM move WHERE sku = 'old'""",
        "event 1-1: it or its moves",
    ),
    "another tip": ("UPDATE event SET tip = 'x' WHERE n = 9", "event 1-10: continues"),
    "a balance": (
        "UPDATE balance SET customer = customer + 1 WHERE version = (SELECT min(version) FROM balance)",
        "SKU hot: the balance of version",
    ),
    "a right": ("GRANT DELETE ON move TO PUBLIC", "table move: PUBLIC may DELETE"),
    "a right on a partition": ("GRANT UPDATE ON event_2023_12 TO PUBLIC", "table event_2023_12: PUBLIC may UPDATE"),
    "no room for the next month": ("DROP TABLE event_2024_02", "table event_2024_02: is missing"),
}  # fmt: skip
WITHOUT_SEALS = ("a removed event", "a removed move", "a quantity in a move", "another tip")


async def test_the_check_finds_what_is_planted(book: Book, engine: AsyncEngine) -> None:
    """Each in a transaction of its own that is undone, as the superuser whom no right holds back."""
    now = then(book)
    assert await faults(engine, now) == []
    for name, (statement, told) in PLANTS.items():
        found = await planted(engine, now, statement)
        assert any(told in line for line in found), (name, found)
    for name in WITHOUT_SEALS:
        statement, _ = PLANTS[name]
        found = await planted(engine, now, statement, "UPDATE event SET seal = NULL")
        assert found, name
    assert await faults(engine, now) == []


async def planted(engine: AsyncEngine, now: datetime, *statements: str) -> list[str]:
    """What the check tells of the ledger with these changes, which are taken back."""
    check = LedgerCheck(engine, 0, now=now)
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        transaction = raw.transaction()
        await transaction.start()
        for one in statements:
            await raw.execute(one)
        check._reading = lambda: _Same(raw)  # type: ignore[method-assign,assignment]
        try:
            return [str(fault) async for fault in check.faults()]
        finally:
            await transaction.rollback()


class _Same:
    """A part of the check, read in the transaction that is open."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def __aenter__(self) -> Any:
        return self._raw

    async def __aexit__(self, *_: object) -> None:
        return None


async def test_an_older_event_without_a_seal_is_counted(book: Book, engine: AsyncEngine) -> None:
    await execute(engine, "UPDATE event SET seal = NULL WHERE n < 5")
    check = LedgerCheck(engine, 0, now=then(book))
    assert [fault async for fault in check.faults()] == []
    assert check.unsealed == 5


# Partitions


async def test_partitions_are_made_ahead(engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    duty = partitions.duty(Partitions(engine, months_ahead=2))
    await asyncio.gather(duty.run_once(), duty.run_once())  # of two workers
    names = {name for (name,) in await fetch(engine, "SELECT inhrelid::regclass::text FROM pg_inherits")}
    wanted = {Month.of(now).plus(ahead).table(of) for ahead in range(3) for of in ("event", "move")}
    assert wanted <= names
    assert await Partitions(engine, months_ahead=2).make_ahead(now) == []
    assert await faults(engine) == []


@pytest.mark.parametrize(
    ("month", "ahead", "then"),
    [
        ((2025, 11), 1, (2025, 12)),
        ((2025, 12), 1, (2026, 1)),
        ((2025, 1), 23, (2026, 12)),
        ((2025, 6), -6, (2024, 12)),
    ],
)
def test_months(month: tuple[int, int], ahead: int, then: tuple[int, int]) -> None:
    assert Month(*month).plus(ahead) == then
    assert Month(*month).end == Month(*month).plus(1).begin


# Archiving

MOVES_PER_PAGE = 1_000


async def told_of(engine: AsyncEngine, book: Book, since: int) -> list[Any]:
    """What the ledger says of every SKU from a time on."""
    rows, told = PastRows(engine), []
    for sku in ("hot", "old", "new"):
        for at in [*range(since, book.at + 1, 1_500_000_000), book.at, FOREVER_MS]:
            explained = await rows.explain(sku, at, None, MOVES_PER_PAGE)
            assert explained is not None
            assert explained.total == 0
            told.append((sku, at, await rows.stock(sku, at), explained.places))
            told.append(await CountRows(engine).as_of("south", [sku], at))
        told.append(await Audit(engine, 0).stock_at(sku, book.versions[sku]))
    return told


async def differences(engine: AsyncEngine) -> list[Any]:
    names = ("audit_sums", "audit_versions", "audit_receipts")
    return [row for name in names async for row in Audit(engine, 0).rows(name)]


async def test_archiving_changes_nothing_that_is_told_of_later(book: Book, engine: AsyncEngine) -> None:
    archive, now = Archive(engine, 0), then(book)
    await execute(engine, "UPDATE position SET forgotten_epoch = epoch, forgotten_n = n")
    events = (await fetch(engine, "SELECT count(*) FROM event"))[0][0]
    assert await archive.archive_oldest(now, months_kept=2) is None
    gone = 0
    for number in range(2):
        begins = Month(2023, 11).plus(number).end
        before = await told_of(engine, book, int(begins.timestamp() * 1000))
        match await archive.archive_oldest(now, months_kept=0):
            case Archived(month, archived, moves):
                assert month == Month(2023, 11).plus(number)
                assert moves > archived > 0
                gone += archived
            case other:
                pytest.fail(str(other))
        assert await told_of(engine, book, int(begins.timestamp() * 1000)) == before
        assert await differences(engine) == []
        assert await faults(engine, now) == []
    assert (await fetch(engine, "SELECT count(*) FROM event"))[0][0] == events - gone
    assert (await fetch(engine, "SELECT sum(events)::bigint FROM archived_month")) == [(gone,)]
    kept = (
        "SELECT (SELECT count(*) FROM archive.event_2023_11) + (SELECT count(*) FROM archive.event_2023_12)"
    )
    assert await fetch(engine, kept) == [(gone,)]
    op = await Ledger(engine).find_op("receipt:R1")
    assert op is not None
    assert op.position == (1, 2)
    reach = await PastRows(engine).reach()
    assert reach == (int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000), True)


async def test_writing_goes_on_after_archiving(book: Book, engine: AsyncEngine) -> None:
    await execute(engine, "UPDATE position SET forgotten_epoch = epoch, forgotten_n = n")
    assert isinstance(await Archive(engine, 0).archive_oldest(then(book), months_kept=0), Archived)
    for _ in range(60):
        book.add("adjust", book.move("hot", "aj", 1), book.move("old", "aj", 0), at=1)
    await book.write()
    assert await differences(engine) == []
    assert await faults(engine, then(book)) == []
    await execute(engine, "UPDATE balance SET available = available + 1 WHERE sku = 'old'")
    assert [row.sku for row in await differences(engine)] == ["old"]


OBSTACLES: dict[str, Callable[[], str]] = {
    "locks": lambda: """UPDATE lock SET record = jsonb_set(record, '{s}', '"held"') WHERE lock_id = 'L0'""",
    "remembers": lambda: "UPDATE position SET forgotten_n = 3",
    "quarantine": lambda: (
        """
        WITH parked AS (
            INSERT INTO quarantined_event (shard, epoch, n, body) VALUES (0, 1, 3, '') RETURNING shard, epoch, n
        )
        INSERT INTO quarantine (shard, epoch, n, part, line, subject) SELECT *, 'move', 0, 'hot' FROM parked"""
    ),
    "passed": lambda: "UPDATE position SET recorded_at = '2023-11-20'",
}


async def test_a_month_that_is_needed_stays(book: Book, engine: AsyncEngine) -> None:
    before = await fetch(engine, "SELECT count(*) FROM event")
    for why, obstacle in reversed(OBSTACLES.items()):
        await execute(engine, "UPDATE position SET forgotten_epoch = epoch, forgotten_n = n", obstacle())
        waits = await Archive(engine, 0).archive_oldest(then(book), months_kept=0)
        assert isinstance(waits, Waits)
        assert why in waits.why
        await execute(
            engine, "UPDATE position SET recorded_at = '2024-01-31'", "UPDATE quarantine SET ended_at = now()"
        )
    assert await fetch(engine, "SELECT count(*) FROM event") == before
    assert await fetch(engine, "SELECT count(*) FROM archived_month") == [(0,)]


async def test_a_long_reader_is_not_waited_for(
    book: Book, engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ledger.archive.LOCK_SECONDS", 0.05)
    await execute(engine, "UPDATE position SET forgotten_epoch = epoch, forgotten_n = n")
    reader = await asyncpg.connect(database_url)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT 1 FROM event LIMIT 1")
            waits = await Archive(engine, 0).archive_oldest(then(book), months_kept=0)
        assert isinstance(waits, Waits)
        assert "reads" in waits.why
    finally:
        await reader.close()
    assert isinstance(await Archive(engine, 0).archive_oldest(then(book), months_kept=0), Archived)


async def test_the_duty_does_what_the_settings_say(book: Book, engine: AsyncEngine) -> None:
    await execute(engine, "UPDATE position SET forgotten_epoch = epoch, forgotten_n = n")
    never = retention.duty(Archive(engine, 0), months_kept=0, closed_lock_days_kept=0)
    assert not await never.run_once()
    assert await fetch(engine, "SELECT count(*) FROM closed_lock") == [(0,)]
    await execute(engine, "UPDATE position SET recorded_at = now()")
    duty = retention.duty(Archive(engine, 0), months_kept=1, closed_lock_days_kept=1)
    while await duty.run_once():
        pass
    assert await fetch(engine, "SELECT (SELECT count(*) FROM lock), (SELECT count(*) FROM closed_lock)") == [
        (0, 60)
    ]
    assert await fetch(engine, "SELECT count(*) FROM event") == [(0,)]
    assert await differences(engine) == []
    found = await Ledger(engine).find_lock("L7")
    assert found is not None
    assert found.status == "deducted"
    assert (await PastRows(engine).lock("L7", FOREVER_MS)) == found
    ended = await Ledger(engine).find_ended("L7")  # goods may come back of it
    assert ended is not None
    assert ended.record["s"] == "deducted"


async def test_locks_that_may_be_asked_for_again_stay(book: Book, engine: AsyncEngine) -> None:
    await execute(engine, "UPDATE position SET forgotten_epoch = 1, forgotten_n = 10")
    assert await Archive(engine, 0).close_locks(then(book) + timedelta(days=1)) == 3
    assert await fetch(engine, "SELECT count(*) FROM lock") == [(57,)]


async def test_what_comes_back_of_a_lock_that_was_closed_meanwhile_is_kept(
    book: Book, engine: AsyncEngine
) -> None:
    """It was recalled for a return, and closed while the return was in the outbox: else more could come back again."""
    await execute(engine, "UPDATE position SET forgotten_epoch = epoch, forgotten_n = n")
    assert await Archive(engine, 0).close_locks(then(book) + timedelta(days=1)) == 60
    returned = {"v": 3, "r": [["hot", 1]]}
    book.add("return", book.move("hot", "ca", 1), op="return:R", lock=("L7", returned))
    held = {"s": "held", "v": 1, "n": [["hot", "north", 1, 0]]}
    book.add("lock", book.move("hot", "al", 1), lock=("L8", held))
    book.add("confirm", lock=("L8", {"s": "confirmed", "v": 2}))
    await book.write(10)
    rows = await fetch(engine, "SELECT lock_id, status, record -> 'v', record -> 'r' FROM lock ORDER BY 1")
    assert rows == [("L7", "deducted", 3, [["hot", 1]]), ("L8", "confirmed", 2, None)]
    closed = "SELECT count(*), count(*) FILTER (WHERE lock_id = 'L7') FROM closed_lock"
    assert await fetch(engine, closed) == [(59, 0)]
    assert await Ledger(engine).find_ended("L7") is not None
