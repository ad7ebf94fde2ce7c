"""Both stores, and all that can be had of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from app.bootstrap import tools
from app.bootstrap.connections import Connections
from app.bootstrap.duties import duties_of
from app.bootstrap.operations import operations_of
from app.bootstrap.tools import Progress
from app.errors import ConfigurationError
from app.hotstore.line import Line
from app.hotstore.store import HotStore
from app.ledger.lost import LostRows
from app.operations.operations import Operations
from app.operations.quarantine import Quarantine
from app.reconcile.reconcile import Reconcile
from app.reconcile.rounds import Rounds
from app.reconcile.verify import Verify
from app.recovery.recovery import Recovery
from app.settings import Settings, read_settings
from app.worker.duty import Duty


class Stores(Connections):
    """Both stores of one shard, and what is done to them as a whole."""

    __slots__ = ()

    def recovery(self, progress: Progress = lambda _what, _count: None) -> Recovery:
        """What opens the gate."""
        return tools.recovery_of(self, progress)

    def lost(self) -> LostRows:
        """What lists events that the ledger did not take."""
        return tools.lost_of(self)

    def verify(self, progress: Progress) -> Verify:
        """What compares the stores."""
        return tools.verify_of(self, progress)

    def rounds(self) -> Rounds:
        """What compares the stores all the time."""
        return tools.rounds_of(self)

    def reconcile(self, progress: Progress = lambda _what, _count: None) -> Reconcile:
        """What compares a warehouse's snapshots with the ledger."""
        return tools.reconcile_of(self, progress)

    def quarantine(self) -> Quarantine:
        """What a person does about events that the ledger could not book."""
        return tools.quarantine_of(self)

    def operations(self) -> Operations:
        """What the API and the commands can do."""
        return operations_of(self)

    def duties(self, speaks: HotStore | None = None) -> list[Duty]:
        """What the worker does in the background. `speaks` is what it publishes its status with, if it is another."""
        return duties_of(self, speaks)


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
    stores = Stores.connect(settings, redis_url, database_url)
    try:
        yield stores
    finally:
        await stores.watch.close()
        await stores.replicas.close()
        await stores.client.aclose()
        await stores.engine.dispose()


@asynccontextmanager
async def open_operations(redis_url: str = "", database_url: str = "") -> AsyncIterator[Operations]:
    """Reach a running service's stores."""
    async with open_stores(redis_url, database_url) as stores:
        await stores.check()
        yield stores.operations()


class Kept(Protocol):
    """Something that is done again and again beside the rest."""

    async def keep(self) -> None:
        """Do it until cancelled."""
        ...


@asynccontextmanager
async def kept(stores: Stores, *more: Kept) -> AsyncIterator[None]:
    """Keep reading what the hot store can keep, and what the worker says; and what else is to be kept up."""
    all_kept: tuple[Kept, ...] = (stores.level, stores.words, stores.warehouses, *more)
    tasks = [asyncio.create_task(one.keep()) for one in all_kept]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def leaving(stores: Stores, store: HotStore, line: Line) -> Callable[[int], Awaitable[None]]:
    """What drops every connection to a memory of an earlier epoch."""

    async def leave(epoch_min: int) -> None:
        store.leave(epoch_min)
        stores.hot.leave(epoch_min)
        line.leave(epoch_min)
        await stores.client.connection_pool.disconnect(inuse_connections=False)

    return leave
