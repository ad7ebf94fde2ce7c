"""An API process: what serves HTTP, and what it keeps asking for."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from app.addresses.reasons import is_refusal, sentence_of
from app.bootstrap.connections import SHARD
from app.bootstrap.stores import Stores, kept, leaving, open_stores
from app.errors import ConfigurationError, NotReadyError, SellableError, UnavailableError
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.hotstore.rights import of_api, of_pages
from app.hotstore.ring import Ring
from app.hotstore.store import HotStore
from app.ledger.drift import DriftRows
from app.ledger.lock_rows import LockRows
from app.ledger.recovery_rows import RecoveryRows
from app.operations.epoch_watch import EpochWatch
from app.recovery.attach import Attach
from app.recovery.state import why_shut
from app.settings import Settings
from app.telemetry import Metrics

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.api.auth import ApiKeys
    from app.api.hot.protocol import HotProtocol
    from app.api.hot.routes import HotRoutes
    from app.api.key_file import KeyFile

_log = structlog.get_logger()

START_SECONDS_MAX = 5.0
"""How long a start waits for the hot store and its gate before it serves without: /readyz says why."""
CHECK_SECONDS = 0.25
CONNECTIONS_MAX = 100_000
FILES_RESERVED = 200
"""Open files beside those of connections: to the stores, uploads, logs, and connections that are turned away."""
BOOKS_SECONDS = 15.0
"""How often an API process asks the ledger what its metrics say of the books."""


class _Health:
    """Whether this process can answer: the hot store's gate must be open. Locks go on without Postgres."""

    def __init__(self, stores: Stores, epochs: EpochWatch, key_file: "KeyFile") -> None:
        self._stores = stores
        self._epochs = epochs
        self._key_file = key_file
        self.unchecked = "the hot store was not checked yet"
        """Why no command is taken yet; '' once the stores were checked."""
        self.is_serving = False
        self.is_leaving = False

    def leave(self) -> None:
        """Send balancers away: this process is about to end. What still comes is answered."""
        self.is_leaving = True

    async def readiness(self) -> list[str]:
        if self.is_leaving:
            return ["this process is being stopped"]
        if self.unchecked:
            return [self.unchecked]
        try:
            await self._stores.hot.check_open()
        except NotReadyError:
            return await why_shut(self._stores.gate, RecoveryRows(self._stores.engine, SHARD))
        except SellableError as error:
            return [str(error)]
        return self._stores.level.problems

    def notes(self) -> list[str]:
        trouble = self._epochs.trouble
        own = [f"this process cannot ask the ledger: {trouble}"] if trouble else []
        return self._stores.words.notes() + own + self._key_file.notes()

    def tell(self, metrics: Metrics) -> None:
        """Bring the gauges up to date; what nobody has said is left as it was."""
        level, said = self._stores.level, self._stores.words
        words = said.words
        metrics.set_gauge("sellable_hot_store_fsyncs", level.level == "disk")
        metrics.set_gauge("sellable_hot_store_replicas", level.replicas)
        metrics.set_gauge("sellable_worker_silent_seconds", said.silent_seconds)
        metrics.set_gauge("sellable_expiry_overdue_seconds", said.overdue_seconds)
        metrics.set_gauge("sellable_persist_lag_seconds", said.lag_seconds)
        if words:
            metrics.set_gauge("sellable_outbox_events", words["entries"])
            metrics.set_gauge("sellable_outbox_bytes", words["bytes"])
            metrics.set_gauge("sellable_outbox_limit_events", words["limit"])
            metrics.set_gauge("sellable_outbox_level", ("ok", "soft", "hard").index(words["level"]))
            metrics.set_gauge("sellable_ledger_waits", bool(words["trouble"]))
            metrics.set_gauge("sellable_quarantined", words["quarantined"])
            # A worker of an older version says nothing of them.
            metrics.set_gauge("sellable_mismatches", words.get("mismatches", 0))


@dataclass(frozen=True, slots=True)
class Api:
    """What serves HTTP: the application, and uvicorn's protocol class with the short way for hot requests.

    `leave` lets /readyz say that this process is about to end.
    """

    app: "FastAPI"
    hot: "HotRoutes"
    protocol: "type[HotProtocol]"
    leave: Callable[[], None]


@asynccontextmanager
async def open_api(
    settings: Settings, *, secret_chars_min: int = 1, pages_only: bool = False
) -> AsyncIterator[Api]:
    """Reach the stores, refuse what would break a promise, and return the API once it can answer.

    `pages_only`: it serves product pages alone, and never writes to the hot store.
    `secret_chars_min`: keys whose secrets are shorter are refused, now and when their file changes.
    For `START_SECONDS_MAX` it waits for the hot store and its gate. After that it is returned all the same: it answers
    503 and says why, until the hot store is there, was checked, and is open.
    """
    keys, key_file = _keys_of(settings, secret_chars_min)
    async with (
        open_stores(settings=settings) as stores,
        _line_of(stores, keys, key_file, pages_only=pages_only) as (api, line, epochs, health),
        _kept_beside(stores, keys, key_file),
    ):
        needed = of_pages() if pages_only else of_api()
        start = asyncio.create_task(_start(stores, line, epochs, health, needed), name="start")
        beside = () if pages_only else (Attach(stores.gate, lambda: not line.epoch),)
        try:
            async with kept(stores, *beside):
                await asyncio.wait([start], timeout=START_SECONDS_MAX)
                if start.done():
                    start.result()
                health.is_serving = True
                yield api
        finally:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            await epochs.close()


