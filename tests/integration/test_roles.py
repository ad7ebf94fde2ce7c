"""The users of the ledger: what each of them may do, tried by each, and that all of the work can be done so."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from app import resources
from app.bootstrap import open_stores
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.roles import CLERK, OWNER, WRITER
from app.embedded.valkey import EmbeddedValkey
from app.ledger import database
from app.ledger.partitions import Month, Partitions
from app.ledger.schema import Schema
from app.settings import Settings
from tests import servers
from tests.integration.test_deploy import every_command
from tests.integration.working import drain

DENIED = asyncpg.InsufficientPrivilegeError


class Ledger(NamedTuple):
    """A migrated ledger, by its users; `superuser` is nobody's in production."""

    owner: str
    writer: str
    clerk: str
    superuser: str


@pytest.fixture(scope="module")
def roles_server() -> Iterator[EmbeddedPostgres]:
    """A server of its own, as `sellable up` has it: with its one database."""
    with servers.postgres() as server:
        server.make_roles()
        yield server


@pytest.fixture(scope="module")
async def books(roles_server: EmbeddedPostgres, redis_server: EmbeddedValkey) -> Ledger:
    urls = Ledger(*map(roles_server.url_as, (OWNER, WRITER, CLERK)), roles_server.url)
    async with open_stores(redis_server.url, urls.owner, settings=Settings()) as stores:
        await stores.migrate()
    async with open_stores(redis_server.url, urls.writer, settings=Settings()) as stores:
        await Partitions(stores.engine, months_ahead=1).make_ahead(datetime.now(UTC))
    return urls


async def attempt(url: str, statement: str) -> str:
    """What a user is told; '' where it may."""
    connection = await asyncpg.connect(url)
    try:
        attempted = connection.transaction()
        await attempted.start()
        try:
            await connection.execute(statement)
        except DENIED as error:
            return str(error)
        finally:
            await attempted.rollback()
        return ""
    finally:
        await connection.close()


PART = Month.of(datetime.now(UTC)).table("event")
FACTS = ("event", "move", PART)
NEVER = [
    *(f"UPDATE {table} SET n = n + 1" for table in FACTS),  # noqa: S608
    *(f"DELETE FROM {table}" for table in FACTS),  # noqa: S608
    *(f"TRUNCATE {table}" for table in (*FACTS, "stock", "lock")),
    *(f"ALTER TABLE {table} ADD more text" for table in (*FACTS, "stock")),
    *(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in ("event", "stock")),
    *(f"ALTER TABLE {table} OWNER TO CURRENT_USER" for table in FACTS),
    *(f"DROP TABLE {table}" for table in ("event", "stock")),
    "DROP FUNCTION make_month(date)",
    "ALTER FUNCTION make_month(date) SECURITY INVOKER",
    "CREATE OR REPLACE FUNCTION take_statistics(of_table text) RETURNS void LANGUAGE sql AS ''",
    "CREATE TABLE event2 (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER t BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE r AS ON INSERT TO stock DO INSTEAD NOTHING",
    f"ALTER TABLE event DETACH PARTITION {PART}",
    "SET session_replication_role = replica",
    "SET ROLE sellable_owner",
    "SET SESSION AUTHORIZATION sellable_owner",
    "CREATE ROLE mine",
    "ALTER ROLE sellable_owner PASSWORD 'mine'",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "GRANT sellable_owner TO CURRENT_USER",
    "COPY stock TO PROGRAM 'true'",
    "COPY stock TO '/dev/null'",
    "SELECT pg_read_file('/etc/hostname')",
    "DELETE FROM alembic_version",
    "SELECT * FROM pg_authid",
]
"""Neither the worker nor the API may."""
NOT_THE_CLERK = [
    "INSERT INTO event DEFAULT VALUES", "INSERT INTO move DEFAULT VALUES", "UPDATE stock SET available = 1",
    "UPDATE lock SET record = record", "UPDATE position SET n = 0", "INSERT INTO epoch DEFAULT VALUES",
    "DELETE FROM balance", "DELETE FROM reconciliation", "DELETE FROM inbox",
    "SELECT make_month('2020-01-01')", "SELECT archive_month_tables('2020-01-01')",
    "UPDATE recovery_lease SET fence = 0", "CREATE TEMPORARY TABLE mine (n int)",
]  # fmt: skip
BY_THE_OWNER = [
    one for one in NEVER if one.startswith(("UPDATE", "DELETE FROM event", "DELETE FROM move", "TRUNCATE e"))
]
"""It owns the tables, so it could give itself the right; it has not."""


