"""The users of an embedded Postgres: our own processes have the rights that they have in production, and no more.

`sellable`, the superuser that `initdb` makes, is for commands of people. The tables belong to `sellable_owner`, which
only migrates; the worker is `sellable_writer` and the API `sellable_clerk`, whose rights are in `sql/grants.sql`.
"""

import asyncio
import hashlib
import hmac

import asyncpg

from app.errors import UnavailableError
from app.ledger.queries import sql

OWNER, WRITER, CLERK = "sellable_owner", "sellable_writer", "sellable_clerk"
ROLES = (OWNER, WRITER, CLERK)
MAKE_SECONDS_MAX = 30.0

_DATABASE = """
REVOKE ALL ON DATABASE sellable FROM PUBLIC;
GRANT CONNECT ON DATABASE sellable TO sellable_writer, sellable_clerk;
GRANT TEMPORARY ON DATABASE sellable TO sellable_writer
"""
"""As `deploy/postgres-init.sh`."""


def password_of(role: str, password: str) -> str:
    """Return a role's password, made from the superuser's: one file keeps all of them, and none leads to another."""
    return hmac.new(password.encode(), role.encode(), hashlib.sha256).hexdigest()


def make_roles(url: str, password: str) -> None:
    """Make the roles, and give what a version before made as the superuser to the owner; again: nothing changes.

    `url` is the superuser's. Raises `UnavailableError` if Postgres does not take it.
    """
    try:
        asyncio.run(asyncio.wait_for(_make(url, password), MAKE_SECONDS_MAX))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnavailableError(f"the users of the embedded Postgres could not be made: {error}") from error


async def _make(url: str, password: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for row in await connection.fetch(sql("make_roles"), list(ROLES)):
                await connection.execute(row[0])
            for role in ROLES:  # names and hexadecimal digits of ours
                await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{password_of(role, password)}'")
            await connection.execute(_DATABASE)
            for row in await connection.fetch(sql("give_to_owner"), OWNER):
                await connection.execute(row[0])
    finally:
        await connection.close()
