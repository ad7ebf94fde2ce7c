"""What the ledger did not take: events of branches that lost, or are missing; and the counts set right after them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Position
from app.ledger import database
from app.ledger.queries import sql, statement

PAGE = 500


class LostLine(NamedTuple):
    """Units of a SKU that a lost event moved, from one place to another (letters of `words.Place`)."""

    sku: str
    warehouse: str
    source: str
    target: str
    quantity: int


class LostEvent(NamedTuple):
    """An event that has no effect any more; `finding` says how that was noticed.

    Of kind `unknown`: so many `events` from `position` to `last` are missing, and nothing else is known of them.
    """

    position: str
    kind: str
    lock_id: str | None
    op: str | None
    recorded_at: datetime
    found_at: datetime
    finding: str
    lines: Sequence[LostLine]
    last: str
    events: int


class Missing(NamedTuple):
    """Events that were seen and are nowhere: their numbers, and of how many nothing else is known."""

    first: Position
    last: Position
    events: int


class LostCount(NamedTuple):
    """Counts that the hot store had, and what they were set to, when an epoch began."""

    epoch: int
    sku: str
    warehouse: str
    before: dict[str, int]
    after: dict[str, int]
    found_at: datetime


class LostRows:
    """Reads. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def events(self) -> AsyncIterator[LostEvent]:
        """Yield every lost event, oldest first; not what was carried over, for its effect was booked."""
        async with database.snapshot(self._engine) as connection:
            result = await connection.stream(
                statement("list_lost"), {"shard": self._shard}, execution_options={"yield_per": PAGE}
            )
            async for row in result:
                lines = [LostLine(move[0], *move[2:6]) for move in row.moves or []]
                yield LostEvent(
                    str(Position(row.epoch, row.n)),
                    row.kind,
                    row.lock_id,
                    row.op,
                    row.recorded_at,
                    row.found_at,
                    row.finding,
                    lines,
                    str(Position(row.epoch, row.last_n)),
                    row.events,
                )

    async def file_missing(self) -> list[Missing]:
        """File what was seen of epochs that are over, and never came; return it, once."""
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("file_missing"), self._shard)
        return [
            Missing(Position(epoch, first_n), Position(epoch, last_n), events)
            for epoch, first_n, last_n, events in rows
        ]

    async def counts(self, items_max: int) -> list[LostCount]:
        """Return the counts that were set right, the newest epoch first."""
        values: dict[str, Any] = {"shard": self._shard, "items_max": items_max}
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("list_corrections"), values)).all()
        return [LostCount(*row) for row in rows]
