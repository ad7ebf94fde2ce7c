"""Reading what was: counts at a moment, a lock's record at a moment, moves with their causes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.answers import LockView
from app.domain.events import Counts, Position
from app.domain.past import Document, Explanation, PastMove, Reach, StockThen, Units
from app.domain.records import LockRecord, is_whole
from app.domain.times import moment, ms_of
from app.domain.words import BIGINT_MAX, OUTSIDE_WORDS, STATE_WORDS
from app.ledger import database
from app.ledger.fold import OPENS_LOCK, merged
from app.ledger.queries import statement
from app.turns import in_turns

FOREVER_MS = 253_402_300_799_000
"""The end of the year 9999: everything has happened by then."""


class Cursor(NamedTuple):
    """The last move of a page, by when it happened."""

    occurred_at: int
    version: int


class PastRows:
    """Every method reads one snapshot, and raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def reach(self) -> Reach | None:
        """Return how far back the ledger goes, or None while it is empty."""
        async with database.snapshot(self._engine) as connection:
            row = (await connection.execute(statement("ledger_reach"))).one()
        return None if row.since is None else Reach(ms_of(row.since), row.archived)

    async def stock(self, sku: str, at: int) -> StockThen | None:
        """Return a SKU's counts at a time, inclusive; None if the ledger has never heard of it."""
        async with database.snapshot(self._engine) as connection:
            return await _stock(connection, sku, at)

    async def explain(self, sku: str, at: int, after: Cursor | None, moves_max: int) -> Explanation | None:
        """Return where every unit was at a time, inclusive, and a page of the moves that had happened."""
        async with database.snapshot(self._engine) as connection:
            then = await _stock(connection, sku, at)
            if then is None:
                return None
            values: dict[str, Any] = {"sku": sku, "at": moment(at)}
            outside = (await connection.execute(statement("outside_as_of"), values)).one()
            last = min(after or Cursor(at, BIGINT_MAX), Cursor(at, BIGINT_MAX))
            values = {
                "sku": sku,
                "at": moment(last.occurred_at),
                "version": last.version,
                "moves_max": moves_max,
            }
            rows = (await connection.execute(statement("explain_moves"), values)).all()
        places = [
            Units(warehouse, state, getattr(counts, state))
            for warehouse, counts in then.warehouses.items()
            for state in STATE_WORDS
        ]
        places += [Units(None, name, getattr(outside, name)) for name in OUTSIDE_WORDS]
        return Explanation(sku, then.version, tuple(places), tuple(await in_turns(rows, _move)))

    async def history(
        self, sku: str, after: int | None, moves_max: int, *, newest_first: bool
    ) -> Sequence[PastMove]:
        """Return the moves beyond a version, in the order of recording or against it."""
        start = (BIGINT_MAX if newest_first else 0) if after is None else after
        values = {"sku": sku, "after": start, "moves_max": moves_max}
        async with database.snapshot(self._engine) as connection:
            name = "history_down" if newest_first else "history_up"
            rows = (await connection.execute(statement(name), values)).all()
        return await in_turns(rows, _move)

    async def knows(self, sku: str) -> bool:
        """Whether the ledger has ever heard of a SKU."""
        async with database.snapshot(self._engine) as connection:
            return await _knows(connection, sku)

    async def lock(self, lock_id: str, at: int) -> LockView | None:
        """Return the newest lock of this id as it was at a time, inclusive; None if there was none.

        Raises `LookupError` if the events that say so were archived.
        """
        values = {"lock_id": lock_id, "at": moment(at)}
        async with database.snapshot(self._engine) as connection:
            events = (await connection.execute(statement("lock_events"), values)).all()
            ended = (await connection.execute(statement("lock_before"), values)).one_or_none()
        record: dict[str, Any] | None = None
        for event in events:
            if event.kind in OPENS_LOCK or is_whole(event.fields):
                record = merged({}, event.fields)
            elif record is not None:
                record = merged(record, event.fields)
        if record is None and ended is not None:
            record = ended.record
        if record is None and events:
            raise LookupError(lock_id)
        return None if record is None else LockRecord.of(record).view(lock_id)


async def _knows(connection: AsyncConnection, sku: str) -> bool:
    return bool((await connection.execute(statement("knows_sku"), {"sku": sku})).scalar_one())


async def _stock(connection: AsyncConnection, sku: str, at: int) -> StockThen | None:
    if not await _knows(connection, sku):
        return None
    when = moment(at)
    values: dict[str, Any] = {"skus": [sku], "warehouse": None, "at": when}
    counts = (await connection.execute(statement("stock_as_of"), values)).all()
    recorded = (await connection.execute(statement("recorded_as_of"), {"sku": sku, "at": when})).all()
    buffers = {row.warehouse: row.buffer for row in recorded}
    return StockThen(
        sku,
        max((row.version for row in recorded), default=0),
        {
            row.warehouse: Counts(
                row.available, row.locked, row.damaged, row.in_transit, buffers.get(row.warehouse, 0)
            )
            for row in counts
            # What only later moves speak of was not known yet.
            if row.warehouse in buffers or any((row.available, row.locked, row.damaged, row.in_transit))
        },
    )


def _move(row: Any) -> PastMove:
    there = None
    if row.to_warehouse is not None:
        there = Counts(*(getattr(row, f"to_{state}_after") for state in Counts._fields))
    return PastMove(
        version=row.version,
        position=Position(row.epoch, row.n),
        cause=row.kind,
        document=_document(row),
        who=row.who,
        reason=row.reason or row.event_reason,
        recorded_at=ms_of(row.recorded_at),
        occurred_at=ms_of(row.occurred_at),
        warehouse=row.warehouse,
        source=row.source,
        target=row.target,
        quantity=row.quantity,
        after=Counts(*(getattr(row, f"{state}_after") for state in Counts._fields)),
        to_warehouse=row.to_warehouse,
        to_after=there,
    )


def _document(row: Any) -> Document | None:
    """What the event says it is about, else its own id: `return:R1` is the return R1."""
    if row.lock_id is not None:
        return Document("lock", row.lock_id)
    if row.document_kind is not None:
        return Document(row.document_kind, row.document_id)
    kind, _, name = (row.op or "").partition(":")
    return Document(kind.replace("-", "_"), name) if name else None
