"""`sellable worker`: the background duties of one process. Several may run."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.commands.process import Stop, run_long, settle_garbage
from app.telemetry import configure_logging
from app.worker.duty import Duty, run_all

OpenWorker = Callable[[], AbstractAsyncContextManager[list[Duty]]]


def worker(*, open_worker: OpenWorker) -> int:
    """Run until SIGTERM or SIGINT, and return 0. `SellableError` when the servers cannot be used."""
    configure_logging()

    async def work(stop: Stop) -> int:
        async with open_worker() as duties:
            settle_garbage()
            stop.started()
            await run_all(duties, stop.event)
        return 0

    return run_long(work)
