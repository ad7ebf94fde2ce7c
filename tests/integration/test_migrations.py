"""The ledger's schema: what the migrations make, who may change what, and which code goes with which schema."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app import resources
from app.bootstrap import Stores, open_stores, open_worker
from app.domain.commands import Opening, OpeningRow
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.errors import ConfigurationError
from app.ledger import migrate, queries
from app.settings import Settings
from tests import servers

CATALOGUES = {
    "relations": """
        SELECT c.relname, c.relkind, pg_get_partkeydef(c.oid), c.relacl IS NULL,
               has_table_privilege(c.oid, 'UPDATE, DELETE'), obj_description(c.oid)
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace""",
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "labels": "SELECT t.typname, e.enumsortorder, e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
}
ALEMBIC = "alembic_version"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def describe(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every table, column, constraint, index, view, type, function and trigger of ours, with who may do what."""
    found = {}
    async with connected(url) as connection:
        for name, query in CATALOGUES.items():
            rows = [tuple(row) for row in await connection.fetch(query)]
            found[name] = sorted((row for row in rows if ALEMBIC not in str(row)), key=repr)
    return found


@asynccontextmanager
async def stores_on(redis_server: EmbeddedValkey, url: str) -> AsyncIterator[Stores]:
    async with open_stores(redis_server.url, url, settings=Settings()) as stores:
        yield stores


@pytest.fixture
def empty_url(postgres_server: EmbeddedPostgres) -> Any:
    url = servers.fresh_database(postgres_server)
    yield url
    servers.drop_database(postgres_server, url)


async def test_all_migrations_equal_the_schema(database_url: str, empty_url: str) -> None:
    async with connected(empty_url) as connection:
        await connection.execute((resources.folder("sql") / "schema.sql").read_text())
    migrated, written = await describe(database_url), await describe(empty_url)
    assert {row[0] for row in migrated["relations"]} >= {
        "event",
        "move",
        "stock",
        "lock",
        "position",
        "epoch",
    }
    for name in CATALOGUES:
        assert migrated[name] == written[name], name


async def test_migrating_twice_changes_nothing(redis_server: EmbeddedValkey, empty_url: str) -> None:
    async with stores_on(redis_server, empty_url) as stores:
        first = await stores.migrate()
        before = await describe(empty_url)
        assert await stores.migrate() == first
    assert await describe(empty_url) == before


async def revise(url: str, revision: str | None) -> None:
    async with connected(url) as connection:
        if revision is None:
            await connection.execute("DROP TABLE alembic_version")
        else:
            await connection.execute("UPDATE alembic_version SET version_num = $1", revision)


async def start_worker(redis_server: EmbeddedValkey, url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("SELLABLE_REDIS_URL", redis_server.url)
    monkeypatch.setenv("SELLABLE_DATABASE_URL", url)
    servers.flush(redis_server)  # what another test left belongs to another ledger
    async with open_worker() as duties:
        return len(duties)


async def test_a_schema_that_is_absent_is_refused(
    redis_server: EmbeddedValkey, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await start_worker(redis_server, empty_url, monkeypatch)
    assert re.fullmatch(
        r"the database is at schema none, this version needs \d{4}: run `sellable migrate`",
        str(refused.value),
    )


async def test_an_older_schema_is_refused(
    redis_server: EmbeddedValkey, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_known_revisions", lambda: {"0000", "0001"})
    await revise(database_url, "0000")
    with pytest.raises(ConfigurationError, match="is at schema 0000, this version needs"):
        await start_worker(redis_server, database_url, monkeypatch)


async def test_a_newer_schema_is_accepted_and_left_alone(
    redis_server: EmbeddedValkey, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await revise(database_url, "9999")
    assert await start_worker(redis_server, database_url, monkeypatch) > 0
    async with stores_on(redis_server, database_url) as stores:
        assert await stores.migrate() == "9999"


# Who may change what


@pytest.fixture
async def owner_url(postgres_server: EmbeddedPostgres, empty_url: str) -> AsyncIterator[str]:
    """An empty database that belongs to an ordinary user."""
    database = empty_url.partition("?")[0].rpartition("/")[2]
    servers.execute(empty_url, "CREATE ROLE ordinary LOGIN PASSWORD 'secret'")
    servers.execute(empty_url, f'ALTER DATABASE "{database}" OWNER TO ordinary')
    head, _, tail = empty_url.partition("@")
    assert head.startswith("postgresql://")
    yield f"postgresql://ordinary:secret@{tail}"
    servers.drop_database(postgres_server, empty_url)
    servers.execute(postgres_server.url_of("postgres"), "DROP ROLE ordinary")


@pytest.mark.parametrize("table", ["event", "move"])
async def test_facts_cannot_be_edited_by_their_owner(
    table: str, redis_server: EmbeddedValkey, owner_url: str
) -> None:
    servers.flush(redis_server)
    async with stores_on(redis_server, owner_url) as stores:
        await stores.migrate()
        await stores.recovery().ensure_open()
        await stores.hot.execute(Opening([OpeningRow("A", "north", 3)]))
        (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
        while await persist.run_once():
            pass
    async with connected(owner_url) as connection:
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") > 0  # noqa: S608 - ours
        partitions = [str(row[0]) for row in await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass", table
        )]  # fmt: skip
        assert partitions
        for name in (table, *partitions):
            for statement in (f"UPDATE {name} SET n = n + 1", f"DELETE FROM {name}", f"TRUNCATE {name}"):  # noqa: S608
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)


# The statements


FOUND_BY = {"file_causes": "cause_unexplained"}
"""Statements about the rows of another one."""


def statements() -> list[Path]:
    return sorted((resources.folder("sql") / "queries").glob("*.sql"))


async def test_each_statement_is_valid(shared_database_url: str) -> None:
    refused = {}
    async with connected(shared_database_url) as connection:
        for file in statements():
            source = FOUND_BY.get(file.stem)
            text = queries.sql_of_found(file.stem, source) if source else queries.sql(file.stem)
            try:
                await connection.prepare(numbered(text))
            except asyncpg.PostgresError as error:
                refused[file.stem] = str(error)
    assert refused == {}


def numbered(text: str) -> str:
    """A statement with :named parameters, as the server takes it."""
    names: dict[str, str] = {}
    return re.sub(
        r"(?<![:\w]):([a-z_]+)", lambda found: names.setdefault(found[1], f"${len(names) + 1}"), text
    )


def test_each_statement_is_used() -> None:
    source = "\n".join(path.read_text() for path in (Path(resources.__file__).parent).rglob("*.py"))
    assert [file.stem for file in statements() if f'"{file.stem}"' not in source] == []
