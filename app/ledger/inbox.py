"""Events that are not booked yet: Postgres' own rows, durable before anybody is told that an event waits."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.inbox import Row, Status
from app.domain.times import moment, ms_of
from app.ledger import database
from app.ledger.queries import sql, statement


class InboxRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def keep(self, rows: Sequence[Row]) -> dict[str, Row]:
        """Keep events of one source, each once, and return all as they are kept, by event_id."""
        columns = database.columns(
            (
                row.event_id, row.status.value, row.why, json.dumps(row.event, ensure_ascii=False),
                row.fingerprint, row.warehouse, row.sequence, row.who, moment(row.until),
            )
            for row in sorted(rows, key=lambda row: row.event_id)  # two at once wait in turn, not for each other
        )  # fmt: skip
        source, ids = rows[0].source, [row.event_id for row in rows]
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("keep_inbox"), source, *columns)
            found = await pg.fetch(sql("find_inbox"), source, ids)
        return {row["event_id"]: _row(row) for row in found}

    async def find(self, source: str, event_id: str) -> Row | None:
        """Return an event that is or was kept, or None."""
        async with database.driver_transaction(self._engine) as pg:
            found = await pg.fetch(sql("find_inbox"), source, [event_id])
        return _row(found[0]) if found else None

    async def open_after(self, after: tuple[str, str], items_max: int) -> list[Row]:
        """Return the next events that wait, by source and event_id."""
        async with database.driver_transaction(self._engine) as pg:
            found = await pg.fetch(sql("list_inbox"), *after, items_max)
        return [_row(row) for row in found]

    async def claim(self, items_max: int) -> list[Row]:
        """Return parked events that it is time to try again, in their order; others leave them alone for a while."""
        async with database.driver_transaction(self._engine) as pg:
            found = await pg.fetch(sql("claim_inbox"), items_max)
        rows = [_row(row) for row in found]
        return sorted(rows, key=lambda row: (row.source, row.warehouse, row.sequence or 0, row.received_at))

    async def wake(self, sequences: Collection[tuple[str, str]]) -> bool:
        """Let the parked events of these sequences (source, warehouse) be tried at once; return whether any wait."""
        if not sequences:
            return False
        async with database.driver_transaction(self._engine) as pg:
            woken = await pg.fetchval(sql("wake_inbox"), *database.columns(sorted(sequences)))
        return bool(woken)

    async def change(self, rows: Iterable[tuple[str, str, Status, str]]) -> None:
        """Note what became of events: source, event_id, status and why."""
        given = [(source, event_id, status.value, why) for source, event_id, status, why in rows]
        if not given:
            return
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("change_inbox"), *database.columns(given))

    async def unknown_orders(self, ids: Sequence[str]) -> set[str]:
        """Return those of the purchase orders that nobody has planned."""
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("known_purchase_orders"), {"ids": list(ids)})).all()
        return set(ids) - {row.purchase_order_id for row in rows}


def _row(row: Any) -> Row:
    return Row(
        row["source"],
        row["event_id"],
        Status(row["status"]),
        row["why"],
        json.loads(row["event"]),
        row["fingerprint"],
        row["warehouse"],
        row["sequence"],
        row["who"],
        ms_of(row["received_at"]),
        ms_of(row["until"]),
    )
