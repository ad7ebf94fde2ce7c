"""A connection to Postgres whose answers never come: a transaction ends all the same, and the next one works."""

from urllib.parse import quote

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.embedded.postgres import EmbeddedPostgres
from app.errors import UnavailableError
from app.ledger import database
from tests.proxy import Proxy, proxied


async def ask_in_vain(engine: AsyncEngine, proxy: Proxy) -> None:
    async with database.driver_transaction(engine, seconds_max=0.2) as pg:
        proxy.to_client.drops = True
        await pg.fetchval("SELECT 2")


async def test_a_transaction_without_an_answer_ends_at_its_deadline(
    postgres_server: EmbeddedPostgres, emptied_database_url: str
) -> None:
    sockets = postgres_server.directory / "socket" / ".s.PGSQL.5432"
    who = emptied_database_url.partition("@")[0]
    name = emptied_database_url.partition("@/")[2].partition("?")[0]
    async with proxied(str(sockets), 0) as proxy:
        engine = database.open_engine(f"{who}@127.0.0.1:{proxy.port}/{quote(name)}")
        try:
            async with database.driver_transaction(engine) as pg:
                assert await pg.fetchval("SELECT 1") == 1
            with pytest.raises(UnavailableError):
                await ask_in_vain(engine, proxy)
            proxy.to_client.drops = False
            async with database.driver_transaction(engine) as pg:
                assert await pg.fetchval("SELECT 3") == 3
        finally:
            await engine.dispose()