async def _start(
    stores: Stores, line: Line, epochs: EpochWatch, health: _Health, needed: Collection[str]
) -> None:
    """Check the stores as soon as they can be reached; only then take commands. Ends once the gate is open."""
    while True:
        try:
            await stores.check()
            await stores.check_rights(needed)
            break
        except (SellableError, RedisError, OSError) as error:
            is_away = not isinstance(error, ConfigurationError) and not is_refusal(error.__cause__ or error)
            if not is_away and not health.is_serving:  # it refuses to begin
                raise
            why = sentence_of(error)
            if health.unchecked != why:
                (_log.warning if is_away else _log.error)("serve.cannot_begin", why=why)
            health.unchecked = why
        await asyncio.sleep(CHECK_SECONDS)
    health.unchecked = ""
    line.start()
    epochs.start()
    await line.opened()
    await asyncio.gather(stores.level.refresh(), stores.words.refresh(), stores.warehouses.refresh())


def _keys_of(settings: Settings, secret_chars_min: int) -> "tuple[ApiKeys, KeyFile]":
    """Read the keys, and make what reads them again when their file changes."""
    # Here, because the worker and the commands need no FastAPI.
    from app.api.api_keys import keys_of  # noqa: PLC0415
    from app.api.auth import ApiKeys  # noqa: PLC0415
    from app.api.key_file import KeyFile  # noqa: PLC0415

    load = partial(keys_of, settings, secret_chars_min=secret_chars_min)
    keys = ApiKeys(load())
    return keys, KeyFile(keys, load)


@asynccontextmanager
async def _kept_beside(stores: Stores, keys: "ApiKeys", key_file: "KeyFile") -> AsyncIterator[None]:
    """Read the keys again and count what they hold, where there are keys."""
    # Here, because the worker and the commands need no FastAPI.
    from app.api.limits import LockCounts  # noqa: PLC0415

    tasks = []
    if stores.settings.api_keys_file:
        tasks.append(asyncio.create_task(key_file.keep(), name="keys"))
    if not keys.open:
        counts = LockCounts(keys, LockRows(stores.engine).at_limit)
        tasks.append(asyncio.create_task(counts.keep(), name="open locks"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _line_of(
    stores: Stores, keys: "ApiKeys", key_file: "KeyFile", *, pages_only: bool
) -> AsyncIterator[tuple[Api, Line, EpochWatch, _Health]]:
    """Build everything that hangs on the pipelined connection."""
    # Here, because the worker and the commands need no FastAPI.
    from app.api.app import create_app  # noqa: PLC0415
    from app.api.hot.build import build_hot  # noqa: PLC0415
    from app.api.hot.hosts import Hosts  # noqa: PLC0415
    from app.api.hot.protocol import protocol_class  # noqa: PLC0415
    from app.api.security import SecurityLog  # noqa: PLC0415

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
        keys=keys,
        pages_only=pages_only,
        ranking=stores.ranking,
        is_open=stores.warehouses.is_open,
    )
    metrics.collectors.append(lambda told: told.set_gate(epoch=line.epoch, unpersisted=len(ring)))
    store = HotStore(LineCaller(line), stores.keys, library(), ranking=stores.ranking, ring=ring)
    epochs = EpochWatch(
        RecoveryRows(stores.engine, SHARD),
        leaving(stores, store, line),
        ring=ring,
        head=store.read_last,
    )
    live = replace(stores, hot=store)
    operations = live.operations()
    operations.availability.other_memory = hot.pages.last_known
    health = _Health(live, epochs, key_file)
    metrics.collectors.append(health.tell)
    keys.on_wrong_key = metrics.count_wrong_key
    security = SecurityLog()
    app = create_app(
        operations,
        stores.settings,
        health,
        metrics=metrics,
        keys=keys,
        security=security,
        pages_only=pages_only,
    )
    books = asyncio.create_task(_watch_books(DriftRows(stores.engine, SHARD), metrics), name="books")
    try:
        protocol = protocol_class(
            hot,
            hosts=Hosts(stores.settings.hosts) if keys.open else None,
            connections_max=stores.settings.connections_max or _connections_max(),
            security=security,
            admin_port=stores.settings.admin_port,
        )
        yield Api(app, hot, protocol, health.leave), line, epochs, health
    finally:
        books.cancel()
        await asyncio.gather(books, return_exceptions=True)
        await line.close()


def _connections_max() -> int:
    """Return how many connections the limit of open files allows, with room for the stores, files and refusals."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(limit // 2, min(limit - FILES_RESERVED, CONNECTIONS_MAX))


async def _watch_books(rows: DriftRows, metrics: Metrics) -> None:
    while True:
        try:
            metrics.set_books(*await rows.figures())
        except UnavailableError:
            pass  # what was said last stands
        except Exception:  # noqa: BLE001 - figures that nobody renews any more would pass for new ones
            _log.exception("books.failed")
        await asyncio.sleep(BOOKS_SECONDS)
