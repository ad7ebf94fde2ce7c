"""The write-behind duty: outbox -> ledger, then trim.

While Postgres writes one batch, the next is read and folded, so that neither waits for the other. Where anything is out
of the ordinary, the events of a batch are read again and written the careful way, which tells them apart.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio import Redis

from app.domain.chain import ChainBrokenError, Link
from app.domain.events import Position
from app.errors import NewerSchemaError, NotReadyError, UnavailableError
from app.hotstore import outbox
from app.hotstore.keys import Keys
from app.hotstore.store import HotStore
from app.ledger.fold import Batch
from app.ledger.writer import Writer
from app.worker.duty import Duty

_log = structlog.get_logger()

BLOCK_MS = 100
PAUSE_SECONDS = 0.02
FOLD_EVENTS = 50
"""Events that are folded in one go: Postgres, when it answers meanwhile, waits for no more than these."""
LOOK_SECONDS = 0.005
"""How often an outbox is looked at that has nothing more, while a batch is written."""
MOVES_MAX = 50_000
"""Moves of a batch: an import has hundreds an event, and all of them have to get through in one transaction."""
READ_SECONDS_MAX = 10.0
"""After this an answer of the hot store's is not waited for any more: it may have got lost on the way."""
REFUSED_SECONDS = 15.0
"""How long another worker may have the position before it is looked at whether it lives."""
MARKS_MAX = 10_000
TRIM_MARKS_MAX = 4
"""Batches that are trimmed at once: when the worker was kept from it for long, the hot store is not held up for all."""
DOUBT_SECONDS = 30.0
"""A comparison shuts the gate for a moment: not more often than this."""


