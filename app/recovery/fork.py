"""A fork: hot store and ledger each have events that the other lacks. Postgres' branch wins.

The other branch is kept and listed. Only what either branch touched is set anew, so it takes as long as the
branches are, not as the catalogue is.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis

from app.domain.chain import Entry
from app.domain.commands import Acknowledged, Effect, Moved
from app.domain.events import Counts, Document, Position
from app.domain.records import LockRecord, opened_of, status_of
from app.domain.words import OPEN_STATUSES, Place
from app.hotstore import outbox
from app.hotstore.gate import CHUNK, Claims, Gate
from app.hotstore.keys import Keys
from app.hotstore.records import Record
from app.hotstore.replies import Stock
from app.hotstore.scan import Scan
from app.ledger.recovery_rows import Correction, RecoveryRows
from app.ledger.snapshot_rows import LedgerTip, SnapshotRows, Touched
from app.recovery.findings import Finding
from app.recovery.records import document_records, inbox_records, op_records, stock_records, sums_records
from app.recovery.waiting import Waiting

_log = structlog.get_logger()

BRANCH_CHUNK = 1_000
FORK_EVENTS_MAX = 50_000
"""Branches longer than this are quicker rebuilt than mended."""


class Branch(NamedTuple):
    """What the outbox has and the ledger lacks; `ancestor` is the last entry that both have, if it is there."""

    ancestor: Position | None
    touched: Touched
    events: int
    is_known: bool = True
    """Whether what it touched is: no entry is missing, and each can be read."""


class Fork:
    """Keeps branches, and sets right what they touched."""

    def __init__(self, client: Redis, keys: Keys, gate: Gate, rows: RecoveryRows) -> None:
        self._client = client
        self._keys = keys
        self._gate = gate
        self._rows = rows
        self._scan = Scan(client, keys)

    async def keep_branch(self, finding: Finding) -> Branch:
        """Keep every outbox entry that the ledger does not have: it cannot be applied, but it can be listed."""
        at, ancestor, kept, is_known = Position(0, 0), None, 0, True
        tip: str | None = None
        touched = Touched(set(), set(), set(), set(), set())
        while entries := await outbox.read_after(self._client, self._keys, at, entries_max=BRANCH_CHUNK):
            known = await self._rows.known_entries(entries)
            unknown = [entry for entry in entries if entry.position not in known]
            if unknown:
                kept += await self._rows.keep_branch(unknown, finding=finding.value)
            if known:
                ancestor = max(known)
            _note(touched, unknown)
            for entry in entries:
                is_known &= tip in {None, entry.prev} and (entry.raw is None or entry.position in known)
                tip = entry.tip
            at = entries[-1].position
        if kept and finding is Finding.CARRY_OVER:  # nothing is lost: `lost list` does not have them
            _log.warning("recovery.branch_is_booked", events=kept)
        elif kept:
            _log.error("recovery.branch_kept", events=kept, finding=finding.value, table="lost_event")
        return Branch(ancestor, touched, kept, is_known)

    async def name_locks(self, claims: Claims) -> None:
        """Name the open locks of this memory that the ledger does not know, before it is made anew.

        Of a branch whose beginning was trimmed that is all that is left of its orders.
        """
        named = 0
        async for ids in self._scan.all_locks(count=CHUNK):
            records = await self._scan.locks(ids)
            async with self._rows.snapshot() as rows:
                known = {
                    (one.id, opened_of(one.fields))
                    async for one in document_records("lock", rows.named_locks(list(records)))
                }
            lost = [
                _open_lock(lock_id, record, claims.at_ms)
                for lock_id, record in records.items()
                if status_of(record) in OPEN_STATUSES and (lock_id, opened_of(record)) not in known
            ]
            named += await self._rows.file(lost) if lost else 0
        if named:
            _log.error("recovery.locks_lost", locks=named, table="lost_event")

    async def mend(self, branch: Branch, claims: Claims, *, fence: int, epoch: int) -> LedgerTip | None:
        """Set what both branches touched after the ledger, and return where that is.

        None if this is more than a rebuild would be: nothing was changed then.
        """
        if branch.ancestor is None or branch.events > FORK_EVENTS_MAX or not branch.is_known:
            return None
        async with self._rows.snapshot() as rows:
            count = await rows.count_after(branch.ancestor, events_max=FORK_EVENTS_MAX + 1)
            if count > FORK_EVENTS_MAX:
                return None
            ledger = await rows.tip()
            theirs = await rows.touched_after(branch.ancestor)
            touched = Touched(*(ours | other for ours, other in zip(branch.touched, theirs, strict=True)))
            corrections = await self._mend(rows, touched, fence)
            waiting = Waiting()
            await waiting.read(rows)
            await waiting.set(self._gate, fence=fence)
        await self._rows.add_corrections(epoch, corrections)
        await self._gate.rebase(
            fence=fence,
            tip=ledger.tip,
            last=str(ledger.position),
            recorded_at_ms=max(ledger.recorded_at_ms, claims.at_ms),
            state="shut",
        )
        _log.error("recovery.fork_mended", skus_corrected=len({one.sku for one in corrections}))
        return ledger

    async def _mend(self, rows: SnapshotRows, touched: Touched, fence: int) -> list[Correction]:
        corrections: list[Correction] = []
        for skus in _slices(touched.skus):
            after = await _gathered(stock_records(rows.named_stock(skus)))
            corrections += await self._corrections(skus, after)
            await self._set([after.get(sku, Record("stock", sku, {})) for sku in skus], fence)
        for locks in _slices(touched.locks):
            found = await _gathered(document_records("lock", rows.named_locks(locks)))
            await self._set([found.get(one, Record("lock", one, {})) for one in locks], fence)
        for transfers in _slices(touched.transfers):
            found = await _gathered(document_records("transfer", rows.named_transfers(transfers)))
            await self._set([found.get(one, Record("transfer", one, {})) for one in transfers], fence)
        for skus in _slices(touched.skus):
            await self._set([Record("counted", sku, {}) for sku in skus], fence)
            await self._set([record async for record in inbox_records(rows, skus)], fence)
        for ops in _slices(touched.ops):
            found = await _gathered(op_records(rows.named_ops(ops)))
            await self._set([found.get(one, Record("op", one, {})) for one in ops], fence)
        for families in _slices(touched.families):
            found = await _gathered(sums_records(rows.named_documents(families)))
            await self._set([found.get(one, Record("document", one, {})) for one in families], fence)
        return corrections

    async def _set(self, records: list[Record], fence: int) -> None:
        await self._gate.mend([record._replace(fresh=True) for record in records], fence=fence)

    async def _corrections(self, skus: list[str], after: dict[str, Record]) -> list[Correction]:
        before = await self._scan.stock(skus)
        corrections = []
        for sku in skus:
            hot = before[sku].warehouses if sku in before else {}
            ledger = counts_of(after[sku]) if sku in after else {}
            corrections += [
                Correction(sku, warehouse, hot.get(warehouse, Counts()), ledger.get(warehouse, Counts()))
                for warehouse in sorted(hot.keys() | ledger.keys())
                if hot.get(warehouse, Counts()) != ledger.get(warehouse, Counts())
            ]
        return corrections


def counts_of(record: Record) -> dict[str, Counts]:
    """Return the counts of a SKU's record, by warehouse."""
    return Stock(record.id, [str(part) for field in record.fields.items() for part in field]).warehouses


