"""Connections to the ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.errors import ConfigurationError, UnavailableError

CONNECT_SECONDS = 5.0

# A frozen process gives its leases up: Postgres ends what idles in a transaction or runs for too long.
_SERVER_SETTINGS = {
    "application_name": "sellable",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

AWAY = (OSError, TimeoutError, InterfaceError, OperationalError, asyncpg.PostgresConnectionError)


def open_engine(url: str, *, connections_max: int = 5) -> AsyncEngine:
    """Return an engine for `postgresql://…`; nothing is connected yet. Raise `ConfigurationError` on a bad URL."""
    try:
        target = make_url(url)
    except ArgumentError:
        raise ConfigurationError("the database URL cannot be read: it must be postgresql://…") from None
    if target.get_backend_name() != "postgresql":
        raise ConfigurationError("the database URL must be postgresql://…")
    return create_async_engine(
        target.set(drivername="postgresql+asyncpg"),
        pool_size=connections_max,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"server_settings": _SERVER_SETTINGS, "timeout": CONNECT_SECONDS},
    )


def is_away(error: BaseException) -> bool:
    """Whether an error says that Postgres cannot be reached, rather than that it refused."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, AWAY) or "cannot connect now" in str(error).lower()


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Run in one transaction; raise `UnavailableError` if Postgres cannot be reached."""
    try:
        async with engine.begin() as connection:
            yield connection
    except Exception as error:
        if is_away(error):
            raise UnavailableError(f"Postgres cannot be reached: {_first_line(error)}") from error
        raise


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Read in one repeatable-read snapshot."""
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
    except Exception as error:
        if is_away(error):
            raise UnavailableError(f"Postgres cannot be reached: {_first_line(error)}") from error
        raise


@asynccontextmanager
async def driver_transaction(engine: AsyncEngine, **options: Any) -> AsyncIterator[Any]:
    """Run in one transaction of asyncpg itself, for COPY, arrays, cursors and scripts; yields its connection.

    SQLAlchemy begins a transaction only with a statement of its own, so one around it would be none at all.
    `options` are asyncpg's, such as isolation="repeatable_read".
    """
    try:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            pg: Any = raw.driver_connection
            async with pg.transaction(**options):
                yield pg
    except Exception as error:
        if is_away(error):
            raise UnavailableError(f"Postgres cannot be reached: {_first_line(error)}") from error
        raise


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
