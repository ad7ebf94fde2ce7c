"""The duty that tries parked warehouse events again, and books those whose time is over."""

from app.operations.inbox import Inbox
from app.worker.duty import Duty

PAUSE_SECONDS = 0.2


def duty(inbox: Inbox) -> Duty:
    """Look for parked events five times a second; several workers share them."""
    return Duty("inbox", inbox.retry_parked, PAUSE_SECONDS)