class Persist:
    """Carries one shard's events into the ledger, in order, each exactly once."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        store: HotStore,
        writer: Writer,
        *,
        batch_events_max: int,
        trim_margin_seconds: float,
        on_doubt: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._store = store
        self._writer = writer
        self._batch_events = self._batch_events_max = batch_events_max
        self._trim_margin_seconds = trim_margin_seconds
        self._on_doubt = on_doubt
        self._home_epoch = 0
        self._broken = 0
        self._doubted_at = -DOUBT_SECONDS
        self._refused_since: float | None = None
        self._marks: deque[tuple[float, Position]] = deque()
        self._at: Link | None = None
        self._ahead: Batch | None = None
        self._published: Position | None = None
        self.trouble = ""
        """Why nothing is persisted now."""

    def duty(self) -> Duty:
        """Persist as fast as events come; an empty outbox is waited on inside the read."""
        return Duty("persist", self.run_once, PAUSE_SECONDS, self._note_trouble)

    def _note_trouble(self, why: str) -> None:
        self.trouble = why

    async def run_once(self) -> bool:
        """Persist one batch, and return whether there was one."""
        if self._at is None:
            self._at = await self._writer.position()
            self._forget_marks_after(self._at.position)
        batch = self._writer.batch(self._at)
        try:
            batch = await self._next(batch)
            written = await self._write(batch)
            if not len(batch) and self._may_trim() and await self._writer.position() != self._at:
                self._ask_again()  # the ledger went back meanwhile, and what it has no more must not be trimmed
                return False
        except ChainBrokenError as error:
            self._ask_again()
            if not self._broken:  # once, not with every try
                _log.error("persist.chain_broken", detail=str(error))
            await self._doubt()
            raise NotReadyError(f"{error}; the hot store is compared with the ledger") from error
        except NewerSchemaError:
            self._ask_again()  # a newer worker goes on from here: the position is nobody's now
            raise
        except UnavailableError:
            self._ask_again()
            # Slow, perhaps: then less gets through.
            self._batch_events = max(1, min(self._batch_events, len(batch)) // 2)
            raise
        except BaseException:
            self._ask_again()  # a commit may have gone through
            raise
        if written is None:  # another worker holds the position
            self._ask_again()
            await self._look_after_other()
            return False
        self._refused_since = None
        if batch.is_spoilt or written != batch.last.position:  # written apart, or somebody else was there
            self._ask_again()
        self._broken = 0
        self._batch_events = min(2 * self._batch_events, self._batch_events_max)
        await self._publish(written)
        return written > batch.after.position

    def _ask_again(self) -> None:
        """Let the ledger say where it is."""
        self._at = self._ahead = None

    async def _doubt(self) -> None:
        """The ledger may have gone back: it is asked for its position once more, and then the stores are compared."""
        self._broken += 1
        now = time.monotonic()
        if self._on_doubt is None or self._broken < 2 or now - self._doubted_at < DOUBT_SECONDS:
            return
        self._doubted_at = now
        await self._on_doubt()

    async def _look_after_other(self) -> None:
        """Another has the position: for long, it may be frozen, and then it is ended."""
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since > REFUSED_SECONDS:
            self._refused_since = now
            if ended := await self._writer.end_frozen():
                _log.error("persist.ended_frozen_worker", count=ended)

    async def _next(self, empty: Batch) -> Batch:
        """Return the next batch: the one gathered ahead if it has anything, else `empty`, filled with what there is."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (len(ahead) or ahead.is_spoilt):
            return ahead
        # Before the entries: what an old primary tells must not pass for what the new home does.
        async with asyncio.timeout(READ_SECONDS_MAX):
            self._home_epoch = int(await self._client.hget(self._keys.meta, "epoch") or 0)
        await self._gather(empty, block_ms=BLOCK_MS)
        return empty

    def _is_full(self, batch: Batch) -> bool:
        return len(batch) >= self._batch_events or len(batch.fold.moves) >= MOVES_MAX

    async def _gather(self, batch: Batch, *, block_ms: int | None = None) -> bool:
        """Read and fold what follows a batch, as much as is read at once; return whether there was anything."""
        room = self._batch_events - len(batch)
        async with asyncio.timeout(READ_SECONDS_MAX):
            found = await outbox.read_raw(
                self._client, self._keys, batch.last.position, entries_max=room, block_ms=block_ms
            )
        for first in range(0, len(found), FOLD_EVENTS):
            if first:
                if self._is_full(batch):
                    break
                await asyncio.sleep(0)
            try:
                batch.add([outbox.entry_of(raw) for raw in found[first : first + FOLD_EVENTS]])
            except Exception:  # noqa: BLE001 - whatever it is, it is met again when it is its turn
                batch.is_spoilt = True
                break
        return bool(found)

    async def _gather_ahead(self, batch: Batch, enough: asyncio.Event) -> None:
        """Gather until it is enough, or the batch is full."""
        while not batch.is_spoilt and not self._is_full(batch):
            found = await self._gather(batch)
            if enough.is_set():
                return
            if not found:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(enough.wait(), LOOK_SECONDS)

    async def _write(self, batch: Batch) -> Position | None:
        """Write a batch; while Postgres is at it, gather the next."""
        if batch.is_spoilt:
            return await self._write_apart(batch.after.position)
        if not len(batch):
            return batch.after.position
        ahead, enough = self._writer.batch(batch.last), asyncio.Event()
        gathering = asyncio.create_task(self._gather_ahead(ahead, enough))
        try:
            written = await self._write_whole(batch)
            enough.set()
            await gathering
        finally:
            gathering.cancel()
        self._at, self._ahead = batch.last, ahead
        return written

    async def _write_whole(self, batch: Batch) -> Position | None:
        try:
            return await self._writer.write_batch(batch, home_epoch=self._home_epoch)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is met again, and handled there
            _log.info(
                "persist.batch_refused", after=str(batch.after.position), events=len(batch), why=str(error)
            )
            return await self._write_apart(batch.after.position)

    async def _write_apart(self, after: Position) -> Position | None:
        """Write what comes after a position, event by event if need be."""
        entries = await outbox.read_after(self._client, self._keys, after, entries_max=self._batch_events)
        return await self._writer.write(entries, home_epoch=self._home_epoch) if entries else after

    async def _publish(self, written: Position) -> None:
        """Trim first, then say how far the ledger is."""
        if written == self._published and not self._may_trim():
            return
        self._mark(written)
        keep_from = self._trim_to()
        await self._store.trim(str(keep_from) if keep_from else "", str(written))
        self._published = written

    def _mark(self, written: Position) -> None:
        """Note when the ledger was how far: so often that a margin has MARKS_MAX marks."""
        now = time.monotonic()
        if self._marks and now - self._marks[-1][0] < self._trim_margin_seconds / MARKS_MAX:
            self._marks[-1] = (self._marks[-1][0], written)
        elif not self._marks or self._marks[-1][1] != written:
            self._marks.append((now, written))

    def _forget_marks_after(self, position: Position) -> None:
        """The ledger may have gone back: what it has no more must stay in the outbox."""
        while self._marks and self._marks[-1][1] > position:
            self._marks.pop()

    def _may_trim(self) -> bool:
        return bool(self._marks) and self._marks[0][0] < time.monotonic() - self._trim_margin_seconds

    def _trim_to(self) -> Position | None:
        """The newest position that was persisted longer ago than the margin; the last entry is always kept."""
        keep_from = None
        for _ in range(TRIM_MARKS_MAX):
            if self._may_trim():
                keep_from = self._marks.popleft()[1]
        return keep_from
