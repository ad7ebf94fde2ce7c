"""Writing a batch of events: events, moves, projections and position in one transaction.

The position lives with the data, so every event takes effect exactly once, whatever is killed when.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.chain import ChainBrokenError, Entry, UnreadableEventError, VersionGapError, check_chain
from app.domain.events import Counts, Event, Move, Position, Told
from app.domain.words import Place
from app.ledger import database
from app.ledger.parking import Parking, Subject
from app.ledger.partitions import Month, ensure_month
from app.ledger.queries import sql
from app.ledger.seal import seal_of

_log = structlog.get_logger()

_EVENT_COLUMNS = (
    "shard", "epoch", "n", "schema", "kind", "recorded_at", "occurred_at", "op", "fingerprint", "who", "reason",
    "lock_id", "lock", "prev", "tip", "document_kind", "document_id", "document", "seal",
)  # fmt: skip
_MOVE_COLUMNS = (
    "shard", "epoch", "n", "line", "sku", "version", "warehouse", "source", "target", "quantity", "reason",
    "available_after", "locked_after", "damaged_after", "in_transit_after", "buffer_after", "recorded_at",
    "occurred_at", "to_warehouse", "to_available_after", "to_locked_after", "to_damaged_after", "to_in_transit_after",
    "to_buffer_after",
)  # fmt: skip
_ID_COLUMNS = ("shard", "epoch", "n", "recorded_at", "op", "fingerprint", "units")
BALANCE_MOVES = 1_000
"""A SKU's counts are noted about every so many of its moves."""
OPENS_LOCK = frozenset({"lock", "exchange"})
"""Events that begin a lock."""
_PLACES = {place.value: place.name.lower() for place in Place}
_encoder = msgspec.json.Encoder()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ms: int) -> datetime:
    """Return a time in ms since 1970 as Postgres takes it, exactly."""
    return _EPOCH + timedelta(milliseconds=ms)


_NO_OTHER_END = (None,) * len(Counts._fields)


@dataclass(slots=True)
class _Records:
    """What a batch does to documents of one kind: rows of those it opens, and of those it changes."""

    opened: dict[str, list[Any]] = field(default_factory=dict)
    changed: dict[str, list[Any]] = field(default_factory=dict)

    def open(self, record_id: str, where: Position, at: datetime, fields: dict[str, Any]) -> None:
        """A new record, even under an id that was used before; one that is carried over says where it was opened."""
        opened = Position.parse(fields["p"]) if "p" in fields else where
        kept = {name: value for name, value in fields.items() if name != "p"}
        self.opened[record_id] = [*opened, *where, at, kept]

    def change(self, record_id: str, where: Position, at: datetime, fields: dict[str, Any]) -> None:
        """Fold in what changed: opened in this batch, changed in it, or both; null removes a field."""
        if record_id in self.opened:
            opened = self.opened[record_id]
            self.opened[record_id] = [*opened[:2], *where, at, merged(opened[-1], fields)]
        else:
            known = self.changed.get(record_id, [None])[-1] or {}
            self.changed[record_id] = [*where, at, known | fields]


@dataclass(slots=True)
class Fold:
    """What a batch comes to: the last counts of each place, and each document's changes.

    `receipts` has the [good, damaged] units that came in, by (purchase order, SKU, epoch, n). `ids` are those that
    events of the inbox are known by besides their op, `sequences` how far a source is in a warehouse, `counted`
    whether damaged units were counted too, by (SKU, warehouse, time).
    """

    events: list[tuple[Any, ...]] = field(default_factory=list)
    moves: list[tuple[Any, ...]] = field(default_factory=list)
    first_versions: dict[str, int] = field(default_factory=dict)
    last_versions: dict[str, int] = field(default_factory=dict)
    stock: dict[tuple[str, str], tuple[int, Counts]] = field(default_factory=dict)
    locks: _Records = field(default_factory=_Records)
    transfers: _Records = field(default_factory=_Records)
    receipts: dict[tuple[str, str, int, int], list[int]] = field(default_factory=dict)
    months: set[Month] = field(default_factory=set)
    held: frozenset[Subject] = frozenset()
    parked: Parking = field(default_factory=Parking)
    ids: list[tuple[Any, ...]] = field(default_factory=list)
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    counted: dict[tuple[str, str, datetime], bool] = field(default_factory=dict)


