"""What the worker does in the background."""

from collections.abc import Callable

from app.bootstrap.connections import SHARD, Connections
from app.bootstrap.operations import durabilities_of, inbox_of, operations_of
from app.bootstrap.tools import reconcile_of, recovery_of, rounds_of
from app.hotstore.backlog import OutboxRoom
from app.hotstore.clock import HotClock
from app.ledger.archive import Archive
from app.ledger.backlog import BacklogRows
from app.ledger.future_locks import FutureLocks
from app.ledger.horizon import Horizon
from app.ledger.partitions import Partitions
from app.ledger.quarantine import QuarantiningWriter
from app.ledger.reconciliations import ReconciliationRows
from app.ledger.recovery_rows import RecoveryRows
from app.worker import check, forget, inbox, overdue, partitions, reconcile, recover, retention
from app.worker.backlog import Backlog, Limits
from app.worker.clock import ClockWatch
from app.worker.duty import Duty
from app.worker.expire import Sweeper
from app.worker.persist import Persist
from app.worker.timekeeper import Timekeeper


def duties_of(stores: Connections) -> list[Duty]:
    """What the worker does in the background."""
    settings = stores.settings
    recovery = recovery_of(stores)
    persist = Persist(
        stores.client,
        stores.keys,
        stores.hot,
        QuarantiningWriter(stores.engine, SHARD),
        batch_events_max=settings.batch_events_max,
        trim_margin_seconds=settings.trim_margin_seconds,
        on_doubt=lambda: recovery.ensure_open(doubt=True),
    )
    hot_clock, rows = HotClock(stores.client, stores.keys), RecoveryRows(stores.engine, SHARD)
    clock = ClockWatch(
        hot_clock.server_seconds,
        rows.clock_seconds,
        jump_seconds_max=settings.clock_jump_seconds_max,
    )
    horizon = Horizon(
        stores.engine, SHARD, seconds=settings.horizon_seconds, entries_max=settings.horizon_entries_max
    )
    checking = []
    if settings.check_slice_seconds:
        checking.append(check.duty(rounds_of(stores).run_once, slice_seconds=settings.check_slice_seconds))
    return [
        *checking,
        recover.duty(recovery),
        persist.duty(),
        _backlog(stores, lambda: persist.trouble).duty(),
        Sweeper(stores.hot, clock, interval_seconds=settings.sweep_interval_seconds).duty(),
        Timekeeper(
            stores.hot,
            clock,
            FutureLocks(stores.engine, SHARD),
            shard_seconds=hot_clock.shard_seconds,
            ledger_seconds=rows.clock_seconds,
            set_back=lambda: recovery.ensure_open(doubt=True),
            ahead_seconds_max=settings.clock_jump_seconds_max,
        ).duty(),
        forget.duty(stores.hot, horizon),
        inbox.duty(inbox_of(stores, durabilities_of(stores))),
        _reconcile_duty(stores),
        overdue.duty(
            ReconciliationRows(stores.engine), settings.reconciled, settings.reconcile_age_seconds_max
        ),
        partitions.duty(Partitions(stores.engine, months_ahead=settings.partitions_ahead_months)),
        retention.duty(
            Archive(stores.engine, SHARD),
            months_kept=settings.ledger_months_kept,
            closed_lock_days_kept=settings.closed_lock_days_kept,
        ),
    ]


def _backlog(stores: Connections, trouble: Callable[[], str]) -> Backlog:
    settings = stores.settings
    limits = Limits(
        settings.outbox_soft,
        settings.outbox_max,
        settings.outbox_bytes_soft,
        settings.outbox_bytes_max,
        settings.disk_free_bytes_min,
    )
    return Backlog(
        OutboxRoom(stores.client, stores.keys),
        stores.hot,
        limits,
        BacklogRows(stores.engine).figures,
        trouble,
    )


def _reconcile_duty(stores: Connections) -> Duty:
    run, compensations = reconcile_of(stores), operations_of(stores).compensations

    async def run_next() -> bool:
        return await run.run_once() is not None

    async def go_on() -> bool:
        return await compensations.go_on(who="policy") > 0

    return reconcile.duty(run_next, go_on)
