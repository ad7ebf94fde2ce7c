"""Rebuild: the hot store made anew from one snapshot of the ledger."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from app.hotstore.gate import CHUNK, Gate
from app.hotstore.records import Record
from app.ledger.snapshot_rows import LedgerTip, SnapshotRows
from app.recovery.records import document_records, op_records, stock_records

Progress = Callable[[str, int], None]


async def rebuild(
    gate: Gate, rows: SnapshotRows, *, fence: int, since: datetime, progress: Progress
) -> LedgerTip:
    """Load stock, locks, transfers and remembered ids; return where the ledger was. The gate stays shut.

    Each chunk is read back and compared. Raises `FencedError` as soon as another recovery has taken over.
    """
    ledger = await rows.tip()
    await gate.rebuild_begin(
        fence=fence, tip=ledger.tip, recorded_at_ms=ledger.recorded_at_ms, last=str(ledger.position)
    )
    await gate.clear(fence=fence)
    for what, records in (
        ("SKUs", stock_records(rows.stock())),
        ("locks", document_records("lock", rows.locks(since))),
        ("transfers", document_records("transfer", rows.transfers(since))),
        ("ids", op_records(rows.ops(since))),
    ):
        count = 0
        async for chunk in chunks(records, CHUNK):
            await gate.load(chunk, fence=fence)
            count += len(chunk)
            progress(what, count)
    return ledger


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
