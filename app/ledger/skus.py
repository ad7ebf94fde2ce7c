"""SKUs as the ledger knows them: those that are alike, and those that were ordered."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.codes import key_of
from app.ledger import database
from app.ledger.queries import sql

NEAR_MAX = 10_000
"""SKUs that one question finds."""
LISTED_MAX = 10_000
"""SKUs that are noted in one transaction."""


class SkuRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def alike(self, keys: Collection[str]) -> dict[str, list[str]]:
        """Return the SKUs that have these keys, by key."""
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("near_skus"), list(keys), NEAR_MAX)
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["key"], []).append(row["sku"])
        return found

    async def planned(self, skus: Collection[str]) -> set[str]:
        """Return those of the SKUs that a purchase order names."""
        async with database.driver_transaction(self._engine) as pg:
            return {row["sku"] for row in await pg.fetch(sql("planned_skus"), list(skus))}

    async def list_unlisted(self) -> tuple[int, bool]:
        """Note the SKUs and warehouses that were booked and are not listed yet.

        Returns how many SKUs those were, and whether there may be more.
        """
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("list_booked_warehouses"))
            found = [row["sku"] for row in await pg.fetch(sql("unlisted_skus"), LISTED_MAX)]
            await note_skus(pg, found)
        return len(found), len(found) == LISTED_MAX


async def note_skus(pg: Any, skus: Iterable[str]) -> None:
    """Note SKUs that are new, in a transaction of asyncpg's."""
    keys = sorted({(key_of(sku), sku) for sku in skus})
    if keys:
        await pg.execute(sql("add_sku_keys"), *database.columns(keys))
