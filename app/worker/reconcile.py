"""Reconciling: compares snapshots whose time has come, and books what was approved and not booked yet."""

from collections.abc import Awaitable, Callable

from app.worker.duty import Duty

PAUSE_SECONDS = 0.5


def duty(run_next: Callable[[], Awaitable[bool]], go_on: Callable[[], Awaitable[bool]]) -> Duty:
    """Both return whether there may be more; the comparing goes first, for it decides what is booked."""

    async def run_once() -> bool:
        more = await run_next()
        return await go_on() or more

    return Duty("reconcile", run_once, PAUSE_SECONDS)