class Writer:
    """Writes one shard's events in order. Several may run: the position row is the lease."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard
        self._months: set[Month] = set()

    async def position(self) -> tuple[Position, str]:
        """Return how far the ledger is, and the tip there; makes the row at the first time."""
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("begin_position"), self._shard)
            row = await pg.fetchrow(sql("read_position"), self._shard)
        return Position(row["epoch"], row["n"]), row["tip"]

    async def write(self, entries: Sequence[Entry], *, home_epoch: int | None = None) -> Position | None:
        """Persist entries that continue the position; return the new position, or None if another worker was there.

        `home_epoch`: the epoch of the memory they were read from. None is returned too when a newer one was noted.

        Raises `ChainBrokenError` if they don't continue it, `UnavailableError` while Postgres is away.
        """
        seconds_max = database.TRANSACTION_SECONDS_MAX
        async with database.driver_transaction(self._engine, seconds_max=seconds_max) as pg:
            row = await self._lease(pg, home_epoch)
            if row is None:
                return None
            at = Position(row["epoch"], row["n"])
            rest = [entry for entry in entries if entry.position > at]
            if not rest:
                return at
            fold = Fold(held=await self._held(pg) if row["has_parked"] else frozenset())
            for entry in check_chain(rest, at, row["tip"]):
                self._add(fold, entry)
            await self._check_versions(pg, fold)
            await self._ensure_partitions(pg, fold.months)
            await self._store(pg, fold)
            last = rest[-1]
            await pg.execute(
                sql("advance_position"), self._shard, *last.position, last.tip, moment(last.event.recorded_at)
            )
        self._months |= fold.months
        return last.position

    async def _lease(self, pg: Any, home_epoch: int | None) -> Any:
        """Return the position's row, this transaction's alone; None if it is another's, or a newer memory's."""
        row = await pg.fetchrow(sql("lease_position"), self._shard)
        is_over = row is not None and home_epoch is not None and home_epoch < row["newest_epoch"]
        return None if is_over else row

    async def _held(self, pg: Any) -> frozenset[Subject]:
        """Return whose parts are parked: what comes after them has to wait behind them."""
        rows = await pg.fetch(sql("parked_subjects"), self._shard)
        return frozenset(Subject(row["part"], row["subject"]) for row in rows)

    def _add(self, fold: Fold, entry: Entry) -> None:
        if entry.raw is not None:
            raise UnreadableEventError(f"event {entry.position} cannot be read: {entry.why}")
        self._add_event(fold, entry)
        self._add_moves(fold, entry, range(len(entry.event.moves)))
        self._add_document(fold, entry)

    def _add_event(self, fold: Fold, entry: Entry) -> None:
        event = entry.event
        recorded_at, occurred_at = _times_of(event)
        fold.months.add(Month.of(recorded_at))
        lock = None if event.lock is None else _json(event.lock)
        about = event.document
        document = (None,) * 3 if about is None else (about.kind, about.id, _json(about.fields))
        fold.events.append((
            self._shard, *entry.position, event.schema, event.kind, recorded_at, occurred_at, event.op,
            event.fingerprint, event.who, event.reason, event.lock_id, lock, entry.prev, entry.tip, *document,
            seal_of(entry),
        ))  # fmt: skip
        if event.told is not None:
            self._add_told(fold, entry.position, recorded_at, event.told)

    def _add_told(self, fold: Fold, position: Position, at: datetime, told: Told) -> None:
        fold.ids += ((self._shard, *position, at, *known) for known in told.ids)
        if told.sequence is not None:
            source, warehouse, number = told.sequence
            fold.sequences[source, warehouse] = number

    def _add_moves(self, fold: Fold, entry: Entry, lines: Iterable[int]) -> None:
        """Fold these moves of an event; those of a SKU that is held are parked behind what holds it."""
        event = entry.event
        recorded_at, occurred_at = _times_of(event)
        fold.months.add(Month.of(recorded_at))
        about = event.document
        for line in lines:
            move = event.moves[line]
            if (subject := Subject.of_move(move)) in fold.held:
                fold.parked.add(entry, subject, line=line, version=move.version)
                continue
            self._add_move(fold, entry.position, line, move)
            fold.moves.append((
                self._shard, *entry.position, line, move.sku, move.version, move.warehouse, _PLACES[move.source],
                _PLACES[move.target], move.quantity, move.reason, *move.after, recorded_at,
                occurred_at if move.occurred_at is None else moment(move.occurred_at),
                move.to_warehouse, *(move.to_after or _NO_OTHER_END),
            ))  # fmt: skip
            if event.kind == "receive" and about is not None and about.kind == "purchase_order":
                _add_receipt(fold, entry.position, about.id, (move,))
            if event.kind == "count":
                _add_counted(fold, min(occurred_at, recorded_at), (move,))

    def _add_document(self, fold: Fold, entry: Entry) -> None:
        """Fold what an event says of its lock or transfer, unless that is held."""
        subject = Subject.of_document(entry.event)
        if subject is None or subject not in fold.held:
            _add_records(fold, entry, moment(entry.event.recorded_at))
        else:
            fold.parked.add(entry, subject)

    def _add_move(self, fold: Fold, position: Position, line: int, move: Move) -> None:
        before = fold.last_versions.get(move.sku)
        if before is None:
            fold.first_versions[move.sku] = move.version
        elif move.version != before + 1:
            raise _out_of_order(move.version, before)(
                f"move {line} of event {position}: SKU {move.sku!r} goes from version {before} to {move.version}"
            )
        fold.last_versions[move.sku] = move.version
        fold.stock[move.sku, move.warehouse] = (move.version, move.after)
        if move.to_warehouse is not None and move.to_after is not None:
            fold.stock[move.sku, move.to_warehouse] = (move.version, move.to_after)

    async def _check_versions(self, pg: Any, fold: Fold) -> None:
        rows = await pg.fetch(sql("read_versions"), list(fold.first_versions))
        known = {row["sku"]: row["version"] for row in rows}
        for sku, version in fold.first_versions.items():
            if version != known.get(sku, 0) + 1:
                raise _out_of_order(version, known.get(sku, 0))(
                    f"SKU {sku!r} is at version {known.get(sku, 0)} in the ledger; its next move has {version}"
                )

    async def _ensure_partitions(self, pg: Any, months: set[Month]) -> None:
        for month in sorted(months - self._months):
            made = await ensure_month(pg, month)
            if made and self._months:  # not at the start, when nobody could make them ahead
                _log.error("ledger.partition_was_missing", made=made)

    async def _store(self, pg: Any, fold: Fold) -> None:
        if fold.events:
            await pg.copy_records_to_table("event", records=fold.events, columns=_EVENT_COLUMNS)
        if fold.moves:
            await pg.copy_records_to_table("move", records=fold.moves, columns=_MOVE_COLUMNS)
            rows = [
                (sku, warehouse, version, *after) for (sku, warehouse), (version, after) in fold.stock.items()
            ]
            await pg.execute(sql("fold_stock"), self._shard, *_columns(rows))
            await self._note_shortages(pg, fold)
            await self._balance(pg, fold)
        for records, opening, changing in (
            (fold.locks, "open_locks", "change_locks"),
            (fold.transfers, "open_transfers", "change_transfers"),
        ):
            if records.opened:
                await pg.execute(sql(opening), self._shard, *_columns(_rows(records.opened)))
            if records.changed:
                await pg.execute(sql(changing), *_columns(_rows(records.changed)))
        await self._store_told(pg, fold)
        if fold.receipts:
            await pg.execute(
                sql("fold_receipts"), *_columns((*key, *units) for key, units in fold.receipts.items())
            )
        await fold.parked.store(pg, self._shard)

    async def _store_told(self, pg: Any, fold: Fold) -> None:
        if fold.ids:
            await pg.copy_records_to_table("event_id", records=fold.ids, columns=_ID_COLUMNS)
        if fold.sequences:
            far = [(*key, number) for key, number in fold.sequences.items()]
            await pg.execute(sql("fold_sequences"), self._shard, *_columns(far))
        if fold.counted:
            rows = [(*key, damaged) for key, damaged in fold.counted.items()]
            await pg.execute(sql("fold_counted"), self._shard, *_columns(rows))

    async def _balance(self, pg: Any, fold: Fold) -> None:
        """Note the counts of SKUs every BALANCE_MOVES moves: nobody has to sum all of them from the beginning."""
        due = [
            sku
            for sku, version in fold.last_versions.items()
            if version // BALANCE_MOVES > (fold.first_versions[sku] - 1) // BALANCE_MOVES
        ]
        if due:
            await pg.execute(sql("add_balances"), due)

    async def _note_shortages(self, pg: Any, fold: Fold) -> None:
        """Open a case where less is there than is promised; close it where there is enough again."""
        at = fold.moves[-1][_MOVE_COLUMNS.index("recorded_at")]
        short = {place: after.available for place, (_, after) in fold.stock.items() if after.available < 0}
        if short:
            skus, warehouses = _columns(short)
            await pg.execute(sql("open_shortages"), self._shard, skus, warehouses, list(short.values()), at)
        enough = [place for place in fold.stock if place not in short]
        if enough:
            await pg.execute(sql("close_shortages"), *_columns(enough), at)


def _out_of_order(version: int, before: int) -> type[ChainBrokenError]:
    """Return what is wrong with a move whose version does not come next: too high, moves before it are missing."""
    return VersionGapError if version > before + 1 else ChainBrokenError


def _times_of(event: Event) -> tuple[datetime, datetime]:
    """Return when an event was recorded and when it happened."""
    recorded_at = moment(event.recorded_at)
    return recorded_at, recorded_at if event.occurred_at is None else moment(event.occurred_at)


def _add_records(fold: Fold, entry: Entry, at: datetime) -> None:
    """Fold what an event says of its lock, and of another document."""
    event = entry.event
    if event.lock_id is not None and event.lock is not None:
        note = fold.locks.open if event.kind in OPENS_LOCK or "p" in event.lock else fold.locks.change
        note(event.lock_id, entry.position, at, event.lock)
    if event.document is not None and event.document.kind == "transfer":
        fields = event.document.fields
        note = fold.transfers.open if event.kind == "transfer" or "p" in fields else fold.transfers.change
        note(event.document.id, entry.position, at, fields)
    if event.document is not None and event.document.kind == "counted":  # of a carry-over
        for warehouse, counts in event.document.fields.items():
            for counted_at, damaged in counts:
                fold.counted[event.document.id, warehouse, moment(counted_at)] = bool(damaged)


def _rows(records: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
    return [(record_id, *row[:-1], _json(row[-1])) for record_id, row in records.items()]


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _add_receipt(fold: Fold, position: Position, order_id: str, moves: Sequence[Move]) -> None:
    """Add what came in for a purchase order, whether anybody has planned it or not."""
    for move in moves:
        if move.source != Place.SUPPLIER:  # the opposite of what was counted since
            continue
        units = fold.receipts.setdefault((order_id, move.sku, *position), [0, 0])
        units[move.target == Place.DAMAGED] += move.quantity


def _add_counted(fold: Fold, at: datetime, moves: Sequence[Move]) -> None:
    """Note which SKUs were counted, and whether their damaged units were."""
    for move in moves:
        if move.occurred_at is None:  # else it is the opposite, as of another count
            key = (move.sku, move.warehouse, at)
            fold.counted[key] = fold.counted.get(key, False) or Place.DAMAGED in {move.source, move.target}


def merged(record: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record after an event; null removes a field."""
    return {name: value for name, value in (record | fields).items() if value is not None}


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()
