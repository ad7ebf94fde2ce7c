"""Connections to the ledger."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import IntEnum
from functools import partial
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.addresses.postgres import PostgresAddress, read_postgres
from app.addresses.reasons import REFUSED_STATES, driver_error, postgres_sentence, state_of
from app.errors import RefusedError, UnavailableError

TRANSACTION_SECONDS_MAX = 30.0
"""After this the connection is given up: on one that is half-open an answer would be waited for, for ever."""

# A frozen process gives its leases up: Postgres ends what idles in a transaction or runs for too long.
_SERVER_SETTINGS = {
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

AWAY = (OSError, TimeoutError, InterfaceError, OperationalError, asyncpg.PostgresConnectionError)
_AWAY_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""SQLSTATE classes of a server that cannot now: connection, rollback, resources (a full disk), operator, system."""
_AWAY_STATES = frozenset({"25006", "25P03", "55P03"})
"""Read-only (a standby, or set so), timed out in a transaction, a lock not to be had."""

_LOST_WORDS = ("closed", "terminated", "operation is in progress", "connection was released")
"""What asyncpg says of a connection that it has given up, or that is still busy with what was given up."""


_ADDRESS = "sellable_address"
"""Among an engine's options: how its connections are made."""


class Turn(IntEnum):
    """What only one may do at a time on a database: the numbers of advisory locks, arbitrary but fixed."""

    MIGRATION = 7_315_001
    COUNT = 7_315_002
    """Together with the hash of a warehouse."""
    PARTITIONS = 7_315_003


def open_engine(url: str, *, connections_max: int = 5) -> AsyncEngine:
    """Return an engine for `postgresql://…`; nothing is connected yet. Raise `ConfigurationError` on a bad URL."""
    address = read_postgres(url)
    return create_async_engine(
        _url_of(address),
        pool_size=connections_max,
        max_overflow=0,
        pool_pre_ping=True,
        json_deserializer=msgspec.json.decode,  # a rebuild reads every lock's record
        async_creator=partial(address.connect, server_settings=_SERVER_SETTINGS),
        execution_options={_ADDRESS: address},
    )


async def connect_apart(engine: AsyncEngine, part: str) -> Any:
    """Return a connection of asyncpg's own beside the engine's pool, to the same database.

    Postgres lists it under the application's name and `part`. Raises what asyncpg raises.
    """
    return await engine.get_execution_options()[_ADDRESS].connect(part=part)


def _url_of(address: PostgresAddress) -> URL:
    """Say where the ledger is, as SQLAlchemy wants it; it connects by `address`, which knows how as well."""
    endpoints = address.endpoints
    query = {
        "host": ",".join(endpoint.host for endpoint in endpoints),
        "port": ",".join(str(endpoint.port) for endpoint in endpoints),
    }
    return URL.create(
        "postgresql+asyncpg", address.user, address.password or None, database=address.database, query=query
    )


def is_away(error: BaseException) -> bool:
    """Whether an error says that Postgres cannot be reached, rather than that it refused."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = state_of(error)
    if state[:2] in _AWAY_CLASSES or state in _AWAY_STATES:
        return True
    if isinstance(error, asyncpg.InterfaceError) and any(word in str(error) for word in _LOST_WORDS):
        return True
    return isinstance(error, AWAY) or _is_nonsense(error) or "cannot connect now" in str(error).lower()


def _is_nonsense(error: BaseException) -> bool:
    """Whether asyncpg cannot make sense of what came, itself or wrapped: an error that no server has a word for."""
    return isinstance(driver_error(error), asyncpg.InternalClientError)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Run in one transaction; raise `UnavailableError` if Postgres cannot be reached."""
    with telling():
        async with engine.begin() as connection, _deadline(connection, TRANSACTION_SECONDS_MAX):
            yield connection


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Read in one repeatable-read snapshot."""
    with telling():
        async with engine.connect() as connection, _deadline(connection, None):
            await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection


@asynccontextmanager
async def driver_transaction(
    engine: AsyncEngine, *, seconds_max: float | None = None, **options: Any
) -> AsyncIterator[Any]:
    """Run in one transaction of asyncpg itself, for COPY, arrays, cursors and scripts; yields its connection.

    SQLAlchemy begins a transaction only with a statement of its own, so one around it would be none at all.
    After `seconds_max` its connection is given up. `options` are asyncpg's, such as isolation="repeatable_read".
    """
    with telling():
        async with (
            engine.connect() as connection,
            _deadline(connection, seconds_max) as pg,
            pg.transaction(**options),
        ):
            yield pg


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows as the columns that `unnest` takes; no rows: no columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def row_count(status: str) -> int:
    """Return how many rows a statement changed, from what asyncpg's `execute` tells (`INSERT 0 5`)."""
    return int(status.rsplit(" ", 1)[-1])


@contextmanager
def telling() -> Iterator[None]:
    """Raise `UnavailableError` for what says that Postgres cannot be reached, `RefusedError` if it refuses us."""
    try:
        yield
    except Exception as error:
        if state_of(error) in REFUSED_STATES:
            raise RefusedError(postgres_sentence(error)) from error
        if is_away(error):
            raise UnavailableError(postgres_sentence(error)) from error
        raise


@asynccontextmanager
async def _deadline(connection: AsyncConnection, seconds_max: float | None) -> AsyncIterator[Any]:
    """Yield asyncpg's connection, and terminate it at the deadline: whoever waits on it is told that it is gone.

    A timeout of asyncpg's own would not do: it ends with a ROLLBACK, which waits for its answer again. One that
    talks nonsense is terminated as well: the pool would hand it out again.
    """
    pg: Any = (await connection.get_raw_connection()).driver_connection
    loop = asyncio.get_running_loop()
    timer = None if seconds_max is None else loop.call_later(seconds_max, pg.terminate)
    protocol = pg._protocol  # noqa: SLF001 - gone once it is terminated

    def wake_copy(_pg: Any) -> None:
        """A COPY that waits until more may be written is told of nothing else, not even of the end."""
        protocol.resume_writing()

    pg.add_termination_listener(wake_copy)
    try:
        yield pg
    except Exception as error:
        if _is_nonsense(error):
            pg.terminate()
        raise
    finally:
        if not pg.is_closed():
            pg.remove_termination_listener(wake_copy)
        if timer is not None:
            timer.cancel()
