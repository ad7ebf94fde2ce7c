"""Puts the parts together: the only place that knows everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Position
from app.domain.reconciliation import read_policy
from app.errors import ConfigurationError, NotReadyError, SellableError, UnavailableError
from app.hotstore import wire
from app.hotstore.backlog import OutboxRoom
from app.hotstore.gate import Gate
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.hotstore.replicas import Replicas
from app.hotstore.ring import Ring
from app.hotstore.scan import Scan
from app.hotstore.store import HotStore
from app.hotstore.words import WorkerWords
from app.ledger import database
from app.ledger.archive import Archive
from app.ledger.audit import Audit
from app.ledger.check import LedgerCheck
from app.ledger.counts import CountRows
from app.ledger.drift import DriftRows
from app.ledger.future_locks import FutureLocks
from app.ledger.horizon import Horizon
from app.ledger.inbox import InboxRows
from app.ledger.ledger import Ledger
from app.ledger.lost import LostRows
from app.ledger.migrate import check_schema, migrate
from app.ledger.partitions import Partitions
from app.ledger.past import PastRows
from app.ledger.purchase_orders import PurchaseOrders as PlanRows
from app.ledger.quarantine import QuarantiningWriter
from app.ledger.queries import statement
from app.ledger.reconciliations import ReconciliationRows
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.shortages import ShortageRows
from app.ledger.snapshots import Policy, Snapshots
from app.ledger.watch import LedgerWatch
from app.operations.adjustments import Adjustments
from app.operations.availability import Availability
from app.operations.buffers import Buffers
from app.operations.compensations import Compensations
from app.operations.durability import Durabilities
from app.operations.epoch_watch import EpochWatch
from app.operations.exchanges import Exchanges
from app.operations.inbox import Inbox
from app.operations.inbox_counts import InboxCounts
from app.operations.locks import Locks
from app.operations.once import Once
from app.operations.openings import Openings
from app.operations.operations import Operations
from app.operations.past import Past
from app.operations.past_locks import PastLocks
from app.operations.purchase_orders import PurchaseOrders
from app.operations.quarantine import Quarantine
from app.operations.reconciliations import Reconciliations
from app.operations.returns import Returns
from app.operations.shortages import Shortages
from app.operations.stock import StockCounts
from app.operations.stock_takes import StockTakes
from app.operations.transfers import Transfers
from app.reconcile.reconcile import Reconcile
from app.reconcile.rounds import Rounds
from app.reconcile.verify import Verify
from app.recovery.belonging import check_installation, refuse_foreign_keys
from app.recovery.checks import HotLevel, HotServer, check_hot_server
from app.recovery.recovery import Recovery, Rules
from app.recovery.state import why_shut
from app.settings import Settings, read_settings
from app.telemetry import Metrics
from app.worker import check, forget, inbox, keep_books, overdue, reconcile, recover
from app.worker.backlog import Backlog, Figures, Limits
from app.worker.clock import ClockWatch
from app.worker.duty import Duty
from app.worker.expire import Sweeper
from app.worker.persist import Persist
from app.worker.timekeeper import Timekeeper

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.api.hot.protocol import HotProtocol
    from app.api.hot.routes import HotRoutes

_log = structlog.get_logger()

SHARD = 0
SETTLE_SECONDS = 1.0
"""Beyond a call's deadline, until a new home is opened: time for every process to notice that the old one is over."""
CATCH_UP_SECONDS = 3.0
"""How long the running check waits for the ledger before it leaves a slice to the next round."""
BOOKS_SECONDS = 15.0
"""How often an API process asks the ledger what its metrics say of the books."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Stores:
    """Both stores of one shard, and what is done to them as a whole."""

    settings: Settings
    redis_url: str
    client: Redis
    engine: AsyncEngine
    keys: Keys
    hot: HotStore
    gate: Gate
    level: HotLevel
    watch: LedgerWatch
    replicas: Replicas
    words: WorkerWords

    async def check(self) -> HotServer:
        """Refuse servers that would break a promise, or do not belong together; read the level the hot store gives."""
        server = await self._check_hot_server()
        with contextlib.suppress(UnavailableError):  # locks go on without Postgres, and so does a start
            await check_schema(self.engine)
        await check_installation(self.client, self.keys, RecoveryRows(self.engine, SHARD))
        return server

    async def _check_hot_server(self) -> HotServer:
        server = await check_hot_server(self.client, self.keys)
        if not self.settings.redis_shared:
            await refuse_foreign_keys(self.client, self.keys)
        await self.level.refresh()
        return server

    async def migrate(self) -> str:
        """Bring the ledger's tables and the functions up to date; return the revision."""
        await self._check_hot_server()
        revision = await migrate(self.engine)
        await self.gate.load_library()
        return revision

    def recovery(self, progress: Progress = lambda _what, _count: None) -> Recovery:
        """What opens the gate."""
        return Recovery(
            self.client,
            self.keys,
            self.gate,
            RecoveryRows(self.engine, SHARD),
            QuarantiningWriter(self.engine, SHARD),
            Rules(
                horizon_seconds=self.settings.horizon_seconds,
                outbox_max=self.settings.outbox_max,
                settle_seconds=self.settings.call_deadline_seconds + SETTLE_SECONDS,
                clock_ahead_seconds=self.settings.clock_jump_seconds_max,
            ),
            progress=progress,
        )

    def lost(self) -> LostRows:
        """What lists events that the ledger did not take."""
        return LostRows(self.engine, SHARD)

    def verify(self, progress: Progress) -> Verify:
        """What compares the stores."""
        return Verify(Scan(self.client, self.keys), Audit(self.engine, SHARD), progress=progress)

    def rounds(self) -> Rounds:
        """What compares the stores all the time."""
        verify = Verify(Scan(self.client, self.keys), Audit(self.engine, SHARD), settled=self._caught_up)
        return Rounds(verify, DriftRows(self.engine, SHARD), self._epoch)

    async def _caught_up(self) -> bool:
        """Wait a little until the ledger has all that the hot store has now; whether it has."""
        last = Position.parse(await self.hot.read_last())
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                return await self.watch.reached(last)
        except TimeoutError:
            return False

    async def _epoch(self) -> str:
        return (await self.hot.read_last()).partition("-")[0]

    def reconcile(self, progress: Progress = lambda _what, _count: None) -> Reconcile:
        """What compares a warehouse's snapshots with the ledger."""
        settings = self.settings
        policy = Policy(
            read_policy(settings.reconcile_policy),
            settings.reconcile_apply_units_max,
            settings.reconcile_differing_share_max,
            timedelta(seconds=settings.reconcile_window_seconds),
        )
        return Reconcile(Snapshots(self.engine, SHARD), policy, progress=progress)

    def quarantine(self) -> Quarantine:
        """What a person does about events that the ledger could not book."""
        return Quarantine(self.hot, QuarantiningWriter(self.engine, SHARD))

    def operations(self) -> Operations:
        """What the API and the commands can do."""
        settings = self.settings
        durabilities = self.durabilities()
        ledger = Ledger(self.engine)
        once, past = Once(ledger, settings.horizon_seconds), PastLocks(self.hot, ledger)
        return Operations(
            locks=Locks(self.hot, ledger, durabilities),
            availability=Availability(
                self.hot, entries_max=settings.stale_entries_max, stale_seconds_max=settings.stale_seconds_max
            ),
            stock=StockCounts(self.hot),
            returns=Returns(self.hot, durabilities, once, past),
            adjustments=Adjustments(self.hot, durabilities, once),
            openings=Openings(self.hot),
            exchanges=Exchanges(self.hot, durabilities),
            transfers=Transfers(self.hot, Ledger(self.engine), durabilities),
            buffers=Buffers(self.hot, durabilities),
            purchase_orders=PurchaseOrders(self.hot, PlanRows(self.engine), ledger, durabilities),
            stock_takes=StockTakes(self.hot, ledger, CountRows(self.engine), durabilities),
            shortages=Shortages(self.hot, ShortageRows(self.engine), durabilities, settings.shortage_choice),
            inbox=self.inbox(durabilities),
            past=Past(self.hot, PastRows(self.engine), durabilities),
            reconciliations=Reconciliations(
                self.hot, Snapshots(self.engine, SHARD), ReconciliationRows(self.engine)
            ),
            compensations=Compensations(
                self.hot, ReconciliationRows(self.engine), CountRows(self.engine), durabilities
            ),
        )

    def inbox(self, durabilities: Durabilities) -> Inbox:
        """What takes events of warehouse systems; the worker tries those that wait again."""
        ledger, settings = Ledger(self.engine), self.settings
        return Inbox(
            self.hot,
            ledger,
            InboxRows(self.engine, SHARD),
            InboxCounts(self.hot, CountRows(self.engine), durabilities),
            PastLocks(self.hot, ledger),
            durabilities,
            settings.rules,
            wait_seconds=settings.inbox_wait_seconds,
            horizon_seconds=settings.horizon_seconds,
        )

    def durabilities(self) -> Durabilities:
        """What waits until a write is as safe as was asked for."""
        return Durabilities(
            hot_level=lambda: self.level.level,
            watch=self.watch,
            wait_seconds=self.settings.durability_wait_seconds,
            replicas=self.replicas.held,
            has_replicas=lambda: self.level.has_replicas,
        )

    def duties(self) -> list[Duty]:
        """What the worker does in the background."""
        settings = self.settings
        recovery = self.recovery()
        persist = Persist(
            self.client,
            self.keys,
            self.hot,
            QuarantiningWriter(self.engine, SHARD),
            batch_events_max=settings.batch_events_max,
            trim_margin_seconds=settings.trim_margin_seconds,
            on_doubt=lambda: recovery.ensure_open(doubt=True),
        )
        clock = ClockWatch(
            self._hot_seconds, self._ledger_seconds, jump_seconds_max=settings.clock_jump_seconds_max
        )
        horizon = Horizon(
            self.engine, SHARD, seconds=settings.horizon_seconds, entries_max=settings.horizon_entries_max
        )
        checking = []
        if settings.check_slice_seconds:
            checking.append(check.duty(self.rounds().run_once, slice_seconds=settings.check_slice_seconds))
        return [
            *checking,
            recover.duty(recovery),
            persist.duty(),
            self._backlog(lambda: persist.trouble).duty(),
            Sweeper(self.hot, clock, interval_seconds=settings.sweep_interval_seconds).duty(),
            Timekeeper(
                self.hot,
                clock,
                FutureLocks(self.engine, SHARD),
                shard_seconds=self._shard_seconds,
                ledger_seconds=self._ledger_seconds,
                set_back=lambda: recovery.ensure_open(doubt=True),
                ahead_seconds_max=settings.clock_jump_seconds_max,
            ).duty(),
            forget.duty(self.hot, horizon),
            inbox.duty(self.inbox(self.durabilities())),
            self._reconcile_duty(),
            overdue.duty(
                ReconciliationRows(self.engine), settings.reconciled, settings.reconcile_age_seconds_max
            ),
            keep_books.partitions_duty(
                Partitions(self.engine, months_ahead=settings.partitions_ahead_months)
            ),
            keep_books.retention_duty(
                Archive(self.engine, SHARD),
                months_kept=settings.ledger_months_kept,
                closed_lock_days_kept=settings.closed_lock_days_kept,
            ),
        ]

    def _backlog(self, trouble: Callable[[], str]) -> Backlog:
        settings = self.settings
        limits = Limits(
            settings.outbox_soft,
            settings.outbox_max,
            settings.outbox_bytes_soft,
            settings.outbox_bytes_max,
            settings.disk_free_bytes_min,
        )
        return Backlog(OutboxRoom(self.client, self.keys), self.hot, limits, self._figures, trouble)

    async def _figures(self) -> Figures:
        async with database.snapshot(self.engine) as connection:
            return Figures(*(await connection.execute(statement("backlog_figures"))).one())

    def _reconcile_duty(self) -> Duty:
        run, compensations = self.reconcile(), self.operations().compensations

        async def run_next() -> bool:
            return await run.run_once() is not None

        async def go_on() -> bool:
            return await compensations.go_on(who="policy") > 0

        return reconcile.duty(run_next, go_on)

    async def _hot_seconds(self) -> float:
        seconds, micros = await self.client.time()
        return float(seconds) + float(micros) / 1e6

    async def _shard_seconds(self) -> float:
        return float(await self.client.hget(self.keys.meta, "at") or 0) / 1e3

    async def _ledger_seconds(self) -> float:
        async with database.snapshot(self.engine) as connection:
            now = await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))
            return float(now.scalar_one())


