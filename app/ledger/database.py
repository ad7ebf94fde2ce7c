"""Connections to the ledger."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import IntEnum
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.errors import ConfigurationError, UnavailableError

CONNECT_SECONDS = 5.0
TRANSACTION_SECONDS_MAX = 30.0
"""After this the connection is given up: on one that is half-open an answer would be waited for, for ever."""

# A frozen process gives its leases up: Postgres ends what idles in a transaction or runs for too long.
_SERVER_SETTINGS = {
    "application_name": "sellable",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# The same towards the server, of whose silence nothing else would tell.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25_000))

AWAY = (OSError, TimeoutError, InterfaceError, OperationalError, asyncpg.PostgresConnectionError)
_AWAY_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""SQLSTATE classes of a server that cannot now: connection, rollback, resources (a full disk), operator, system."""
_AWAY_STATES = frozenset({"25006", "25P03", "55P03"})
"""Read-only (a standby, or set so), timed out in a transaction, a lock not to be had."""

_LOST_WORDS = ("closed", "terminated", "operation is in progress", "connection was released")
"""What asyncpg says of a connection that it has given up, or that is still busy with what was given up."""


class Turn(IntEnum):
    """What only one may do at a time on a database: the numbers of advisory locks, arbitrary but fixed."""

    MIGRATION = 7_315_001
    COUNT = 7_315_002
    """Together with the hash of a warehouse."""
    PARTITIONS = 7_315_003


def open_engine(url: str, *, connections_max: int = 5) -> AsyncEngine:
    """Return an engine for `postgresql://…`; nothing is connected yet. Raise `ConfigurationError` on a bad URL."""
    try:
        target = make_url(url)
    except ArgumentError:
        raise ConfigurationError("SELLABLE_DATABASE_URL cannot be read: it must be postgresql://…") from None
    if target.get_backend_name() != "postgresql":
        raise ConfigurationError("SELLABLE_DATABASE_URL must be postgresql://…")
    engine = create_async_engine(
        target.set(drivername="postgresql+asyncpg"),
        pool_size=connections_max,
        max_overflow=0,
        pool_pre_ping=True,
        json_deserializer=msgspec.json.decode,  # a rebuild reads every lock's record
        connect_args={"server_settings": _SERVER_SETTINGS, "timeout": CONNECT_SECONDS},
    )
    event.listen(engine.sync_engine, "connect", _keep_alive)
    return engine


def _keep_alive(connection: Any, _record: Any) -> None:
    """Let the kernel notice within half a minute that nobody is at the other end any more."""
    channel = connection.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001 - it has no other door
    if channel is None or channel.family == socket.AF_UNIX:
        return
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not every system knows each
            channel.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def is_away(error: BaseException) -> bool:
    """Whether an error says that Postgres cannot be reached, rather than that it refused."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if state[:2] in _AWAY_CLASSES or state in _AWAY_STATES:
        return True
    if isinstance(error, asyncpg.InterfaceError) and any(word in str(error) for word in _LOST_WORDS):
        return True
    return isinstance(error, AWAY) or _is_nonsense(error) or "cannot connect now" in str(error).lower()


def _is_nonsense(error: BaseException) -> bool:
    """Whether asyncpg cannot make sense of what came, itself or wrapped: an error that no server has a word for."""
    told = error.driver_exception if isinstance(error, DBAPIError) else error
    return isinstance(told, asyncpg.InternalClientError)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Run in one transaction; raise `UnavailableError` if Postgres cannot be reached."""
    with _telling():
        async with engine.begin() as connection, _deadline(connection, TRANSACTION_SECONDS_MAX):
            yield connection


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Read in one repeatable-read snapshot."""
    with _telling():
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
    with _telling():
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
def _telling() -> Iterator[None]:
    """Raise `UnavailableError` for what says that Postgres cannot be reached."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise UnavailableError(f"Postgres cannot be reached: {_first_line(error)}") from error
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


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
