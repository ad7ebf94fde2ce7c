"""The world outside the service: a thread with an event loop, where clients and networks live."""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Outside:
    """Runs coroutines beside the main thread, which kills, waits and asks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="outside", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, what: Coroutine[Any, Any, T], *, limit_seconds: float = 600.0) -> T:
        """Wait for a coroutine, from the main thread."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(limit_seconds)

    def do(self, what: Any, *arguments: Any) -> None:
        """Call something in the loop, and wait until it was."""

        async def call() -> None:
            what(*arguments)

        self.run(call())

    async def _end_tasks(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
