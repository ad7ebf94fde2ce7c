"""Hearing how far the ledger is: one connection a process, told by Postgres with each commit.

The worker notifies in the transaction that advances the position, so what is heard is committed. After each
connect the position is read once, so that nothing is missed between two connections.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Position
from app.errors import UnavailableError
from app.ledger import database
from app.ledger.queries import sql, statement
from app.waits import Waits

_log = structlog.get_logger()

CHANNEL = "sellable_position"
"""`advance_position.sql` names it too."""
BACKOFF_SECONDS = (0.05, 1.0)
ANSWER_SECONDS_MAX = 5.0
SILENT_SECONDS_MAX = 2.0
"""While somebody waits and nothing is heard for so long, the connection is tried."""


@dataclass(slots=True, eq=False)
class _Waiter:
    position: Position
    passed: "asyncio.Future[Position]"


class LedgerWatch:
    """One shard's position, as heard. It connects when somebody waits for the first time."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard
        self._at: Position | None = None
        self._heard = asyncio.Event()
        self._waiters: set[_Waiter] = set()
        self._listener: asyncio.Task[None] | None = None
        self.trouble = ""
        """Why nothing is heard; '' while it is."""

    async def reached(self, position: Position) -> bool:
        """Wait until the ledger is as far; return whether it has this very event.

        It has not if the event's epoch ended before the event was persisted: then it never will.
        Raises `UnavailableError` if an older epoch's event cannot be looked for. Waits for ever: the caller has
        the time-out.
        """
        at = self._at if self._at is not None and self._at >= position else await self._passed(position)
        return at.epoch == position.epoch or await self._has(position)

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def _passed(self, position: Position) -> Position:
        waiter = _Waiter(position, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="ledger-watch")
        try:
            return await waiter.passed
        finally:
            self._waiters.discard(waiter)

    async def _has(self, position: Position) -> bool:
        values = {"shard": self._shard, "epoch": position.epoch, "n": position.n}
        async with database.snapshot(self._engine) as connection:
            return bool((await connection.execute(statement("has_event"), values)).scalar_one())

    async def _listen(self) -> None:
        pause_seconds, longest_seconds = BACKOFF_SECONDS
        waits = Waits(_log, "ledger_watch")
        while True:
            try:
                with database.telling():
                    await self._listen_once(waits)
                pause_seconds = BACKOFF_SECONDS[0]
            except UnavailableError as error:
                self.trouble = str(error)
                waits.because(self.trouble)
            except Exception:  # noqa: BLE001 - whatever it is: those who wait need somebody who listens
                _log.exception("ledger_watch.failed")
            self._at = None  # what the ledger has may be less when it comes back
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, longest_seconds)

    async def _listen_once(self, waits: Waits) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        connection = await database.connect_apart(self._engine, "watch")
        try:
            connection.add_termination_listener(lambda _connection: lost.set())
            await connection.add_listener(CHANNEL, self._hear)
            while not lost.is_set():
                row = await connection.fetchrow(sql("read_position"), self._shard, timeout=ANSWER_SECONDS_MAX)
                self.trouble = ""
                waits.over()
                if row is not None:
                    self._tell(Position(row["epoch"], row["n"]))
                await self._silence(lost)
        finally:
            connection.terminate()

    async def _silence(self, lost: asyncio.Event) -> None:
        """Return when the connection was lost, or has been silent for too long while somebody waits."""
        while not lost.is_set():
            self._heard.clear()
            # Not wait_for: Python 3.11's forgets that it was cancelled when the connection is lost at that moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SILENT_SECONDS_MAX):
                    await lost.wait()
            if self._waiters and not self._heard.is_set():
                return

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard.set()
        shard, _, position = payload.partition(" ")
        if int(shard) == self._shard:
            self._tell(Position.parse(position))

    def _tell(self, position: Position) -> None:
        self._at = position if self._at is None else max(self._at, position)
        for waiter in self._waiters:
            if self._at >= waiter.position and not waiter.passed.done():
                waiter.passed.set_result(self._at)