@asynccontextmanager
async def open_stores(
    redis_url: str = "", database_url: str = "", *, settings: Settings | None = None
) -> AsyncIterator[Stores]:
    """Reach both stores; URLs not given come from the settings. Nothing is connected before it is used."""
    settings = settings or read_settings()
    redis_url, database_url = redis_url or settings.redis_url, database_url or settings.database_url
    if not redis_url or not database_url:
        raise ConfigurationError(
            "SELLABLE_REDIS_URL and SELLABLE_DATABASE_URL must be set (or use `sellable up`)"
        )
    client = wire.connect(redis_url)
    engine = database.open_engine(database_url)
    stores = _stores_of(settings, redis_url, client, engine)
    try:
        yield stores
    finally:
        await stores.watch.close()
        await stores.replicas.close()
        await client.aclose()
        await engine.dispose()


def _stores_of(settings: Settings, redis_url: str, client: Redis, engine: AsyncEngine) -> Stores:
    keys, code = Keys(settings.prefix), library()
    caller = wire.FunctionCaller(client, deadline_seconds=settings.call_deadline_seconds)
    level = HotLevel(client, replicas=settings.replicas)
    replicas = Replicas(
        wire.connect(redis_url, connections_max=1),
        keys,
        code,
        needed=lambda: level.replicas_needed,
        wait_seconds=settings.durability_wait_seconds,
    )
    return Stores(
        settings,
        redis_url,
        client,
        engine,
        keys,
        HotStore(caller, keys, code, order=settings.order),
        Gate(client, keys, code),
        level,
        LedgerWatch(engine, SHARD),
        replicas,
        WorkerWords(client, keys),
    )


