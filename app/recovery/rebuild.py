"""Rebuild: the hot store made anew from one snapshot of the ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Self

from app.errors import FencedError
from app.hotstore.gate import MISLOADED, Gate
from app.hotstore.records import Record
from app.ledger.snapshot_rows import LedgerTip, SnapshotRows
from app.recovery.records import document_records, inbox_records, op_records, sums_records
from app.recovery.waiting import Unrestorable, Waiting

Progress = Callable[[str, int], None]
LOAD_CHUNK = 1_000
"""Records that are sent together."""


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
        async with _Loading() as loading:
            async for chunk in chunks(records, LOAD_CHUNK):
                await loading.begin(gate.load(chunk, fence=fence))
                count += len(chunk)
                progress(what, count)
    waiting = Waiting()
    await waiting.read(rows)
    await waiting.set(gate, fence=fence)
    return Rebuilt(ledger, waiting.unrestorable)


async def _load_stock(gate: Gate, rows: SnapshotRows, fence: int, progress: Progress) -> None:
    """Load all SKUs. Count and sum must be the ledger's."""
    skus, units = 0, 0

    async def load(lines: Sequence[str]) -> None:
        nonlocal units
        units += await gate.load_stock(lines, fence=fence)

    async with _Loading() as loading:
        async for lines in rows.stock_lines():
            await loading.begin(load(lines))
            skus += len(lines)
            progress("SKUs", skus)
    if (skus, units) != await rows.stock_sums():
        raise FencedError(MISLOADED)


class _Loading:
    """While the hot store takes some records, the next are read."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def begin(self, load: Coroutine[Any, Any, None]) -> None:
        """Begin to load these once those before are there."""
        if self._task is not None:
            try:
                await self._task
            except BaseException:
                load.close()
                raise
        self._task = asyncio.create_task(load)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._task is None:
            return
        if kind is None:
            await self._task
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


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
