"""From the ledger's rows to the hot store's records, field by field."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.events import Counts, Document, Event, Move, Position, Told
from app.domain.records import is_whole, lock_answer, status_of, transfer_answer, with_opened
from app.domain.words import COUNTED, LETTERS
from app.hotstore.gate import Step
from app.hotstore.records import Kind, Record, opened_fields, text_of
from app.ledger.fold import OPENS_LOCK
from app.ledger.snapshot_rows import SnapshotRows

_ENDED = frozenset({"released", "deducted"})
OPENS_TRANSFER = frozenset({"transfer"})
_COUNTED = tuple(place.value for place in COUNTED)
_encoder = msgspec.json.Encoder()


def stock_fields(warehouse: str, counts: Iterable[int]) -> dict[str, int]:
    """Return the fields of a SKU in one warehouse; a zero is absent but for `available`."""
    return {
        f"{warehouse}:{letter}": count
        for letter, count in zip(_COUNTED, counts, strict=True)
        if count or letter == "a"
    }


async def stock_records(rows: AsyncIterator[Any]) -> AsyncIterator[Record]:
    """Gather rows (sku, warehouse, version, counts…), in SKU order, into a record a SKU."""
    sku, highest = None, 0
    fields: dict[str, int | str] = {}
    async for row in rows:
        if row[0] != sku:
            if sku is not None:
                yield Record("stock", sku, fields)
            sku, highest, fields = row[0], 0, {}
        highest = max(highest, row[2])
        fields["v"] = highest
        fields |= stock_fields(row[1], row[3:])
    if sku is not None:
        yield Record("stock", sku, fields)


async def document_records(kind: Kind, rows: AsyncIterator[Any]) -> AsyncIterator[Record]:
    """Turn rows (id, opened_epoch, opened_n, record) into records of locks or transfers."""
    async for row in rows:
        fields = opened_fields(row["record"], Position(row["opened_epoch"], row["opened_n"]))
        yield Record(kind, row["id"], fields, fresh=True)


async def op_records(rows: AsyncIterator[Any]) -> AsyncIterator[Record]:
    """Turn rows (op, fingerprint, epoch, n, lock, document) into what the ids were used for."""
    async for row in rows:
        position = Position(row["epoch"], row["n"])
        yield Record(
            "op", row["op"], {"": op_text(row["fingerprint"], position, row["lock"], row["document"])}
        )


async def inbox_records(rows: SnapshotRows, skus: Sequence[str] | None = None) -> AsyncIterator[Record]:
    """When some SKUs, or all, were counted, and how far every source is."""
    counted: dict[str, dict[str, str]] = {}
    async for row in rows.counted(skus):
        if row["sku"] not in counted:
            for sku, fields in counted.items():
                yield Record("counted", sku, fields, fresh=True)
            counted = {}
        counted.setdefault(row["sku"], {})[row["warehouse"]] = text_of(row["counts"])
    for sku, fields in counted.items():
        yield Record("counted", sku, fields, fresh=True)
    sources: dict[str, dict[str, str]] = {}
    async for row in rows.sequences():
        sources.setdefault(row["source"], {})[row["warehouse"]] = str(row["number"])
    for source, fields in sources.items():
        yield Record("sequences", source, fields, fresh=True)


async def sums_records(rows: AsyncIterator[Any]) -> AsyncIterator[Record]:
    """Gather rows (family, sku, sums), in the order of families, into a record a family."""
    family: str | None = None
    fields: dict[str, int | str] = {}
    async for row in rows:
        if row["family"] != family:
            if family is not None:
                yield Record("document", family, fields, fresh=True)
            family, fields = row["family"], {}
        fields[row["sku"]] = text_of(row["sums"])
    if family is not None:
        yield Record("document", family, fields, fresh=True)


def op_text(
    fingerprint: str, position: Position, lock: Mapping[str, Any] | None, document: Mapping[str, Any] | None
) -> str:
    """Return what the hot store keeps of an id; one that was carried over kept its own text."""
    if document and "op" in document:
        return str(document["op"])
    return f"{fingerprint} {position} {_answer(lock, document)}"


def _answer(lock: Mapping[str, Any] | None, document: Mapping[str, Any] | None) -> str:
    """Return what a repeat is told, as the function had kept it: nothing where the record itself is the answer."""
    if document and status_of(document):  # of a transfer: what a receipt or a count says is no record
        return text_of(transfer_answer(document))
    answer = None if lock is None else lock_answer(lock)
    return "" if answer is None else text_of(answer)


def step_of(row: Any) -> Step:
    """Turn an event of the ledger (`sql/queries/events_after.sql`) into a step of a replay."""
    position = Position(row["epoch"], row["n"])
    moves = [_move(move) for move in row["moves"] or []]
    document = (
        None
        if row["document_kind"] is None
        else Document(row["document_kind"], row["document_id"], row["document"])
    )
    told = Told([tuple(known) for known in row["told"]]) if row["told"] else None
    event = Event(
        row["schema"], row["kind"], row["recorded_at"], row["op"], row["fingerprint"], row["who"], row["reason"],
        row["occurred_at"], row["lock_id"], row["lock"], moves, document, told,
    )  # fmt: skip
    body = _encoder.encode(event).decode()
    return Step(
        row["prev"], position, row["tip"], event.recorded_at, body, list(_records_of(event, position))
    )


def _move(parts: list[Any]) -> Move:
    sku, version, warehouse, source, target, quantity, after, reason, to_warehouse, to_after, at = parts
    there = Counts(*to_after) if to_after else None
    ends = LETTERS[source], LETTERS[target]
    return Move(sku, version, warehouse, *ends, quantity, Counts(*after), reason, to_warehouse, there, at)


def _records_of(event: Event, position: Position) -> Iterable[Record]:
    """What an event left behind: all of it, whatever was there before."""
    for move in event.moves:
        yield _stock_after(move.sku, move.version, move.warehouse, move.after)
        if move.to_warehouse is not None and move.to_after is not None:
            yield _stock_after(move.sku, move.version, move.to_warehouse, move.to_after)
    if event.lock_id is not None and event.lock is not None:
        opens = event.kind in OPENS_LOCK
        yield _changed("lock", event.lock_id, event.lock, position, opens=opens)
    document = event.document
    if document is not None and document.kind == "lock":
        yield _changed("lock", document.id, document.fields, position, opens=False)
    if document is not None and document.kind == "transfer":
        opens = event.kind in OPENS_TRANSFER
        yield _changed("transfer", document.id, document.fields, position, opens=opens)
    yield from ops_of(event, position)


def ops_of(event: Event, position: Position) -> Iterable[Record]:
    """What the ids of an event were used for."""
    document = event.document
    if event.op is not None and event.fingerprint is not None:
        is_told = event.op.startswith("event:")  # its repeat needs no answer
        fields = document.fields if document and document.kind != "lock" and not is_told else None
        text = op_text(event.fingerprint, position, None if is_told else event.lock, fields)
        yield Record("op", event.op, {"": text})
    for op, told_fingerprint, units in event.told.ids if event.told else ():
        yield Record("op", op, {"": f"{told_fingerprint} {position} {units}"})


def sums_of(event: Event) -> Iterable[Record]:
    """What reporters had said of an event's document."""
    if event.reported is not None:
        fields = {sku: text_of(said) for sku, said in event.reported.sums.items()}
        yield Record("document", event.reported.family, fields)


def _stock_after(sku: str, version: int, warehouse: str, counts: Counts) -> Record:
    fields: dict[str, int | str] = {"v": version, **stock_fields(warehouse, counts)}
    gone = [f"{warehouse}:{letter}" for letter in _COUNTED if f"{warehouse}:{letter}" not in fields]
    return Record("stock", sku, fields, gone)


def _changed(
    kind: Kind, record_id: str, changes: Mapping[str, Any], position: Position, *, opens: bool
) -> Record:
    """What changed; a record that is opened, or carried over whole, begins anew."""
    fields = {name: text_of(value) for name, value in changes.items() if value is not None}
    whole = opens or is_whole(changes)
    if opens:
        fields = with_opened(fields, position)
    gone = [name for name, value in changes.items() if value is None]
    return Record(kind, record_id, fields, gone, fresh=whole)
