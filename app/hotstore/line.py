"""The line to the hot store: one pipelined connection, kept up, watched, and known to be checked or not.

Twenty times a second it asks through the gate for the epoch. So a shut gate, a silent server and a new epoch
are noticed within the beat. Whatever the server had to tell when it answered a call has come before that answer:
so tracked answers are as fresh as the last answered call was when it was sent, however slow the network is.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from hiredis import ReplyError

from app.addresses.reasons import is_refusal, redis_sentence
from app.addresses.redis import read_redis
from app.domain.outcomes import Outcome
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore.connection import Connection, OnReply
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.wire import meaning_of
from app.waits import Waits

_log = structlog.get_logger()

BEAT_SECONDS = 0.05
FRESH_SECONDS = 0.2
BACKOFF_SECONDS = (0.02, 1.0)
IN_FLIGHT_MAX = 20_000
SILENT_SECONDS_MAX = 10.0


class Line:
    """Calls over one connection that is made again when it breaks; nothing is ever sent twice.

    `on_push` gets invalidations in byte order (without it nothing is tracked), `on_shut` is called when what was read
    may be wrong: the connection broke, the gate shut, or the epoch changed.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        library: Library,
        *,
        deadline_seconds: float,
        on_push: Callable[[list[Any]], None] | None = None,
        on_shut: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = read_redis(url)
        self._keys = keys
        self._beat = ("FCALL_RO", library.function("read_due"), 1, keys.meta, 0)
        self._deadline_seconds = deadline_seconds
        self._tracks = on_push is not None
        self._on_push = on_push or _ignore
        self._on_shut = on_shut
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._refusal = ""
        self._lost = asyncio.Event()
        self._open = asyncio.Event()
        self._heard_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self.epoch = ""
        """The epoch whose gate is open, as of the last beat; '' while it is shut or not known."""
        self._epoch_min = 0

    # For callers

    def call(self, command: tuple[Any, ...], on_reply: OnReply) -> None:
        """Send a command; `on_reply` gets the reply or an exception: `NotReadyError`, `OutcomeUnknownError`, …."""
        if self._connection is None:
            why = self._refusal or "the hot store cannot be reached"
            self._loop.call_soon(on_reply, NotReadyError(why))
            return
        self._connection.call(command, on_reply, deadline_seconds=self._deadline_seconds)

    def flush(self) -> None:
        """Send the calls of this turn so far: the server can begin while others are still being read."""
        if self._connection is not None:
            self._connection.flush()

    @property
    def is_fresh(self) -> bool:
        """Whether all that the server had to tell just now has come, through a gate that is open."""
        connection = self._connection
        return (
            connection is not None
            and bool(self.epoch)
            and self._loop.time() - connection.proven_at < FRESH_SECONDS
        )

    @property
    def heard_at(self) -> float:
        """Return until when all that the server had to tell has come, on the loop's clock."""
        return self._connection.proven_at if self._connection else self._heard_at

    @property
    def in_flight(self) -> int:
        """Return how many replies are still to come."""
        return self._connection.in_flight if self._connection else 0

    # Life

    def start(self) -> None:
        """Connect in the background, and keep connected."""
        self._tasks = [
            self._loop.create_task(self._keep_connected(), name="line"),
            self._loop.create_task(self._keep_beating(), name="line-beat"),
        ]

    async def opened(self) -> None:
        """Return once commands are taken: connected, through a gate that is open."""
        await self._open.wait()

    async def close(self) -> None:
        """End; whoever waits is told that nobody knows."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()
            await self._lost.wait()

    async def _keep_connected(self) -> None:
        pause_seconds, longest_seconds = BACKOFF_SECONDS
        waits = Waits(_log, "line")
        while True:
            try:
                async with asyncio.timeout(self._address.connect_seconds):
                    await self._connect()
                waits.over()
                self._refusal, pause_seconds = "", BACKOFF_SECONDS[0]
                await self._lost.wait()
                waits.because("the connection to Redis broke")
            except Exception as error:  # noqa: BLE001 - whatever it was, a process without a line is of no use
                why = redis_sentence(error)
                waits.because(why)
                self._note_refusal(why if is_refusal(error) else "")
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects
            pause_seconds = min(pause_seconds * 2, longest_seconds)

    def _note_refusal(self, why: str) -> None:
        """Waiting does not help against one: somebody has to change the user's rights, or the password."""
        if why and why != self._refusal:
            _log.error("line.refused", why=why)
        self._refusal = why

    async def _connect(self) -> None:
        def make() -> Connection:
            return Connection(
                self._loop, in_flight_max=IN_FLIGHT_MAX, on_push=self._on_push, on_lost=self._connection_lost
            )

        connection = await self._address.open(make)
        try:
            await self._greet(connection)
            beaten = await self._ask_epoch(connection)
        except BaseException:
            connection.close()
            raise
        if not connection.is_connected:
            raise NotReadyError("the connection broke")
        # Only now: a call before SELECT would reach another database, a read before TRACKING would never be dropped.
        self._lost.clear()
        self._connection = connection
        self._beaten(beaten)

    async def _greet(self, connection: Connection) -> None:
        for command in self._address.greeting("sellable-line"):
            await self._ask(connection, command)
        if self._tracks:
            await self._ask(connection, ("CLIENT", "TRACKING", "ON", "OPTIN"))

    async def _ask(self, connection: Connection, command: tuple[Any, ...]) -> Any:
        answered: asyncio.Future[Any] = self._loop.create_future()

        def on_reply(reply: Any) -> None:
            if not answered.done():
                answered.set_result(reply)

        connection.call(command, on_reply, deadline_seconds=self._address.connect_seconds)
        reply = await answered
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _connection_lost(self, connection: Connection) -> None:
        if self._connection is connection:
            self._heard_at = connection.received_at
            self._connection = None
            self.epoch = ""
            self._open.clear()
            self._on_shut()  # in any case: nobody tracks what was read over this connection any more
            self._lost.set()

    # The beat

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            connection = self._connection
            if connection is None:
                continue
            connection.expire()
            if self._loop.time() - connection.received_at > SILENT_SECONDS_MAX:
                connection.close()
            elif connection.in_flight < IN_FLIGHT_MAX:
                connection.call(self._beat, self._beaten, deadline_seconds=self._deadline_seconds)

    async def _ask_epoch(self, connection: Connection) -> Any:
        try:
            return await self._ask(connection, self._beat)
        except ReplyError:  # no function yet: the gate is shut
            return None

    def doubt(self) -> None:
        """Take nothing for checked until the server was asked again, which is done now."""
        self._set_epoch("")
        if self._connection is not None:
            self._connection.call(self._beat, self._beaten, deadline_seconds=self._deadline_seconds)

    def _beaten(self, reply: Any) -> None:
        if isinstance(reply, OutcomeUnknownError | NotReadyError):
            return  # silence makes answers stale by itself
        is_open = isinstance(reply, list) and reply[0] == Outcome.READ
        self._set_epoch(reply[1] if is_open else "")

    def leave(self, epoch_min: int) -> None:
        """Believe no memory of an earlier epoch from now on: a newer one was opened elsewhere."""
        self._epoch_min = epoch_min
        if self.epoch and int(self.epoch) < epoch_min and self._connection is not None:
            _log.warning("line.left_old_epoch", epoch=self.epoch, newest=epoch_min)
            self._connection.close()

    def _set_epoch(self, epoch: str) -> None:
        if epoch and int(epoch) < self._epoch_min:
            epoch = ""
        if epoch != self.epoch:
            self.epoch = epoch
            (self._open.set if epoch else self._open.clear)()
            self._on_shut()


def _ignore(_push: list[Any]) -> None:
    """Drop a push: this connection tracks nothing."""


class LineCaller:
    """Calls functions over a line, for `HotStore`: the same errors as `FunctionCaller` raises."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()

    async def call(self, function: str, key: str, args: Sequence[str | int], *, read: bool = False) -> Any:
        """Return the function's reply; a caller that is cancelled leaves its reply to be dropped."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def on_reply(reply: Any) -> None:
            if not answered.done():
                answered.set_result(reply)

        self._line.call(("FCALL_RO" if read else "FCALL", function, 1, key, *args), on_reply)
        reply = await answered
        if isinstance(reply, ReplyError):
            raise meaning_of(reply) from None
        if isinstance(reply, Exception):
            raise reply
        return reply
