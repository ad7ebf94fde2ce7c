"""What compares and repairs: the commands use each once, the worker all the time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap.connections import SHARD, Connections
from app.domain.events import Position
from app.domain.reconciliation import read_policy
from app.hotstore.scan import Scan
from app.ledger import database
from app.ledger.audit import Audit
from app.ledger.check import LedgerCheck
from app.ledger.drift import DriftRows
from app.ledger.lost import LostRows
from app.ledger.quarantine import QuarantiningWriter
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.snapshots import Policy, Snapshots
from app.operations.quarantine import Quarantine
from app.reconcile.reconcile import Reconcile
from app.reconcile.rounds import Rounds
from app.reconcile.verify import Verify
from app.recovery.recovery import Recovery, Rules
from app.settings import read_settings

SETTLE_SECONDS = 1.0
"""Beyond a call's deadline, until a new home is opened: time for every process to notice that the old one is over."""
CATCH_UP_SECONDS = 3.0
"""How long the running check waits for the ledger before it leaves a slice to the next round."""

Progress = Callable[[str, int], None]


def recovery_of(stores: Connections, progress: Progress = lambda _what, _count: None) -> Recovery:
    """What opens the gate."""
    return Recovery(
        stores.client,
        stores.keys,
        stores.gate,
        RecoveryRows(stores.engine, SHARD),
        QuarantiningWriter(stores.engine, SHARD),
        Rules(
            outbox_max=stores.settings.outbox_max,
            settle_seconds=stores.settings.call_deadline_seconds + SETTLE_SECONDS,
            clock_ahead_seconds=stores.settings.clock_jump_seconds_max,
        ),
        progress=progress,
    )


def lost_of(stores: Connections) -> LostRows:
    """What lists events that the ledger did not take."""
    return LostRows(stores.engine, SHARD)


def verify_of(stores: Connections, progress: Progress) -> Verify:
    """What compares the stores."""
    return Verify(Scan(stores.client, stores.keys), Audit(stores.engine, SHARD), progress=progress)


def rounds_of(stores: Connections) -> Rounds:
    """What compares the stores all the time."""
    verify = Verify(
        Scan(stores.client, stores.keys), Audit(stores.engine, SHARD), settled=partial(_caught_up, stores)
    )
    return Rounds(verify, DriftRows(stores.engine, SHARD), partial(_epoch, stores))


async def _caught_up(stores: Connections) -> bool:
    """Wait a little until the ledger has all that the hot store has now; whether it has."""
    last = Position.parse(await stores.hot.read_last())
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            return await stores.watch.reached(last)
    except TimeoutError:
        return False


async def _epoch(stores: Connections) -> str:
    return (await stores.hot.read_last()).partition("-")[0]


def reconcile_of(stores: Connections, progress: Progress = lambda _what, _count: None) -> Reconcile:
    """What compares a warehouse's snapshots with the ledger."""
    settings = stores.settings
    policy = Policy(
        read_policy(settings.reconcile_policy),
        settings.reconcile_apply_units_max,
        settings.reconcile_differing_share_max,
        timedelta(seconds=settings.reconcile_window_seconds),
    )
    return Reconcile(Snapshots(stores.engine, SHARD), policy, progress=progress)


def quarantine_of(stores: Connections) -> Quarantine:
    """What a person does about events that the ledger could not book."""
    return Quarantine(stores.hot, QuarantiningWriter(stores.engine, SHARD))


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
