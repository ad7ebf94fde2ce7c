"""Counting: what the ledger says was on the shelf at a time, and turns, so that two counts don't mix."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Position
from app.domain.times import moment
from app.ledger import database
from app.ledger.queries import sql, statement


class Shelf(NamedTuple):
    """Good and damaged units."""

    on_hand: int
    damaged: int


class CountRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._room = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, warehouse: str) -> AsyncIterator[None]:
        """Be the only one who counts in a warehouse: two counts at once would book the same difference twice."""
        # One in a process: those who wait would hold every connection, and whoever counts needs another one.
        async with self._room, database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("take_turn"), database.Turn.COUNT, warehouse)
            yield

    async def as_of(self, warehouse: str, skus: Sequence[str], at_ms: int) -> dict[str, Shelf]:
        """Return what was there at a time, inclusive, as far as the ledger knows; zeros for unknown SKUs."""
        values = {"warehouse": warehouse, "skus": list(skus), "at": moment(at_ms)}
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("stock_as_of"), values)).all()
        shelves = {row.sku: Shelf(row.available + row.locked, row.damaged) for row in rows}
        return {sku: shelves.get(sku, Shelf(0, 0)) for sku in skus}

    async def as_of_each(self, warehouse: str, times: Mapping[str, int]) -> dict[str, Shelf]:
        """Return what was there of each SKU at a time (ms) of its own, inclusive; zeros for unknown SKUs."""
        ats = [moment(at) for at in times.values()]
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("stock_as_of_each"), warehouse, list(times), ats)
        return {row["sku"]: Shelf(row["on_hand"], row["damaged"]) for row in rows}

    async def counted_at(
        self, warehouse: str, times: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], str]:
        """Return which of these (SKU, ms) were counted at just that time, with its op ('' if that is gone)."""
        skus, ats = [sku for sku, _ in times], [moment(at) for _, at in times]
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("counts_at"), warehouse, skus, ats)
        return {(row["sku"], row["at_ms"]): row["op"] for row in rows}

    async def changes(self, warehouse: str, position: Position) -> dict[str, Shelf]:
        """Return what one event added (+) to a warehouse and took (-) from it, by SKU."""
        values = {"warehouse": warehouse, "epoch": position.epoch, "n": position.n}
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("event_changes"), values)).all()
        return {row.sku: Shelf(row.on_hand, row.damaged) for row in rows}
