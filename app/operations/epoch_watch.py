"""Watching the epoch: an old primary that still lives must not be believed, and what it lost is to be named.

Postgres says twice a second which epoch is the newest. A process that talks to an older memory drops its
connections. While Postgres is away nothing is known, and nothing is dropped: locks go on without it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from app.addresses.reasons import sentence_of
from app.domain.commands import Acknowledged
from app.domain.events import Position
from app.errors import SellableError
from app.hotstore.ring import Ring
from app.operations.seen import Seen
from app.waits import Waits

_log = structlog.get_logger()

INTERVAL_SECONDS = 0.5
ASK_SECONDS_MAX = 2.0


class Epochs(Protocol):
    """What the ledger says of epochs."""

    async def newest_noted_epoch(self) -> int:
        """Return the highest epoch that was noted; 0 if none was."""
        ...

    async def reached(self) -> Position:
        """Return the position of the newest event in the ledger."""
        ...

    async def note_seen(self, position: Position) -> None:
        """Note how far a memory was seen to be."""
        ...

    async def file(self, named: list[Acknowledged]) -> int:
        """Keep those that the ledger does not know, and return how many that were."""
        ...


class EpochWatch:
    """Asks the ledger, tells `leave` which epoch is the oldest to be believed, and names what was lost.

    `head` reads the position of the newest event in the hot store.
    """

    def __init__(
        self,
        epochs: Epochs,
        leave: Callable[[int], Awaitable[None]],
        *,
        ring: Ring | None = None,
        head: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._epochs = epochs
        self._leave = leave
        self._ring = ring
        self._head = head
        self._seen = Seen(epochs)
        self._task: asyncio.Task[None] | None = None
        self.newest = 0
        self.trouble = ""
        """Why the ledger could not be asked; '' if it could."""

    def start(self) -> None:
        """Watch in the background."""
        self._task = asyncio.create_task(self._watch(), name="epoch-watch")

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Ask once. Raises `SellableError` or `OSError` while a server is away."""
        await self._see()
        async with asyncio.timeout(ASK_SECONDS_MAX):
            newest = await self._epochs.newest_noted_epoch()
        if newest > self.newest:
            self.newest = newest
            await self._leave(newest)
        if self._ring is not None and len(self._ring):
            await self._tidy(self._ring)
        async with asyncio.timeout(ASK_SECONDS_MAX):
            await self._seen.settle()

    async def _see(self) -> None:
        """Remember how far the hot store is, before anything is forgotten; what cannot be asked is known already."""
        if self._ring is not None:
            self._seen.see(self._ring.newest)
        if self._head is not None:
            with contextlib.suppress(SellableError, OSError):
                self._seen.see(Position.parse(await self._head()))

    async def _tidy(self, ring: Ring) -> None:
        """Forget what the ledger has; once it has gone on in a new epoch, file what it does not have."""
        async with asyncio.timeout(ASK_SECONDS_MAX):
            reached = await self._epochs.reached()
            if reached.epoch > self.newest:
                return  # opened since the question before: the next look knows it, and what it is to file
            if not ring.begins_before(self.newest):
                ring.drop(reached)
            elif reached.epoch >= self.newest:
                lost = await self._epochs.file(ring.before(self.newest))
                ring.forget(self.newest)
                if lost:
                    _log.error("epoch.acknowledged_and_lost", commands=lost, table="lost_event")

    async def _watch(self) -> None:
        waits = Waits(_log, "epoch_watch")
        while True:
            try:
                await self.look()
                self.trouble = ""
                waits.over()
            except (SellableError, OSError) as error:  # a server is away: then nothing is known
                self.trouble = sentence_of(error)
                waits.because(self.trouble)
            except Exception:  # noqa: BLE001 - a watch that ends would believe an old primary for ever
                _log.exception("epoch_watch.failed")
            await asyncio.sleep(INTERVAL_SECONDS)
