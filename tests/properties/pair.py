"""The model and the functions side by side: the same steps, and everything they show compared.

After each batch of steps the answers, the events, all counts, all lock records, the due list and the set of keys
are compared, and the events are replayed into a projection of their own. A batch of one compares after each step.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.domain import chain
from app.domain.answers import Answer, LockView, TransferView
from app.domain.commands import Accept, Command, Fact, Receive
from app.domain.events import Counts, Position
from app.domain.model import Model
from app.domain.model_shelves import Moved
from app.domain.outcomes import Outcome
from app.domain.words import OPEN_STATUSES, TRANSFER_ENDED, LockStatus
from app.hotstore.replies import Stock
from tests.properties.rig import START_MS, Pending, Shard, entries_of

INSIDE = ("a", "l", "d", "t")
_SILENT = {
    Outcome.UNCHANGED,
    Outcome.REPEATED,
    Outcome.ID_REUSED,
    Outcome.UNKNOWN_LOCK,
    Outcome.UNKNOWN_SKU,
    Outcome.LOCK_EXPIRED,
    Outcome.LOCK_NOT_HELD,
    Outcome.WAREHOUSE_REQUIRED,
    Outcome.QUANTITY_EXCEEDS_LOCK,
    Outcome.QUANTITY_EXCEEDS_SHIPMENT,
    Outcome.NOT_DUE,
    Outcome.UNKNOWN_TRANSFER,
    Outcome.TRANSFER_NOT_OPEN,
    Outcome.QUANTITY_EXCEEDS_TRANSFER,
    Outcome.TOO_MANY_CHOICES,
    Outcome.INSUFFICIENT_STOCK,
    Outcome.INSUFFICIENT_DAMAGED,
    Outcome.QUANTITY_TOO_LARGE,
    Outcome.EARLY,
    Outcome.OTHER_CONTENT,
    Outcome.LOCK_CHANGED,
    Outcome.BEYOND_ON_HAND,
    Outcome.TOO_MANY_LINES,
    Outcome.INVALID_ARGUMENT,
    Outcome.SHIPMENT_VOIDED,
    Outcome.SHIPMENT_REPORTED,
    Outcome.SHIPMENT_RETURNED,
}
"""Outcomes that write no event."""


class Advance(NamedTuple):
    """The clock goes on."""

    ms: int


class Close(NamedTuple):
    """Nothing new is promised in these warehouses from now on; as before in all others."""

    warehouses: tuple[str, ...]


class Forget(NamedTuple):
    """A lock is past the horizon, with the ids used on it; the functions refuse while it is open."""

    lock_id: str
    ops: tuple[str, ...]


class ForgetTransfer(NamedTuple):
    """A transfer is past the horizon, with the ids used on it; the functions refuse while it is open."""

    transfer_id: str
    ops: tuple[str, ...]


class NewEpoch(NamedTuple):
    """A new epoch begins."""


Step = Command | Advance | Close | Forget | ForgetTransfer | NewEpoch


class DifferenceError(AssertionError):
    """The functions and the model disagree, or an invariant is broken; `index` of the step, if it is known."""

    def __init__(self, what: str, index: int | None = None) -> None:
        super().__init__(what)
        self.index = index


class Expected(NamedTuple):
    """What the model says of a step: its answer, and of its event the moves (None: there is none), order, time."""

    answer: Answer
    moves: list[Moved] | None
    now: int
    order: str = ""
    occurred_at: int | None = None


@dataclass(slots=True)
class Projection:
    """What the events alone say: replayed, they must give every count, version and lock record."""

    position: Position = field(default_factory=lambda: Position(0, 0))
    tip: str = ""
    at: int = 0
    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    sums: dict[str, dict[str, int]] = field(default_factory=dict)
    locks: dict[str, dict[str, str]] = field(default_factory=dict)
    transfers: dict[str, dict[str, str]] = field(default_factory=dict)
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    documents: dict[tuple[str, str], Any] = field(default_factory=dict)

    def apply(self, entries: Sequence[chain.Entry]) -> None:
        for entry in chain.check_chain(entries, self.position, self.tip):
            assert entry.event.recorded_at >= self.at, "the clock ran backwards"
            self.position, self.tip, self.at = entry.position, entry.tip, entry.event.recorded_at
            for move in entry.event.moves:
                self._move(move)
            if entry.event.told and entry.event.told.sequence:
                source, warehouse, number = entry.event.told.sequence
                self.sequences[source, warehouse] = number
            if entry.event.reported:
                family, sums = entry.event.reported
                self.documents |= {(family, sku): said for sku, said in sums.items()}
            if entry.event.lock_id:
                opens = entry.event.kind in {"lock", "exchange"}
                self._record(self.locks, entry, entry.event.lock_id, entry.event.lock or {}, opens=opens)
            if entry.event.document:
                kind, name, fields = entry.event.document
                if kind == "purchase_order":
                    assert not fields
                    continue
                if kind == "count":
                    assert set(fields["skus"].values()) <= {0, 1}
                    continue
                if kind == "lock":
                    self._record(self.locks, entry, name, fields, opens=False)
                    continue
                assert kind == "transfer"
                self._record(self.transfers, entry, name, fields, opens=entry.event.kind == "transfer")

    def _move(self, move: Any) -> None:
        version = self.versions.get(move.sku, 0) + 1
        assert move.version == version, f"{move} should have version {version}"
        self.versions[move.sku] = version
        to_warehouse = move.to_warehouse or move.warehouse
        change: dict[str, dict[str, int]] = {move.warehouse: {}, to_warehouse: {}}
        sums = self.sums.setdefault(move.sku, {})
        for warehouse, name, units in (
            (move.warehouse, move.source, -move.quantity),
            (to_warehouse, move.target, move.quantity),
        ):
            change[warehouse][name] = change[warehouse].get(name, 0) + units
            sums[name] = sums.get(name, 0) + units
        assert (move.to_warehouse is None) == (move.to_after is None), f"{move} tells half of its other end"
        afters = {move.warehouse: move.after, to_warehouse: move.to_after or move.after}
        for warehouse, after in afters.items():
            before = self.counts.get((move.sku, warehouse), Counts())
            made = [
                count + change[warehouse].get(state, 0) for count, state in zip(before, INSIDE, strict=False)
            ]
            assert list(after[:4]) == made, f"{move} does not follow {before} in {warehouse}"
            self.counts[move.sku, warehouse] = after

    def _record(
        self,
        records: dict[str, dict[str, str]],
        entry: chain.Entry,
        record_id: str,
        fields: dict[str, Any],
        *,
        opens: bool,
    ) -> None:
        if opens:
            records[record_id] = {"p": str(entry.position)}
        record = records[record_id]
        for name, value in fields.items():
            if value is None:
                record.pop(name, None)
            else:
                record[name] = (
                    json.dumps(value, ensure_ascii=False, separators=(",", ":"))
                    if isinstance(value, list)
                    else str(value)
                )

    def check_sums(self) -> None:
        """Per SKU, moves sum to zero, and what is inside is what came in from outside."""
        inside: dict[str, int] = {}
        for (sku, _), counts in self.counts.items():
            inside[sku] = inside.get(sku, 0) + sum(counts[:4])
        for sku, sums in self.sums.items():
            assert sum(sums.values()) == 0, f"the moves of {sku} do not sum to zero: {sums}"
            outside = sum(units for place, units in sums.items() if place not in INSIDE)
            assert inside[sku] == -outside, f"{sku} has {inside[sku]} inside, {outside} outside"


class Pair:
    """A model and a shard that start empty, and take the same steps."""

    def __init__(self, shard: Shard, *, order: tuple[str, ...] = (), closed: tuple[str, ...] = ()) -> None:
        shard.reset(order=order, closed=closed)
        self.shard = shard
        self.model = Model(order=order, closed=frozenset(closed))
        self.now = START_MS
        self.projection = Projection()
        self.epoch = 1
        self.steps = 0

    # Steps

    def run(self, steps: Sequence[Step]) -> None:
        """Do the steps in one go and compare; raise `DifferenceError`."""
        try:
            self._run(steps)
        except DifferenceError:
            raise
        except Exception as error:
            raise DifferenceError(f"broke: {error!r}") from error

    def _run(self, steps: Sequence[Step]) -> None:
        expected: list[Expected] = []
        requests: list[tuple[Any, ...]] = []
        pending: list[Pending | None] = []
        for step in steps:
            if isinstance(step, NewEpoch):
                self._settle(expected, requests, pending)
                expected, requests, pending = [], [], []
                self._begin_epoch()
                continue
            expected.append(self._expect(step))
            call = self._begin(step)
            pending.append(call)
            requests.append(call.send(None) if call else ("HSET", self.shard.keys.meta, "at", self.now))
        self._settle(expected, requests, pending)
        self._check_state()

    def _begin(self, step: Step) -> Pending | None:
        match step:
            case Advance():
                return None
            case Close(warehouses):
                self.shard.close(*warehouses)
                return None
            case Forget(lock_id, ops):
                return self.shard.store.forget(lock_id, ops)
            case ForgetTransfer(transfer_id, ops):
                return self.shard.store.forget_transfer(transfer_id, ops)
        return self.shard.post(step)

    def _expect(self, step: Step) -> Expected:
        match step:
            case Advance(ms):
                self.now += ms
                return Expected(Answer(Outcome.READ), None, self.now)
            case Close(warehouses):
                self.model.closed = frozenset(warehouses)
                return Expected(Answer(Outcome.READ), None, self.now)
            case Forget(lock_id, ops):
                return Expected(self._forget(lock_id, ops), None, self.now)
            case ForgetTransfer(transfer_id, ops):
                return Expected(self._forget_transfer(transfer_id, ops), None, self.now)
        before, facts = len(self.model.moves), self.model.facts
        answer = self.model.apply(step, self.now)
        silent = answer.outcome in _SILENT
        if isinstance(step, Fact) or answer.outcome is Outcome.UNCHANGED:
            silent = self.model.facts == facts
        moved = self.model.moves[before:]
        assert not (silent and moved), f"the model moved stock and answered {answer}"
        order = step.purchase_order_id if isinstance(step, Receive) else ""
        if isinstance(step, Fact) and step.type == "received" and step.mode not in {"hold", "pass", "drop"}:
            order = step.document_id if step.op in self.model.ops else ""
        if isinstance(step, Accept):
            order = step.order
        occurred_at = getattr(step, "occurred_at", None)
        return Expected(answer, None if silent else moved, self.now, order, occurred_at)

    def _forget(self, lock_id: str, ops: tuple[str, ...]) -> Answer:
        record = self.model.locks.get(lock_id)
        if record and record.view.status in OPEN_STATUSES:
            return Answer(Outcome.LOCK_OPEN)
        self.model.locks.pop(lock_id, None)
        self.model.documents.pop(f"deduct:{lock_id}", None)
        for op in ops:
            self.model.ops.pop(op, None)
        return Answer(Outcome.FORGOTTEN)

    def _forget_transfer(self, transfer_id: str, ops: tuple[str, ...]) -> Answer:
        record = self.model.transfers.get(transfer_id)
        if record and record.view.status not in TRANSFER_ENDED:
            return Answer(Outcome.TRANSFER_OPEN)
        self.model.transfers.pop(transfer_id, None)
        for kind in ("transfer_ship", "transfer_receive"):
            self.model.documents.pop(f"{kind}:{transfer_id}", None)
        for op in ops:
            self.model.ops.pop(op, None)
        return Answer(Outcome.FORGOTTEN)

    def _begin_epoch(self) -> None:
        self.epoch += 1
        tip = self.shard.wire.call("HGET", self.shard.keys.meta, "tip")
        self.shard.open(self.epoch, tip)

    # Comparing

    def _settle(
        self, expected: list[Expected], requests: list[tuple[Any, ...]], pending: list[Pending | None]
    ) -> None:
        after = f"({self.projection.position}" if self.projection.position.epoch else "-"
        *replies, entries = self.shard.wire.call_many(
            [*requests, ("XRANGE", self.shard.keys.outbox, after, "+")]
        )
        for index, (want, call, reply) in enumerate(zip(expected, pending, replies, strict=True)):
            if call is None:
                continue
            try:
                answer = self.shard.finish_with(call, reply)
            except Exception as error:
                raise DifferenceError(f"raised {error!r}; the model: {want.answer}", index) from error
            if answer != want.answer:
                raise DifferenceError(f"answered {answer}; the model: {want.answer}", index)
        self.steps += len(expected)
        read = entries_of(entries)
        self._check_events(read, expected)
        try:
            self.projection.apply(read)
            self.projection.check_sums()
        except Exception as error:
            raise DifferenceError(f"the events: {error}") from error
        for lock_id in set(self.projection.locks) - set(self.model.locks):
            del self.projection.locks[lock_id]  # forgotten
        for transfer_id in set(self.projection.transfers) - set(self.model.transfers):
            del self.projection.transfers[transfer_id]
        self.shard.wire.call("XTRIM", self.shard.keys.outbox, "MAXLEN", 1)

    def _check_events(self, entries: Sequence[chain.Entry], expected: Sequence[Expected]) -> None:
        events = [entry.event for entry in entries if entry.event.kind != "open"]
        wanted = [(i, want) for i, want in enumerate(expected) if want.moves is not None]
        for event, (index, want) in zip(events, wanted, strict=False):
            moves = [
                Moved(m.sku, m.warehouse, m.source, m.target, m.quantity, m.to_warehouse or "", m.occurred_at)
                for m in event.moves
            ]
            about = event.document
            order = about.id if about and about.kind == "purchase_order" else ""
            wrote = (moves, event.recorded_at, order, event.occurred_at)
            if wrote != (want.moves, want.now, want.order, want.occurred_at):
                raise DifferenceError(f"wrote {event}; the model: {want}", index)
        if len(events) != len(wanted):
            raise DifferenceError(f"wrote {len(events)} events for {len(wanted)} commands that do something")

    def _check_state(self) -> None:
        keys, call_many = self.shard.keys, self.shard.wire.call_many
        skus, locks, transfers = (
            sorted(self.model.stock),
            sorted(self.model.locks),
            sorted(self.model.transfers),
        )
        reads = [
            ("KEYS", f"{keys.tag}*"),
            ("HMGET", keys.meta, "epoch", "tip", "last"),
            ("ZRANGE", keys.due, 0, -1, "WITHSCORES"),
            *(("HGETALL", keys.stock(sku)) for sku in skus),
            *(("HGETALL", keys.lock(lock_id)) for lock_id in locks),
            *(("HGETALL", keys.transfer(transfer_id)) for transfer_id in transfers),
        ]
        views = [self.shard.store.read_lock(lock_id) for lock_id in locks]
        views += [self.shard.store.read_transfer(transfer_id) for transfer_id in transfers]
        replies = call_many(reads + [view.send(None) for view in views])
        there, meta, due, *rest = replies[: len(reads)]
        seen = [
            self.shard.finish_with(view, reply)
            for view, reply in zip(views, replies[len(reads) :], strict=True)
        ]
        self._check_keys(set(there))
        position = self.projection.position
        _same("meta", meta, [str(position.epoch), self.projection.tip, str(position)])
        self._check_stocks(dict(zip(skus, rest, strict=False)))
        self._check_inbox()
        self._check_documents()
        self._check_locks(dict(zip(locks, seen, strict=False)), due)
        self._check_transfers(dict(zip(transfers, seen[len(locks) :], strict=True)))
        _same(
            "lock records",
            dict(zip(locks, map(_pairs, rest[len(skus) :]), strict=False)),
            self.projection.locks,
        )
        _same(
            "transfer records",
            dict(zip(transfers, map(_pairs, rest[len(skus) + len(locks) :]), strict=True)),
            self.projection.transfers,
        )

    def _check_inbox(self) -> None:
        """When SKUs were counted, and how far the sources are; each in the events too."""
        keys, skus = self.shard.keys, sorted({sku for sku, _ in self.model.counted})
        sources = sorted({source for source, _ in self.model.sequences})
        reads = [("HGETALL", keys.sequences(source)) for source in sources]
        found = self.shard.wire.call_many(reads + [("HGETALL", keys.counted(sku)) for sku in skus])
        counted = found[len(sources) :]
        far = {
            (source, warehouse): int(number)
            for source, fields in zip(sources, found, strict=False)
            for warehouse, number in _pairs(fields).items()
        }
        _same("sequences", far, self.model.sequences)
        _same("sequences of the events", self.projection.sequences, self.model.sequences)
        for sku, fields in zip(skus, counted, strict=True):
            there = {warehouse: json.loads(text) for warehouse, text in _pairs(fields).items()}
            noted = {
                warehouse: [[at, int(too)] for at, too in sorted(times.items())]
                for (one, warehouse), times in self.model.counted.items()
                if one == sku
            }
            _same(f"counts of {sku}", there, noted)

    def _check_documents(self) -> None:
        """What reporters said, in the hot store and in the events."""
        families = sorted(self.model.documents)
        found = self.shard.wire.call_many([("HGETALL", self.shard.keys.document(one)) for one in families])
        for family, fields in zip(families, found, strict=True):
            wanted = {sku: sums.as_json() for sku, sums in self.model.documents[family].items()}
            there = {sku: json.loads(text) for sku, text in _pairs(fields).items()}
            _same(f"sums of {family}", there, wanted)
            noted = {sku: self.projection.documents.get((family, sku)) for sku in wanted}
            _same(f"sums of {family} in the events", noted, wanted)

    def _check_keys(self, there: set[str]) -> None:
        keys = self.shard.keys
        wanted = {keys.meta, keys.outbox} | {keys.stock(sku) for sku in self.model.stock}
        wanted |= {keys.lock(lock_id) for lock_id in self.model.locks}
        wanted |= {keys.transfer(transfer_id) for transfer_id in self.model.transfers}
        wanted |= {keys.op(op) for op in (*self.model.ops, *self.model.lines)}
        wanted |= {keys.document(family) for family in self.model.documents}
        wanted |= {keys.counted(sku) for sku, _ in self.model.counted}
        wanted |= {keys.sequences(source) for source, _ in self.model.sequences}
        _same("keys", there - {keys.due}, wanted)

    def _check_stocks(self, fields_by_sku: dict[str, list[str]]) -> None:
        locked: dict[tuple[str, str], int] = {}
        for record in self.model.locks.values():
            for line in record.view.lines if record.view.status in OPEN_STATUSES else ():
                place = (line.sku, line.warehouse)
                locked[place] = locked.get(place, 0) + line.outstanding
        on_the_way: dict[tuple[str, str], int] = {}
        for transfer in self.model.transfers.values():
            for each in transfer.view.lines:
                place = (each.sku, transfer.view.source)
                locked[place] = locked.get(place, 0) + each.unshipped
                place = (each.sku, transfer.view.destination)
                on_the_way[place] = on_the_way.get(place, 0) + each.in_transit
        for sku, fields in fields_by_sku.items():
            stock = Stock(sku, fields)
            wanted = {w: self.model.counts(sku, w) for w in sorted(self.model.stock[sku])}
            _same(f"counts of {sku}", (stock.version, stock.warehouses), (self.model.versions[sku], wanted))
            zeros = [k for k, v in _pairs(fields).items() if v == "0" and not k.endswith(":a")]
            _same(f"zeros kept of {sku}", zeros, [])
            for warehouse, counts in stock.warehouses.items():
                _same(f"events of {sku}", self.projection.counts[sku, warehouse], counts)
                _same(f"promised of {sku} in {warehouse}", counts.locked, locked.get((sku, warehouse), 0))
                _same(
                    f"{sku} on the way to {warehouse}", counts.in_transit, on_the_way.get((sku, warehouse), 0)
                )

    def _check_locks(self, seen: dict[str, Answer], due: list[str]) -> None:
        views: dict[str, LockView | None] = {lock_id: answer.lock for lock_id, answer in seen.items()}
        _same("locks", views, {lock_id: record.view for lock_id, record in self.model.locks.items()})
        wanted = {
            lock_id: record.view.expires_at
            for lock_id, record in self.model.locks.items()
            if record.view.status is LockStatus.HELD and record.view.expires_at is not None
        }
        _same("due", {lock_id: int(at) for lock_id, at in _pairs(due).items()}, wanted)

    def _check_transfers(self, seen: dict[str, Answer]) -> None:
        views: dict[str, TransferView | None] = {name: answer.transfer for name, answer in seen.items()}
        _same("transfers", views, {name: record.view for name, record in self.model.transfers.items()})


def _pairs(items: list[str]) -> dict[str, str]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _same(what: str, got: Any, wanted: Any) -> None:
    if got != wanted:
        raise DifferenceError(f"{what}: {got}; expected: {wanted}")
