"""The model and the functions side by side: the same steps, and everything they show compared.

After each batch of steps the answers, the events, all counts, all lock records, the due list and the set of keys
are compared, and the events are replayed into a projection of their own. A batch of one compares after each step.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.domain import chain
from app.domain.answers import Answer, LockView
from app.domain.commands import Command
from app.domain.events import Counts, Position
from app.domain.model import Model, Moved
from app.domain.outcomes import Outcome
from app.domain.words import OPEN_STATUSES, LockStatus
from app.hotstore import outbox
from app.hotstore.replies import Stock
from tests.properties.rig import START_MS, Pending, Shard

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
    Outcome.NOT_DUE,
    Outcome.INSUFFICIENT_STOCK,
    Outcome.INSUFFICIENT_DAMAGED,
    Outcome.QUANTITY_TOO_LARGE,
}
"""Outcomes that write no event."""


class Advance(NamedTuple):
    """The clock goes on."""

    ms: int


class Forget(NamedTuple):
    """A lock is past the horizon, with the ids used on it; the functions refuse while it is open."""

    lock_id: str
    ops: tuple[str, ...]


class Reopen(NamedTuple):
    """A new epoch begins."""


Step = Command | Advance | Forget | Reopen


class DifferenceError(AssertionError):
    """The functions and the model disagree, or an invariant is broken; `index` of the step, if it is known."""

    def __init__(self, what: str, index: int | None = None) -> None:
        super().__init__(what)
        self.index = index


class Expected(NamedTuple):
    """What the model says of a step: its answer, and its event's moves, or None for no event."""

    answer: Answer
    moves: list[Moved] | None
    now: int


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

    def apply(self, entries: Sequence[chain.Entry]) -> None:
        for entry in chain.check_chain(entries, self.position, self.tip):
            assert entry.event.recorded_at >= self.at, "the clock ran backwards"
            self.position, self.tip, self.at = entry.position, entry.tip, entry.event.recorded_at
            for move in entry.event.moves:
                self._move(move)
            if entry.event.lock_id:
                self._lock(entry)

    def _move(self, move: Any) -> None:
        version = self.versions.get(move.sku, 0) + 1
        assert move.version == version, f"{move} should have version {version}"
        self.versions[move.sku] = version
        place = (move.sku, move.warehouse)
        before = self.counts.get(place, Counts())
        change = dict.fromkeys(INSIDE, 0)
        sums = self.sums.setdefault(move.sku, {})
        for name, units in ((move.source, -move.quantity), (move.target, move.quantity)):
            change[name] = change.get(name, 0) + units
            sums[name] = sums.get(name, 0) + units
        expected = [count + change[state] for count, state in zip(before, INSIDE, strict=False)]
        assert list(move.after[:4]) == expected, f"{move} does not follow {before}"
        self.counts[place] = move.after

    def _lock(self, entry: chain.Entry) -> None:
        event = entry.event
        lock_id = event.lock_id or ""
        if event.kind == "lock":
            self.locks[lock_id] = {"p": str(entry.position)}
        record = self.locks[lock_id]
        for name, value in (event.lock or {}).items():
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

    def __init__(self, shard: Shard, *, order: tuple[str, ...] = ()) -> None:
        shard.reset(order=order)
        self.shard = shard
        self.model = Model(order=order)
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
            if isinstance(step, Reopen):
                self._settle(expected, requests, pending)
                expected, requests, pending = [], [], []
                self._reopen()
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
            case Forget(lock_id, ops):
                return self.shard.store.forget(lock_id, ops)
        return self.shard.post(step)

    def _expect(self, step: Step) -> Expected:
        match step:
            case Advance(ms):
                self.now += ms
                return Expected(Answer(Outcome.READ), None, self.now)
            case Forget(lock_id, ops):
                return Expected(self._forget(lock_id, ops), None, self.now)
        before = len(self.model.moves)
        answer = self.model.apply(step, self.now)
        silent = answer.outcome in _SILENT
        moved = self.model.moves[before:]
        assert not (silent and moved), f"the model moved stock and answered {answer}"
        return Expected(answer, None if silent else moved, self.now)

    def _forget(self, lock_id: str, ops: tuple[str, ...]) -> Answer:
        record = self.model.locks.get(lock_id)
        if record and record.view.status in OPEN_STATUSES:
            return Answer(Outcome.LOCK_OPEN)
        self.model.locks.pop(lock_id, None)
        for op in ops:
            self.model.ops.pop(op, None)
        return Answer(Outcome.FORGOTTEN)

    def _reopen(self) -> None:
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
        read = [outbox._entry(entry_id, _pairs(fields)) for entry_id, fields in entries]
        self._check_events(read, expected)
        try:
            self.projection.apply(read)
            self.projection.check_sums()
        except Exception as error:
            raise DifferenceError(f"the events: {error}") from error
        for lock_id in set(self.projection.locks) - set(self.model.locks):
            del self.projection.locks[lock_id]  # forgotten
        self.shard.wire.call("XTRIM", self.shard.keys.outbox, "MAXLEN", 1)

    def _check_events(self, entries: Sequence[chain.Entry], expected: Sequence[Expected]) -> None:
        events = [entry.event for entry in entries if entry.event.kind != "open"]
        wanted = [(i, want) for i, want in enumerate(expected) if want.moves is not None]
        for event, (index, want) in zip(events, wanted, strict=False):
            moves = [Moved(m.sku, m.warehouse, m.source, m.target, m.quantity) for m in event.moves]
            if moves != want.moves or event.recorded_at != want.now:
                raise DifferenceError(f"wrote {event}; the model at {want.now}: {want.moves}", index)
        if len(events) != len(wanted):
            raise DifferenceError(f"wrote {len(events)} events for {len(wanted)} commands that do something")

    def _check_state(self) -> None:
        keys, call_many = self.shard.keys, self.shard.wire.call_many
        skus, locks = sorted(self.model.stock), sorted(self.model.locks)
        reads = [
            ("KEYS", f"{keys.tag}*"),
            ("HMGET", keys.meta, "epoch", "tip", "last"),
            ("ZRANGE", keys.due, 0, -1, "WITHSCORES"),
            *(("HGETALL", keys.stock(sku)) for sku in skus),
            *(("HGETALL", keys.lock(lock_id)) for lock_id in locks),
        ]
        views = [self.shard.store.read_lock(lock_id) for lock_id in locks]
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
        self._check_locks(dict(zip(locks, seen, strict=True)), due)
        _same(
            "lock records",
            dict(zip(locks, map(_pairs, rest[len(skus) :]), strict=True)),
            self.projection.locks,
        )

    def _check_keys(self, there: set[str]) -> None:
        keys = self.shard.keys
        wanted = {keys.meta, keys.outbox} | {keys.stock(sku) for sku in self.model.stock}
        wanted |= {keys.lock(lock_id) for lock_id in self.model.locks}
        wanted |= {keys.op(op) for op in self.model.ops}
        _same("keys", there - {keys.due}, wanted)

    def _check_stocks(self, fields_by_sku: dict[str, list[str]]) -> None:
        locked: dict[tuple[str, str], int] = {}
        for record in self.model.locks.values():
            for line in record.view.lines if record.view.status in OPEN_STATUSES else ():
                place = (line.sku, line.warehouse)
                locked[place] = locked.get(place, 0) + line.outstanding
        for sku, fields in fields_by_sku.items():
            stock = Stock(sku, fields)
            wanted = {w: self.model.counts(sku, w) for w in sorted(self.model.stock[sku])}
            _same(f"counts of {sku}", (stock.version, stock.warehouses), (self.model.versions[sku], wanted))
            zeros = [k for k, v in _pairs(fields).items() if v == "0" and not k.endswith(":a")]
            _same(f"zeros kept of {sku}", zeros, [])
            for warehouse, counts in stock.warehouses.items():
                _same(f"events of {sku}", self.projection.counts[sku, warehouse], counts)
                _same(f"promised of {sku} in {warehouse}", counts.locked, locked.get((sku, warehouse), 0))

    def _check_locks(self, seen: dict[str, Answer], due: list[str]) -> None:
        views: dict[str, LockView | None] = {lock_id: answer.lock for lock_id, answer in seen.items()}
        _same("locks", views, {lock_id: record.view for lock_id, record in self.model.locks.items()})
        wanted = {
            lock_id: record.view.expires_at
            for lock_id, record in self.model.locks.items()
            if record.view.status is LockStatus.HELD and record.view.expires_at is not None
        }
        _same("due", {lock_id: int(at) for lock_id, at in _pairs(due).items()}, wanted)


def _pairs(items: list[str]) -> dict[str, str]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _same(what: str, got: Any, wanted: Any) -> None:
    if got != wanted:
        raise DifferenceError(f"{what}: {got}; expected: {wanted}")
