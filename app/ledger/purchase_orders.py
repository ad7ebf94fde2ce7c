"""Purchase orders in the ledger: the plans, and what events say has come in for them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.events import Position
from app.domain.purchase_orders import Arrived, Expected, OpenLine, Plan, PurchaseOrder
from app.domain.times import moment
from app.ledger import database
from app.ledger.queries import sql, statement
from app.ledger.skus import note_skus

NEWEST = Position(2**62, 0)
"""Beyond every event."""


class PurchaseOrderRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, plan: Plan, who: str) -> bool:
        """Keep a plan; return False if its id is taken."""
        times = [None if line.expected_at is None else moment(line.expected_at) for line in plan.lines]
        async with database.driver_transaction(self._engine) as pg:
            added = await pg.fetchval(
                sql("add_purchase_order"), plan.purchase_order_id, plan.warehouse, plan.fingerprint, who
            )
            if added is None:
                return False
            await pg.execute(
                sql("add_purchase_order_lines"),
                plan.purchase_order_id,
                list(range(len(plan.lines))),
                [line.sku for line in plan.lines],
                [line.quantity for line in plan.lines],
                times,
            )
            await note_skus(pg, (line.sku for line in plan.lines))
        return True

    async def find(self, purchase_order_id: str) -> PurchaseOrder | None:
        """Return an order, or None."""
        async with database.snapshot(self._engine) as connection:
            found = await _read(connection, [purchase_order_id])
        return found[0] if found else None

    async def after(self, after: str, items_max: int) -> list[PurchaseOrder]:
        """Return the next orders by id."""
        async with database.snapshot(self._engine) as connection:
            values = {"after": after, "items_max": items_max}
            rows = (await connection.execute(statement("list_purchase_orders"), values)).all()
            return await _read(connection, [row.purchase_order_id for row in rows])

    async def close(self, purchase_order_id: str) -> None:
        """Expect nothing more of an order."""
        async with database.transaction(self._engine) as connection:
            await connection.execute(
                statement("close_purchase_order"), {"purchase_order_id": purchase_order_id}
            )

    async def arrived(self, purchase_order_id: str, up_to: Position) -> tuple[Arrived, ...]:
        """Return what came in for an order up to the event at a position, by SKU."""
        async with database.snapshot(self._engine) as connection:
            return tuple((await _arrived(connection, [purchase_order_id], up_to))[purchase_order_id])

    async def expected_after(
        self, after: tuple[str, str, int], items_max: int, *, sku: str | None, warehouse: str | None
    ) -> list[Expected]:
        """Return what open orders still bring, after (sku, warehouse, ms), optionally of one SKU or warehouse."""
        values: dict[str, Any] = dict(zip(("after_sku", "after_warehouse", "after_at"), after, strict=True))
        values |= {"sku": sku, "warehouse": warehouse, "items_max": items_max}
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("list_expected"), values)).all()
        return [
            Expected(row.sku, row.warehouse, row.expected_at, row.quantity, tuple(row.purchase_order_ids))
            for row in rows
        ]


async def _read(connection: AsyncConnection, ids: Sequence[str]) -> list[PurchaseOrder]:
    heads = (await connection.execute(statement("read_purchase_orders"), {"ids": list(ids)})).all()
    rows = (await connection.execute(statement("read_purchase_order_lines"), {"ids": list(ids)})).all()
    arrived = await _arrived(connection, ids, NEWEST)
    lines: defaultdict[str, list[OpenLine]] = defaultdict(list)
    for row in rows:
        lines[row.purchase_order_id].append(OpenLine(row.sku, row.quantity, row.expected_at, row.outstanding))
    return [
        PurchaseOrder(
            head.purchase_order_id,
            head.warehouse,
            head.fingerprint,
            head.created_at,
            head.closed_at,
            tuple(lines[head.purchase_order_id]),
            tuple(arrived[head.purchase_order_id]),
        )
        for head in heads
    ]


async def _arrived(
    connection: AsyncConnection, ids: Sequence[str], up_to: Position
) -> defaultdict[str, list[Arrived]]:
    values = {"ids": list(ids), "epoch": up_to.epoch, "n": up_to.n}
    found: defaultdict[str, list[Arrived]] = defaultdict(list)
    for row in (await connection.execute(statement("read_purchase_order_receipts"), values)).all():
        found[row.purchase_order_id].append(Arrived(row.sku, row.good, row.damaged, row.planned))
    return found
