"""All migrations together make what `sql/schema.sql` says."""

import asyncpg

from app import resources
from app.embedded.postgres import EmbeddedPostgres
from tests import servers

_SHAPE = {
    "columns": """SELECT table_name, column_name, data_type, column_default, is_nullable, is_generated
        FROM information_schema.columns WHERE table_schema = 'public'""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "rights": """SELECT table_name, grantee, privilege_type FROM information_schema.role_table_grants
        WHERE table_schema = 'public'""",
    "comments": """SELECT objoid::regclass::text, objsubid, description FROM pg_description
        JOIN pg_class ON pg_class.oid = objoid WHERE relnamespace = 'public'::regnamespace""",
}


async def shape_of(url: str) -> dict[str, list[tuple]]:
    connection = await asyncpg.connect(url)
    try:
        found = {name: [tuple(row) for row in await connection.fetch(ask)] for name, ask in _SHAPE.items()}
    finally:
        await connection.close()
    ours = {name: [row for row in rows if "alembic" not in str(row[0])] for name, rows in found.items()}
    return {name: sorted(rows, key=str) for name, rows in ours.items()}


async def test_the_migrations_make_the_schema(postgres_server: EmbeddedPostgres, database_url: str) -> None:
    url = servers.fresh_database(postgres_server)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute((resources.folder("sql") / "schema.sql").read_text(encoding="utf-8"))
    finally:
        await connection.close()
    assert await shape_of(database_url) == await shape_of(url)
    servers.drop_database(postgres_server, url)
