"""The idempotency horizon: which ids the hot store may forget, by a cursor over the events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.events import Position
from app.ledger import database
from app.ledger.queries import statement

BATCH_EVENTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Forgettable:
    """Ended locks and transfers with the ids used on them, other ids and documents, and the cursor after them.

    `until_ms`: when the event at the cursor was recorded, in ms since 1970; 0 if that was never or is archived.
    """

    locks: dict[str, list[str]]
    transfers: dict[str, list[str]]
    ops: list[str]
    documents: list[str]
    cursor: Position
    until_ms: int
    full: bool


class Horizon:
    """One shard's cursor: everything before it is older than `seconds`, or beyond the newest `entries_max` events."""

    def __init__(self, engine: AsyncEngine, shard: int, *, seconds: float, entries_max: int) -> None:
        self._engine = engine
        self._shard = shard
        self._seconds = seconds
        self._entries_max = entries_max

    async def next_batch(self) -> Forgettable:
        """Return what may be forgotten next; only what is persisted is ever seen here."""
        async with database.snapshot(self._engine) as connection:
            at = (await connection.execute(statement("read_forgotten"), {"shard": self._shard})).one_or_none()
            if at is None:
                return Forgettable({}, {}, [], [], Position(0, 0), 0, full=False)
            cursor = Position(at.forgotten_epoch, at.forgotten_n)
            values = {
                "before": datetime.now(UTC) - timedelta(seconds=self._seconds),
                "cap_epoch": at.epoch,
                "cap_n": at.n - self._entries_max,
            }
            events = await self._events(connection, cursor, values)
            if not events:
                return Forgettable({}, {}, [], [], cursor, at.at_ms or 0, full=False)
            begins = {"from_epoch": cursor.epoch, "from_n": cursor.n}
            cursor = Position(events[-1].epoch, events[-1].n)
            until = {"epoch": cursor.epoch, "n": cursor.n}
            ended = until | {"lock_ids": list({event.lock_id for event in events if event.lock_id})}
            locks = (await connection.execute(statement("forgettable_locks"), ended)).all()
            ended = until | {
                "transfer_ids": list({event.document_id for event in events if _is_transfer(event)})
            }
            transfers = (await connection.execute(statement("forgettable_transfers"), ended)).all()
            past = until | begins | {"shard": self._shard}
            documents = (await connection.execute(statement("forgettable_documents"), past)).scalars().all()
        return Forgettable(
            {lock.lock_id: lock.ops for lock in locks},
            {transfer.transfer_id: transfer.ops for transfer in transfers},
            [
                op
                for event in events
                if not event.lock_id and not _is_transfer(event)
                for op in _ops_of(event)
            ],
            list(documents),
            cursor,
            events[-1].at_ms,
            full=len(events) == BATCH_EVENTS_MAX,
        )

    async def _events(
        self, connection: AsyncConnection, after: Position, values: dict[str, Any]
    ) -> Sequence[Any]:
        """Return the next events that may be forgotten, all of one epoch: of the next that has any left."""
        epoch: int | None = after.epoch
        n = after.n
        while epoch is not None:
            here = {"shard": self._shard, "epoch": epoch, "n": n, "until_n": n + BATCH_EVENTS_MAX}
            events = (await connection.execute(statement("forgettable_events"), values | here)).all()
            if events or await self._has_more(connection, here):
                return events
            epoch = (
                await connection.execute(statement("next_epoch"), {"shard": self._shard, "epoch": epoch})
            ).scalar()
            n = -1
        return []

    async def _has_more(self, connection: AsyncConnection, here: dict[str, Any]) -> bool:
        """Whether an epoch goes on: what is not past the horizon holds back what comes behind it."""
        following = {"shard": here["shard"], "epoch": here["epoch"], "n": here["n"] + 1}
        return bool((await connection.execute(statement("has_event"), following)).scalar_one())

    async def advance(self, batch: Forgettable) -> None:
        """Move the cursor behind a batch that was forgotten."""
        values = {"shard": self._shard, "epoch": batch.cursor.epoch, "n": batch.cursor.n}
        async with database.transaction(self._engine) as connection:
            await connection.execute(statement("advance_forgotten"), values)


def _ops_of(event: Any) -> list[str]:
    return [event.op, *event.told_ids] if event.op else []


def _is_transfer(event: Any) -> bool:
    return bool(event.document_kind == "transfer")
