"""Carry-over: Postgres came back from an older copy, and the outbox has not got any more what it lacks.

Then only the hot store knows. What it holds is booked as it is, an event a SKU, lock, transfer and id that
differ, and what the inbox goes by: how far each source is, and what was counted when. How the units got there is not
known, so it is an alarm, and the purchase orders' receipts of the gap are gone.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from app.domain.events import Counts
from app.domain.records import ENDED_BY_BACKFILL
from app.domain.words import Place
from app.hotstore.gate import CHUNK, Carried, Gate
from app.hotstore.records import Kind, Record, text_of
from app.hotstore.replies import Stock
from app.hotstore.scan import Scan
from app.ledger.snapshot_rows import SnapshotRows
from app.recovery.fork import counts_of
from app.recovery.rebuild import Progress, chunks
from app.recovery.records import document_records, op_records, stock_records, sums_records

_log = structlog.get_logger()

REASON = "carry over"
_COUNTED = (Place.AVAILABLE, Place.LOCKED, Place.DAMAGED, Place.IN_TRANSIT)


class CarryOver:
    """Books what differs, of a memory whose state is `carrying` and whose outbox the ledger has all of."""

    def __init__(self, gate: Gate, scan: Scan, rows: SnapshotRows, *, fence: int, epoch: int) -> None:
        self._gate = gate
        self._scan = scan
        self._rows = rows
        self._fence = fence
        self._epoch = epoch

    async def run(self, progress: Progress) -> None:
        """Book everything; raise `FencedError` as soon as another recovery has taken over."""
        skus = await self._skus(progress)
        locks = await self._documents("lock", progress)
        transfers = await self._documents("transfer", progress)
        ops = await self._ops(progress)
        await self._reported()
        await self._sequences()
        await self._counted()
        _log.error("recovery.carried_over", skus=skus, locks=locks, transfers=transfers, ids=ops)

    async def _book(self, steps: Sequence[Carried]) -> int:
        if steps:
            await self._gate.carry(steps, fence=self._fence, epoch=self._epoch)
        return len(steps)

    async def _skus(self, progress: Progress) -> int:
        count, seen = 0, 0
        # Their moves wait: they go on behind those, until a person drops them.
        held = await self._rows.held_skus()
        async for records in chunks(stock_records(self._rows.stock()), CHUNK):
            hot = await self._scan.stock([record.id for record in records])
            missing = [record for record in records if record.id not in hot]
            if missing:  # the ledger never forgets a SKU, so the hot store cannot rightly have done so
                await self._gate.mend(missing, fence=self._fence)
            pairs = ((hot[record.id], record) for record in records if record.id in hot.keys() - held)
            count += await self._book([step for here, there in pairs if (step := _stock_step(here, there))])
            seen += len(records)
            progress("SKUs", seen)
        async for skus in _each_once(self._scan.all_skus(count=CHUNK)):
            known = held | {record.id async for record in stock_records(self._rows.named_stock(skus))}
            hot = await self._scan.stock([sku for sku in skus if sku not in known])
            new = (_stock_step(here, Record("stock", sku, {"v": 0})) for sku, here in hot.items())
            count += await self._book([step for step in new if step])
        return count

    async def _documents(self, kind: Kind, progress: Progress) -> int:
        walk, read, named, open_ones = self._readers(kind)
        count = 0
        async for ids in _each_once(walk(count=CHUNK)):
            here = await read(ids)
            there = {record.id: record.fields async for record in document_records(kind, named(ids))}
            texts = {one: {name: text_of(value) for name, value in here[one].items()} for one in here}
            differing = [one for one, fields in texts.items() if fields != there.get(one)]
            count += await self._book([_document_step(kind, one, here[one]) for one in differing])
            progress(f"{kind}s", count)
        async for records in chunks(document_records(kind, open_ones()), CHUNK):
            here = await read([record.id for record in records])
            gone = [record for record in records if record.id not in here]
            count += await self._book([_document_step(kind, one.id, _ended(kind, one)) for one in gone])
        return count

    def _readers(self, kind: Kind) -> tuple[Callable[..., Any], ...]:
        scan, rows = self._scan, self._rows
        if kind == "lock":
            return scan.all_locks, scan.locks, rows.named_locks, rows.open_locks
        return scan.all_transfers, scan.transfers, rows.named_transfers, rows.open_transfers

    async def _ops(self, progress: Progress) -> int:
        count = 0
        async for ops in _each_once(self._scan.all_ops(count=CHUNK)):
            known = {record.id async for record in op_records(self._rows.named_ops(ops))}
            texts = await self._scan.ops([op for op in ops if op not in known])
            count += await self._book([_op_step(op, text) for op, text in texts.items()])
            progress("ids", count)
        return count

    async def _reported(self) -> None:
        """What reporters said of documents: else what is reported next would be taken for the first."""
        async for families in _each_once(self._scan.all_documents(count=CHUNK)):
            here = await self._scan.documents(families)
            known = {
                record.id: record.fields
                async for record in sums_records(self._rows.named_documents(list(here)))
            }
            differing = {
                family: {sku: text for sku, text in sums.items() if known.get(family, {}).get(sku) != text}
                for family, sums in here.items()
            }
            await self._book([_reported_step(family, sums) for family, sums in differing.items() if sums])

    async def _sequences(self) -> None:
        """How far each source is: else its next event would wait for ever for those that are known already."""
        known = {(row["source"], row["warehouse"]): row["number"] async for row in self._rows.sequences()}
        async for sources in _each_once(self._scan.all_sources(count=CHUNK)):
            here = await self._scan.sequences(sources)
            await self._book(
                [
                    _told_step((source, warehouse, number))
                    for source, numbers in here.items()
                    for warehouse, number in numbers.items()
                    if known.get((source, warehouse)) != number
                ]
            )

    async def _counted(self) -> None:
        """When SKUs were counted: a fact of before that comes later changes nothing of it."""
        async for skus in _each_once(self._scan.all_counted(count=CHUNK)):
            here = await self._scan.counted(skus)
            known: dict[str, dict[str, Any]] = {}
            async for row in self._rows.counted(skus):
                known.setdefault(row["sku"], {})[row["warehouse"]] = row["counts"]
            await self._book(
                [_counted_step(sku, counts) for sku, counts in here.items() if counts != known.get(sku)]
            )


async def _each_once(walk: AsyncIterator[list[str]]) -> AsyncIterator[list[str]]:
    """A walk may meet a key twice, and what was booked once must not be booked again."""
    seen: set[str] = set()
    async for found in walk:
        new = [one for one in dict.fromkeys(found) if one not in seen]
        seen.update(new)
        if new:
            yield new


def _stock_step(here: Stock, there: Record) -> Carried | None:
    """What makes the ledger's counts of a SKU the hot store's; None if they are."""
    ledger, version = counts_of(there), int(there.fields["v"])
    moves = list(_moves(here, ledger, version))
    if not moves and here.version == version:
        return None
    if not moves:
        warehouse = min(here.warehouses)
        moves = [
            _move(
                here.sku,
                version + 1,
                warehouse,
                (Place.ADJUSTMENT, Place.AVAILABLE),
                0,
                here.warehouses[warehouse],
            )
        ]
    text = ",".join(json.dumps(move, ensure_ascii=False, separators=(",", ":")) for move in moves)
    return Carried(moves=text, records=[Record("stock", here.sku, {"v": version + len(moves)})])


def _moves(here: Stock, ledger: Mapping[str, Counts], version: int) -> Iterator[list[Any]]:
    for warehouse, hot in here.warehouses.items():
        counts = ledger.get(warehouse, Counts())
        is_new = warehouse not in ledger
        for place, name in zip(_COUNTED, Counts._fields, strict=False):
            difference = getattr(hot, name) - getattr(counts, name)
            if difference or (is_new and place is Place.AVAILABLE):
                version += 1
                counts = counts._replace(**{name: getattr(hot, name)})
                ends = (Place.ADJUSTMENT, place) if difference >= 0 else (place, Place.ADJUSTMENT)
                yield _move(here.sku, version, warehouse, ends, abs(difference), counts)
        if hot.buffer != counts.buffer:
            version += 1
            yield _move(here.sku, version, warehouse, (Place.BUFFER, Place.BUFFER), 0, hot)


def _move(
    sku: str, version: int, warehouse: str, ends: tuple[Place, Place], units: int, after: Counts
) -> list[Any]:
    return [sku, version, warehouse, ends[0].value, ends[1].value, units, list(after), REASON]


def _document_step(kind: Kind, one: str, record: Mapping[str, Any]) -> Carried:
    """A lock or transfer, whole: the ledger sets it absolutely, at the position where it was opened."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    if kind == "lock":
        return Carried(lock_id=one, lock=text)
    return Carried(document=f'["transfer",{json.dumps(one, ensure_ascii=False)},{text}]')


