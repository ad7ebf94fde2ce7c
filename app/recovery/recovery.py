"""Recovery: after a restart, a flush or a failover nobody may sell from a memory that was not checked.

It compares what the hot store claims with the ledger, under a lease, repairs what must be, and opens the gate
for a new epoch.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from redis.asyncio import Redis

from app.domain.chain import Entry
from app.domain.events import Position
from app.errors import FencedError, UnavailableError
from app.hotstore import outbox
from app.hotstore.gate import Claims, Gate
from app.hotstore.keys import Keys
from app.ledger.recovery_rows import LedgerTip, RecoveryRows
from app.ledger.writer import Writer
from app.recovery.findings import Finding, judge
from app.recovery.rebuild import rebuild

_log = structlog.get_logger()

LEASE_SECONDS = 30.0
BRANCH_CHUNK = 1_000
DRAIN_POLL_SECONDS = 0.02


class Recovery:
    """Opens one shard's gate. Several processes may run one: the lease in Postgres lets one act."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        gate: Gate,
        rows: RecoveryRows,
        writer: Writer,
        *,
        horizon_seconds: float,
        outbox_max: int,
        progress: Callable[[str, int], None] = lambda _what, _count: None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._gate = gate
        self._rows = rows
        self._writer = writer
        self._horizon = timedelta(seconds=horizon_seconds)
        self._outbox_max = outbox_max
        self._progress = progress
        self._holder = f"{socket.gethostname()}:{os.getpid()}"

    async def ensure_open(self, *, force_rebuild: bool = False) -> Finding | None:
        """Open the gate if it is shut; return what was found, or None if there was nothing (for us) to do.

        Raises `UnavailableError` while Postgres is away: the gate stays shut until it is back.
        """
        await self._gate.load_library()
        if not force_rebuild and (await self._gate.is_open() or await self._gate.adopt()):
            return None
        fence = await self._rows.take_lease(self._holder, seconds=LEASE_SECONDS)
        if fence is None:
            return None
        keeper = asyncio.create_task(self._keep_lease(fence))
        try:
            return await self._recover(fence, force_rebuild=force_rebuild)
        except FencedError as error:
            _log.warning("recovery.fenced", detail=str(error))
            return None
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._rows.end_lease(fence)

    async def _keep_lease(self, fence: int) -> None:
        """A rebuild may take longer than a lease lasts: without this, two workers would fence each other for ever."""
        ours = True
        while ours:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with contextlib.suppress(UnavailableError):
                ours = await self._rows.extend_lease(fence, seconds=LEASE_SECONDS)

    async def _recover(self, fence: int, *, force_rebuild: bool) -> Finding:
        claims, ledger = await self._gate.claims(), await self._rows.tip()
        finding = await self._compare(claims, ledger)
        if force_rebuild and finding in {Finding.SAME, Finding.AHEAD}:
            await self._gate.shut(fence=fence)
            await self._drain()
            finding = Finding.DIFFERENT
        tip = claims.tip
        if finding is Finding.DIFFERENT:
            await self._keep_branch()
        if finding in {Finding.EMPTY, Finding.DIFFERENT}:
            since = datetime.now(UTC) - self._horizon
            async with self._rows.rebuild_rows() as rows:
                ledger = await rebuild(self._gate, rows, fence=fence, since=since, progress=self._progress)
            tip = ledger.tip
        await self._open(fence, claims, ledger, tip, finding)
        return finding

    async def _compare(self, claims: Claims, ledger: LedgerTip) -> Finding:
        known = self._gate.knows_layout(claims)
        if not claims.present or not known:
            return judge(claims, ledger, None, None, layout_known=known)
        after = await outbox.read_after(self._client, self._keys, ledger.position, entries_max=1)
        last = await outbox.read_last(self._client, self._keys)
        return judge(claims, ledger, after[0] if after else None, last, layout_known=known)

    async def _open(self, fence: int, claims: Claims, ledger: LedgerTip, tip: str, finding: Finding) -> None:
        last_epoch = claims.last.epoch if claims.last else 0
        epoch = max(await self._rows.highest_epoch(), last_epoch, claims.epoch) + 1
        await self._rows.add_epoch(epoch, ledger, home=claims.run_id, finding=finding.value)
        position = await self._gate.open(
            fence=fence, epoch=epoch, tip=tip, run_id=claims.run_id, outbox_max=self._outbox_max
        )
        _log.info("recovery.opened", finding=finding.value, position=str(position))

    async def _drain(self) -> None:
        """Persist what the shut hot store has beyond the ledger, so that a rebuild loses none of it."""
        at, _tip = await self._writer.position()
        while entries := await outbox.read_after(self._client, self._keys, at, entries_max=BRANCH_CHUNK):
            written = await self._writer.write(entries)
            if written is None:  # a worker is at it
                await asyncio.sleep(DRAIN_POLL_SECONDS)
            at = written or (await self._writer.position())[0]

    async def _keep_branch(self) -> None:
        """Keep every outbox entry that the ledger does not have: it cannot be applied, but it can be listed."""
        at, kept = Position(0, 0), 0
        while entries := await self._branch_after(at):
            kept += await self._rows.keep_branch(entries)
            at = entries[-1].position
        if kept:
            _log.error("recovery.branch_kept", events=kept, table="lost_event")

    async def _branch_after(self, at: Position) -> list[Entry]:
        return await outbox.read_after(self._client, self._keys, at, entries_max=BRANCH_CHUNK)
