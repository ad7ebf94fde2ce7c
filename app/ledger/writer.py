"""Writing a batch of events: events, moves, projections and position in one transaction.

The position lives with the data, so every event takes effect exactly once, whatever is killed when.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.chain import Entry, Link, OutOfOrderError, unbroken
from app.domain.events import Position
from app.domain.times import moment
from app.ledger import database
from app.ledger.documents import store_documents
from app.ledger.fold import (
    EVENT_COLUMNS,
    ID_COLUMNS,
    MOVE_COLUMNS,
    Batch,
    Fold,
    Records,
)
from app.ledger.parking import Subject
from app.ledger.partitions import Month, ensure_month
from app.ledger.queries import sql
from app.ledger.skus import note_skus

_log = structlog.get_logger()

FROZEN_SECONDS = 1.5 * database.TRANSACTION_SECONDS_MAX
"""Whoever is at one statement for longer does not live: it would have given its connection up before."""
BALANCE_MOVES = 1_000
"""A SKU's counts are noted about every so many of its moves."""
_RECORD_COLUMNS = ("opened_epoch", "opened_n", "changed_epoch", "changed_n", "changed_at", "record")


class OutOfTurnError(Exception):
    """What was folded ahead does not fit the ledger as it is: its events have to be folded again."""


class MonthGoneError(Exception):
    """A month's partitions that were there are gone: another copy of the ledger is in its place. To be tried again."""


class Leased(NamedTuple):
    """The position, this transaction's alone: where it is, when its event was recorded, and what is parked."""

    at: Link
    recorded_at: datetime
    held: frozenset[Subject]


