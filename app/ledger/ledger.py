"""Reading the ledger, and the rows that are Postgres' own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.answers import LockView, TransferView
from app.domain.documents import Sums
from app.domain.events import Position
from app.domain.records import LockRecord, TransferRecord
from app.ledger import database
from app.ledger.queries import sql, statement


class EndedLock(NamedTuple):
    """A lock or transfer that has ended: its record, and the event that opened it."""

    record: dict[str, Any]
    opened: Position


class KnownOp(NamedTuple):
    """What an id was used for: the fingerprint of its content, and the event."""

    fingerprint: str
    position: Position


class Ledger:
    """What operations read of the ledger. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find_lock(self, lock_id: str) -> LockView | None:
        """Return the newest lock of this id, or None."""
        async with database.snapshot(self._engine) as connection:
            row = (await connection.execute(statement("find_lock"), {"lock_id": lock_id})).one_or_none()
        return None if row is None else LockRecord.of(row.record).view(row.lock_id)

    async def find_ended(self, lock_id: str) -> EndedLock | None:
        """Return the newest lock of this id, if it has ended."""
        async with database.snapshot(self._engine) as connection:
            values = {"lock_id": lock_id}
            row = (await connection.execute(statement("find_ended_lock"), values)).one_or_none()
        return None if row is None else EndedLock(row.record, Position(row.opened_epoch, row.opened_n))

    async def find_ended_locks(self, lock_ids: Sequence[str]) -> dict[str, EndedLock]:
        """Return the newest lock of each id, of those that have ended."""
        async with database.snapshot(self._engine) as connection:
            rows = (
                await connection.execute(statement("find_ended_locks"), {"lock_ids": list(lock_ids)})
            ).all()
        return {row.lock_id: EndedLock(row.record, Position(row.opened_epoch, row.opened_n)) for row in rows}

    async def find_ended_transfer(self, transfer_id: str) -> EndedLock | None:
        """Return the newest transfer of this id, if it has ended."""
        async with database.snapshot(self._engine) as connection:
            values = {"transfer_id": transfer_id}
            row = (await connection.execute(statement("find_ended_transfer"), values)).one_or_none()
        return None if row is None else EndedLock(row.record, Position(row.opened_epoch, row.opened_n))

    async def find_transfer(self, transfer_id: str) -> TransferView | None:
        """Return the newest transfer of this id, or None."""
        values = {"transfer_id": transfer_id}
        async with database.snapshot(self._engine) as connection:
            row = (await connection.execute(statement("find_transfer"), values)).one_or_none()
        if row is None:
            return None
        return TransferRecord.of(row.record).view(row.transfer_id)

    async def find_op(self, op: str) -> KnownOp | None:
        """Return what an id was used for, as `find_ops` does."""
        return (await self.find_ops([op])).get(op)

    async def find_ops(self, ops: Sequence[str]) -> dict[str, KnownOp]:
        """Return what those of the ids that were ever used were used for first, archived months included.

        The newest events may still be on their way.
        """
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("known_ids"), {"ops": list(ops)})).all()
        return {row.op: KnownOp(row.fingerprint, Position(row.epoch, row.n)) for row in rows}

    async def find_documents(self, families: Sequence[str]) -> dict[str, dict[str, Sums]]:
        """Return what reporters ever said of these families of documents, by SKU."""
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("named_documents"), 0, list(families))
        found: dict[str, dict[str, Sums]] = {}
        for row in rows:
            found.setdefault(row["family"], {})[row["sku"]] = Sums.of_json(row["sums"])
        return found
