"""Takes out of the ledger what is older than the settings say: whole months, and locks that ended."""

from datetime import UTC, datetime, timedelta

import structlog

from app.ledger.archive import Archive, Archived, Waits
from app.worker.duty import Duty

_log = structlog.get_logger()

PAUSE_SECONDS = 600.0


def duty(archive: Archive, *, months_kept: int, closed_lock_days_kept: int) -> Duty:
    """Archive months and closed locks beyond the settings; 0 keeps them for ever."""

    async def run_once() -> bool:
        more = await _close_locks(archive, closed_lock_days_kept) if closed_lock_days_kept else False
        if months_kept:
            more = await _archive(archive, months_kept) or more
        return more

    return Duty("retention", run_once, PAUSE_SECONDS)


async def _close_locks(archive: Archive, days_kept: int) -> bool:
    before = datetime.now(UTC) - timedelta(days=days_kept)
    closed = await archive.close_locks(before)
    if closed:
        _log.info("ledger.locks_closed", locks=closed, ended_before=before.isoformat(), kept_in="closed_lock")
    return closed > 0


async def _archive(archive: Archive, months_kept: int) -> bool:
    match await archive.archive_oldest(datetime.now(UTC), months_kept=months_kept):
        case Archived(month, events, moves):
            _log.warning(
                "ledger.month_archived",
                month=f"{month.begin:%Y-%m}",
                events=events,
                moves=moves,
                schema="archive",
            )
            return True
        case Waits(month, why):
            _log.error("ledger.month_waits", month=f"{month.begin:%Y-%m}", why=why)
    return False
