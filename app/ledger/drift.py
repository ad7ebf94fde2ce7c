"""What the check that never ends found: filed once, seen again, and gone once it was looked at and agrees."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ledger import database
from app.ledger.queries import statement


class Drift(NamedTuple):
    """Two figures that should be one."""

    what: str
    place: str
    left_name: str
    left_figure: str
    right_name: str
    right_figure: str


class BookFigures(NamedTuple):
    """What the metrics say of the books; `check_age_seconds` None: no check came through yet."""

    drift: int
    check_age_seconds: float | None
    months_ahead: int
    lost: int


class DriftRows:
    """One shard's check. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def take(self, holder: str, *, seconds: float) -> bool:
        """Whether the check is ours for the next seconds: one process at a time runs it."""
        values = {"shard": self._shard, "holder": holder, "seconds": seconds}
        async with database.transaction(self._engine) as connection:
            return (await connection.execute(statement("take_check"), values)).one_or_none() is not None

    async def begin(self) -> None:
        """Note that a round begins."""
        async with database.transaction(self._engine) as connection:
            await connection.execute(statement("begin_check"), {"shard": self._shard})

    async def finish(self) -> int:
        """Note that a round came through; return how much it compared."""
        async with database.transaction(self._engine) as connection:
            done = await connection.execute(statement("finish_check"), {"shard": self._shard})
        return int(done.scalar_one())

    async def file(self, looked_at: Sequence[str], found: Iterable[Drift]) -> list[Drift]:
        """File what differs of all that was looked at, and close what does not any more; return what is new."""
        new = []
        mine = {"shard": self._shard}
        async with database.transaction(self._engine) as connection:
            for one in found:
                row = (await connection.execute(statement("add_drift"), mine | one._asdict())).one()
                new += [one] if row.is_new else []
            await connection.execute(statement("close_drift"), mine | {"looked_at": list(looked_at)})
            await connection.execute(statement("count_check"), mine | {"compared": len(looked_at)})
        return new

    async def figures(self) -> BookFigures:
        """Return what the metrics say."""
        async with database.snapshot(self._engine) as connection:
            return BookFigures(*(await connection.execute(statement("book_figures"))).one())
