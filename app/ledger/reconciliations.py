"""Reconciliations in the ledger: what they came to, and what was done about their differences."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.reconciliation import (
    Cause,
    Day,
    Discrepancy,
    Freshness,
    Kind,
    Reconciliation,
    Repeated,
    State,
    Status,
    Treatment,
)
from app.ledger import database
from app.ledger.queries import sql, statement

PAGE = 1_000
"""Differences read at a time while all of them are streamed."""


class Chosen(NamedTuple):
    """Which differences of a reconciliation are meant: these SKUs, this cause; None: whatever they are."""

    skus: Sequence[str] | None = None
    cause: Cause | None = None


class ReconciliationRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begins_at(self) -> int | None:
        """Return when the ledger's first event was recorded, in ms since 1970, or None: it has none."""
        rows = await self._all("ledger_begins", {})
        return rows[0].begins_at if rows else None

    async def knows(self, warehouse: str) -> bool:
        """Return whether any SKU was ever seen in a warehouse."""
        return bool((await self._all("knows_warehouse", {"warehouse": warehouse}))[0].known)

    async def find(self, reconciliation_id: str) -> Reconciliation | None:
        """Return one, or None."""
        rows = await self._all("find_reconciliation", {"reconciliation_id": reconciliation_id})
        return _reconciliation(rows[0]) if rows else None

    async def before(
        self, before: int, items_max: int, warehouse: str | None
    ) -> tuple[list[Reconciliation], int]:
        """Return the next ones, newest first, and the cursor after them; begin with `BIGINT_MAX`."""
        values = {"before": before, "items_max": items_max, "warehouse": warehouse}
        rows = await self._all("list_reconciliations", values)
        return [_reconciliation(row) for row in rows], rows[-1].number if rows else 0

    async def discrepancies(
        self, reconciliation_id: str, after: tuple[str, str], items_max: int, cause: Cause | None = None
    ) -> list[Discrepancy]:
        """Return the next differences by SKU and state."""
        values = {"after_sku": after[0], "after_state": after[1], "items_max": items_max, "cause": cause}
        rows = await self._all("list_discrepancies", values | {"reconciliation_id": reconciliation_id})
        return [_discrepancy(row) for row in rows]

    async def all_discrepancies(self, reconciliation_id: str) -> AsyncIterator[list[Discrepancy]]:
        """Yield all differences, a page at a time."""
        after = ("", "")
        while found := await self.discrepancies(reconciliation_id, after, PAGE):
            yield found
            after = (found[-1].sku, found[-1].state)

    async def worst(self, reconciliation_id: str, items_max: int) -> list[Discrepancy]:
        """Return the largest differences."""
        values = {"reconciliation_id": reconciliation_id, "items_max": items_max}
        return [_discrepancy(row) for row in await self._all("worst_discrepancies", values)]

    async def repeated(self, reconciliation_id: str, *, days_max: int, items_max: int) -> list[Repeated]:
        """Return the SKUs that differ again, those that do most often first."""
        values = {"reconciliation_id": reconciliation_id, "days_max": days_max, "items_max": items_max}
        rows = await self._all("repeated_discrepancies", values)
        return [
            Repeated(row.sku, State(row.state), row.difference, row.times, row.first_as_of) for row in rows
        ]

    async def days(self, reconciliation_id: str, days_max: int) -> list[Day]:
        """Return the warehouse's last reconciliations up to this one, oldest first."""
        values = {"reconciliation_id": reconciliation_id, "days_max": days_max}
        return [Day(*row) for row in await self._all("reconciliation_days", values)]

    async def sizes(self, reconciliation_id: str) -> list[tuple[bool, int, int]]:
        """Return (more or less, size class, count): class 0 is 1 unit, class n has up to n digits."""
        rows = await self._all("differences_by_size", {"reconciliation_id": reconciliation_id})
        return [(row.is_more, 0 if row.is_one else row.digits + 1, row.discrepancies) for row in rows]

    async def treatments(self, reconciliation_id: str) -> dict[str, int]:
        """Return how many differences have each treatment now."""
        rows = await self._all("count_treatments", {"reconciliation_id": reconciliation_id})
        return {row.treatment: row.discrepancies for row in rows}

    async def freshness(self) -> list[Freshness]:
        """Return how each warehouse stands that was ever reconciled."""
        return [Freshness(*row) for row in await self._all("reconciliation_freshness", {})]

    # What is done about differences

    async def choose(
        self,
        reconciliation_id: str,
        treated: tuple[Sequence[Treatment], Treatment],
        chosen: Chosen,
        *,
        who: str,
        items_max: int,
    ) -> int:
        """Lead the next differences from one of some treatments to another; return how many."""
        sources, target = treated
        async with database.driver_transaction(self._engine) as pg:
            done = await pg.execute(
                sql("choose_discrepancies"), reconciliation_id, [str(one) for one in sources],
                None if chosen.skus is None else list(chosen.skus), str(target), who, chosen.cause, items_max,
            )  # fmt: skip
        return database.row_count(done)

    async def underway(self, reconciliation_id: str, items_max: int) -> list[Discrepancy]:
        """Return what is to be booked or taken back."""
        values = {"reconciliation_id": reconciliation_id, "items_max": items_max}
        return [_discrepancy(row) for row in await self._all("underway_discrepancies", values)]

    async def with_underway(self, items_max: int) -> list[str]:
        """Return the reconciliations that have something to be booked or taken back."""
        rows = await self._all("underway_reconciliations", {"items_max": items_max})
        return [row.reconciliation_id for row in rows]

    async def known(self, ops: Sequence[str]) -> set[str]:
        """Return those of the ids that events have."""
        return {row.op for row in await self._all("known_ids", {"ops": list(ops)})}

    async def treat(self, reconciliation_id: str, treated: Sequence[tuple[Discrepancy, Treatment]]) -> None:
        """Note what became of differences that were underway."""
        rows = ((one.sku, str(one.state), str(how)) for one, how in treated)
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("treat_discrepancy"), reconciliation_id, *database.columns(rows))

    async def _all(self, name: str, values: dict[str, Any]) -> Sequence[Any]:
        async with database.snapshot(self._engine) as connection:
            return (await connection.execute(statement(name), values)).all()


def _reconciliation(row: Any) -> Reconciliation:
    return Reconciliation(
        row.reconciliation_id, row.warehouse, row.as_of, Status(row.status), row.lines, row.whole, row.who,
        row.requested_at, row.finished_at, row.failure, row.totals,
    )  # fmt: skip


def _discrepancy(row: Any) -> Discrepancy:
    return Discrepancy(
        row.sku, State(row.state), Kind(row.kind), Cause(row.cause), row.evidence, row.expected, row.counted,
        row.difference, Treatment(row.treatment),
    )  # fmt: skip
