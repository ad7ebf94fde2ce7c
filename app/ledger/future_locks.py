"""Locks of a time to come: made while the hot store's clock was ahead."""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger import database
from app.ledger.queries import statement

LOCKS_MAX = 1_000


class FutureLock(NamedTuple):
    """A held lock, and how long it was to be held from its last change on, in ms."""

    lock_id: str
    ttl_ms: int


class FutureLocks:
    """Reads. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def after(self, seconds: float) -> list[FutureLock]:
        """Return held locks that expire and last changed after a time, in seconds since 1970; 1,000 at most."""
        values = {
            "shard": self._shard,
            "after": datetime.fromtimestamp(seconds, UTC),
            "locks_max": LOCKS_MAX,
        }
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("future_locks"), values)).all()
        return [FutureLock(row.lock_id, max(1, row.ttl_ms)) for row in rows]
