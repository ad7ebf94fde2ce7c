"""What the long-running processes share: their loop, how they end, and a collector that keeps out of the way."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable

import uvloop

GC_THRESHOLDS = (50_000, 20, 50)
"""A request or an event leaves few cycles behind; the defaults would look for them every 700 objects."""


class Stop:
    """SIGTERM and SIGINT, which end the process with 0: they give up a start, and set `event` afterwards."""

    def __init__(self, starting: "asyncio.Task[int]") -> None:
        self.event = asyncio.Event()
        self._starting: asyncio.Task[int] | None = starting
        self._on_signal: Callable[[signal.Signals], None] = lambda _signal: None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def started(self, on_signal: Callable[[signal.Signals], None] = lambda _signal: None) -> None:
        """Say that the start is over: from now on a signal sets `event` and is handed to `on_signal`."""
        self._starting = None
        self._on_signal = on_signal

    def _signalled(self, number: signal.Signals) -> None:
        self.event.set()
        if self._starting is not None:
            self._starting.cancel()
        self._on_signal(number)


def run_long(main: Callable[[Stop], Awaitable[int]]) -> int:
    """Run `main` on uvloop to its end, and return its exit code; 0 if a signal came while it started."""

    async def run() -> int:
        task: asyncio.Task[int] | None = asyncio.current_task()
        if task is None:
            raise RuntimeError("no task runs")
        stop = Stop(task)
        try:
            return await main(stop)
        except asyncio.CancelledError:
            if not stop.event.is_set():
                raise
            return 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def settle_garbage() -> None:
    """Leave what lives as long as the process out of the collector's sight, and let it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
