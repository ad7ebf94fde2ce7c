"""`sellable worker`: the background duties of one process. Several may run."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.commands.process import run_long, settle_garbage
from app.telemetry import configure_logging
from app.worker.duty import Duty, run_all

OpenWorker = Callable[[], AbstractAsyncContextManager[list[Duty]]]


def worker(*, open_worker: OpenWorker) -> None:
    """Run until SIGTERM or SIGINT. `SellableError` when the servers cannot be used."""
    configure_logging()
    run_long(_work(open_worker))


async def _work(open_worker: OpenWorker) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with open_worker() as duties:
        settle_garbage()
        await run_all(duties, stop)