@dataclass(frozen=True, slots=True)
class LedgerBooks:
    """The ledger alone."""

    engine: AsyncEngine

    def check(self, progress: Progress = lambda _what, _count: None) -> LedgerCheck:
        """What finds out whether it is whole."""
        return LedgerCheck(self.engine, SHARD, now=datetime.now(UTC), progress=progress)


@asynccontextmanager
async def open_ledger(database_url: str = "") -> AsyncIterator[LedgerBooks]:
    """Reach the ledger of a running service."""
    engine = database.open_engine(database_url or read_settings().database_url)
    try:
        yield LedgerBooks(engine)
    finally:
        await engine.dispose()


@asynccontextmanager
async def open_operations(redis_url: str = "", database_url: str = "") -> AsyncIterator[Operations]:
    """Reach a running service's stores."""
    async with open_stores(redis_url, database_url) as stores:
        await stores.check()
        yield stores.operations()


@asynccontextmanager
async def open_worker() -> AsyncIterator[list[Duty]]:
    """Reach the stores, refuse what would break a promise, and return the duties."""
    async with open_stores() as stores:
        await stores.check()
        await check_schema(stores.engine)
        line = Line(
            stores.redis_url, stores.keys, library(), deadline_seconds=stores.settings.call_deadline_seconds
        )
        # One pipelined connection: hundreds of overdue locks expire with one write, and one fsync.
        store = HotStore(LineCaller(line), stores.keys, library(), order=stores.settings.order)
        line.start()
        watch = EpochWatch(RecoveryRows(stores.engine, SHARD), _leaving(stores, store, line))
        watch.start()
        try:
            async with _kept(stores):
                yield replace(stores, hot=store).duties()
        finally:
            await watch.close()
            await line.close()


