"""Overdue: a warehouse whose last snapshot is too old is named in the log; that none came must alarm as well."""

import time
from collections.abc import Sequence

import structlog

from app.domain.reconciliation import standings
from app.ledger.reconciliations import ReconciliationRows
from app.worker.duty import Duty

PAUSE_SECONDS = 900.0

_log = structlog.get_logger()


def duty(rows: ReconciliationRows, wanted: Sequence[str], age_seconds_max: float) -> Duty:
    """Look now and then; `wanted` are the warehouses that must be reconciled."""

    async def run_once() -> bool:
        for one in standings(await rows.freshness(), wanted, time.time() * 1000, age_seconds_max):
            if one.overdue:
                _log.warning(
                    "reconciliation.overdue",
                    warehouse=one.warehouse,
                    age_seconds=round(min(one.age_seconds, 1e12)),
                )
        return False

    return Duty("overdue", run_once, PAUSE_SECONDS)
