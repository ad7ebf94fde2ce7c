"""Merging a warehouse into another: what the ledger has of it, and the rows that are Postgres' own."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger import database
from app.ledger.queries import sql


class Left(NamedTuple):
    """Something that is still in a warehouse, or names it; `source` and `destination` of a transfer."""

    kind: str
    id: str
    source: str
    destination: str


class MergeRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def known(self, code: str) -> tuple[bool, int]:
        """Return whether a code was ever one of a warehouse, and how many events of the inbox wait that name it."""
        async with database.driver_transaction(self._engine) as pg:
            row = await pg.fetchrow(sql("merge_known"), code)
        return row["is_known"], row["waiting"]

    async def mark(self, code: str, into: str) -> int:
        """List a warehouse no more, and let its purchase orders be the other's; return how many those are."""
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("mark_merged"), code, into)
            return database.row_count(await pg.execute(sql("merge_orders"), code, into))

    async def left(self, code: str, items_max: int) -> list[Left]:
        """Return what is left there: the locks first, then the transfers, then the SKUs; so many of each at most."""
        async with database.driver_transaction(self._engine) as pg:
            return [Left(*row) for row in await pg.fetch(sql("left_to_merge"), code, items_max)]
