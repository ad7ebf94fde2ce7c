"""What the worker does in the background."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.bootstrap.connections import SHARD, Connections
from app.bootstrap.operations import durabilities_of, inbox_of, operations_of
from app.bootstrap.tools import lost_of, reconcile_of, recovery_of, rounds_of
from app.hotstore.backlog import OutboxRoom
from app.hotstore.clock import HotClock
from app.hotstore.store import HotStore
from app.ledger.archive import Archive
from app.ledger.backlog import BacklogRows
from app.ledger.future_locks import FutureLocks
from app.ledger.horizon import Horizon
from app.ledger.partitions import Partitions
from app.ledger.quarantine import QuarantiningWriter
from app.ledger.reconciliations import ReconciliationRows
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.skus import SkuRows
from app.recovery.checks import HotLevel
from app.worker import check, codes, forget, inbox, lost, overdue, partitions, reconcile, recover, retention
from app.worker.backlog import Backlog, Limits
from app.worker.clock import ClockWatch
from app.worker.duty import Duty, Waiting
from app.worker.expire import Sweeper
from app.worker.persist import Persist
from app.worker.timekeeper import Timekeeper


def duties_of(stores: Connections, speaks: HotStore | None = None) -> list[Duty]:
    """What the worker does in the background. `speaks` is what it publishes its status with, if it is another."""
    settings = stores.settings
    waiting = Waiting()
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
    duties = [
        *checking,
        recover.duty(recovery, stores.gate),
        persist.duty(),
        _backlog(stores, speaks or stores.hot, lambda: persist.trouble, waiting).duty(),
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
        lost.duty(lost_of(stores)),
        forget.duty(stores.hot, horizon),
        inbox.duty(inbox_of(stores, durabilities_of(stores))),
        _reconcile_duty(stores),
        overdue.duty(
            ReconciliationRows(stores.engine), settings.reconciled, settings.reconcile_age_seconds_max
        ),
        codes.duty(SkuRows(stores.engine)),
        partitions.duty(Partitions(stores.engine, months_ahead=settings.partitions_ahead_months)),
        retention.duty(
            Archive(stores.engine, SHARD),
            months_kept=settings.ledger_months_kept,
            closed_lock_days_kept=settings.closed_lock_days_kept,
        ),
    ]
    return [waiting.noting(duty) for duty in duties]


@dataclass(frozen=True, slots=True)
class _Status:
    waiting: Waiting
    level: HotLevel

    def waits(self) -> dict[str, str]:
        return self.waiting.waits()

    async def durability(self) -> dict[str, Any]:
        await self.level.refresh()
        return self.level.statement


def _backlog(stores: Connections, speaks: HotStore, trouble: Callable[[], str], waiting: Waiting) -> Backlog:
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
        speaks,
        limits,
        BacklogRows(stores.engine).figures,
        trouble,
        _Status(waiting, stores.level),
    )


def _reconcile_duty(stores: Connections) -> Duty:
    run, compensations = reconcile_of(stores), operations_of(stores).compensations

    async def run_next() -> bool:
        return await run.run_once() is not None

    async def go_on() -> bool:
        return await compensations.go_on(who="policy") > 0

    return reconcile.duty(run_next, go_on)
