"""Locks of a time to come: what their expiry was counted from was a clock that ran ahead."""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger import database
from app.ledger.queries import statement

LOCKS_MAX = 1_000
EPOCHS_MAX = 32
"""Only the newest are looked at, every second: a clock is not ahead for longer."""


class FutureLock(NamedTuple):
    """A held lock, when it expires now, and how long it was to be held when that was promised; in ms."""

    lock_id: str
    expires_at: int
    ttl_ms: int


class FutureLocks:
    """Reads. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def after(self, seconds: float) -> list[FutureLock]:
        """Return held locks whose expiry was promised after a time, in seconds since 1970; 1,000 at most."""
        values = {
            "shard": self._shard,
            "after": datetime.fromtimestamp(seconds, UTC),
            "epochs_max": EPOCHS_MAX,
            "locks_max": LOCKS_MAX,
        }
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("future_locks"), values)).all()
        return [FutureLock(row.lock_id, row.expires_at, max(1, row.ttl_ms)) for row in rows]
