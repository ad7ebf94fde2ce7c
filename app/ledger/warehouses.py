"""The list of warehouses: Postgres' own rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.warehouses import Stocked, Units, Warehouse
from app.ledger import database
from app.ledger.queries import sql


class WarehouseRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self) -> list[Warehouse]:
        """Return the whole list, by code."""
        async with database.driver_transaction(self._engine) as pg:
            return [_warehouse(row) for row in await pg.fetch(sql("all_warehouses"))]

    async def add(self, codes: Sequence[str]) -> None:
        """List warehouses; those that are listed stay as they are."""
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("add_warehouses"), list(codes))
            await pg.execute(sql("list_anew"), list(codes))

    async def put(
        self, code: str, *, name: str | None, closed: bool | None, rank: int | None, sets_rank: bool
    ) -> Warehouse:
        """List a warehouse, or change what is given of it; `sets_rank`: `rank` is given, be it None."""
        async with database.driver_transaction(self._engine) as pg:
            return _warehouse(await pg.fetchrow(sql("put_warehouse"), code, name, sets_rank, rank, closed))

    async def stocked_after(self, after: str, items_max: int) -> list[Stocked]:
        """Return the next warehouses by code, with what is there."""
        async with database.driver_transaction(self._engine) as pg:
            return [
                _stocked(row) for row in await pg.fetch(sql("warehouses_with_units"), after, items_max, None)
            ]

    async def stocked(self, code: str) -> Stocked | None:
        """Return one with what is there; None if it is not listed, and nothing is there."""
        async with database.driver_transaction(self._engine) as pg:
            row = await pg.fetchrow(sql("warehouses_with_units"), "", 1, code)
        return None if row is None else _stocked(row)

    async def has_stock_beside(self, skus: Sequence[str]) -> bool:
        """Whether anything but these SKUs was ever booked."""
        async with database.driver_transaction(self._engine) as pg:
            return bool(await pg.fetchval(sql("has_own_stock"), list(skus)))


def _warehouse(row: Any) -> Warehouse:
    return Warehouse(row["code"], row["name"], row["rank"], row["closed"])


def _stocked(row: Any) -> Stocked:
    units = Units(row["skus"], row["available"], row["locked"], row["damaged"], row["in_transit"])
    return Stocked(_warehouse(row), units)
