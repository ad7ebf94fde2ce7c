"""Real servers for the tests: one Valkey and one Postgres a session, in a directory that goes away.

Several test sessions can run side by side: each has its own directory, port and socket.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncpg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey

LISTED = ("east", "main", "north", "south", "west")
"""The warehouses that tests know: each begins with these on the list."""
T = TypeVar("T")
_numbers = itertools.count(1)


@contextlib.contextmanager
def scratch(prefix: str = "sellable-test-") -> Iterator[Path]:
    """A directory of its own, with a short path, removed at the end."""
    place = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def valkey(
    *, appendfsync: str = "always", config: Mapping[str, str] | None = None
) -> Iterator[EmbeddedValkey]:
    """A running Valkey, or the server that SELLABLE_TEST_REDIS_SERVER names; on a port, for proxies and replicas."""
    named = os.environ.get("SELLABLE_TEST_REDIS_SERVER")
    with scratch() as place:
        server = EmbeddedValkey(
            place / "redis",
            binary=Path(named) if named else None,
            port=0,
            appendfsync=appendfsync,
            config=config,
        )
        server.start()
        try:
            yield server
        finally:
            server.stop(immediate=True)


@contextlib.contextmanager
def postgres(*, fsync: bool = False) -> Iterator[EmbeddedPostgres]:
    """A running Postgres; without fsync unless a test is about it."""
    config = {} if fsync else {"fsync": "off", "full_page_writes": "off"}
    with scratch() as place:
        server = EmbeddedPostgres(place / "postgres", config=config)
        server.start()
        try:
            yield server
        finally:
            server.stop(immediate=True)


def until(ask: Callable[[], T], *, limit_seconds: float = 30.0) -> T:
    """Ask again and again until the answer is true, and return it; `AssertionError` after the limit."""
    deadline = time.monotonic() + limit_seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {limit_seconds} s"
        time.sleep(0.01)
    return answer


def fresh_database(server: EmbeddedPostgres, *, template: str = "template1") -> str:
    """Make a database like `template` (which nobody may be connected to), and return its URL.

    Give the name of a migrated database as template, and each test has a migrated one in milliseconds.
    """
    name = f"test_{os.getpid()}_{next(_numbers)}"
    execute(server.url_of("postgres"), f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return server.url_of(name)


def drop_database(server: EmbeddedPostgres, url: str) -> None:
    """Remove a database that `fresh_database` made, whoever is still connected."""
    name = url.partition("?")[0].rpartition("/")[2]
    execute(server.url_of("postgres"), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def empty_database(url: str) -> None:
    """Empty every table of ours, whoever is still connected; much quicker than another database."""
    execute(
        url,
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
        DO $$ DECLARE found text; BEGIN
            SELECT string_agg(format('%I', relname), ', ') INTO found FROM pg_class
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
                AND relname <> 'alembic_version';
            EXECUTE 'TRUNCATE ' || found;
        END $$
        """,
    )


def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own, also while a loop runs."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(lambda: asyncio.run(run())).result()


def flush(server: EmbeddedValkey) -> None:
    """Empty it: every key and every function library."""
    client = redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
    try:
        client.flushall()
        client.function_flush()
    finally:
        client.close()
