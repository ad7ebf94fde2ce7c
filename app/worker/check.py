"""The duty that compares the stores all the time. What compares is handed in: it lives in another room."""

from collections.abc import Awaitable, Callable

from app.worker.duty import Duty


def duty(run_once: Callable[[], Awaitable[bool]], *, slice_seconds: float) -> Duty:
    """Compare a slice every so many seconds."""
    return Duty("check", run_once, slice_seconds)
