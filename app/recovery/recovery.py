"""Recovery: after a restart, a flush or a failover nobody may sell from a memory that was not checked.

It compares what the hot store claims with the ledger, under a lease, repairs what must be, and opens the gate
for a new epoch. `docs/recovery.md` has the table of what can be found.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from app.domain.chain import ChainBrokenError
from app.errors import FencedError, UnavailableError
from app.hotstore import outbox
from app.hotstore.gate import Claims, Gate
from app.hotstore.keys import Keys
from app.hotstore.scan import Scan
from app.ledger.recovery_rows import COMPARING, RecoveryRows
from app.ledger.snapshot_rows import LedgerTip
from app.ledger.writer import Writer
from app.recovery import holder
from app.recovery.belonging import refuse_mismatch
from app.recovery.carry_over import CarryOver
from app.recovery.findings import Finding, Seen, judge
from app.recovery.fork import Fork
from app.recovery.rebuild import rebuild
from app.recovery.replay import replay

_log = structlog.get_logger()

LEASE_SECONDS = 8.0
"""How long a worker on another machine waits for one that died while it recovered; a live one extends it three times
as often."""
DRAIN_CHUNK = 1_000
DRAIN_POLL_SECONDS = 0.02
DRAIN_SECONDS_MAX = 2.0
"""For so long a memory that continues the ledger is kept shut while its outbox is written. After hours without Postgres
there is more: the worker writes the rest once the gate is open."""
PROGRESS_SECONDS = 2.0
"""How often the log says how far a long repair is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What recovery goes by.

    `settle_seconds` is how long an old home's replies may still be on their way, `clock_ahead_seconds` how far a
    shard's clock may be ahead of Postgres' before it is pulled back.
    """

    outbox_max: int
    settle_seconds: float = 3.0
    clock_ahead_seconds: float = 60.0


class Recovery:
    """Opens one shard's gate. Several processes may run one: the lease in Postgres lets one act."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        gate: Gate,
        rows: RecoveryRows,
        writer: Writer,
        rules: Rules,
        *,
        progress: Callable[[str, int], None] = lambda _what, _count: None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._gate = gate
        self._rows = rows
        self._writer = writer
        self._rules = rules
        self._tell = progress
        self._told_at = 0.0
        self._fork = Fork(client, keys, gate, rows)
        self._holder = holder.name_of_this()
        self._one = asyncio.Lock()

    async def ensure_open(self, *, force_rebuild: bool = False, doubt: bool = False) -> Finding | None:
        """Open the gate if it is shut; return what was found, or None if there was nothing (for us) to do.

        With `doubt` an open gate is shut first: what is behind it is compared once more. With `force_rebuild`, too, and
        the hot store is then made anew even if it agrees with the ledger, as far as the ledger has what that takes.
        Raises `UnavailableError` while Postgres is away: the gate stays as it is until it is back.
        """
        async with self._one:
            await self._gate.load_library()
            is_open = await self._gate.is_open() or await self._gate.adopt()
            if is_open and not force_rebuild and not doubt:
                return None
            fence = await self._take_lease()
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

    async def _take_lease(self) -> int | None:
        """Return a fence; None while another holds the lease that is not known to be dead."""
        fence = await self._rows.take_lease(self._holder, seconds=LEASE_SECONDS)
        if fence is None and holder.is_dead(other := await self._rows.lease_holder()):
            _log.warning("recovery.holder_is_dead", holder=other)
            fence = await self._rows.take_lease(self._holder, seconds=LEASE_SECONDS, dead=other)
        return fence

    async def _keep_lease(self, fence: int) -> None:
        """A rebuild may take longer than a lease lasts: without this, two workers would fence each other for ever."""
        ours = True
        while ours:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with contextlib.suppress(UnavailableError):
                ours = await self._rows.extend_lease(fence, seconds=LEASE_SECONDS)

    async def _recover(self, fence: int, *, force_rebuild: bool) -> Finding:
        """Shut the gate, persist what the outbox holds, compare, repair what differs, and open.

        In this order: a comparison with a memory that somebody still writes to finds differences that are none.
        """
        refuse_mismatch((await self._gate.claims()).installation, await self._rows.installation())
        installation = await self._rows.installation(begin=True)
        await self._gate.shut(fence=fence)
        claims = await self._gate.claims()
        epoch = await self._next_epoch(claims)
        await self._leave_what_was(claims, epoch)
        finding, ledger = await self._judge(claims, force_rebuild=force_rebuild)
        _log.info("recovery.found", finding=finding.value, epoch=epoch)
        ledger, tip = await self._repair(
            finding, claims, ledger, fence=fence, epoch=epoch, force_rebuild=force_rebuild
        )
        if finding is Finding.CARRY_OVER:
            epoch += 1  # what was booked has the one before
        await self._open(fence, epoch, claims, ledger, tip, finding, installation)
        return finding

    async def _judge(self, claims: Claims, *, force_rebuild: bool) -> tuple[Finding, LedgerTip]:
        """Persist what a shut memory has beyond the ledger, and compare then; with where the ledger is.

        Only a memory that continues the ledger, and is not to be made anew, may keep a rest for the worker.
        """
        is_drained = await self._drain(seconds_max=None if force_rebuild else DRAIN_SECONDS_MAX)
        ledger = await self._rows.tip()
        finding = await self._compare(claims, ledger)
        if not is_drained and finding is not Finding.AHEAD:
            await self._drain()
            ledger = await self._rows.tip()
            finding = await self._compare(claims, ledger)
        return finding, ledger

    async def _compare(self, claims: Claims, ledger: LedgerTip) -> Finding:
        known = self._gate.knows_layout(claims)
        if not claims.present or not known:
            return judge(Seen(claims, ledger, layout_known=known))
        after = await outbox.read_after(self._client, self._keys, ledger.position, entries_max=1)
        first = await outbox.read_first(self._client, self._keys)
        last = await outbox.read_last(self._client, self._keys)
        tip_known = last is not None and bool(await self._rows.known_entries([last]))
        return judge(
            Seen(
                claims,
                ledger,
                first=first,
                first_after=after[0] if after else None,
                last=last,
                at_ledger=await outbox.read_at(self._client, self._keys, ledger.position),
                tip_known=tip_known,
                first_tip=await self._rows.first_tip(ledger.position.epoch),
            )
        )

    async def _repair(
        self,
        finding: Finding,
        claims: Claims,
        ledger: LedgerTip,
        *,
        fence: int,
        epoch: int,
        force_rebuild: bool,
    ) -> tuple[LedgerTip, str]:
        """Make the memory one that continues the ledger; return where that is, and the memory's tip."""
        await self._gate.shut(fence=fence)  # still ours: else the branches are another recovery's to tell of
        match finding:
            case Finding.SAME | Finding.AHEAD if not force_rebuild:
                return ledger, claims.tip
            case Finding.BEHIND if not force_rebuild:
                caught_up = await replay(self._gate, self._rows, claims, fence=fence, progress=self._progress)
                if caught_up is not None:
                    return caught_up, caught_up.tip
            case Finding.FORK:
                branch = await self._fork.keep_branch(finding)
                if not force_rebuild:
                    mended = await self._fork.mend(branch, claims, fence=fence, epoch=epoch)
                    if mended is not None:
                        return mended, mended.tip
                await self._fork.name_locks(claims)
            case Finding.CARRY_OVER:
                return await self._carry_over(claims, ledger, fence=fence, epoch=epoch)
            case Finding.DIFFERENT | Finding.EMPTY:
                await self._fork.keep_branch(finding)
        ledger = await self._rebuild(fence)
        return ledger, ledger.tip

    async def _rebuild(self, fence: int) -> LedgerTip:
        async with self._rows.snapshot() as rows:
            done = await rebuild(self._gate, rows, fence=fence, progress=self._progress)
        if done.unrestorable:
            kept = await self._rows.keep_unrestorable(done.unrestorable)
            _log.error("recovery.unrestorable", events=len(done.unrestorable), new=kept, table="lost_event")
        return done.ledger

    async def _carry_over(
        self, claims: Claims, ledger: LedgerTip, *, fence: int, epoch: int
    ) -> tuple[LedgerTip, str]:
        """Book what the hot store holds beyond the ledger. Broken off, it begins again with what was booked."""
        if claims.state != "carrying":
            await self._fork.keep_branch(Finding.CARRY_OVER)
            await self._gate.rebase(
                fence=fence,
                tip=ledger.tip,
                last=str(ledger.position),
                recorded_at_ms=claims.at_ms,
                state="carrying",
            )
        await self._drain()
        ledger = await self._rows.tip()
        await self._rows.add_epoch(epoch, ledger, home=claims.run_id, finding=Finding.CARRY_OVER.value)
        async with self._rows.snapshot() as rows:
            scan = Scan(self._client, self._keys)
            await CarryOver(self._gate, scan, rows, fence=fence, epoch=epoch).run(self._progress)
        return ledger, (await self._gate.claims()).tip

    async def _open(
        self,
        fence: int,
        epoch: int,
        claims: Claims,
        ledger: LedgerTip,
        tip: str,
        finding: Finding,
        installation: str,
    ) -> None:
        await self._rows.add_epoch(epoch, ledger, home=claims.run_id, finding=finding.value)
        latest_seconds = await self._rows.clock_seconds() + self._rules.clock_ahead_seconds
        position = await self._gate.open(
            fence=fence,
            epoch=epoch,
            tip=tip,
            run_id=claims.run_id,
            outbox_max=self._rules.outbox_max,
            installation=installation,
            at_ms_max=int(latest_seconds * 1000),
        )
        _log.info("recovery.opened", finding=finding.value, position=str(position))

    async def _next_epoch(self, claims: Claims) -> int:
        last_epoch = claims.last.epoch if claims.last else 0
        return max(await self._rows.highest_given_epoch(), last_epoch, claims.epoch) + 1

    async def _leave_what_was(self, claims: Claims, epoch: int) -> None:
        """Let nothing of before reach the ledger any more, be it on its way: what is compared must stand still.

        Noting an epoch waits for who is writing, and refuses what comes later from an older memory. On a new home
        every process must have left the old one besides, and its last replies must be over. A server that was merely
        restarted, on its own data, is no new home.
        """
        home = await self._rows.last_home()
        await self._rows.add_epoch(epoch, await self._rows.tip(), home=claims.run_id, finding=COMPARING)
        if home in {None, claims.run_id} or (claims.home == home and not claims.was_promoted):
            return
        _log.info("recovery.waits_for_old_home", seconds=self._rules.settle_seconds)
        await asyncio.sleep(self._rules.settle_seconds)

    async def _drain(self, *, seconds_max: float | None = None) -> bool:
        """Persist what the shut hot store has beyond the ledger, so that nothing of it is lost.

        Ends where the next entry does not continue the ledger: what that means is for the comparison to say. Returns
        False if the time was over before.
        """
        loop = asyncio.get_running_loop()
        began, count, at = loop.time(), 0, (await self._writer.position()).position
        while entries := await outbox.read_after(self._client, self._keys, at, entries_max=DRAIN_CHUNK):
            if seconds_max is not None and loop.time() - began > seconds_max:
                return False
            try:
                written = await self._writer.write(entries)
            except ChainBrokenError as error:
                _log.info("recovery.drained_up_to", position=str(at), why=str(error))
                return True
            if written is None:  # a worker is at it
                await asyncio.sleep(DRAIN_POLL_SECONDS)
            else:
                self._progress("events", count := count + len(entries))
            at = written or (await self._writer.position()).position
        return True

    def _progress(self, what: str, count: int) -> None:
        """Tell whoever started this, and now and then the log."""
        self._tell(what, count)
        now = asyncio.get_running_loop().time()
        if now - self._told_at > PROGRESS_SECONDS:
            self._told_at = now
            _log.info("recovery.progress", what=what, done=count)
