"""Waiting for replicas, on a connection of its own: WAIT holds up all that is behind it.

WAIT asks for the last write of its own connection. So each round writes a mark first, which comes after all that
was answered before it on any connection, and waits for that.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.outcomes import Outcome
from app.errors import OutcomeUnknownError
from app.hotstore.keys import Keys
from app.hotstore.library import Library

ANSWER_SECONDS = 1.0
"""How long an answer may take beyond the time that WAIT was given."""


class Held(NamedTuple):
    """What a round came to: the epoch of the memory that was marked, and whether all replicas have the mark."""

    epoch: int
    by_all: bool


class Replicas:
    """Asks in rounds: who comes while one is under way waits for the next, together with all others.

    `needed` says how many replicas there are; a client of its own, since a round keeps a connection for long.
    """

    def __init__(
        self, client: Redis, keys: Keys, library: Library, *, needed: Callable[[], int], wait_seconds: float
    ) -> None:
        self._pool = client.connection_pool
        self._mark = ("FCALL", library.function("mark"), 1, keys.meta)
        self._needed = needed
        self._wait_seconds = wait_seconds
        self._running: asyncio.Task[Held | None] | None = None
        self._next: asyncio.Task[Held | None] | None = None

    async def held(self) -> Held | None:
        """Return what a round that begins after this call found; None if it could not be asked.

        It ends once all replicas have the mark, or with the time.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._round_after(self._running), name="replicas")
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """End the rounds, and the connection."""
        tasks = [task for task in (self._running, self._next) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.disconnect()

    async def _round_after(self, before: "asyncio.Task[Held | None] | None") -> Held | None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        try:
            async with asyncio.timeout(self._wait_seconds + ANSWER_SECONDS):
                return await self._ask(self._needed())
        except (RedisError, OSError, TimeoutError, OutcomeUnknownError):
            return None

    async def _ask(self, needed: int) -> Held | None:
        """Mark and wait, in one write to one connection: on another, WAIT would know of no mark."""
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            wait = ("WAIT", needed, int(self._wait_seconds * 1000))
            await connection.send_packed_command(connection.pack_commands([self._mark, wait]))
            marked = await connection.read_response()
            replicas = await connection.read_response()
        except BaseException:  # a reply may still be to come, so this connection is of no more use
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)
        return Held(int(marked[1]), int(replicas) >= needed) if marked[0] == Outcome.MARKED else None
