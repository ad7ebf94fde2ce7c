"""The write-behind duty: outbox -> ledger, then trim."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio import Redis

from app.domain.chain import ChainBrokenError, Entry
from app.domain.events import Position
from app.errors import NewerSchemaError, UnavailableError
from app.hotstore import outbox
from app.hotstore.keys import Keys
from app.hotstore.store import HotStore
from app.ledger.writer import Writer
from app.worker.duty import Duty

_log = structlog.get_logger()

BLOCK_MS = 100
PAUSE_SECONDS = 0.02
MARKS_MAX = 10_000
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
        self._marks: deque[tuple[float, Position]] = deque(maxlen=MARKS_MAX)
        self._at: Position | None = None
        self._ahead: list[Entry] = []
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
            self._at, _tip = await self._writer.position()
            self._forget_marks_after(self._at)
        try:
            entries = await self._read(self._at)
            written = await self._write(entries) if entries else self._at
        except ChainBrokenError as error:
            self._at, self._ahead = None, []
            _log.error("persist.chain_broken", detail=str(error))
            await self._doubt()
            raise
        except NewerSchemaError as error:
            self._at, self._ahead = None, []  # a newer worker goes on from here: the position is nobody's now
            _log.error("persist.newer_schema", detail=str(error))
            raise
        except UnavailableError:
            self._at, self._ahead = None, []
            self._batch_events = max(1, self._batch_events // 2)  # slow, perhaps: then less gets through
            raise
        except BaseException:
            self._at, self._ahead = None, []  # ask the ledger where it is: a commit may have gone through
            raise
        if written is None:  # another worker holds the position
            self._at, self._ahead = None, []
            return False
        self._at, self._broken = written, 0
        self._batch_events = min(2 * self._batch_events, self._batch_events_max)
        await self._publish(written)
        return bool(entries)

    async def _doubt(self) -> None:
        """The ledger may have gone back: it is asked for its position once more, and then the stores are compared."""
        self._broken += 1
        now = time.monotonic()
        if self._on_doubt is None or self._broken < 2 or now - self._doubted_at < DOUBT_SECONDS:
            return
        self._doubted_at = now
        await self._on_doubt()

    async def _read(self, at: Position) -> list[Entry]:
        """Return the next batch: the one read ahead if it has anything, else wait for the first entry."""
        ahead, self._ahead = self._ahead, []
        if ahead:
            return ahead
        # Before the entries: what an old primary tells must not pass for what the new home does.
        self._home_epoch = int(await self._client.hget(self._keys.meta, "epoch") or 0)
        return await outbox.read_after(
            self._client, self._keys, at, entries_max=self._batch_events, block_ms=BLOCK_MS
        )

    async def _write(self, entries: list[Entry]) -> Position | None:
        """Write a batch; while Postgres is at it, read and decode the next."""
        ahead: list[Entry] = []
        following = asyncio.create_task(
            outbox.read_after(self._client, self._keys, entries[-1].position, entries_max=self._batch_events)
        )
        try:
            written = await self._writer.write(entries, home_epoch=self._home_epoch)
            with contextlib.suppress(NewerSchemaError):  # told when it is its turn
                ahead = await following
        finally:
            following.cancel()
        if written == entries[-1].position:  # else somebody else was there, and goes on from elsewhere
            self._ahead = ahead
        return written

    async def _publish(self, written: Position) -> None:
        """Trim first, then say how far the ledger is."""
        if written == self._published and not self._may_trim():
            return
        self._mark(written)
        keep_from = self._trim_to()
        await self._store.trim(str(keep_from) if keep_from else "", str(written))
        self._published = written

    def _mark(self, written: Position) -> None:
        if not self._marks or self._marks[-1][1] != written:
            self._marks.append((time.monotonic(), written))

    def _forget_marks_after(self, position: Position) -> None:
        """The ledger may have gone back: what it has no more must stay in the outbox."""
        while self._marks and self._marks[-1][1] > position:
            self._marks.pop()

    def _may_trim(self) -> bool:
        return bool(self._marks) and self._marks[0][0] < time.monotonic() - self._trim_margin_seconds

    def _trim_to(self) -> Position | None:
        """The newest position that was persisted longer ago than the margin; the last entry is always kept."""
        keep_from = None
        while self._may_trim():
            keep_from = self._marks.popleft()[1]
        return keep_from
