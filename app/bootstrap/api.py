"""An API process: what serves HTTP, and what it keeps asking for."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.bootstrap.connections import SHARD
from app.bootstrap.stores import Stores, kept, leaving, open_stores
from app.errors import NotReadyError, SellableError, UnavailableError
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.hotstore.ring import Ring
from app.hotstore.store import HotStore
from app.ledger.drift import DriftRows
from app.ledger.recovery_rows import RecoveryRows
from app.operations.epoch_watch import EpochWatch
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

CONNECTIONS_MAX = 100_000
FILES_RESERVED = 200
"""Open files beside those of connections: to the stores, uploads, logs, and connections that are turned away."""
BOOKS_SECONDS = 15.0
"""How often an API process asks the ledger what its metrics say of the books."""


class _Health:
    """Whether this process can answer: the hot store's gate must be open. Locks go on without Postgres."""

    def __init__(self, stores: Stores, key_file: "KeyFile") -> None:
        self._stores = stores
        self._key_file = key_file

    async def readiness(self) -> list[str]:
        try:
            await self._stores.hot.read_due(0)
        except NotReadyError:
            return await why_shut(self._stores.gate, RecoveryRows(self._stores.engine, SHARD))
        except SellableError as error:
            return [str(error)]
        return self._stores.level.problems

    def notes(self) -> list[str]:
        return self._stores.words.notes() + self._key_file.notes()

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
async def open_api(settings: Settings, *, secret_chars_min: int = 1) -> AsyncIterator[Api]:
    """Reach the stores, refuse what would break a promise, and return the API.

    `secret_chars_min`: keys whose secrets are shorter are refused, now and when their file changes.
    """
    keys, key_file = _keys_of(settings, secret_chars_min)
    async with open_stores(settings=settings) as stores:
        await stores.check()
        async with _line_of(stores, keys, key_file) as (api, line, epochs), _read_again(key_file, settings):
            line.start()
            epochs.start()
            try:
                async with kept(stores):
                    yield api
            finally:
                await epochs.close()


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
async def _read_again(key_file: "KeyFile", settings: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(key_file.keep(), name="keys") if settings.api_keys_file else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _line_of(
    stores: Stores, keys: "ApiKeys", key_file: "KeyFile"
) -> AsyncIterator[tuple[Api, Line, EpochWatch]]:
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
    )
    metrics.collectors.append(lambda told: told.set_gate(epoch=line.epoch, unpersisted=len(ring)))
    store = HotStore(LineCaller(line), stores.keys, library(), order=stores.settings.order, ring=ring)
    epochs = EpochWatch(
        RecoveryRows(stores.engine, SHARD),
        leaving(stores, store, line),
        ring=ring,
    )
    live = replace(stores, hot=store)
    operations = live.operations()
    operations.availability.other_memory = hot.pages.last_known
    health = _Health(live, key_file)
    metrics.collectors.append(health.tell)
    keys.on_wrong_key = metrics.count_wrong_key
    security = SecurityLog()
    app = create_app(operations, stores.settings, health, metrics=metrics, keys=keys, security=security)
    books = asyncio.create_task(_watch_books(DriftRows(stores.engine, SHARD), metrics), name="books")
    try:
        protocol = protocol_class(
            hot,
            hosts=Hosts(stores.settings.hosts) if keys.open else None,
            connections_max=stores.settings.connections_max or _connections_max(),
            security=security,
        )
        yield Api(app, hot, protocol), line, epochs
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
