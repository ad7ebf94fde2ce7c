"""What the ledger knows of the work that is still to come."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger import database
from app.ledger.queries import statement


class Figures(NamedTuple):
    """Locks that are open, subjects in quarantine, and what reporters disagree on."""

    open_locks: int
    quarantined: int
    mismatches: int = 0


class BacklogRows:
    """Reads. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def figures(self) -> Figures:
        """Return the figures; a million open locks take a second to count."""
        async with database.snapshot(self._engine) as connection:
            return Figures(*(await connection.execute(statement("backlog_figures"))).one())