def _leaving(stores: Stores, store: HotStore, line: Line) -> Callable[[int], Awaitable[None]]:
    """What drops every connection to a memory of an earlier epoch."""

    async def leave(epoch_min: int) -> None:
        store.leave(epoch_min)
        stores.hot.leave(epoch_min)
        line.leave(epoch_min)
        await stores.client.connection_pool.disconnect(inuse_connections=False)

    return leave


class _Health:
    """Whether this process can answer: the hot store's gate must be open. Locks go on without Postgres."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def readiness(self) -> list[str]:
        try:
            await self._stores.hot.read_due(0)
        except NotReadyError:
            return await why_shut(self._stores.gate, RecoveryRows(self._stores.engine, SHARD))
        except SellableError as error:
            return [str(error)]
        return self._stores.level.problems

    def notes(self) -> list[str]:
        return self._stores.words.notes()

    def tell(self, metrics: Metrics) -> None:
        """Bring the gauges up to date; what nobody has said is left as it was."""
        level, words = self._stores.level, self._stores.words.words
        metrics.set_gauge("sellable_hot_store_fsyncs", level.level == "disk")
        metrics.set_gauge("sellable_hot_store_replicas", level.replicas)
        if words:
            metrics.set_gauge("sellable_outbox_events", words["entries"])
            metrics.set_gauge("sellable_outbox_bytes", words["bytes"])
            metrics.set_gauge("sellable_outbox_limit_events", words["limit"])
            metrics.set_gauge("sellable_outbox_level", ("ok", "soft", "hard").index(words["level"]))
            metrics.set_gauge("sellable_ledger_waits", bool(words["trouble"]))
            metrics.set_gauge("sellable_quarantined", words["quarantined"])


@dataclass(frozen=True, slots=True)
class Api:
    """What serves HTTP: the application, and uvicorn's protocol class with the short way for hot requests."""

    app: "FastAPI"
    hot: "HotRoutes"
    protocol: "type[HotProtocol]"


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[Api]:
    """Reach the stores, refuse what would break a promise, and return the API."""
    async with open_stores(settings=settings) as stores:
        await stores.check()
        async with _line_of(stores) as (api, line, epochs):
            line.start()
            epochs.start()
            try:
                async with _kept(stores):
                    yield api
            finally:
                await epochs.close()


