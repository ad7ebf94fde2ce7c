"""The duty that opens the gate whenever it is shut."""

from app.recovery.recovery import Recovery
from app.worker.duty import Duty

PAUSE_SECONDS = 0.1


def duty(recovery: Recovery) -> Duty:
    """Look at the gate ten times a second."""

    async def run_once() -> bool:
        await recovery.ensure_open()
        return False

    return Duty("recover", run_once, PAUSE_SECONDS)
