"""What recovery reads of the ledger in one snapshot, so that it fits together."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from app.domain.events import Position
from app.ledger.queries import sql

ROWS_CHUNK = 5_000
COUNTS_MAX = 8
"""Counts of a SKU in a warehouse that the hot store remembers."""


class LedgerTip(NamedTuple):
    """Where the ledger is."""

    position: Position
    tip: str
    recorded_at_ms: int


class Touched(NamedTuple):
    """What some events were about."""

    skus: set[str]
    locks: set[str]
    transfers: set[str]
    ops: set[str]
    families: set[str]


class SnapshotRows:
    """Rows of one snapshot, streamed where there may be many. What is JSON comes decoded."""

    def __init__(self, pg: Any, shard: int) -> None:
        self._pg = pg
        self._shard = shard

    async def tip(self) -> LedgerTip:
        """Return where the ledger is in this snapshot; the beginning if nothing was written yet."""
        row = await self._pg.fetchrow(sql("read_tip"), self._shard)
        if row is None:
            return LedgerTip(Position(0, 0), "", 0)
        return LedgerTip(Position(row["epoch"], row["n"]), row["tip"], row["recorded_at_ms"])

    def stock(self) -> AsyncIterator[Any]:
        """Yield (sku, warehouse, version, available, locked, damaged, in_transit, buffer), in SKU order."""
        return self._stream("all_stock")

    async def stock_lines(self) -> AsyncIterator[list[str]]:
        """Yield SKUs as lines for the hot store (see `sql/queries/all_stock_lines.sql`), many at a time."""
        cursor = await self._pg.cursor(sql("all_stock_lines"), self._shard)
        while rows := await cursor.fetch(ROWS_CHUNK):
            yield [row[0] for row in rows]

    def parked_events(self) -> AsyncIterator[Any]:
        """Yield what waits in quarantine, in order, with the columns of `sql/queries/parked_events.sql`."""
        return self._stream("parked_events")

    async def held_skus(self) -> set[str]:
        """Return the SKUs of which moves wait in quarantine."""
        rows = await self._pg.fetch(sql("parked_subjects"), self._shard)
        return {row["subject"] for row in rows if row["part"] == "move"}

    async def stock_sums(self) -> tuple[int, int]:
        """Return how many SKUs there are, and the sum of all counts."""
        row = await self._pg.fetchrow(sql("sum_stock"), self._shard)
        return row["skus"], row["units"]

    def locks(self) -> AsyncIterator[Any]:
        """Yield (lock_id, opened_epoch, opened_n, record) of the locks that the hot store remembers."""
        return self._stream("remembered_locks")

    def transfers(self) -> AsyncIterator[Any]:
        """Yield (transfer_id, opened_epoch, opened_n, record), likewise."""
        return self._stream("remembered_transfers")

    def open_locks(self) -> AsyncIterator[Any]:
        """Yield those of the locks that are open."""
        return self._stream("open_locks")

    def open_transfers(self) -> AsyncIterator[Any]:
        """Yield those of the transfers that are open."""
        return self._stream("open_transfers")

    def ops(self) -> AsyncIterator[Any]:
        """Yield (op, fingerprint, epoch, n, lock, document) of the ids that the hot store remembers."""
        return self._stream("remembered_ops")

    def documents(self) -> AsyncIterator[Any]:
        """Yield (family, sku, sums) of the documents that the hot store remembers, in the order of families."""
        return self._stream("remembered_documents")

    def named_documents(self, families: Sequence[str]) -> AsyncIterator[Any]:
        """Yield what reporters said of some families of documents, as `documents` does."""
        return self._stream("named_documents", families)

    async def documents_after(self, position: Position) -> list[str]:
        """Return the families of documents that were reported after a position."""
        rows = await self._pg.fetch(sql("documents_after"), self._shard, *position)
        return [row["family"] for row in rows]

    def counted(self, skus: Sequence[str] | None = None) -> AsyncIterator[Any]:
        """Yield (sku, warehouse, counts as [time in ms, 1 if damaged ones too]) of some SKUs, or all."""
        return self._stream("all_counted", skus, COUNTS_MAX)

    def sequences(self) -> AsyncIterator[Any]:
        """Yield (source, warehouse, number), in the order of sources."""
        return self._stream("all_sequences")

    def named_stock(self, skus: Sequence[str]) -> AsyncIterator[Any]:
        """Yield the rows of some SKUs as `stock` does."""
        return self._stream("named_stock", skus)

    def named_locks(self, ids: Sequence[str]) -> AsyncIterator[Any]:
        """Yield the newest lock of each id, as `locks` does."""
        return self._stream("named_locks", ids)

    def named_transfers(self, ids: Sequence[str]) -> AsyncIterator[Any]:
        """Yield the newest transfer of each id, as `transfers` does."""
        return self._stream("named_transfers", ids)

    def named_ops(self, ops: Sequence[str]) -> AsyncIterator[Any]:
        """Yield what ids were used for, as `ops` does."""
        return self._stream("named_ops", ops)

    async def count_after(self, position: Position, *, events_max: int) -> int:
        """Return how many events come after a position, counting no further than `events_max`."""
        return int(await self._pg.fetchval(sql("count_after"), self._shard, *position, events_max))

    async def touched_after(self, position: Position) -> Touched:
        """Return what the events after a position were about."""
        row = await self._pg.fetchrow(sql("touched_after"), self._shard, *position)
        return Touched(*(set(column) for column in row))

    async def events_after(self, after: Position, until: Position, events_max: int) -> Sequence[Any]:
        """Return the next events after a position, with the columns of `sql/queries/events_after.sql`."""
        rows: Sequence[Any] = await self._pg.fetch(
            sql("events_after"), self._shard, *after, *until, events_max
        )
        return rows

    async def _stream(self, name: str, *values: Any) -> AsyncIterator[Any]:
        cursor = await self._pg.cursor(sql(name), self._shard, *values)
        while rows := await cursor.fetch(ROWS_CHUNK):
            for row in rows:
                yield row
