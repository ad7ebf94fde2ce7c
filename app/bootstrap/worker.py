"""The worker's process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from app.bootstrap.connections import SHARD
from app.bootstrap.stores import kept, leaving, open_stores
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.hotstore.rights import of_worker
from app.hotstore.store import HotStore
from app.ledger.migrate import check_schema
from app.ledger.recovery_rows import RecoveryRows
from app.operations.epoch_watch import EpochWatch
from app.worker.duty import Duty


@asynccontextmanager
async def open_worker() -> AsyncIterator[list[Duty]]:
    """Reach the stores, refuse what would break a promise, and return the duties."""
    async with open_stores() as stores:
        await stores.check()
        await stores.check_rights(of_worker())
        await check_schema(stores.engine)
        line = Line(
            stores.redis_url, stores.keys, library(), deadline_seconds=stores.settings.call_deadline_seconds
        )
        # One pipelined connection: hundreds of overdue locks expire with one write, and one fsync.
        store = HotStore(LineCaller(line), stores.keys, library(), ranking=stores.ranking)
        line.start()
        rows = RecoveryRows(stores.engine, SHARD)
        watch = EpochWatch(rows, leaving(stores, store, line), head=store.read_last)
        watch.start()
        try:
            async with kept(stores):
                # The status goes another way: a worker whose line is down must be able to say so.
                yield replace(stores, hot=store).duties(speaks=stores.hot)
        finally:
            await watch.close()
            await line.close()
