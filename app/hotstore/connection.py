"""One pipelined connection to the hot store: asyncio and hiredis, nothing between.

Replies come in the order of the calls, so each call waits in a queue for its own. A caller that gives up leaves
its place in the queue: a late reply is dropped there and never handed to another call.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from app.errors import NotReadyError, OutcomeUnknownError

OnReply = Callable[[Any], None]
"""Called once with the reply, or with the exception that stands for it."""

WRITE_HIGH_BYTES = 4 * 1024 * 1024


class _Slot:
    """A call's place in the queue."""

    __slots__ = ("deadline", "on_reply")

    def __init__(self, on_reply: OnReply | None, deadline: float) -> None:
        self.on_reply = on_reply
        self.deadline = deadline


class Connection(asyncio.Protocol):
    """Sends calls in one write a loop turn, and gives replies to their callers in the order of the bytes.

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
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        self._waiting: deque[_Slot] = deque()
        self._expired = 0
        self._out: list[bytes] = []
        self._flushing = False
        self._transport: asyncio.Transport | None = None
        self.received_at = loop.time()

    # For callers

    def call(self, command: tuple[Any, ...], on_reply: OnReply, *, deadline_seconds: float) -> None:
        """Send a command. `on_reply` is called later, never from within."""
        if self._transport is None or len(self._waiting) >= self._in_flight_max:
            why = "not connected" if self._transport is None else "busy"
            self._loop.call_soon(on_reply, NotReadyError(f"the hot store is {why}"))
            return
        self._waiting.append(_Slot(on_reply, self._loop.time() + deadline_seconds))
        self._out.append(hiredis.pack_command(command))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def expire(self) -> None:
        """Tell callers whose deadline has passed that nobody knows; their places stay, for the late replies."""
        now = self._loop.time()
        for i in range(self._expired, len(self._waiting)):
            slot = self._waiting[i]
            if slot.deadline > now:
                break
            self._expired = i + 1
            if slot.on_reply is not None:
                on_reply, slot.on_reply = slot.on_reply, None
                on_reply(OutcomeUnknownError("the hot store did not answer in time"))

    def close(self) -> None:
        """End the connection; whoever waits is told that nobody knows."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def in_flight(self) -> int:
        """Return how many replies are still to come."""
        return len(self._waiting)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

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
            while (reply := self._reader.gets()) is not False:
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
        slot = self._waiting.popleft()
        if self._expired:
            self._expired -= 1
        if slot.on_reply is not None:
            slot.on_reply(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that nobody knows."""
        self._transport = None
        waiting, self._waiting = self._waiting, deque()
        self._expired = 0
        self._out.clear()
        for slot in waiting:
            if slot.on_reply is not None:
                slot.on_reply(
                    OutcomeUnknownError(f"the hot store's connection broke{f': {exc}' if exc else ''}")
                )
        self._on_lost(self)
