"""What recovery reads and writes in the ledger: its lease, epochs, branches, and all that a rebuild needs."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.chain import Entry
from app.domain.events import Position
from app.ledger import database
from app.ledger.queries import sql, statement

ROWS_CHUNK = 1_000
COUNTS_MAX = 8
"""Counts of a SKU in a warehouse that the hot store remembers."""


class LedgerTip(NamedTuple):
    """Where the ledger is."""

    position: Position
    tip: str
    recorded_at_ms: int


class RecoveryRows:
    """One shard's rows. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def take_lease(self, holder: str, *, seconds: float) -> int | None:
        """Return a new fence, or None while another holds the lease."""
        values = {"shard": self._shard, "holder": holder, "seconds": seconds}
        async with database.transaction(self._engine) as connection:
            row = (await connection.execute(statement("take_recovery_lease"), values)).one_or_none()
        return None if row is None else int(row.fence)

    async def extend_lease(self, fence: int, *, seconds: float) -> bool:
        """Keep the lease for longer; return whether it is still ours."""
        values = {"shard": self._shard, "fence": fence, "seconds": seconds}
        async with database.transaction(self._engine) as connection:
            row = (await connection.execute(statement("extend_recovery_lease"), values)).one_or_none()
        return row is not None

    async def end_lease(self, fence: int) -> None:
        """Let others recover at once."""
        async with database.transaction(self._engine) as connection:
            await connection.execute(statement("end_recovery_lease"), {"shard": self._shard, "fence": fence})

    async def tip(self) -> LedgerTip:
        """Return where the ledger is; the beginning if nothing was written yet."""
        async with database.snapshot(self._engine) as connection:
            row = (await connection.execute(statement("read_tip"), {"shard": self._shard})).one_or_none()
        if row is None:
            return LedgerTip(Position(0, 0), "", 0)
        return LedgerTip(Position(row.epoch, row.n), row.tip, int(row.recorded_at_ms))

    async def highest_epoch(self) -> int:
        """Return the highest epoch the ledger ever saw or gave out."""
        async with database.snapshot(self._engine) as connection:
            return int(
                (await connection.execute(statement("highest_epoch"), {"shard": self._shard})).scalar_one()
            )

    async def add_epoch(self, epoch: int, before: LedgerTip, *, home: str, finding: str) -> None:
        """Note an epoch before it is opened, so that its number is never given out again."""
        values = {
            "shard": self._shard,
            "epoch": epoch,
            "prev_epoch": before.position.epoch,
            "prev_n": before.position.n,
            "prev_tip": before.tip,
            "home": home,
            "finding": finding,
        }
        async with database.transaction(self._engine) as connection:
            await connection.execute(statement("add_epoch"), values)

    async def keep_branch(self, entries: Sequence[Entry]) -> int:
        """Keep the entries that the ledger does not have, and return how many those were."""
        columns = zip(
            *(
                (*entry.position, entry.tip, entry.event.lock_id, json.dumps(entry.event, ensure_ascii=False))
                for entry in entries
            ),
            strict=True,
        )
        async with database.driver_transaction(self._engine) as pg:
            done = await pg.execute(
                sql("add_lost_events"), self._shard, *(list(column) for column in columns)
            )
        return int(done.rsplit(" ", 1)[-1])

    @asynccontextmanager
    async def rebuild_rows(self) -> AsyncIterator["RebuildRows"]:
        """All that a rebuild needs, in one snapshot."""
        async with database.snapshot(self._engine) as connection:
            yield RebuildRows(connection, self._shard)


class RebuildRows:
    """Rows of one snapshot, streamed."""

    def __init__(self, connection: AsyncConnection, shard: int) -> None:
        self._connection = connection
        self._shard = shard

    async def tip(self) -> LedgerTip:
        """Return where the ledger is in this snapshot."""
        row = (await self._connection.execute(statement("read_tip"), {"shard": self._shard})).one_or_none()
        if row is None:
            return LedgerTip(Position(0, 0), "", 0)
        return LedgerTip(Position(row.epoch, row.n), row.tip, int(row.recorded_at_ms))

    async def stock(self) -> AsyncIterator[Any]:
        """Yield sku, warehouse, version and counts, in SKU order."""
        async for row in self._stream("all_stock"):
            yield row

    async def locks(self, since: datetime) -> AsyncIterator[Any]:
        """Yield lock_id, opened_epoch, opened_n, record of open locks and of those that changed after `since`."""
        async for row in self._stream("remembered_locks", since=since):
            yield row

    async def transfers(self, since: datetime) -> AsyncIterator[Any]:
        """Yield transfer_id, opened_epoch, opened_n, record of open transfers and of those that changed after."""
        async for row in self._stream("remembered_transfers", since=since):
            yield row

    async def ops(self, since: datetime) -> AsyncIterator[Any]:
        """Yield op, fingerprint, epoch, n, lock, document of ids used after `since`, or on what is open."""
        async for row in self._stream("remembered_ops", since=since):
            yield row

    async def told_ids(self, since: datetime) -> AsyncIterator[Any]:
        """Yield op, fingerprint, epoch, n, units of ids that events of the inbox told of, of the same events."""
        async for row in self._stream("remembered_told", since=since):
            yield row

    async def counts(self) -> AsyncIterator[Any]:
        """Yield sku, warehouse, and the last counts as [time in ms, whether damaged units too], oldest first."""
        async for row in self._stream("all_counted", counts_max=COUNTS_MAX):
            yield row

    async def sequences(self) -> AsyncIterator[Any]:
        """Yield source, warehouse, number."""
        async for row in self._stream("all_sequences"):
            yield row

    async def _stream(self, name: str, **values: Any) -> AsyncIterator[Any]:
        result = await self._connection.stream(
            statement(name), {"shard": self._shard} | values, execution_options={"yield_per": ROWS_CHUNK}
        )
        async for row in result:
            yield row
