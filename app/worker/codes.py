"""Codes that a version from before there were lists of them booked, while it was replaced: listed as well."""

import structlog

from app.ledger.skus import SkuRows
from app.worker.duty import Duty

_log = structlog.get_logger()

PAUSE_SECONDS = 3_600.0
"""It looks at every SKU, and finds none but after an upgrade."""


def duty(rows: SkuRows) -> Duty:
    """Look once an hour; whoever writes the ledger by this version lists what it books itself."""

    async def run_once() -> bool:
        listed, more = await rows.list_unlisted()
        if listed:
            _log.info("codes.listed", skus=listed)
        return more

    return Duty("codes", run_once, PAUSE_SECONDS)
