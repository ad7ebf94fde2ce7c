"""Rebuild: the hot store made anew from one snapshot of the ledger."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from app.domain.events import Position
from app.hotstore.gate import CHUNK, Gate
from app.ledger.ledger import as_text, record_fields
from app.ledger.recovery_rows import LedgerTip, RebuildRows

_COUNTS = {"a": "available", "l": "locked", "d": "damaged", "t": "in_transit", "b": "buffer"}
_ENDED = frozenset({"released", "deducted"})

Progress = Callable[[str, int], None]
T = TypeVar("T")


async def rebuild(
    gate: Gate, rows: RebuildRows, *, fence: int, since: datetime, progress: Progress
) -> LedgerTip:
    """Load stock, locks, transfers and remembered ids; return where the ledger was. The gate stays shut.

    Raises `FencedError` as soon as another recovery has taken over.
    """
    ledger = await rows.tip()
    await gate.rebuild_begin(
        fence=fence, tip=ledger.tip, recorded_at_ms=ledger.recorded_at_ms, last=str(ledger.position)
    )
    await gate.clear(fence=fence)
    await _load("SKUs", _skus(rows), lambda chunk: gate.load_stock(chunk, fence=fence), progress)
    await _load("locks", _locks(rows, since), lambda chunk: gate.load_locks(chunk, fence=fence), progress)
    await _load(
        "transfers", _transfers(rows, since), lambda chunk: gate.load_transfers(chunk, fence=fence), progress
    )
    await _load("ids", _ops(rows, since), lambda chunk: gate.load_ops(chunk, fence=fence), progress)
    await _load("told ids", _told_ids(rows, since), lambda chunk: gate.load_ops(chunk, fence=fence), progress)
    await _load("counts", _counts(rows), lambda chunk: gate.load_counts(chunk, fence=fence), progress)
    await _load(
        "sequences", _sequences(rows), lambda chunk: gate.load_sequences(chunk, fence=fence), progress
    )
    return ledger


async def _load(
    what: str, items: AsyncIterator[T], load: Callable[[list[T]], Awaitable[None]], progress: Progress
) -> None:
    chunk: list[T] = []
    count = 0
    async for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            await load(chunk)
            count += len(chunk)
            chunk = []
            progress(what, count)
    if chunk:
        await load(chunk)
    progress(what, count + len(chunk))


async def _skus(rows: RebuildRows) -> AsyncIterator[tuple[str, dict[str, int]]]:
    sku: str | None = None
    fields: dict[str, int] = {}
    async for row in rows.stock():
        if row.sku != sku:
            if sku is not None:
                yield sku, fields
            sku, fields = row.sku, {"v": 0}
        fields["v"] = max(fields["v"], row.version)
        for letter, name in _COUNTS.items():
            count = getattr(row, name)
            if count or letter == "a":
                fields[f"{row.warehouse}:{letter}"] = count
    if sku is not None:
        yield sku, fields


async def _locks(rows: RebuildRows, since: datetime) -> AsyncIterator[tuple[str, dict[str, str]]]:
    async for row in rows.locks(since):
        yield row.lock_id, record_fields(row.record, Position(row.opened_epoch, row.opened_n))


async def _transfers(rows: RebuildRows, since: datetime) -> AsyncIterator[tuple[str, dict[str, str]]]:
    async for row in rows.transfers(since):
        yield row.transfer_id, record_fields(row.record, Position(row.opened_epoch, row.opened_n))


async def _ops(rows: RebuildRows, since: datetime) -> AsyncIterator[tuple[str, str]]:
    async for row in rows.ops(since):
        yield (
            row.op,
            f"{row.fingerprint} {Position(row.epoch, row.n)} {_answer(row.op, row.lock, row.document)}",
        )


async def _told_ids(rows: RebuildRows, since: datetime) -> AsyncIterator[tuple[str, str]]:
    async for row in rows.told_ids(since):
        yield row.op, f"{row.fingerprint} {Position(row.epoch, row.n)} {row.units}"


async def _counts(rows: RebuildRows) -> AsyncIterator[tuple[str, str, str]]:
    async for row in rows.counts():
        yield row.sku, row.warehouse, as_text([[at, int(damaged)] for at, damaged in row.counts])


async def _sequences(rows: RebuildRows) -> AsyncIterator[tuple[str, str, int]]:
    async for row in rows.sequences():
        yield row.source, row.warehouse, row.number


def _answer(op: str, lock: dict[str, Any] | None, document: dict[str, Any] | None) -> str:
    """Return what a repeat is told, as the function had kept it: nothing where the record itself is the answer."""
    if document and op.startswith(
        "transfer_"
    ):  # others only name a document, and their repeats have no answer
        return as_text([document["s"], document["n"]])
    if (
        lock is None or "s" not in lock or lock["s"] in _ENDED or op.startswith("event:")
    ):  # these need no answer
        return ""
    return as_text([lock["s"], lock.get("x"), lock["n"]])
