"""What `verify` reads of the ledger. Each read is a snapshot; nothing is changed."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Counts, Position
from app.ledger import database
from app.ledger.queries import statement
from app.ledger.schema import Schema

ROWS_CHUNK = 1_000


class Projected(NamedTuple):
    """A SKU as the projection has it."""

    version: int
    warehouses: dict[str, Counts]


class ProjectedRecord(NamedTuple):
    """A lock or transfer as the projection has it: where it was opened, and the record's fields."""

    opened: Position
    record: dict[str, Any]


class Audit:
    """Reads of one shard. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard
        self.schema = Schema(engine)

    async def rows(self, name: str) -> AsyncIterator[Any]:
        """Stream the rows of a statement that lists differences within the ledger."""
        async with database.snapshot(self._engine) as connection:
            result = await connection.stream(statement(name), execution_options={"yield_per": ROWS_CHUNK})
            async for row in result:
                yield row

    async def skus_after(self, after: str, skus_max: int, *, moves_max: int) -> list[str]:
        """Return the next SKUs in order: one at least, and no further one once they have so many moves."""
        values = {"shard": self._shard, "after": after, "skus_max": skus_max, "moves_max": moves_max}
        return [row.sku for row in await self._all("audit_skus", values)]

    async def stock(self, skus: Sequence[str]) -> dict[str, Projected]:
        """Return those of the SKUs that the projection has."""
        found: dict[str, Projected] = {}
        for row in await self._all("audit_stock", {"skus": list(skus)}):
            known = found.get(row.sku, Projected(0, {}))
            counts = Counts(row.available, row.locked, row.damaged, row.in_transit, row.buffer)
            warehouses = known.warehouses | {row.warehouse: counts}
            found[row.sku] = Projected(max(known.version, row.version), warehouses)
        return found

    async def sums_of(self, skus: Sequence[str]) -> Sequence[Any]:
        """Return where the projection of these SKUs is not the sum of their moves: a row each."""
        return await self._all("audit_sums_of", {"skus": list(skus)})

    async def stock_at(self, sku: str, version: int) -> dict[str, Counts]:
        """Return the counts that a SKU's moves up to `version` left, by warehouse."""
        rows = await self._all("audit_stock_at", {"sku": sku, "version": version})
        return {row.warehouse: Counts(*row[1:]) for row in rows}

    async def open_locks_after(self, after: str, ids_max: int) -> list[str]:
        """Return the next open locks in order."""
        return await self._open_after("audit_open_locks", after, ids_max)

    async def locks(self, lock_ids: Sequence[str]) -> dict[str, ProjectedRecord]:
        """Return those of the locks that the projection has, the newest of each id."""
        return await self._records("audit_locks", lock_ids)

    async def open_transfers_after(self, after: str, ids_max: int) -> list[str]:
        """Return the next open transfers in order."""
        return await self._open_after("audit_open_transfers", after, ids_max)

    async def transfers(self, transfer_ids: Sequence[str]) -> dict[str, ProjectedRecord]:
        """Return those of the transfers that the projection has, the newest of each id."""
        return await self._records("audit_transfers", transfer_ids)

    async def _open_after(self, name: str, after: str, ids_max: int) -> list[str]:
        values = {"shard": self._shard, "after": after, "ids_max": ids_max}
        return [row.id for row in await self._all(name, values)]

    async def _records(self, name: str, ids: Sequence[str]) -> dict[str, ProjectedRecord]:
        rows = await self._all(name, {"ids": list(ids)})
        return {row.id: ProjectedRecord(Position(row.opened_epoch, row.opened_n), row.record) for row in rows}

    async def _all(self, name: str, values: dict[str, Any]) -> Sequence[Any]:
        async with database.snapshot(self._engine) as connection:
            return (await connection.execute(statement(name), values)).all()
