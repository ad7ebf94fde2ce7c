"""Shortage cases in the ledger: opened and closed by the writer, with the counts they are about."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.shortages import Promise, ShortageCase
from app.ledger import database
from app.ledger.queries import statement


class ShortageRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def after(self, after: int, items_max: int) -> list[ShortageCase]:
        """Return the next open cases by id, each with the locks concerned."""
        async with database.snapshot(self._engine) as connection:
            values = {"after": after, "items_max": items_max}
            rows = (await connection.execute(statement("list_shortages"), values)).all()
            return await _with_promises(connection, [ShortageCase(*row) for row in rows])

    async def find(self, shortage_id: int) -> ShortageCase | None:
        """Return a case, open or closed, or None."""
        async with database.snapshot(self._engine) as connection:
            values = {"shortage_id": shortage_id}
            row = (await connection.execute(statement("find_shortage"), values)).one_or_none()
            return None if row is None else (await _with_promises(connection, [ShortageCase(*row)]))[0]


async def _with_promises(connection: AsyncConnection, cases: Sequence[ShortageCase]) -> list[ShortageCase]:
    if not cases:
        return []
    values = {"skus": [case.sku for case in cases], "warehouses": [case.warehouse for case in cases]}
    promises: defaultdict[tuple[str, str], list[Promise]] = defaultdict(list)
    for row in (await connection.execute(statement("shortage_locks"), values)).all():
        promises[row.sku, row.warehouse].append(Promise(row.lock_id, row.status, row.units))
    return [case._replace(promises=tuple(promises[case.sku, case.warehouse])) for case in cases]