@asynccontextmanager
async def _kept(stores: Stores) -> AsyncIterator[None]:
    """Keep reading what the hot store can keep, and what the worker says."""
    tasks = [asyncio.create_task(one.keep()) for one in (stores.level, stores.words)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _line_of(stores: Stores) -> AsyncIterator[tuple[Api, Line, EpochWatch]]:
    """Build everything that hangs on the pipelined connection."""
    # Here, because the worker and the commands need no FastAPI.
    from app.api.app import create_app  # noqa: PLC0415
    from app.api.hot.build import build_hot  # noqa: PLC0415
    from app.api.hot.protocol import protocol_class  # noqa: PLC0415

    metrics, ring = Metrics(), Ring(stores.settings.ring_entries_max)
    level = stores.level
    hot, line = build_hot(
        stores.settings,
        stores.redis_url,
        stores.keys,
        metrics,
        level=lambda: level.level,
        on_shut=level.doubt,
        ring=ring,
    )
    metrics.collectors.append(lambda told: told.set_gate(epoch=line.epoch, unpersisted=len(ring)))
    store = HotStore(LineCaller(line), stores.keys, library(), order=stores.settings.order, ring=ring)
    epochs = EpochWatch(
        RecoveryRows(stores.engine, SHARD),
        _leaving(stores, store, line),
        ring=ring,
    )
    live = replace(stores, hot=store)
    operations = live.operations()
    health = _Health(live)
    metrics.collectors.append(health.tell)
    app = create_app(operations, stores.settings, health, metrics=metrics)
    books = asyncio.create_task(_watch_books(DriftRows(stores.engine, SHARD), metrics), name="books")
    try:
        yield Api(app, hot, protocol_class(hot)), line, epochs
    finally:
        books.cancel()
        await asyncio.gather(books, return_exceptions=True)
        await operations.locks.durabilities.close()
        await line.close()


async def _watch_books(rows: DriftRows, metrics: Metrics) -> None:
    while True:
        try:
            metrics.set_books(*await rows.figures())
        except UnavailableError:
            pass  # what was said last stands
        except Exception:  # noqa: BLE001 - figures that nobody renews any more would pass for new ones
            _log.exception("books.failed")
        await asyncio.sleep(BOOKS_SECONDS)