async def test_what_neither_worker_nor_api_may(books: Ledger) -> None:
    for url in (books.writer, books.clerk):
        # A grant by somebody who has nothing to grant is a warning, and grants nothing: see below.
        allowed = [statement for statement in NEVER if not await attempt(url, statement)]
        assert allowed == []
    assert [one for one in NOT_THE_CLERK if not await attempt(books.clerk, one)] == []
    assert [one for one in BY_THE_OWNER if not await attempt(books.owner, one)] == []


async def test_nobody_grants_anything_to_itself(books: Ledger) -> None:
    query = "SELECT relacl::text FROM pg_class WHERE relname IN ('event', 'move', 'stock') ORDER BY relname"
    superuser = await asyncpg.connect(books.superuser)
    before = await superuser.fetch(query)
    for url in (books.writer, books.clerk):
        for table in ("event", "move", "stock"):
            for rights in ("ALL", "UPDATE, DELETE", "SELECT"):
                await attempt(url, f"GRANT {rights} ON {table} TO PUBLIC, sellable_writer, sellable_clerk")
                connection = await asyncpg.connect(url)
                try:
                    await connection.execute(f"GRANT {rights} ON {table} TO sellable_writer")
                except DENIED:
                    pass
                finally:
                    await connection.close()
    assert await superuser.fetch(query) == before
    await superuser.close()


async def test_functions_of_the_owner_do_only_what_they_are_for(books: Ledger) -> None:
    for statement, error in (
        ("SELECT take_statistics('event; DROP TABLE event')", "no statistics"),
        ("SELECT take_statistics('pg_authid')", "no statistics"),
        ("SELECT make_snapshot_table(123)", "no reconciliation 123"),
        ("SELECT archive_month_tables(current_date)", "is not over"),
        ("SELECT archive_month_tables('2999-01-01')", "is not over"),
    ):
        connection = await asyncpg.connect(books.writer)
        with pytest.raises(asyncpg.RaiseError, match=error):
            await connection.execute(statement)
        # A table of the same name in front of ours changes nothing.
        await connection.execute(
            "CREATE TEMPORARY TABLE reconciliation AS SELECT 123 AS number, 'running' AS status"
        )
        with pytest.raises(asyncpg.RaiseError, match="no reconciliation 123"):
            await connection.execute("SELECT make_snapshot_table(123)")
        await connection.close()


async def test_the_worker_and_the_api_do_all_of_their_work(
    books: Ledger, redis_server: EmbeddedValkey
) -> None:
    servers.flush(redis_server)
    async with open_stores(redis_server.url, books.writer, settings=Settings()) as worker:
        await worker.gate.load_library()
        await worker.recovery().ensure_open()
        async with open_stores(redis_server.url, books.clerk, settings=Settings()) as api:
            await api.check()
            await every_command(api)
            await drain(worker)
        for duty in worker.duties():
            await duty.run_once()
        assert [str(one) async for one in worker.verify(lambda _what, _count: None).differences()] == []
        assert await worker.recovery().ensure_open(force_rebuild=True) is not None


async def test_a_check_of_the_ledger_as_each_user(books: Ledger) -> None:
    for url in (books.owner, books.writer, books.superuser):
        engine = database.open_engine(url)
        try:
            assert [f"{one.what}: {one.detail}" for one in await Schema(engine).unlike()] == []
        finally:
            await engine.dispose()


def test_the_writer_may_what_the_statements_need() -> None:
    text = (resources.folder("sql") / "grants.sql").read_text()
    granted: set[tuple[str, str]] = set()
    for rights, tables in re.findall(r"\('(?:both|writer)', '([A-Z, ]+)', ((?:'[^']*'\s*)+)\)", text):
        names = "".join(re.findall(r"'([^']*)'", tables)).replace(" ", "").split(",")
        granted |= {(right, name) for right in rights.split(", ") for name in names}
    needed = {pair for file in (resources.folder("sql") / "queries").glob("*.sql") for pair in _writes(file)}
    assert needed - granted == set()
    beside = {("INSERT", name) for name in ("event", "move", "event_id")}  # by COPY
    assert granted - needed - beside == set()


def _writes(file: Path) -> Iterator[tuple[str, str]]:
    """What a statement needs: (right, table)."""
    text = re.sub(r"--.*", "", file.read_text())
    for table in re.findall(r"INSERT INTO (\w+)", text):
        yield "INSERT", table
        if re.search(r"DO\s+UPDATE", text):
            yield "UPDATE", table
    for table in re.findall(r"(?<!DO )(?<!FOR )\bUPDATE (?!SET\b|OF\b|SKIP\b)(\w+)", text):
        yield "UPDATE", table
    for table in re.findall(r"DELETE FROM (\w+)", text):
        yield "DELETE", table
    if re.search(r"FOR UPDATE\b", text):
        found = re.search(r"FOR UPDATE OF (\w+)", text)
        yield "UPDATE", found[1] if found else re.findall(r"FROM (\w+)", text)[-1]
