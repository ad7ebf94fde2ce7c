"""The schema of a database that is not as it must be: each change is named, by `verify` and by `ledger check`."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap import Stores, open_ledger, open_stores
from app.commands.ledger import ledger
from app.commands.verify import verify
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.ledger import database
from app.ledger.drift import DriftRows
from app.ledger.partitions import Month, Partitions
from app.ledger.schema import Schema
from app.settings import Settings
from tests import servers
from tests.integration.working import execute, some_traffic

MONTH = Month.of(datetime.now(UTC)).table("event")
WATCHED = """
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER watched BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION watch()
"""
CHANGED: dict[str, list[str]] = {
    "ALTER TABLE stock DROP CONSTRAINT stock_pkey": [
        "table stock: primary key is missing: PRIMARY KEY (sku, warehouse)"
    ],
    "DROP TABLE drift": ["table drift: is missing"],
    "ALTER TABLE stock RENAME TO shelf": ["table stock: is missing"],
    "DROP INDEX inbox_open": [
        (
            "table inbox: index inbox_open is missing: CREATE INDEX inbox_open ON inbox USING btree (received_at) "
            "WHERE status = ANY (ARRAY['parked'::text, 'quarantined'::text])"
        )
    ],
    "DROP INDEX shortage_open": [
        (
            "table shortage: unique index shortage_open is missing: CREATE UNIQUE INDEX shortage_open ON shortage "
            "USING btree (sku, warehouse) WHERE closed_at IS NULL"
        )
    ],
    "DROP INDEX event_op; CREATE INDEX event_op ON ONLY event (op) WHERE op IS NOT NULL": [
        (
            "table event: index event_op must be CREATE INDEX event_op ON ONLY event USING btree (op) WHERE op IS NOT "
            "NULL, not CREATE INDEX event_op ON ONLY event USING btree (op) WHERE op IS NOT NULL (not valid)"
        ),
        *(
            f"table event: event_op of partition {Month.of(datetime.now(UTC)).plus(ahead).table('event')} "
            "is missing or not attached"
            for ahead in (0, 1)
        ),
    ],
    "ALTER TABLE move DROP CONSTRAINT move_quantity_check": [
        "table move: constraint move_quantity_check is missing: CHECK (quantity >= 0)"
    ],
    "ALTER TABLE quarantine DROP CONSTRAINT quarantine_shard_epoch_n_fkey": [
        (
            "table quarantine: constraint quarantine_shard_epoch_n_fkey is missing: FOREIGN KEY (shard, epoch, n) "
            "REFERENCES quarantined_event(shard, epoch, n)"
        )
    ],
    "ALTER TABLE quarantine DISABLE TRIGGER ALL": [
        "table quarantine: checks of references must not be there: off"
    ],
    "ALTER TABLE inbox ALTER why DROP NOT NULL": ["table inbox: column why must be text NOT NULL, not text"],
    "ALTER TABLE stock ALTER supplier DROP DEFAULT": [
        "table stock: column supplier must be bigint NOT NULL DEFAULT 0, not bigint NOT NULL"
    ],
    "ALTER TABLE drift ALTER what TYPE varchar(9)": [
        "table drift: column what must be text NOT NULL, not character varying(9) NOT NULL",
    ],
    "ALTER TABLE epoch DROP COLUMN opened_at": [
        "table epoch: column opened_at is missing: timestamp with time zone NOT NULL DEFAULT now()"
    ],
    "ALTER TABLE stock ADD note text NOT NULL": ["table stock: column note must not be there: text NOT NULL"],
    "CREATE UNIQUE INDEX one ON stock (sku)": [
        "table stock: unique index one must not be there: CREATE UNIQUE"
    ],
    "ALTER TABLE stock ADD CHECK (available > 0)": [
        "table stock: constraint stock_available_check must not be there: CHECK (available > 0)"
    ],
    WATCHED.format(table="stock"): ["table stock: trigger watched must not be there: CREATE TRIGGER watched"],
    WATCHED.format(table=MONTH): [
        f"table event: trigger watched of partition {MONTH} is CREATE TRIGGER watched"
    ],
    "CREATE RULE no_rows AS ON INSERT TO stock DO INSTEAD NOTHING": [
        "table stock: rule no_rows must not be there: CREATE RULE no_rows AS ON INSERT TO stock DO INSTEAD NOTHING;"
    ],
    "ALTER TABLE stock ENABLE ROW LEVEL SECURITY": ["table stock: row security must be off, not on"],
    "ALTER TABLE lock SET UNLOGGED": [
        "table lock: storage must be logged, not unlogged (a crash empties it)"
    ],
    f"ALTER TABLE event DETACH PARTITION {MONTH}": [
        f"table event: place of partition {MONTH} is beside the table"
    ],
    "DROP VIEW shelf_change": ["view shelf_change: is missing"],
    "CREATE OR REPLACE VIEW lock_line AS SELECT shard, lock_id, opened_epoch, opened_n, status, ''::text AS sku, "
    "''::text AS warehouse, 0::bigint AS quantity, 0::bigint AS deducted FROM lock": [
        "view lock_line: kind must be view "
    ],
    "DROP FUNCTION pieces": ["function pieces(of_sku text): is missing"],
    "ALTER TYPE place RENAME VALUE 'buffer' TO 'spare'": [
        (
            "type place: values must be available, locked, damaged, in_transit, buffer, supplier, customer, "
            "adjustment, not available, locked, damaged, in_transit, spare, supplier, customer, adjustment"
        )
    ],
    # What does no harm
    "ALTER TABLE stock ADD note text; CREATE INDEX mine ON stock (available); CREATE TABLE other (id int)": [],
    "GRANT SELECT ON stock TO PUBLIC": [],
}


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    opened = database.open_engine(database_url)
    await Partitions(opened, months_ahead=1).make_ahead(datetime.now(UTC))
    yield opened
    await opened.dispose()


async def unlike(schema: Schema, pg: Any) -> list[str]:
    return [f"{one.what}: {one.detail}" for one in await schema.unlike_in(pg)]


async def test_each_change_is_named(engine: AsyncEngine) -> None:
    """Each in a transaction of its own that is undone."""
    schema = Schema(engine)
    assert await schema.unlike() == []
    async with engine.connect() as connection:
        pg: Any = (await connection.get_raw_connection()).driver_connection
        for statement, expected in CHANGED.items():
            transaction = pg.transaction()
            await transaction.start()
            await pg.execute(statement)
            found = await unlike(schema, pg)
            await transaction.rollback()
            assert len(found) == len(expected), (statement, found)
            for line, begin in zip(sorted(found), sorted(expected), strict=True):
                assert line.startswith(begin), (statement, found)
    assert await schema.unlike() == []


async def test_of_a_newer_schema_only_what_is_missing_counts(engine: AsyncEngine) -> None:
    schema = Schema(engine)
    async with database.driver_transaction(engine) as pg:
        await pg.execute("UPDATE alembic_version SET version_num = '9999'")
        await pg.execute(
            "ALTER TABLE stock ADD CHECK (available > -10); ALTER TABLE inbox ALTER why DROP NOT NULL"
        )
    assert await schema.unlike() == []
    async with database.driver_transaction(engine) as pg:
        await pg.execute("DROP TABLE drift; ALTER TABLE stock DROP CONSTRAINT stock_pkey")
    assert sorted(one.what for one in await schema.unlike()) == ["table drift", "table stock"]


async def test_a_lost_primary_key_is_told_by_both_and_by_the_running_check(
    redis_server: EmbeddedValkey, database_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    servers.flush(redis_server)
    monkeypatch.setenv("SELLABLE_REDIS_URL", redis_server.url)
    monkeypatch.setenv("SELLABLE_DATABASE_URL", database_url)
    async with open_stores(settings=Settings()) as stores:
        await stores.recovery().ensure_open()
        await Partitions(stores.engine, months_ahead=1).make_ahead(datetime.now(UTC))
        await some_traffic(stores)
        await drained(stores)
        assert await drifts(stores) == 0
        await execute(stores, "ALTER TABLE stock DROP CONSTRAINT stock_pkey")
        assert await both(tmp_path) == (1, 1)
        told = capsys.readouterr().out
        assert "table stock primary key: database none, must be PRIMARY KEY (sku, warehouse)\n1 diff" in told
        assert "table stock: primary key is missing: PRIMARY KEY (sku, warehouse)\n" in told
        assert await drifts(stores) == 1
        await execute(stores, "ALTER TABLE stock ADD PRIMARY KEY (sku, warehouse)")
        assert await drifts(stores) == 0

        await execute(stores, "ALTER TABLE stock RENAME TO shelf")  # now the rest cannot be compared
        capsys.readouterr()
        assert await both(tmp_path) == (1, 1)
        told = capsys.readouterr().out
        assert "table stock : database none, must be there\n" in told
        assert (
            "all else compared: database cannot: Postgres refuses us: a table of the ledger is missing"
            in told
        )


async def drained(stores: Stores) -> None:
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
    while await persist.run_once():
        pass


async def both(place: Path) -> tuple[int, int]:
    """What `verify` and `ledger check` end with."""
    return (
        await verify(as_json=False, data_dir=place, open_stores=open_stores),
        await ledger(as_json=False, data_dir=place, open_ledger=open_ledger),
    )


async def drifts(stores: Stores) -> int:
    rounds = stores.rounds()
    await rounds.run_once()
    while rounds._slices is not None:
        await rounds.run_once()
    return (await DriftRows(stores.engine, 0).figures()).drift


async def test_of_an_ordinary_owner(postgres_server: EmbeddedPostgres, migrated: str) -> None:
    """Rights, and a server that lets nobody make temporary tables."""
    url = servers.fresh_database(postgres_server)
    name = url.partition("?")[0].rpartition("/")[2]
    servers.execute(url, "CREATE ROLE plain LOGIN PASSWORD 'plain'; CREATE ROLE another")
    servers.execute(url, f'ALTER DATABASE "{name}" OWNER TO plain')
    plain = f"postgresql://plain:plain@/{name}?{url.partition('?')[2]}"
    engine = database.open_engine(plain)
    try:
        await database_of(plain)
        servers.execute(url, f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC, plain')
        known = {}
        from app.ledger import schema as module  # noqa: PLC0415

        known, module._known = module._known, {}
        assert [one.detail for one in await Schema(engine).unlike()] == [
            "right to make temporary tables is missing: granted"
        ]
        module._known = known
        servers.execute(url, f'GRANT TEMPORARY ON DATABASE "{name}" TO plain')
        assert await Schema(engine).unlike() == []
        servers.execute(url, "REVOKE INSERT ON event FROM plain; ALTER TABLE drift OWNER TO another")
        servers.execute(url, "GRANT ALL ON drift TO plain")
        assert sorted(f"{one.what}: {one.detail}" for one in await Schema(engine).unlike()) == [
            "table drift: owner must be the owner of the ledger, not another",
            "table event: right of this user to INSERT is missing: GRANT INSERT",
        ]
    finally:
        await engine.dispose()
        servers.drop_database(postgres_server, url)
        servers.execute(postgres_server.url_of("postgres"), "DROP ROLE plain; DROP ROLE another")


async def database_of(url: str) -> None:
    from app.ledger.migrate import migrate  # noqa: PLC0415

    engine = database.open_engine(url)
    await migrate(engine)
    await engine.dispose()
