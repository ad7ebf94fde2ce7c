"""Bringing a database to the schema that this code needs, and refusing one that is too old."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from alembic.command import upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import resources
from app.addresses.reasons import state_of
from app.errors import ConfigurationError, UnavailableError
from app.ledger import database

_log = structlog.get_logger()

TRIES_MAX = 10
_DEADLOCK = "40P01"
_NUMBER = re.compile(r"\d{4}")
"""What names a schema of ours."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


async def migrate(engine: AsyncEngine) -> str:
    """Run the migrations that are missing, and return the revision reached. A newer schema is left alone.

    Then the roles of the worker and the API get their rights, where they exist (see `sql/grants.sql`).
    """
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            revision = await _migrate_once(engine)
            await _grant(engine, revision)
        except UnavailableError as error:
            # A worker that goes on meanwhile may take the same tables in another order. Nothing was changed.
            if not tries_left or state_of(error.__cause__ or error) != _DEADLOCK:
                raise
            _log.warning("ledger.migrates_again", why=str(error))
        else:
            break
    _log.info("ledger.migrated", revision=revision)
    return revision


async def _migrate_once(engine: AsyncEngine) -> str:
    def run(connection: Connection) -> str:
        current = _revision(connection)
        _refuse_foreign(current)
        if current is None or current in _known_revisions():
            upgrade(_config(connection), "head")
        return str(_revision(connection))

    async with _alone(engine) as connection:
        return await connection.run_sync(run)


async def _grant(engine: AsyncEngine, revision: str) -> None:
    """Give the roles their rights; those of a newer schema are for its own code to give."""
    if revision in _known_revisions():
        async with _alone(engine) as connection:
            pg: Any = (await connection.get_raw_connection()).driver_connection
            await pg.execute((resources.folder("sql") / "grants.sql").read_text(encoding="utf-8"))


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Run in one transaction, while nobody else migrates."""
    async with database.transaction(engine) as connection:
        turn = {"number": database.Turn.MIGRATION.value}
        await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), turn)
        yield connection


async def check_schema(engine: AsyncEngine) -> bool:
    """Return whether the schema is the one of this code; a newer one is compatible.

    Raises `ConfigurationError` if it is older than this code needs.
    """
    async with database.snapshot(engine) as connection:
        current = await connection.run_sync(_revision)
    head = str(ScriptDirectory.from_config(_config()).get_current_head())
    _refuse_foreign(current)
    if current is None or (current in _known_revisions() and current != head):
        raise ConfigurationError(
            f"the database is at schema {current or 'none'}, this version needs {head}: run `sellable migrate`"
        )
    return current == head


def _refuse_foreign(current: str | None) -> None:
    """Raise `ConfigurationError` if another program's migrations run in this database."""
    if current is not None and not _NUMBER.fullmatch(current):
        raise ConfigurationError(
            f"the database is at schema {current}, which is no schema of Sellable: give it a database of its own"
        )