def _note(touched: Touched, entries: list[Entry]) -> None:
    """Add what some entries are about."""
    for entry in entries:
        event = entry.event
        touched.skus.update(move.sku for move in event.moves)
        if event.lock_id is not None:
            touched.locks.add(event.lock_id)
        if event.document is not None:
            _note_document(touched, event.document)
        if event.reported is not None:
            touched.families.add(event.reported.family)
        if event.op is not None:
            touched.ops.add(event.op)
        if event.told is not None:
            touched.ops.update(op for op, _, _ in event.told.ids)


def _note_document(touched: Touched, document: Document) -> None:
    match document.kind:
        case "transfer":
            touched.transfers.add(document.id)
        case "lock":
            touched.locks.add(document.id)
        case "count":
            touched.skus.update(document.fields["skus"])
        case "counted":
            touched.skus.add(document.id)


def _open_lock(lock_id: str, record: Mapping[str, Any], at_ms: int) -> Acknowledged:
    """A lock as if it had just been made: with what it still holds."""
    moves = (
        Moved(line.sku, line.warehouse, Place.AVAILABLE.value, Place.LOCKED.value, line.outstanding)
        for line in LockRecord.of(record).lines
    )
    return Acknowledged(opened_of(record), at_ms, Effect("lock", lock_id, moves=tuple(moves)))


async def _gathered(records: AsyncIterator[Record]) -> dict[str, Record]:
    return {record.id: record async for record in records}


def _slices(ids: set[str]) -> list[list[str]]:
    listed = sorted(ids)
    return [listed[first : first + CHUNK] for first in range(0, len(listed), CHUNK)]
