"""What a batch of events comes to: the rows of the ledger, folded without asking anybody.

Rows are made as each event is read, and the event is let go: a batch of thousands holds its rows and little else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from app.domain.chain import Entry, Link, OutOfOrderError, UnreadableEventError, check_chain
from app.domain.events import Counts, Document, Event, Move, Position, Reported, Told
from app.domain.records import is_whole, opened_of, without_opened
from app.domain.times import moment
from app.domain.words import OUTSIDE, WORDS, Place
from app.ledger.parking import Parking, Subject
from app.ledger.partitions import Month
from app.ledger.seal import seal_of

EVENT_COLUMNS = (
    "shard", "epoch", "n", "schema", "kind", "recorded_at", "occurred_at", "op", "fingerprint", "who", "reason",
    "lock_id", "lock", "prev", "tip", "document_kind", "document_id", "document", "seal",
)  # fmt: skip
MOVE_COLUMNS = (
    "shard", "epoch", "n", "line", "sku", "version", "warehouse", "source", "target", "quantity", "reason",
    "available_after", "locked_after", "damaged_after", "in_transit_after", "buffer_after", "recorded_at",
    "occurred_at", "to_warehouse", "to_available_after", "to_locked_after", "to_damaged_after", "to_in_transit_after",
    "to_buffer_after",
)  # fmt: skip
ID_COLUMNS = ("shard", "epoch", "n", "recorded_at", "op", "fingerprint", "units")
OPENS_LOCK = frozenset({"lock", "exchange"})
"""Events that begin a lock."""
COMPENSATES = "compensate"
"""The kind of event that books what a dropped SKU has in the hot store: how much that is, shows in its turn only."""
_OUTSIDE = {place.value: i for i, place in enumerate(OUTSIDE)}
_NO_OTHER_END = (None,) * len(Counts._fields)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])


@lru_cache(maxsize=4096)  # events come by the dozen in a millisecond
def _dated(ms: int) -> tuple[datetime, Month]:
    at = moment(ms)
    return at, Month.of(at)


@dataclass(slots=True)
class Records:
    """What a batch does to documents of one kind: rows of those it opens, carries over, and changes, by their ids.

    A row is where it was opened, unless it is only changed, where and when it changed, and the fields as JSON.
    """

    opened: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    carried: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    changed: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def open(
        self, record_id: str, where: Position, at: datetime, fields: dict[str, Any], text: str | None = None
    ) -> None:
        """A new record, even under an id that was used before; one that is carried over says where it was opened.

        `text`: the fields as JSON, if that was made.
        """
        if not is_whole(fields):
            self.opened[record_id] = (*where, *where, at, text or json_of(fields))
            return
        opened, kept = opened_of(fields), without_opened(fields)
        self.carried[record_id] = (*opened, *where, at, json_of(kept))
        self.opened.pop(record_id, None)

    def change(self, record_id: str, where: Position, at: datetime, fields: dict[str, Any]) -> None:
        """Fold in what changed: opened in this batch, changed in it, or both; null removes a field."""
        for begun in (self.opened, self.carried):
            if row := begun.get(record_id):
                begun[record_id] = (*row[:2], *where, at, json_of(merged(_decoder.decode(row[-1]), fields)))
                return
        if row := self.changed.get(record_id):
            fields = _decoder.decode(row[-1]) | fields
        self.changed[record_id] = (*where, at, json_of(fields))


@dataclass(slots=True)
class Left:
    """What a batch left of a SKU in a warehouse: the last version and counts, and when its moves were.

    `outside` has the units that went to supplier, customer and adjustment, less those that came from there.
    """

    version: int
    counts: Counts
    recorded_at: datetime
    occurred_from: datetime
    occurred_to: datetime
    outside: list[int] = field(default_factory=lambda: [0] * len(_OUTSIDE))

    def go_on(self, version: int, counts: Counts, recorded_at: datetime, occurred_at: datetime) -> None:
        """Take the next move in."""
        self.version, self.counts = version, counts
        self.recorded_at = max(self.recorded_at, recorded_at)
        if occurred_at < self.occurred_from:
            self.occurred_from = occurred_at
        elif occurred_at > self.occurred_to:
            self.occurred_to = occurred_at

    def row(self) -> tuple[Any, ...]:
        """Return it as `sql/queries/fold_stock.sql` takes it."""
        return (
            self.version,
            *self.counts,
            *self.outside,
            self.recorded_at,
            self.occurred_from,
            self.occurred_to,
        )


@dataclass(slots=True)
class Fold:
    """What a batch comes to: the last counts of each place, and each document's changes.

    `receipts` has the [good, damaged] units that came in, by (purchase order, SKU, epoch, n). `ids` are those that
    events of the inbox are known by besides their op, `sequences` how far a source is in a warehouse, `counted`
    whether damaged units were counted too, by (SKU, warehouse, time), `documents` what reporters have said in all of a
    family of documents, by family and SKU. What is `held` is parked again.
    """

    shard: int
    held: frozenset[Subject] = frozenset()
    events: list[tuple[Any, ...]] = field(default_factory=list)
    moves: list[tuple[Any, ...]] = field(default_factory=list)
    first_versions: dict[str, int] = field(default_factory=dict)
    last_versions: dict[str, int] = field(default_factory=dict)
    stock: dict[tuple[str, str], Left] = field(default_factory=dict)
    locks: Records = field(default_factory=Records)
    transfers: Records = field(default_factory=Records)
    receipts: dict[tuple[str, str, int, int], list[int]] = field(default_factory=dict)
    months: set[Month] = field(default_factory=set)
    parked: Parking = field(default_factory=Parking)
    ids: list[tuple[Any, ...]] = field(default_factory=list)
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    counted: dict[tuple[str, str, datetime], bool] = field(default_factory=dict)
    documents: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Fold an event. Raises `UnreadableEventError`, or `OutOfOrderError` at a move out of its order."""
        if entry.raw is not None:
            raise UnreadableEventError(f"event {entry.position} cannot be read: {entry.why}")
        lock = self.add_event(entry)
        self.add_moves(entry, range(len(entry.event.moves)))
        self.add_document(entry, lock)

    def add_event(self, entry: Entry) -> str | None:
        """Fold an event without its moves and its document; return what it says of its lock, as JSON."""
        event = entry.event
        recorded_at, occurred_at = self._times_of(event)
        lock = None if event.lock is None else json_of(event.lock)
        about = event.document
        document = (None,) * 3 if about is None else (about.kind, about.id, json_of(about.fields))
        self.events.append((
            self.shard, *entry.position, event.schema, event.kind, recorded_at, occurred_at, event.op,
            event.fingerprint, event.who, event.reason, event.lock_id, lock, entry.prev, entry.tip, *document,
            seal_of(entry),
        ))  # fmt: skip
        if event.told is not None:
            self._add_told(entry.position, recorded_at, event.told)
        if event.reported is not None:
            self._add_reported(entry, recorded_at, event.reported)
        if about is not None:
            self._add_counts(about, min(occurred_at, recorded_at))
        return lock

    def add_moves(self, entry: Entry, lines: Iterable[int]) -> None:
        """Fold these moves of an event; those of a SKU that is held are parked behind what holds it."""
        event = entry.event
        recorded_at, occurred_at = self._times_of(event)
        about = event.document
        for line in lines:
            move = event.moves[line]
            if self.held and (subject := Subject.of_move(move)) in self.held:
                self.parked.add(entry, subject, line=line, version=move.version)
                continue
            happened_at = occurred_at if move.occurred_at is None else moment(move.occurred_at)
            self._follow(entry.position, line, move)
            self._leave(move, recorded_at, happened_at)
            self.moves.append((
                self.shard, *entry.position, line, move.sku, move.version, move.warehouse, WORDS[move.source],
                WORDS[move.target], move.quantity, move.reason, *move.after, recorded_at, happened_at,
                move.to_warehouse, *(move.to_after or _NO_OTHER_END),
            ))  # fmt: skip
            if event.kind == "receive" and about is not None and about.kind == "purchase_order":
                self._add_receipt(entry.position, about.id, move)
            if event.kind == "count":
                self._add_counted(min(occurred_at, recorded_at), move)

    def add_document(self, entry: Entry, lock: str | None = None) -> None:
        """Fold what an event says of its lock (given as JSON, if that was made) or transfer, unless that is held."""
        subject = Subject.of_document(entry.event) if self.held else None
        if subject is None or subject not in self.held:
            self._add_records(entry, lock, self._times_of(entry.event)[0])
        else:
            self.parked.add(entry, subject)

    def _times_of(self, event: Event) -> tuple[datetime, datetime]:
        """Return when an event was recorded and when it happened; the month of the first has to be there."""
        recorded_at, month = _dated(event.recorded_at)
        self.months.add(month)
        return recorded_at, recorded_at if event.occurred_at is None else moment(event.occurred_at)

    def _follow(self, position: Position, line: int, move: Move) -> None:
        """Note a move's version; raise if it does not come next."""
        before = self.last_versions.get(move.sku)
        if before is None:
            self.first_versions[move.sku] = move.version
        elif move.version != before + 1:
            raise OutOfOrderError(
                f"move {line} of event {position}: SKU {move.sku!r} goes from version {before} to {move.version}"
            )
        self.last_versions[move.sku] = move.version

    def _leave(self, move: Move, recorded_at: datetime, occurred_at: datetime) -> None:
        """Note the counts that a move left, and what it took from the outside or gave to it."""
        there = here = self._left(move, move.warehouse, move.after, recorded_at, occurred_at)
        if move.to_warehouse is not None and move.to_after is not None:
            there = self._left(move, move.to_warehouse, move.to_after, recorded_at, occurred_at)
        if move.source in _OUTSIDE:
            here.outside[_OUTSIDE[move.source]] -= move.quantity
        if move.target in _OUTSIDE:
            there.outside[_OUTSIDE[move.target]] += move.quantity

    def _left(
        self, move: Move, warehouse: str, after: Counts, recorded_at: datetime, occurred_at: datetime
    ) -> Left:
        left = self.stock.get((move.sku, warehouse))
        if left is None:
            left = Left(move.version, after, recorded_at, occurred_at, occurred_at)
            self.stock[move.sku, warehouse] = left
        else:
            left.go_on(move.version, after, recorded_at, occurred_at)
        return left

    def _add_told(self, position: Position, at: datetime, told: Told) -> None:
        self.ids += ((self.shard, *position, at, *known) for known in told.ids)
        if told.sequence is not None:
            source, warehouse, number = told.sequence
            self.sequences[source, warehouse] = number

    def _add_reported(self, entry: Entry, at: datetime, reported: Reported) -> None:
        family, sums = reported
        shipped_for = entry.event.lock_id if family.startswith("return:") else None
        for sku, said in sums.items():
            reporters = "\t".join(sorted({claim[2] for claim in said[0]}))
            row = (json_of(said), reporters, shipped_for, *entry.position, at)
            self.documents[family, sku] = row

    def _add_records(self, entry: Entry, lock: str | None, at: datetime) -> None:
        """Fold what an event says of its lock, and of another document."""
        event = entry.event
        if event.lock_id is not None and event.lock is not None:
            if event.kind in OPENS_LOCK or is_whole(event.lock):
                self.locks.open(event.lock_id, entry.position, at, event.lock, lock)
            else:
                self.locks.change(event.lock_id, entry.position, at, event.lock)
        if event.document is None:
            return
        about, fields = event.document, event.document.fields
        if about.kind == "transfer":
            opens = event.kind == "transfer" or is_whole(fields)
            note = self.transfers.open if opens else self.transfers.change
            note(about.id, entry.position, at, fields)
        elif about.kind == "lock":  # what came back of it, by an exchange
            self.locks.change(about.id, entry.position, at, fields)

    def _add_receipt(self, position: Position, order_id: str, move: Move) -> None:
        """Add what came in for a purchase order, whether anybody has planned it or not."""
        came, went = move.source == Place.SUPPLIER, move.target == Place.SUPPLIER
        if not came and not went:  # the opposite of what was counted since, or another condition
            return
        units = self.receipts.setdefault((order_id, move.sku, *position), [0, 0])
        is_damaged = Place.DAMAGED in {move.source, move.target}
        units[is_damaged] += move.quantity if came else -move.quantity

    def _add_counted(self, at: datetime, move: Move) -> None:
        """Note that a SKU was counted, and whether its damaged units were."""
        if move.occurred_at is None:  # else the opposite, as of another count
            damaged = Place.DAMAGED in {move.source, move.target}
            self._note_counted(move.sku, move.warehouse, at, damaged=damaged)

    def _add_counts(self, about: Document, at: datetime) -> None:
        """Note what an event says of counts beside its moves."""
        if about.kind == "count":  # what was there as it was counted
            for sku, damaged in about.fields["skus"].items():
                self._note_counted(sku, about.id, at, damaged=bool(damaged))
        elif about.kind == "counted":  # of a carry-over
            for warehouse, counts in about.fields.items():
                for counted_at, damaged in counts:
                    self._note_counted(about.id, warehouse, moment(counted_at), damaged=bool(damaged))

    def _note_counted(self, sku: str, warehouse: str, at: datetime, *, damaged: bool) -> None:
        key = (sku, warehouse, at)
        self.counted[key] = self.counted.get(key, False) or damaged


