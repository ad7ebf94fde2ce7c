"""What waits in quarantine happened, booked or not: the hot store has it, and a repaired one must have it too.

The ledger's projections do not show it. So it is laid over them: of each SKU what the last move that waits left, of
each lock and transfer what the changes that wait made of it, and the ids of events of which only the raw text is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.domain.events import Counts, Event, Position
from app.domain.records import is_whole, with_opened
from app.domain.words import COUNTED
from app.hotstore.gate import CHUNK, Gate
from app.hotstore.records import Kind, Record, text_of
from app.ledger.fold import OPENS_LOCK
from app.ledger.parking import readable, told_by
from app.ledger.snapshot_rows import SnapshotRows
from app.recovery.records import OPENS_TRANSFER, document_records, ops_of, stock_fields, sums_of

Fields = dict[str, int | str]


class Unrestorable(NamedTuple):
    """An event in quarantine of which not all could be set again; without `event` it cannot be read."""

    position: Position
    event: Event | None
    body: bytes


class _Change(NamedTuple):
    """What an event did to a lock or transfer; `fields` None: nobody can read it."""

    position: Position
    kind: Kind
    id: str
    fields: Mapping[str, Any] | None
    opens: bool
    source: Unrestorable


@dataclass(slots=True)
class Waiting:
    """What is to be set over the ledger's state, and what cannot be."""

    records: list[Record] = field(default_factory=list)
    unrestorable: list[Unrestorable] = field(default_factory=list)
    _versions: dict[str, int] = field(default_factory=dict)
    _left: dict[str, dict[str, Counts]] = field(default_factory=dict)
    _changes: list[_Change] = field(default_factory=list)

    async def read(self, rows: SnapshotRows) -> None:
        """Read all of it; of ids only those that the hot store remembers."""
        async for row in rows.parked_events():
            self._take(row)
        self.records += [self._stock_record(sku, version) for sku, version in self._versions.items()]
        await self._fold_changes("lock", rows)
        await self._fold_changes("transfer", rows)

    async def set(self, gate: Gate, *, fence: int) -> None:
        """Set it, in a memory that is shut."""
        for first in range(0, len(self.records), CHUNK):
            await gate.mend(self.records[first : first + CHUNK], fence=fence)

    def _take(self, row: Any) -> None:
        position, event = Position(row["epoch"], row["n"]), readable(row["body"])
        source = Unrestorable(position, event, row["body"])
        if event is None:
            self._take_unreadable(source)
            if row["is_unreadable"]:  # until a person has dropped it
                self.unrestorable.append(source)
            return
        for move in (event.moves[line] for line in row["lines"] or ()):
            self._versions[move.sku] = move.version
            places = self._left.setdefault(move.sku, {})
            places[move.warehouse] = move.after
            if move.to_warehouse is not None and move.to_after is not None:
                places[move.to_warehouse] = move.to_after
        if row["has_document"]:
            self._changes += _changes_of(event, source)
        if row["is_bare"]:
            self.records += ops_of(event, position)
            self.records += sums_of(event)

    def _take_unreadable(self, source: Unrestorable) -> None:
        """Its moves had versions, so the next ones go on behind them; what they left is not known."""
        for subject, _, version in told_by(source.body.decode("utf-8", "surrogateescape")):
            if subject.part == "move" and version is not None:
                self._versions[subject.name] = version
            elif subject.part == "document":
                kind, _, one = subject.name.partition(" ")
                named: Kind = "lock" if kind == "lock" else "transfer"
                self._changes.append(_Change(source.position, named, one, None, opens=False, source=source))

    def _stock_record(self, sku: str, version: int) -> Record:
        fields: Fields = {"v": version}
        gone: list[str] = []
        for warehouse, counts in self._left.get(sku, {}).items():
            kept = stock_fields(warehouse, counts)
            fields |= kept
            gone += [name for letter in COUNTED if (name := f"{warehouse}:{letter}") not in kept]
        return Record("stock", sku, fields, gone)

    async def _fold_changes(self, kind: Kind, rows: SnapshotRows) -> None:
        """Make of each record what the changes that wait made of it, from where the ledger is."""
        changes = [change for change in self._changes if change.kind == kind]
        ids = list({change.id for change in changes})
        known = rows.named_locks(ids) if kind == "lock" else rows.named_transfers(ids)
        now: dict[str, Fields] = {}
        if ids:
            now = {record.id: dict(record.fields) async for record in document_records(kind, known)}
        for change in changes:
            after = _after(now.get(change.id), change)
            if after is not None:
                now[change.id] = after
            elif change.source not in self.unrestorable:
                self.unrestorable.append(change.source)
        self.records += [Record(kind, one, fields, fresh=True) for one, fields in now.items()]


def _changes_of(event: Event, source: Unrestorable) -> Iterable[_Change]:
    if event.lock_id is not None and event.lock is not None:
        opens = event.kind in OPENS_LOCK or is_whole(event.lock)
        yield _Change(source.position, "lock", event.lock_id, event.lock, opens, source)
    document = event.document
    if document is not None and document.kind == "lock":
        yield _Change(source.position, "lock", document.id, document.fields, opens=False, source=source)
    if document is not None and document.kind == "transfer":
        opens = event.kind in OPENS_TRANSFER or is_whole(document.fields)
        yield _Change(source.position, "transfer", document.id, document.fields, opens, source)


def _after(now: Fields | None, change: _Change) -> Fields | None:
    """Return a record after a change; None if that cannot be known: then it stays as it was."""
    if change.fields is None or (now is None and not change.opens):
        return None
    after: Fields = with_opened({}, change.position) if change.opens or now is None else dict(now)
    for name, value in change.fields.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = text_of(value)
    return after
