"""Calls of functions over redis-py: which failures mean "nothing happened" and which "it may have".

This is the only place that knows the client. A command is never sent twice from here: the caller repeats it
with the same id.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.addresses.reasons import is_refusal, redis_sentence
from app.addresses.redis import read_redis
from app.errors import HotStoreFullError, NotReadyError, OutcomeUnknownError, SellableError

_REFUSED_BEFORE_RUNNING = (
    "Function not found",
    "LOADING",
    "READONLY",
    "MISCONF",
    "MASTERDOWN",
    "NOREPLICAS",
    "BUSY",
    "CLUSTERDOWN",
)


def connect(url: str, *, connections_max: int = 64) -> Redis:
    """Return a client that never retries by itself; nothing is sent yet.

    Raises `ConfigurationError` if the URL cannot be read.
    """
    return read_redis(url).client(connections_max=connections_max)


@asynccontextmanager
async def one_connection(client: Redis) -> AsyncIterator[Redis]:
    """Give a client whose commands all go over one connection; it goes back to the pool whatever happens.

    redis-py's own `async with client.client()` keeps it where the wait for it is cancelled.
    """
    one = client.client()
    try:
        yield await one.initialize()
    finally:
        await asyncio.shield(one.aclose())


class FunctionCaller:
    """Calls one function at a time on a pooled connection, within a deadline.

    `in_flight_max` stays below the pool's size: others call on it too, and a pool that is full refuses.
    """

    def __init__(self, client: Redis, *, deadline_seconds: float, in_flight_max: int = 48) -> None:
        self._pool = client.connection_pool
        self._deadline_seconds = deadline_seconds
        self._room = asyncio.Semaphore(in_flight_max)

    async def call(self, function: str, key: str, args: Sequence[str | int], *, read: bool = False) -> Any:
        """Return the function's reply.

        Raises `NotReadyError` if it surely did not run, `OutcomeUnknownError` if nobody can tell, and
        `HotStoreFullError` if the memory is full.
        """
        deadline = time.monotonic() + self._deadline_seconds
        try:
            async with asyncio.timeout(self._deadline_seconds), self._room:
                reply = await self._call("FCALL_RO" if read else "FCALL", function, 1, key, *args)
        except TimeoutError:
            raise OutcomeUnknownError("the hot store did not answer in time") from None
        if time.monotonic() > deadline:  # this process stood still: late is unknown
            raise OutcomeUnknownError("the hot store did not answer in time")
        return reply

    async def _call(self, *command: Any) -> Any:
        packed = hiredis.pack_command(
            command
        )  # redis-py's own takes ten times as long for thousands of arguments
        try:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise NotReadyError(redis_sentence(error)) from error
        try:
            await connection.send_packed_command(packed)
            return await connection.read_response()
        except ResponseError as error:
            raise meaning_of(error) from error
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            await connection.disconnect(nowait=True)
            raise OutcomeUnknownError(
                f"the connection broke before an answer came: {redis_sentence(error)}"
            ) from error
        except BaseException:  # cancelled: the reply is still to come, so this connection is of no more use
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)


def meaning_of(error: Exception) -> SellableError:
    """Return what an error reply means for the caller; a text nobody expected is told as it is."""
    text = str(error)
    if "OOM" in text or "used memory > 'maxmemory'" in text:
        return HotStoreFullError("the hot store's memory is full")
    if is_refusal(error):
        return NotReadyError(redis_sentence(error))
    if any(sign in text for sign in _REFUSED_BEFORE_RUNNING):
        return NotReadyError(f"the hot store is not ready: {text}")
    return SellableError(f"the hot store refused: {text}")