class NotAheadError(ValueError):
    """What an event comes to is not known before it is its turn."""


class Batch:
    """Events that continue a place in the chain, folded before it is their turn to be written."""

    def __init__(self, shard: int, after: Link, held: frozenset[Subject]) -> None:
        self.after = self.last = after
        self.fold = Fold(shard, held)
        self.recorded_at = 0
        """When the last event was recorded, in ms since 1970."""
        self.is_spoilt = False
        """Whether something is wrong with its events: it is not to be written."""

    def __len__(self) -> int:
        """Return how many events are in it."""
        return len(self.fold.events)

    def add(self, entries: Sequence[Entry]) -> None:
        """Fold entries that continue it; where that raises, the caller has to call it spoilt."""
        for entry in check_chain(entries, *self.last):
            if entry.event.kind == COMPENSATES:
                raise NotAheadError(f"event {entry.position} depends on what the ledger has then")
            self.fold.add(entry)
        self.last = Link(entries[-1].position, entries[-1].tip)
        self.recorded_at = entries[-1].event.recorded_at


def merged(record: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record after an event; null removes a field."""
    return {name: value for name, value in (record | fields).items() if value is not None}


def json_of(value: Any) -> str:
    """Return a value as the ledger's JSON columns take it."""
    return _encoder.encode(value).decode()
