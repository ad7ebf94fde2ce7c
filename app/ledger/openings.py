"""Openings in the ledger: what has happened to a SKU in a warehouse since its count was last set."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.times import moment, ms_of
from app.ledger import database
from app.ledger.queries import sql

Shelf = tuple[str, str]
"""A SKU and a warehouse."""


class LastSet(NamedTuple):
    """What the ledger knows of a shelf: whether nothing has moved since its opening, and the SKU's last version."""

    is_as_opened: bool
    version: int


class OpeningRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_set(self, shelves: Sequence[Shelf]) -> dict[Shelf, LastSet]:
        """Return what is known of each shelf."""
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("opened_last"), *_columns(shelves))
        return {(row["sku"], row["warehouse"]): LastSet(row["is_as_opened"], row["version"]) for row in rows}

    async def set_since(self, shelves: Sequence[Shelf], at_ms: int) -> dict[Shelf, int]:
        """Return the shelves that an opening has set after a time, and when the last one did, in ms since 1970."""
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("opened_since"), *_columns(shelves), moment(at_ms))
        return {(row["sku"], row["warehouse"]): ms_of(row["occurred_at"]) for row in rows}


def _columns(shelves: Sequence[Shelf]) -> tuple[list[str], list[str]]:
    return [sku for sku, _ in shelves], [warehouse for _, warehouse in shelves]