class Writer:
    """Writes one shard's events in order. Several may run: the position row is the lease."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard
        self._months: set[Month] = set()
        self._has_booked = False
        self._held_last: frozenset[Subject] = frozenset()

    async def position(self) -> Link:
        """Return how far the ledger is, and the tip there; makes the row at the first time."""
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("begin_position"), self._shard)
            row = await pg.fetchrow(sql("read_position"), self._shard)
        self._months.clear()  # whoever asks doubts: it may be an older copy
        return _link(row)

    async def end_frozen(self) -> int:
        """End other workers that stand still in the middle of writing, and return how many those were."""
        async with database.driver_transaction(self._engine) as pg:
            return int(await pg.fetchval(sql("end_frozen_writers"), FROZEN_SECONDS))

    def batch(self, after: Link) -> Batch:
        """Return an empty batch, to be filled with the events after a place and given to `write_batch`."""
        return Batch(self._shard, after, self._held_last)

    async def write_batch(self, batch: Batch, *, home_epoch: int | None = None) -> Position | None:
        """Persist what was folded before it was its turn. Returns and raises as `write`.

        Raises `OutOfTurnError` too if the ledger is elsewhere, or other subjects are parked than were then.
        """
        async with self._transaction() as pg:
            leased = await self._lease(pg, home_epoch)
            if leased is None:
                return None
            self._held_last = leased.held
            if leased.at != batch.after:
                raise OutOfTurnError(
                    f"the ledger is at {leased.at.position}, the batch comes after {batch.after.position}"
                )
            if leased.held != batch.fold.held:
                raise OutOfTurnError("other subjects are parked than when it was folded")
            await self._book(pg, batch.fold, batch.last, moment(batch.recorded_at))
        self._note_months(batch.fold)
        return batch.last.position

    async def write(self, entries: Sequence[Entry], *, home_epoch: int | None = None) -> Position | None:
        """Persist entries that continue the position; return the new position, or None if another worker was there.

        `home_epoch`: the epoch of the memory they were read from. None is returned too when a newer one was noted.

        Raises `ChainBrokenError` if the first does not continue it (one later on: they are persisted up to there),
        and `UnavailableError` while Postgres is away.
        """
        async with self._transaction() as pg:
            leased = await self._lease(pg, home_epoch)
            if leased is None:
                return None
            at = leased.at.position
            rest = [entry for entry in entries if entry.position > at]
            if not rest:
                return at
            fold, good = Fold(self._shard, leased.held), unbroken(rest, leased.at)
            for entry in good:
                fold.add(entry)
            last = good[-1]
            await self._book(pg, fold, Link(last.position, last.tip), moment(last.event.recorded_at))
        self._note_months(fold)
        return last.position

    def _transaction(self) -> AbstractAsyncContextManager[Any]:
        return database.driver_transaction(self._engine, seconds_max=database.TRANSACTION_SECONDS_MAX)

    async def _book(self, pg: Any, fold: Fold, last: Link, recorded_at: datetime) -> None:
        """Store a fold, and go on to where it ends. Raises `OutOfOrderError` where a SKU's moves don't continue."""
        await self._put(pg, fold)
        await self._advance(pg, last, recorded_at)

    async def _put(self, pg: Any, fold: Fold) -> None:
        """Store a fold. Raises `OutOfOrderError` as `_book`, and `MonthGoneError`."""
        await self._check_versions(pg, fold)
        await self._ensure_partitions(pg, fold.months)
        try:
            await self._store(pg, fold)
        except asyncpg.CheckViolationError as error:
            if error.constraint_name is not None:
                raise
            self._months.clear()  # no constraint is violated: there is no partition for the row
            raise MonthGoneError(str(error)) from error

    async def _advance(self, pg: Any, last: Link, recorded_at: datetime) -> None:
        await pg.execute(sql("advance_position"), self._shard, *last.position, last.tip, recorded_at)

    async def _lease(self, pg: Any, home_epoch: int | None) -> Leased | None:
        """Take the position; None if it is another's, or a newer memory's. What comes after what is parked waits."""
        row = await pg.fetchrow(sql("lease_position"), self._shard)
        if row is None:
            return None
        known = await pg.fetch(sql("read_leased"), self._shard)
        if home_epoch is not None and home_epoch < known[0]["newest_noted_epoch"]:
            return None
        held = frozenset(Subject(one["part"], one["subject"]) for one in known if one["part"] is not None)
        return Leased(_link(row), row["recorded_at"], held)

    async def _check_versions(self, pg: Any, fold: Fold) -> None:
        rows = await pg.fetch(sql("read_versions"), list(fold.first_versions))
        known = {row["sku"]: row["version"] for row in rows}
        for sku, version in fold.first_versions.items():
            if version != known.get(sku, 0) + 1:
                raise OutOfOrderError(
                    f"SKU {sku!r} is at version {known.get(sku, 0)} in the ledger; its next move has {version}"
                )

    async def _ensure_partitions(self, pg: Any, months: set[Month]) -> None:
        for month in sorted(months - self._months):
            made = await ensure_month(pg, month)
            if made and self._has_booked:  # not at the start, when nobody could make them ahead
                _log.error("ledger.partition_was_missing", made=made)

    def _note_months(self, fold: Fold) -> None:
        """Remember, after the commit, which months are there."""
        self._months |= fold.months
        self._has_booked = True

    async def _store(self, pg: Any, fold: Fold) -> None:
        if fold.events:
            await pg.copy_records_to_table("event", records=fold.events, columns=EVENT_COLUMNS)
        if fold.moves:
            await pg.copy_records_to_table("move", records=fold.moves, columns=MOVE_COLUMNS)
            rows = [(*place, *left.row()) for place, left in fold.stock.items()]
            await pg.execute(sql("fold_stock"), self._shard, *database.columns(rows))
            await self._note_codes(pg, fold)
            await self._note_shortages(pg, fold)
            await self._balance(pg, fold)
        await self._store_records(pg, "lock", fold.locks, "carry_locks", "change_locks")
        await self._store_records(pg, "transfer", fold.transfers, "carry_transfers", "change_transfers")
        await self._store_told(pg, fold)
        if fold.receipts:
            await pg.execute(
                sql("fold_receipts"),
                *database.columns((*key, *units) for key, units in fold.receipts.items()),
            )
        if fold.documents:
            await store_documents(pg, self._shard, fold.documents)
        await fold.parked.store(pg, self._shard)

    async def _store_records(
        self, pg: Any, kind: str, records: Records, carrying: str, changing: str
    ) -> None:
        if records.opened:
            rows = ((self._shard, record_id, *row) for record_id, row in records.opened.items())
            columns = ("shard", f"{kind}_id", *_RECORD_COLUMNS)
            await pg.copy_records_to_table(kind, records=rows, columns=columns)
        if records.carried:
            await pg.execute(sql(carrying), self._shard, *database.columns(_rows(records.carried)))
        if records.changed:
            changes = database.columns(_rows(records.changed))
            changed = database.row_count(await pg.execute(sql(changing), *changes))
            # A lock that was recalled may have been closed since, while what is told of it was on its way.
            if kind == "lock" and changed < len(records.changed):
                reopened = await pg.execute(sql("reopen_locks"), list(records.changed))
                if database.row_count(reopened):
                    await pg.execute(sql(changing), *changes)

    async def _store_told(self, pg: Any, fold: Fold) -> None:
        if fold.ids:
            await pg.copy_records_to_table("event_id", records=fold.ids, columns=ID_COLUMNS)
        if fold.sequences:
            far = [(*key, number) for key, number in fold.sequences.items()]
            await pg.execute(sql("fold_sequences"), self._shard, *database.columns(far))
        if fold.counted:
            rows = [(*key, damaged) for key, damaged in fold.counted.items()]
            await pg.execute(sql("fold_counted"), self._shard, *database.columns(rows))

    async def _balance(self, pg: Any, fold: Fold) -> None:
        """Note the counts of SKUs every BALANCE_MOVES moves: nobody has to sum all of them from the beginning."""
        due = [
            sku
            for sku, version in fold.last_versions.items()
            if version // BALANCE_MOVES > (fold.first_versions[sku] - 1) // BALANCE_MOVES
        ]
        if due:
            await pg.execute(sql("sum_outside"), due)
            await pg.execute(sql("add_balances"), due)

    async def _note_codes(self, pg: Any, fold: Fold) -> None:
        """Let the lists of SKUs and warehouses have what was booked: it is a fact, whatever let it in."""
        await note_skus(pg, (sku for sku, version in fold.first_versions.items() if version == 1))
        await pg.execute(sql("add_warehouses"), sorted({warehouse for _, warehouse in fold.stock}))

    async def _note_shortages(self, pg: Any, fold: Fold) -> None:
        """Open a case where less is there than is promised; close it where there is enough again."""
        at = fold.moves[-1][MOVE_COLUMNS.index("recorded_at")]
        units = ((place, left.counts.available) for place, left in fold.stock.items())
        short = {place: available for place, available in units if available < 0}
        if short:
            skus, warehouses = database.columns(short)
            await pg.execute(sql("open_shortages"), self._shard, skus, warehouses, list(short.values()), at)
        enough = [place for place in fold.stock if place not in short]
        if enough:
            await pg.execute(sql("close_shortages"), *database.columns(enough), at)


def _link(row: Any) -> Link:
    return Link(Position(row["epoch"], row["n"]), row["tip"])


def _rows(records: dict[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(record_id, *row) for record_id, row in records.items()]