def _ended(kind: Kind, record: Record) -> dict[str, Any]:
    fields = {name: _value_of(name, value) for name, value in record.fields.items()}
    fields.pop("x", None)
    return fields | ENDED_BY_BACKFILL[kind]


def _value_of(name: str, value: int | str) -> Any:
    return json.loads(value) if name in Scan.JSON_FIELDS and isinstance(value, str) else value


def _op_step(op: str, text: str) -> Carried:
    document = json.dumps(["op", op, {"op": text}], ensure_ascii=False, separators=(",", ":"))
    return Carried(document=document, op=op, fingerprint=text.partition(" ")[0])


def _told_step(sequence: tuple[str, str, int]) -> Carried:
    """An event of the inbox that has nothing but its place in a sequence."""
    return Carried(document=f"null,[[],{json.dumps(sequence, ensure_ascii=False)}]")


def _reported_step(family: str, sums: Mapping[str, str]) -> Carried:
    """What reporters said in all of a family of documents."""
    said = ",".join(f"{json.dumps(sku, ensure_ascii=False)}:{text}" for sku, text in sums.items())
    return Carried(document=f"null,null,[{json.dumps(family, ensure_ascii=False)},{{{said}}}]")


def _counted_step(sku: str, counts: Mapping[str, Any]) -> Carried:
    return Carried(document=json.dumps(["counted", sku, counts], ensure_ascii=False))
