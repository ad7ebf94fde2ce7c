"""Who has waited for long enough: connections whose request is not whole yet, with one timer for all of them."""

import asyncio
from typing import Protocol

LOOK_SECONDS = 0.25
AGAIN_SECONDS = 0.01
"""Until the next look when more are overdue than are ended in one."""
ENDED_MAX = 100
"""Ended in one look: a few milliseconds' work."""


class Waits(Protocol):
    """A connection."""

    def overdue(self, now: float) -> float | None:
        """End it if its time is over; return when to ask again, None if there is nothing to wait for."""


class Waiting:
    """Each waiting connection with the time at which it is asked; whoever has gone on meanwhile says so then.

    So a request that comes in whole, as nearly all do, costs nothing here.
    """

    def __init__(self) -> None:
        self._due: dict[Waits, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, connection: Waits, due: float, loop: asyncio.AbstractEventLoop) -> None:
        """Ask a connection at a time, on the loop's clock, instead of when it was to be asked so far."""
        self._due[connection] = due
        if self._timer is None:
            self._timer = loop.call_later(LOOK_SECONDS, self._look, loop)

    def remove(self, connection: Waits) -> None:
        """Forget a connection that has ended."""
        self._due.pop(connection, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        overdue = [connection for connection, due in self._due.items() if due <= now]
        for connection in overdue[:ENDED_MAX]:
            due = connection.overdue(now)
            if due is None:
                self._due.pop(connection, None)
            elif connection in self._due:
                self._due[connection] = due
        pause = AGAIN_SECONDS if len(overdue) > ENDED_MAX else LOOK_SECONDS
        self._timer = loop.call_later(pause, self._look, loop) if self._due else None
