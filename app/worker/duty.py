"""The one shape of a background duty: run once, again and again, until it is told to stop."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog
from redis.exceptions import RedisError

from app.addresses.reasons import sentence_of
from app.errors import SellableError
from app.waits import Waits

_log = structlog.get_logger()

BACKOFF_SECONDS_MAX = 1.0
UNEXPECTED = "an error that nobody expected (see `duty.failed` in the worker's log)"
_EXPECTED = (SellableError, RedisError, OSError)


@dataclass(frozen=True, slots=True)
class Duty:
    """`run_once` returns True if there may be more to do at once; else it is called again after `pause_seconds`."""

    name: str
    run_once: Callable[[], Awaitable[bool]]
    pause_seconds: float
    on_wait: Callable[[str], None] = lambda _why: None
    """Told why it has to wait, and '' once it goes on."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Servers that are away are waited for; what nobody expected is logged and retried."""
        backoff_seconds, waits = 0.05, Waits(_log, "duty", duty=self.name)
        while not stop.is_set():
            try:
                more = await self.run_once()
                backoff_seconds = 0.05
                waits.over()
                self.on_wait("")
                await _sleep(stop, 0 if more else self.pause_seconds)
            except _EXPECTED as error:
                why = sentence_of(error)
                self.on_wait(why)
                waits.because(why)
                await _sleep(stop, backoff_seconds)
                backoff_seconds = min(backoff_seconds * 2, BACKOFF_SECONDS_MAX)
            except Exception:  # noqa: BLE001 - a duty goes on; the log has the whole story
                self.on_wait(UNEXPECTED)
                _log.exception("duty.failed", duty=self.name)
                await _sleep(stop, BACKOFF_SECONDS_MAX)


WAITS_SECONDS = 3.0
"""A job that waits for less is not worth a word: a server may just have been restarted."""


class Waiting:
    """Which background jobs wait, since when and why."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, str]] = {}

    def noting(self, duty: Duty) -> Duty:
        """Return the job as one that notes here when it has to wait."""

        def on_wait(why: str) -> None:
            self._note(duty.name, why)
            duty.on_wait(why)

        return replace(duty, on_wait=on_wait)

    def waits(self) -> dict[str, str]:
        """Return why, of those that have been waiting for a while."""
        begun = time.monotonic() - WAITS_SECONDS
        return {name: why for name, (since, why) in self._since.items() if since < begun}

    def _note(self, name: str, why: str) -> None:
        if why:
            since, _ = self._since.get(name, (time.monotonic(), ""))
            self._since[name] = since, why
        else:
            self._since.pop(name, None)


async def run_all(duties: list[Duty], stop: asyncio.Event) -> None:
    """Run the duties side by side until `stop`."""
    async with asyncio.TaskGroup() as group:
        for duty in duties:
            group.create_task(duty.run(stop), name=duty.name)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
