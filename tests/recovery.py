"""Old copies of both stores, taken and put back: what a restored backup or a replica that lagged looks like."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Protocol

import pytest

from app.bootstrap import Stores
from app.embedded.valkey import EmbeddedValkey
from app.ledger import database

TABLES = """
    SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
    AND relnamespace = 'public'::regnamespace AND relname NOT IN ('alembic_version')
"""
COLUMNS = """
    SELECT string_agg(format('%I', column_name), ', ') FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'
"""


class OpenStores(Protocol):
    """How a command opens the stores."""

    def __call__(self, _redis: str, _database: str, /) -> AbstractAsyncContextManager[Stores]: ...


@contextmanager
def commands_on(stores: Stores) -> Iterator[OpenStores]:
    """What to give to a command as `open_stores`, so that it works on these."""

    @asynccontextmanager
    async def opened(_redis: str, _database: str, /) -> AsyncIterator[Stores]:
        yield stores

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELLABLE_REDIS_URL", "redis://x")
        patch.setenv("SELLABLE_DATABASE_URL", "postgresql://x")
        yield opened


async def restart_without_tail(stores: Stores, server: EmbeddedValkey, *, cut: int) -> None:
    """Redis dies, and comes back without the last `cut` bytes of its append-only file."""
    server.stop(immediate=True)
    (file,) = server.directory.rglob("*.incr.aof")
    with file.open("r+b") as tail:
        tail.truncate(file.stat().st_size - cut)
    server.start()
    await stores.client.connection_pool.disconnect()


async def copy_of_memory(stores: Stores) -> dict[str, bytes]:
    """Every key as DUMP tells it."""
    raw = stores.client.connection_pool.connection_kwargs | {"decode_responses": False}
    async with _bytes_client(raw) as client:
        return {key: await client.dump(key) for key in await client.keys("*")}


async def put_back_memory(stores: Stores, copy: dict[str, bytes]) -> None:
    """As after a restart from an old copy: the keys are there, the functions' gate is shut."""
    raw = stores.client.connection_pool.connection_kwargs | {"decode_responses": False}
    async with _bytes_client(raw) as client:
        await client.flushall()
        await client.function_flush()
        for key, value in copy.items():
            await client.restore(key, 0, value)
    stores.hot.epoch = ""


def _bytes_client(options: dict):
    from redis.asyncio import ConnectionPool, Redis  # noqa: PLC0415

    return Redis.from_pool(ConnectionPool(**options))


async def copy_of_ledger(stores: Stores) -> None:
    """Keep every row."""
    async with database.driver_transaction(stores.engine) as pg:
        await pg.execute("DROP SCHEMA IF EXISTS saved CASCADE; CREATE SCHEMA saved")
        for (name,) in await pg.fetch(TABLES):
            await pg.execute(f"CREATE TABLE saved.{name} AS TABLE public.{name}")


async def put_back_ledger(stores: Stores) -> None:
    """Make every table what it was at the copy."""
    async with database.driver_transaction(stores.engine) as pg:
        for (name,) in await pg.fetch(TABLES):
            await pg.execute(f"TRUNCATE public.{name} CASCADE")
        for (name,) in await pg.fetch(TABLES):
            columns = await pg.fetchval(COLUMNS, name)
            await pg.execute(
                f"INSERT INTO public.{name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM saved.{name}"  # noqa: S608
            )
        await pg.execute("DROP SCHEMA saved CASCADE")
