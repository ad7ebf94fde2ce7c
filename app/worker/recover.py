"""The duty that opens the gate whenever it is shut, for the processes of every version that run beside this one."""

import time

from app.hotstore.gate import Gate
from app.recovery.recovery import Recovery
from app.worker.duty import Duty

PAUSE_SECONDS = 0.1
OTHERS_SECONDS = 1.0
"""How often it looks for libraries of other versions, which were loaded since or lost their gate by a restart."""


def duty(recovery: Recovery, gate: Gate) -> Duty:
    """Look at the gate ten times a second."""
    looked_at = -OTHERS_SECONDS

    async def run_once() -> bool:
        nonlocal looked_at
        found = await recovery.ensure_open()
        if found is not None or time.monotonic() - looked_at >= OTHERS_SECONDS:
            await gate.adopt()
            looked_at = time.monotonic()
        return False

    return Duty("recover", run_once, PAUSE_SECONDS)
