"""What reporters said of documents, and the cases in which they disagree: rows that the writer keeps."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.documents import Sums, claims_of, differences
from app.ledger import database
from app.ledger.queries import sql, statement


async def store_documents(pg: Any, shard: int, documents: Mapping[tuple[str, str], tuple[Any, ...]]) -> None:
    """Keep the sums, and open a case where reporters disagree; close it where they agree again."""
    rows = [(*key, *row) for key, row in documents.items()]
    await pg.execute(sql("fold_documents"), shard, *database.columns(rows))
    await note_mismatches(pg, shard, {family for family, _ in documents}, rows[-1][-1])


async def note_mismatches(pg: Any, shard: int, families: set[str], at: datetime) -> None:
    """Look at families of documents again."""
    if not await pg.fetch(sql("contested_documents"), list(families)):
        return
    # Read again with the cases held: else one that a person decides on just now would be opened anew.
    await pg.execute(sql("lock_mismatches"), list(families))
    found = await pg.fetch(sql("contested_documents"), list(families))
    by_family: dict[str, dict[str, Any]] = {}
    for row in found:
        by_family.setdefault(row["family"], {})[row["sku"]] = row
    opening, closing = [], []
    for family, rows in by_family.items():
        sums = {sku: Sums.of_json(row["sums"]) for sku, row in rows.items()}
        differing = differences(family, sums)
        for sku, row in rows.items():
            is_decided = row["decided"] is not None and row["decided"] == claims_of(sums[sku])
            if sku in differing and not is_decided:
                opening.append((family, sku, differing[sku]))
            elif row["is_open"]:
                closing.append((family, sku))
    if opening:
        await pg.execute(sql("open_mismatches"), shard, *database.columns(opening), at)
    if closing:
        await pg.execute(sql("close_mismatches"), *database.columns(closing), at)


class Mismatch(NamedTuple):
    """A case: what reporters say of a SKU in a family of documents, and how that differs; `opened_at` in ms."""

    mismatch_id: int
    family: str
    sku: str
    differs: str
    sums: Sums
    lock_id: str | None
    opened_at: int
    is_closed: bool = False
    decision: str | None = None


class MismatchRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open_after(self, after: int, items_max: int) -> list[Mismatch]:
        """Return the next open cases by their number."""
        values = {"after": after, "items_max": items_max}
        async with database.snapshot(self._engine) as connection:
            rows: Sequence[Any] = (await connection.execute(statement("list_mismatches"), values)).all()
        return [_mismatch(row) for row in rows]

    async def find(self, mismatch_id: int) -> Mismatch | None:
        """Return a case, open or closed, or None."""
        async with database.snapshot(self._engine) as connection:
            found = await connection.execute(statement("find_mismatch"), {"mismatch_id": mismatch_id})
            row = found.one_or_none()
        return (
            None if row is None else _mismatch(row)._replace(is_closed=row.is_closed, decision=row.decision)
        )

    async def decide(self, case: Mismatch, decision: str, reason: str, who: str) -> None:
        """Note what a person decided about what was said so far."""
        said = json.dumps(claims_of(case.sums), ensure_ascii=False)
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("decide_mismatch"), case.mismatch_id, decision, reason, who, said)


def _mismatch(row: Any) -> Mismatch:
    return Mismatch(
        row.mismatch_id, row.family, row.sku, row.differs, Sums.of_json(row.sums), row.lock_id, row.opened_at
    )
