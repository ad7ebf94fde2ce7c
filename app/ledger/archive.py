"""Retention: months of events and moves leave the ledger for the schema `archive`, and locks that ended long ago too.

Nothing is thrown away and nothing happens silently: each step is noted in a table and told in the log. Before moves go,
a balance of every place that they touched is written, and all sums start there.
"""

from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import UnavailableError
from app.ledger import database
from app.ledger.partitions import Month
from app.ledger.queries import sql

LOCK_SECONDS = 2
LOCKS_MAX = 1_000
"""Locks that are taken out in one transaction."""


class Archived(NamedTuple):
    """A month that left the ledger."""

    month: Month
    events: int
    moves: int


class Waits(NamedTuple):
    """A month that should leave but may not yet, and why."""

    month: Month
    why: str


class Archive:
    """Archives one shard. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def archive_oldest(self, now: datetime, *, months_kept: int) -> Archived | Waits | None:
        """Take the oldest month out, if it is more than `months_kept` months old; None: there is none.

        One transaction: a month is there with its moves, or archived with its balances.
        """
        month = None
        try:
            async with database.driver_transaction(self._engine) as pg:
                month = await self._oldest(pg)
                return None if month is None else await self._archive(pg, month, now, months_kept)
        except UnavailableError as error:
            if month is None or not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise
            return Waits(month, "somebody reads the ledger at length")

    async def _archive(
        self, pg: Any, month: Month, now: datetime, months_kept: int
    ) -> Archived | Waits | None:
        if month.plus(months_kept) >= Month.of(now):
            return None
        last = await pg.fetchrow(sql("archive_last"), self._shard, month.end)
        if last is None:
            await self._detach(pg, month)
            return Archived(month, 0, 0)
        why = await self._obstacle(pg, month, last)
        if why:
            return Waits(month, why)
        for name in ("archive_balances", "archive_old_balances", "archive_ops"):
            await pg.execute(sql(name), self._shard, month.end)
        told = await pg.fetchrow(sql("archive_month"), self._shard, month.end, *last)
        await self._detach(pg, month)
        return Archived(month, told["events"], told["moves"])

    async def close_locks(self, before: datetime) -> int:
        """Take out the next locks that ended before a time; return how many those were."""
        async with database.driver_transaction(self._engine) as pg:
            done = await pg.execute(sql("close_locks"), self._shard, before, LOCKS_MAX)
        return database.row_count(done)

    async def _oldest(self, pg: Any) -> Month | None:
        names = [row["name"] for row in await pg.fetch(sql("archive_oldest"))]
        months = [Month(*map(int, name.split("_")[-2:])) for name in names]
        return min(months, default=None)

    async def _obstacle(self, pg: Any, month: Month, last: Any) -> str:
        row = await pg.fetchrow(sql("archive_obstacles"), self._shard, last["epoch"], last["n"], month.end)
        if row["unfinished"]:
            return "the ledger has not passed its end"
        if row["remembered"]:
            return "the hot store still remembers ids of then"
        if row["locks"] or row["transfers"]:
            what = f"{row['locks']} locks and {row['transfers']} transfers from then or before"
            return f"{what} are open, or ended a short while ago"
        return f"{row['parked']} parts of its events are in quarantine" if row["parked"] else ""

    async def _detach(self, pg: Any, month: Month) -> None:
        # Whoever waits for this lock keeps everybody else out: rather try again later.
        await pg.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        await pg.execute("SELECT archive_month_tables($1)", month.begin.date())
