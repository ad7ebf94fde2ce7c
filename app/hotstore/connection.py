"""One pipelined connection to the hot store: asyncio and hiredis, nothing between.

Replies come in the order of the calls, so each call waits in a queue for its own. A caller that gives up leaves
its place in the queue: a late reply is dropped there and never handed to another call.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
import structlog

from app.errors import NotReadyError, OutcomeUnknownError

_log = structlog.get_logger()

OnReply = Callable[[Any], None]
"""Called once with the reply, or with the exception that stands for it."""

WRITE_HIGH_BYTES = 4 * 1024 * 1024
"""With more than this unsent, no call is taken."""
_MORE: Any = object()
"""What the reader gives until a reply is whole."""


def hand_over(on_reply: OnReply, reply: Any) -> None:
    """Give a caller its reply. A caller's own failure is its own: the replies behind it are others'."""
    try:
        on_reply(reply)
    except Exception:  # noqa: BLE001 - whatever it is, it is logged and must not stop the parser
        _log.exception("connection.caller_failed")


_Slot = tuple[OnReply | None, float, float]
"""A call's place in the queue: who waits (None once the caller was told), when it was sent, and its deadline."""


class Connection(asyncio.Protocol):
    """Sends the calls of a loop turn in one write, and gives replies to their callers in the order of the bytes.

    `on_push` gets RESP3 pushes between the replies they arrived between; `on_lost` is called once at the end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        in_flight_max: int,
        on_push: Callable[[list[Any]], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._in_flight_max = in_flight_max
        self._on_push = on_push
        self._on_lost = on_lost
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape", notEnoughData=_MORE)
        self._waiting: deque[_Slot] = deque()
        self._expired = 0
        self._out: list[bytes] = []
        self._flushing = False
        self._is_full = False
        self._transport: asyncio.Transport | None = None
        self.received_at = loop.time()
        """When the last byte came."""
        self.proven_at = self.received_at
        """When the last call that was answered was sent: all that the server had to tell by then has come."""

    # For callers

    def call(self, command: tuple[Any, ...], on_reply: OnReply, *, deadline_seconds: float) -> None:
        """Send a command. `on_reply` is called later, never from within."""
        if self._transport is None or self._is_full or len(self._waiting) >= self._in_flight_max:
            why = "not connected" if self._transport is None else "busy"
            self._loop.call_soon(on_reply, NotReadyError(f"the hot store is {why}"))
            return
        packed = hiredis.pack_command(command)  # before the place is taken: it may fail
        now = self._loop.time()
        self._waiting.append((on_reply, now, now + deadline_seconds))
        self._out.append(packed)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what was gathered without waiting for the end of the turn."""
        self._flushing = False
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def expire(self) -> None:
        """Tell callers whose deadline has passed that nobody knows; their places stay, for the late replies."""
        now = self._loop.time()
        for i in range(self._expired, len(self._waiting)):
            on_reply, sent_at, deadline = self._waiting[i]
            if deadline > now:
                break
            self._waiting[i] = (None, sent_at, deadline)
            self._expired = i + 1
            if on_reply is not None:
                hand_over(on_reply, OutcomeUnknownError("the hot store did not answer in time"))

    def close(self) -> None:
        """End the connection; whoever waits is told that nobody knows."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_connected(self) -> bool:
        """Whether it has begun and not ended."""
        return self._transport is not None

    @property
    def in_flight(self) -> int:
        """Return how many replies are still to come."""
        return len(self._waiting)

    # For the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        """Take replies and pushes apart, strictly in the order of their bytes."""
        self.received_at = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _MORE:
                if type(reply) is hiredis.PushNotification:
                    self._on_push(reply)
                else:
                    self._answer(reply)
        except hiredis.ProtocolError:
            self.close()

    def _answer(self, reply: Any) -> None:
        if not self._waiting:  # a reply nobody asked for: this connection cannot be trusted any more
            self.close()
            return
        on_reply, self.proven_at, deadline = self._waiting.popleft()
        if self._expired:
            self._expired -= 1
        if on_reply is None:
            return
        if self.received_at > deadline:
            # Late is unknown, even if nobody had the time to say so before: a new home may have been opened meanwhile.
            reply = OutcomeUnknownError("the hot store did not answer in time")
        hand_over(on_reply, reply)

    def pause_writing(self) -> None:
        """Take no more calls: the server does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Take calls again."""
        self._is_full = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that nobody knows; first that it is lost, so that nobody takes it for alive."""
        self._transport = None
        waiting, self._waiting = self._waiting, deque()
        self._expired = 0
        self._out.clear()
        self._on_lost(self)
        for on_reply, _, _ in waiting:
            if on_reply is not None:
                why = f"the hot store's connection broke{f': {exc}' if exc else ''}"
                hand_over(on_reply, OutcomeUnknownError(why))
