"""Connections to Postgres whose answers never come, or make no sense: what goes on behind them goes on all the same."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap import api
from app.domain.events import Position
from app.embedded.postgres import EmbeddedPostgres
from app.errors import UnavailableError
from app.ledger import database
from app.ledger.drift import DriftRows
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.watch import LedgerWatch
from app.ledger.writer import Writer
from app.operations import epoch_watch
from app.operations.epoch_watch import EpochWatch
from tests.integration.working import until
from tests.proxy import Proxy, proxied


async def ask_in_vain(engine: AsyncEngine, proxy: Proxy) -> None:
    async with database.driver_transaction(engine, seconds_max=0.2) as pg:
        proxy.to_client.drops = True
        await pg.fetchval("SELECT 2")


@pytest.fixture
async def behind(
    postgres_server: EmbeddedPostgres, emptied_database_url: str
) -> AsyncIterator[tuple[AsyncEngine, Proxy]]:
    """An engine, and the proxy between it and Postgres."""
    sockets = postgres_server.directory / "socket" / ".s.PGSQL.5432"
    who = emptied_database_url.partition("@")[0]
    name = emptied_database_url.partition("@/")[2].partition("?")[0]
    async with proxied(str(sockets), 0) as proxy:
        engine = database.open_engine(f"{who}@127.0.0.1:{proxy.port}/{quote(name)}")
        try:
            yield engine, proxy
        finally:
            await engine.dispose()


async def test_a_transaction_without_an_answer_ends_at_its_deadline(
    behind: tuple[AsyncEngine, Proxy],
) -> None:
    engine, proxy = behind
    async with database.driver_transaction(engine) as pg:
        assert await pg.fetchval("SELECT 1") == 1
    with pytest.raises(UnavailableError):
        await ask_in_vain(engine, proxy)
    proxy.to_client.drops = False
    async with database.driver_transaction(engine) as pg:
        assert await pg.fetchval("SELECT 3") == 3


_ROW = re.compile(rb"D(\0\0..)\0([\1-\x09])", re.DOTALL)
"""A row of Postgres' answer: its length, and how many columns it has."""


@asynccontextmanager
async def nonsense(proxy: Proxy) -> AsyncIterator[list[int]]:
    """Every row has a column more than was announced: asyncpg raises `ProtocolError`. Yields a tally of such rows."""
    garbled: list[int] = []

    def garble(data: bytes) -> Iterable[bytes]:
        data, rows = _ROW.subn(lambda found: b"D" + found[1] + b"\0" + bytes([found[2][0] + 1]), data)
        garbled.extend([1] * rows)
        return (data,)

    proper, proxy.to_client.split = proxy.to_client.split, garble
    try:
        yield garbled
    finally:
        proxy.to_client.split = proper


async def test_an_answer_that_makes_no_sense_is_a_server_that_is_away(
    behind: tuple[AsyncEngine, Proxy],
) -> None:
    """For each way of asking; and the connection that said it is not asked again."""
    engine, proxy = behind

    async def by_driver() -> object:
        async with database.driver_transaction(engine) as pg:
            return await pg.fetchval("SELECT 3")

    async def by_snapshot() -> object:
        async with database.snapshot(engine) as connection:
            return (await connection.exec_driver_sql("SELECT 3")).scalar_one()

    async def by_transaction() -> object:
        async with database.transaction(engine) as connection:
            return (await connection.exec_driver_sql("SELECT 3")).scalar_one()

    ways: list[Callable[[], Awaitable[object]]] = [by_driver, by_snapshot, by_transaction]
    for ask in ways:
        assert await ask() == 3
        async with nonsense(proxy):
            with pytest.raises(UnavailableError):
                await ask()
        assert await ask() == 3


async def _leave(_epoch: int) -> None:
    """Leaves nothing."""


async def test_those_who_watch_the_ledger_outlive_nonsense(
    behind: tuple[AsyncEngine, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, proxy = behind
    monkeypatch.setattr(epoch_watch, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(api, "BOOKS_SECONDS", 0.01)
    told: list[Any] = []

    class Told:
        def set_books(self, *figures: Any) -> None:
            told.append(figures)

    rows = RecoveryRows(engine, 0)
    await Writer(engine, 0).position()
    watch, listener = EpochWatch(rows, _leave), LedgerWatch(engine, 0)
    books = asyncio.create_task(api._watch_books(DriftRows(engine, 0), Told()))
    watch.start()
    try:
        async with nonsense(proxy) as garbled:
            await engine.dispose()
            reached = asyncio.create_task(listener.reached(Position(0, 0)))

            async def was_felt() -> bool:
                return len(garbled) > 20

            await until(was_felt)
        told.clear()
        await rows.add_epoch(7, await rows.tip(), home="another", finding="new_home")

        async def knows() -> bool:
            return watch.newest == 7 and bool(told)

        await until(knows)
        assert await asyncio.wait_for(reached, 20)
    finally:
        books.cancel()
        await asyncio.gather(books, return_exceptions=True)
        await watch.close()
        await listener.close()
