"""The duty that files events which were seen in the hot store, and which the ledger never got."""

import structlog

from app.ledger.lost import LostRows
from app.worker.duty import Duty

_log = structlog.get_logger()

PAUSE_SECONDS = 1.0


def duty(rows: LostRows) -> Duty:
    """Look every second at the epochs that are over."""

    async def run_once() -> bool:
        for one in await rows.file_missing():
            _log.error(
                "recovery.events_missing",
                first=str(one.first),
                last=str(one.last),
                nothing_else_known=one.events,
                listed_by="sellable lost list",
            )
        return False

    return Duty("lost", run_once, PAUSE_SECONDS)
