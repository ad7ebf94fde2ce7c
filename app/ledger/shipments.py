"""Shipments of locks, as the ledger has them: the hot store keeps what a lock has shipped, not in which parcels."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.commands import Line, Void
from app.ledger import database
from app.ledger.queries import statement

TOLD = "events"
"""The fingerprint of a shipment that events told an older version of."""


class Shipment(NamedTuple):
    """What a route took for a shipment, and when that happened (ms); no lines: no route did.

    `is_reported`: events of warehouse systems told an older version of it. `is_in_quarantine`: `lines` may lack some.
    """

    lines: tuple[Line, ...]
    occurred_at: int | None
    is_voided: bool
    is_reported: bool
    is_in_quarantine: bool


class ShipmentRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, command: Void) -> Shipment | None:
        """Return a shipment of the newest lock of this id; None if there is no such lock."""
        ops = {"shipment_op": command.shipment_op, "void_op": command.op}
        values = {"lock_id": command.lock_id, "told": TOLD, **ops}
        async with database.snapshot(self._engine) as connection:
            row = (await connection.execute(statement("find_shipment"), values)).one_or_none()
        if row is None:
            return None
        lines = tuple(Line(*line) for line in row.lines or ())
        return Shipment(lines, row.occurred_at_ms, row.is_voided, row.is_reported, row.is_in_quarantine)
