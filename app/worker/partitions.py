"""Makes the partitions of the next months ahead."""

from datetime import UTC, datetime

import structlog

from app.ledger.partitions import Partitions
from app.worker.duty import Duty

_log = structlog.get_logger()

PAUSE_SECONDS = 600.0


def duty(partitions: Partitions) -> Duty:
    """Look every ten minutes; the writer makes a partition that is missing all the same, and says so."""

    async def run_once() -> bool:
        made = await partitions.make_ahead(datetime.now(UTC))
        if made:
            _log.info("ledger.partitions_made", made=made)
        return False

    return Duty("partitions", run_once, PAUSE_SECONDS)
