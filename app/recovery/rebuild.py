"""Rebuild: the hot store made anew from one snapshot of the ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from app.errors import FencedError
from app.hotstore.gate import CHUNK, MISLOADED, Gate
from app.hotstore.records import Record
from app.ledger.snapshot_rows import LedgerTip, SnapshotRows
from app.recovery.records import document_records, inbox_records, op_records, sums_records
from app.recovery.waiting import Unrestorable, Waiting

Progress = Callable[[str, int], None]


class Rebuilt(NamedTuple):
    """Where the ledger was, and what waits in quarantine and could not be set again."""

    ledger: LedgerTip
    unrestorable: Sequence[Unrestorable]


async def rebuild(gate: Gate, rows: SnapshotRows, *, fence: int, progress: Progress) -> Rebuilt:
    """Load stock, locks, transfers and remembered ids, and what waits in quarantine. The gate stays shut.

    Each chunk is read back and compared. Raises `FencedError` as soon as another recovery has taken over.
    """
    ledger = await rows.tip()
    await gate.rebuild_begin(
        fence=fence, tip=ledger.tip, recorded_at_ms=ledger.recorded_at_ms, last=str(ledger.position)
    )
    await gate.clear(fence=fence)
    await _load_stock(gate, rows, fence, progress)
    for what, records in (
        ("locks", document_records("lock", rows.locks())),
        ("transfers", document_records("transfer", rows.transfers())),
        ("ids", op_records(rows.ops())),
        ("documents", sums_records(rows.documents())),
        ("counts and sequences", inbox_records(rows)),
    ):
        count = 0
        async for chunk in chunks(records, CHUNK):
            await gate.load(chunk, fence=fence)
            count += len(chunk)
            progress(what, count)
    waiting = Waiting()
    await waiting.read(rows)
    await waiting.set(gate, fence=fence)
    return Rebuilt(ledger, waiting.unrestorable)


async def _load_stock(gate: Gate, rows: SnapshotRows, fence: int, progress: Progress) -> None:
    """Load all SKUs: while the hot store takes some, the next are read. Count and sum must be the ledger's."""
    loading: asyncio.Task[int] | None = None
    skus, units = 0, 0
    try:
        async for lines in rows.stock_lines():
            if loading is not None:
                units += await loading
            progress("SKUs", skus)
            loading = asyncio.create_task(gate.load_stock(lines, fence=fence))
            skus += len(lines)
        units += await loading if loading is not None else 0
    finally:
        if loading is not None:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
    progress("SKUs", skus)
    if (skus, units) != await rows.stock_sums():
        raise FencedError(MISLOADED)


async def chunks(records: AsyncIterator[Record], records_max: int) -> AsyncIterator[list[Record]]:
    """Gather records into lists of at most `records_max`."""
    chunk: list[Record] = []
    async for record in records:
        chunk.append(record)
        if len(chunk) >= records_max:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
