"""Whether the database's schema is what it must be, which `sql/schema.sql` alone says.

That file is run in a temporary namespace of the same server and taken back: both are described by the same statement
(`describe_schema.sql`), in the words of the same version of Postgres, so nothing has to be kept equal by hand.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app import resources
from app.ledger import database
from app.ledger.migrate import check_schema
from app.ledger.queries import sql

_FORBIDDEN = ("constraint ", "unique index ", "trigger ", "rule ", "checks of references")
"""Parts that change what can be written: one that must not be there is told. Indexes and columns may be added."""
PARTITION = " of partition "
"""Stands in parts of partitions, of which only those are described that are not as they must be."""
_NEEDED = ("kind", "column ", "primary key")
"""Parts that a newer schema has as well, though maybe defined otherwise."""

DATABASE = "the database"

_Described = Mapping[tuple[str, str], str]


class Unlike(NamedTuple):
    """A part of the schema that is not as it must be: `what` it belongs to; '' as a definition: it is not there."""

    what: str
    part: str
    must_be: str
    found: str

    @property
    def detail(self) -> str:
        """Return it as a sentence about `what`."""
        if not self.part:
            return "is missing"
        if not self.found:
            return f"{self.part} is missing: {self.must_be}"
        if PARTITION in self.part:
            return f"{self.part} is {self.found}"
        if not self.must_be:
            return f"{self.part} must not be there: {self.found}"
        return f"{self.part} must be {self.must_be}, not {self.found}"


class Schema:
    """Compares."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.subjects: frozenset[str] = frozenset()
        """What was looked at when it was last compared: `Unlike.what` is one of these."""

    async def unlike(self) -> list[Unlike]:
        """Return what is not as it must be; see `unlike_in`."""
        async with database.driver_transaction(self._engine) as pg:
            return await self.unlike_in(pg)

    async def unlike_in(self, pg: Any) -> list[Unlike]:
        """Return what is not as it must be, as a connection of asyncpg's sees it, which may be read-only.

        Of a newer schema only what is missing. Raises `UnavailableError` while Postgres is away, and
        `ConfigurationError` if the schema is older than this code.
        """
        is_ours = await check_schema(self._engine)
        must_be = await self._wanted()
        self.subjects = frozenset({DATABASE, *(what for what, _ in must_be)})
        if not must_be:
            return [Unlike(DATABASE, "right to make temporary tables", "granted", "")]
        found = await _describe(pg, "current_schema()::regnamespace::oid")
        return _compare(must_be, found) if is_ours else _missing(must_be, found)

    async def _wanted(self) -> _Described:
        """Return what it must be; nothing if the server does not let us find out."""
        async with database.driver_transaction(self._engine) as pg:
            key = tuple(await pg.fetchrow(sql("who_describes")))
            if key not in _known:
                try:
                    _known[key] = await _made(pg)
                except asyncpg.InsufficientPrivilegeError:
                    return {}
            return _known[key]


_known: dict[tuple[Any, ...], _Described] = {}
"""What the schema must be, by version of the server and whether a superuser asks: nothing else changes it."""


async def _made(pg: Any) -> _Described:
    """Describe what `schema.sql` makes, and leave nothing of it behind."""
    attempt = pg.transaction()
    await attempt.start()
    try:
        await pg.execute("SET LOCAL search_path = pg_temp")
        await pg.execute((resources.folder("sql") / "schema.sql").read_text(encoding="utf-8"))
        return await _describe(pg, "pg_my_temp_schema()")
    finally:
        await attempt.rollback()


async def _describe(pg: Any, namespace: str) -> dict[tuple[str, str], str]:
    oid = await pg.fetchval(f"SELECT {namespace}")
    rows = await pg.fetch(sql("describe_schema"), oid)
    return {(row["what"], row["part"]): " ".join(row["definition"].split()) for row in rows}


def _compare(must_be: _Described, found: _Described) -> list[Unlike]:
    return [*_absent(must_be, found), *_changed(must_be, found), *_forbidden(must_be, found)]


def _missing(must_be: _Described, found: _Described) -> list[Unlike]:
    needed = {key: definition for key, definition in must_be.items() if key[1].startswith(_NEEDED)}
    return _absent(needed, found)


def _absent(must_be: _Described, found: _Described) -> list[Unlike]:
    """What is missing; of a table that is missing as a whole only that."""
    known = {what for what, _ in found}
    whole = [
        Unlike(what, "", "there", "")
        for what in dict.fromkeys(what for what, _ in must_be)
        if what not in known
    ]
    return whole + [
        Unlike(what, part, definition, "")
        for (what, part), definition in must_be.items()
        if what in known and (what, part) not in found
    ]


def _changed(must_be: _Described, found: _Described) -> list[Unlike]:
    return [
        Unlike(*key, definition, found[key])
        for key, definition in must_be.items()
        if key in found and found[key] != definition
    ]


def _forbidden(must_be: _Described, found: _Described) -> list[Unlike]:
    ours = {what for what, _ in must_be}
    return [
        Unlike(what, part, "", definition)
        for (what, part), definition in found.items()
        if (what, part) not in must_be and _breaks(part, definition, is_ours=what in ours)
    ]


def _breaks(part: str, definition: str, *, is_ours: bool) -> bool:
    """Whether an addition changes what can be written to our tables, or what stays of it."""
    is_column = part.startswith("column ") and "NOT NULL" in definition
    is_needed = is_column and "DEFAULT" not in definition and "GENERATED" not in definition
    return is_ours and (is_needed or PARTITION in part or part.startswith(_FORBIDDEN))
