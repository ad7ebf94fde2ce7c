"""What recovery reads and writes in the ledger: its lease, epochs and branches."""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.chain import UNREADABLE, Entry
from app.domain.commands import Acknowledged
from app.domain.events import Counts, Event, Move, Position
from app.domain.words import SCHEMA
from app.ledger import database
from app.ledger.parking import ERROR_LENGTH_MAX, storable
from app.ledger.queries import sql, statement
from app.ledger.snapshot_rows import LedgerTip, SnapshotRows

COMPARING = "comparing"
"""What an epoch says that was noted so that the stores can be compared; what was found takes its place."""


class Correction(NamedTuple):
    """A SKU whose counts in the hot store were set to what the ledger says."""

    sku: str
    warehouse: str
    before: Counts
    after: Counts


def _event_of(one: Acknowledged) -> Event:
    """Return it as an event, without what the process was not told: versions and the counts it left."""
    did = one.effect
    moves = [
        Move(sku, 0, warehouse, source, target, quantity, Counts())
        for sku, warehouse, source, target, quantity in did.moves
    ]
    return Event(SCHEMA, did.kind, one.at_ms, did.op, None, None, None, None, did.lock_id, None, moves)


class RecoveryRows:
    """One shard's rows. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def lease_holder(self) -> str:
        """Return who holds the recovery lease, or held it last; '' if nobody did."""
        async with database.driver_transaction(self._engine) as pg:
            return await pg.fetchval(sql("lease_holder"), self._shard) or ""

    async def take_lease(self, holder: str, *, seconds: float, dead: str = "") -> int | None:
        """Return a new fence, or None while another holds the lease; from `dead` it is taken at once."""
        values = {"shard": self._shard, "holder": holder, "seconds": seconds, "dead": dead}
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
        async with self.snapshot() as rows:
            return await rows.tip()

    async def first_tip(self, epoch: int) -> str | None:
        """Return the tip of an epoch's first event; None if the ledger does not have it."""
        async with database.driver_transaction(self._engine) as pg:
            tip: str | None = await pg.fetchval(sql("first_tip"), self._shard, epoch)
        return tip

    async def highest_given_epoch(self) -> int:
        """Return the highest epoch the ledger ever saw or gave out."""
        async with database.snapshot(self._engine) as connection:
            return int(
                (
                    await connection.execute(statement("highest_given_epoch"), {"shard": self._shard})
                ).scalar_one()
            )

    async def newest_noted_epoch(self) -> int:
        """Return the highest epoch that was noted; 0 if none was."""
        async with database.driver_transaction(self._engine) as pg:
            return int(await pg.fetchval(sql("newest_noted_epoch"), self._shard))

    async def reached(self) -> Position:
        """Return the position of the newest event in the ledger."""
        return (await self.tip()).position

    async def note_seen(self, position: Position) -> None:
        """Note how far a memory was seen to be: the worker files what of it never comes (see `LostRows`)."""
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("note_seen"), self._shard, *position)

    async def file(self, named: Sequence[Acknowledged]) -> int:
        """Keep those commands that the ledger does not know, and return how many that were."""
        rows = ((*one.position, one.effect.lock_id, json.dumps(_event_of(one))) for one in named)
        async with database.driver_transaction(self._engine) as pg:
            done = await pg.execute(sql("file_lost_events"), self._shard, *database.columns(rows))
        return database.row_count(done)

    async def last_home(self) -> str | None:
        """Return the run id of the server that the last epoch was given to; None if there was no epoch."""
        async with database.driver_transaction(self._engine) as pg:
            home: str | None = await pg.fetchval(sql("last_home"), self._shard, COMPARING)
        return home

    async def clock_seconds(self) -> float:
        """Return Postgres' clock, in seconds since 1970."""
        async with database.driver_transaction(self._engine) as pg:
            return float(await pg.fetchval(sql("clock_seconds")))

    async def add_epoch(self, epoch: int, before: LedgerTip, *, home: str, finding: str) -> None:
        """Note an epoch before it is opened, so that its number is never given out again.

        From then on no worker writes what it read from a memory of an earlier one.
        """
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
            await connection.execute(statement("wait_for_writer"), {"shard": self._shard})
            await connection.execute(statement("add_epoch"), values)

    async def known_entries(self, entries: Sequence[Entry]) -> set[Position]:
        """Return the positions of those entries that the ledger has too."""
        asked = database.columns((*entry.position, entry.tip) for entry in entries)
        async with database.driver_transaction(self._engine) as pg:
            rows = await pg.fetch(sql("known_entries"), self._shard, *asked)
        return {Position(*row) for row in rows}

    async def keep_branch(self, entries: Sequence[Entry], *, finding: str) -> int:
        """Keep the entries that the ledger does not have, and return how many those were."""
        rows = (
            (*entry.position, entry.tip, _id_of(entry.event), _listed(entry.event, entry.raw))
            for entry in entries
        )
        async with database.driver_transaction(self._engine) as pg:
            done = await pg.execute(sql("add_lost_events"), self._shard, *database.columns(rows), finding)
        return database.row_count(done)

    async def keep_unrestorable(self, sources: Sequence[Any]) -> int:
        """List events in quarantine that could not be set again: (position, event or None, body); return how many."""
        rows = (
            (
                *position,
                _id_of(event) if event else None,
                _listed(event, None if event else body.decode("utf-8", "replace")),
            )
            for position, event, body in sources
        )
        async with database.driver_transaction(self._engine) as pg:
            done = await pg.execute(sql("add_unrestorable"), self._shard, *database.columns(rows))
        return database.row_count(done)

    async def add_corrections(self, epoch: int, corrections: Sequence[Correction]) -> None:
        """Keep which counts of the hot store were set after the ledger, under the epoch that begins with it."""
        if not corrections:
            return
        rows = (
            (one.sku, one.warehouse, json.dumps(one.before._asdict()), json.dumps(one.after._asdict()))
            for one in corrections
        )
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("add_corrections"), self._shard, epoch, *database.columns(rows))

    async def installation(self, *, begin: bool = False) -> str:
        """Return which installation this ledger is of; '' if no gate was opened yet, unless it is to `begin`."""
        async with database.driver_transaction(self._engine) as pg:
            if begin:
                await pg.execute(sql("begin_installation"), uuid.uuid4().hex)
            return await pg.fetchval(sql("read_installation")) or ""

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SnapshotRows]:
        """All that recovery reads, in one snapshot."""
        options: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
        async with database.driver_transaction(self._engine, **options) as pg:
            yield SnapshotRows(pg, self._shard)


def _listed(event: Event | None, raw: str | None) -> str:
    """Return an event as it is listed: of one that cannot be read, its text as the reason."""
    if event is None or raw is not None:
        event = Event(0, UNREADABLE, 0, *(None,) * 7, moves=[])._replace(
            reason=(raw or "")[:ERROR_LENGTH_MAX]
        )
    return json.dumps(_cleaned(event), ensure_ascii=False)


def _id_of(event: Event) -> str | None:
    return None if event.lock_id is None else storable(event.lock_id)


def _cleaned(value: Any) -> Any:
    """Return a value without what Postgres cannot hold in any text."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): _cleaned(one) for name, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, list | tuple) else value
