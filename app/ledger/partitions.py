"""The months of `event` and `move`: a partition each, made ahead of time. Nobody may edit or delete in one."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger import database
from app.ledger.queries import sql

TABLES = ("event", "move")


class Month(NamedTuple):
    """A calendar month, in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, at: datetime) -> "Month":
        """Return the month that a time is in."""
        at = at.astimezone(UTC)
        return cls(at.year, at.month)

    def plus(self, months: int) -> "Month":
        """Return the month so many months later."""
        number = self.year * 12 + self.month - 1 + months
        return Month(number // 12, number % 12 + 1)

    @property
    def begin(self) -> datetime:
        """Return the first moment of it."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Return the first moment after it."""
        return self.plus(1).begin

    def table(self, of: str) -> str:
        """Return the name of its partition of `event` or `move`."""
        return f"{of}_{self.year:04}_{self.month:02}"


async def ensure_month(pg: Any, month: Month) -> list[str]:
    """Make the month's partitions where they are missing; return the names of those made. In a transaction."""
    if not [of for of in TABLES if not await pg.fetchval(sql("partition_exists"), month.table(of))]:
        return []
    await pg.execute(sql("take_making"), database.Turn.PARTITIONS)
    made: list[str] = await pg.fetchval("SELECT make_month($1)", month.begin.date())
    return made


class Partitions:
    """Makes partitions ahead. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, *, months_ahead: int) -> None:
        self._engine = engine
        self._months_ahead = months_ahead

    async def make_ahead(self, now: datetime) -> list[str]:
        """Make what is missing from this month on; return the names of the partitions made."""
        made = []
        for ahead in range(self._months_ahead + 1):
            async with database.driver_transaction(self._engine) as pg:
                made += await ensure_month(pg, Month.of(now).plus(ahead))
        return made
