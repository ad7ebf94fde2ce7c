"""Holds a recorded history against the ledger: one order of events explains every answer.

1. Every acknowledged change stands in the ledger at the position the answer named, once.
2. That order agrees with real time: what was answered before another was sent comes before it.
3. Replayed through the model in that order, every event is accepted and makes exactly the ledger's moves.
4. Every refusal was right at some moment between its request and its answer.
"""

import bisect
import copy
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from app.domain.commands import Adjust, Book, Command, Expire, Lock, Opening, OpeningRow, Return, Step
from app.domain.model import Model
from app.domain.outcomes import Outcome
from app.domain.words import LockStatus
from tests.histories.traffic import Call

CODES = {
    "insufficient_stock": Outcome.INSUFFICIENT_STOCK,
    "unknown_lock": Outcome.UNKNOWN_LOCK,
    "lock_expired": Outcome.LOCK_EXPIRED,
    "lock_not_held": Outcome.LOCK_NOT_HELD,
    "quantity_exceeds_lock": Outcome.QUANTITY_EXCEEDS_LOCK,
    "invalid_request": Outcome.WAREHOUSE_REQUIRED,
}
DONE = {
    "lock": Outcome.LOCKED, "confirm": Outcome.CONFIRMED, "extend": Outcome.EXTENDED, "unlock": Outcome.UNLOCKED,
    "deduct": Outcome.DEDUCTED, "replace": Outcome.REPLACED, "expire": Outcome.EXPIRED, "return": Outcome.RETURNED,
    "adjust": Outcome.ADJUSTED, "opening": Outcome.OPENED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """An event of the ledger; each move is (sku, warehouse, source, target, units)."""

    position: str
    kind: str
    recorded_at: int
    op: str | None
    lock_id: str | None
    moves: list[tuple[str, str, str, str, int]]


def name_of(command: Command) -> tuple[str, str]:
    """The kind of event a command makes, and what tells it from others of that kind."""
    match command:
        case Lock():
            return "lock", command.lock_id
        case Step():
            return type(command).__name__.lower(), command.op or command.lock_id
        case Return():
            return "return", command.op
        case Adjust():
            return "adjust", command.op
    raise AssertionError(command)


def name_of_row(row: Row) -> tuple[str, str]:
    return row.kind, row.op or row.lock_id or ""


@dataclass(slots=True)
class Verdict:
    events: int
    answered: int
    unknown: int
    refusals: int
    problems: list[str]


class Checker:
    """One history against one ledger."""

    def __init__(self, calls: list[Call], rows: list[Row], opening: list[OpeningRow]) -> None:
        self.calls = calls
        self.rows = [row for row in rows if row.kind not in {"open", "opening"}]
        self.index = {row.position: i for i, row in enumerate(self.rows)}
        self.opened = {row.position for row in rows} - self.index.keys()
        self.by_name: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in calls:
            self.by_name[name_of(call.command)].append(call)
        self.model = Model()
        self.model.apply(Opening(tuple(opening)), 0)
        self.problems: list[str] = []
        self.invoked = [math.inf] * len(self.rows)
        self.answered = [math.inf] * len(self.rows)

    def run(self) -> Verdict:
        self._place_answers()
        self._check_real_time()
        refusals = self._windows()
        self._replay(refusals)
        answered = sum(call.reply is not None for call in self.calls)
        count = sum(len(found) for found in refusals.values())
        return Verdict(len(self.rows), answered, len(self.calls) - answered, count, self.problems)

    def _place_answers(self) -> None:
        """Give each event the call that made it: the one told its position first; else any that nobody heard of."""
        for name, calls in self.by_name.items():
            first_sent = min(call.invoked for call in calls)
            for i in self._rows_of.get(name, ()):
                self.invoked[i] = first_sent
        for call in self.calls:
            if call.reply is None or call.reply.status >= 400:
                continue
            told = call.reply.body["position"].removeprefix("s0-")
            i = self.index.get(told)
            if i is None:
                if told in self.opened:  # nothing was left to do, and an epoch's beginning was the last event
                    continue
                self.problems.append(f"acknowledged but not in the ledger: {call}")
            elif name_of_row(self.rows[i]) == name_of(call.command):
                self.answered[i] = min(self.answered[i], call.answered or math.inf)

    @property
    def _rows_of(self) -> dict[tuple[str, str], list[int]]:
        if not hasattr(self, "_rows_by_name"):
            self._rows_by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
            for i, row in enumerate(self.rows):
                self._rows_by_name[name_of_row(row)].append(i)
            for name, found in self._rows_by_name.items():
                if len(found) > 1 and self.rows[found[0]].op:
                    self.problems.append(f"took effect {len(found)} times: {name}")
        return self._rows_by_name

    def _check_real_time(self) -> None:
        earliest_answer = math.inf
        for i in range(len(self.rows) - 1, -1, -1):
            asked_for = self.rows[i].kind in DONE and self.rows[i].kind != "expire"
            if asked_for and earliest_answer < self.invoked[i]:
                self.problems.append(
                    f"event {self.rows[i]} stands before one that was answered before it was sent"
                )
            earliest_answer = min(earliest_answer, self.answered[i])

    def _windows(self) -> dict[int, list[tuple[int, Call]]]:
        """{first state: [(last state, refused call)]}; state i is the one before event i."""
        by_answer = sorted((at, i) for i, at in enumerate(self.answered) if at < math.inf)
        times, latest = [at for at, _ in by_answer], []
        for _, i in by_answer:
            latest.append(max(i, latest[-1] if latest else -1))
        sent = sorted((at, i) for i, at in enumerate(self.invoked) if at < math.inf)
        sent_times, earliest = [at for at, _ in sent], [0] * len(sent)
        lowest = len(self.rows)
        for k in range(len(sent) - 1, -1, -1):
            lowest = min(lowest, sent[k][1])
            earliest[k] = lowest
        windows: dict[int, list[tuple[int, Call]]] = defaultdict(list)
        for call in self.calls:
            if call.reply is None or call.reply.status < 400:
                continue
            before = bisect.bisect_left(times, call.invoked)
            after = bisect.bisect_right(sent_times, call.answered or 0.0)
            first = latest[before - 1] + 1 if before else 0
            last = earliest[after] if after < len(sent) else len(self.rows)
            windows[first].append((max(first, last), call))
        return windows

    def _replay(self, refusals: dict[int, list[tuple[int, Call]]]) -> None:
        waiting: list[tuple[int, Call]] = []
        for i in range(len(self.rows) + 1):
            waiting += refusals.get(i, [])
            at = self.rows[min(i, len(self.rows) - 1)].recorded_at
            left = []
            for last, call in waiting:
                if self._is_right(call, at):
                    continue
                if i >= last:
                    self.problems.append(f"a refusal that was never right: {call}")
                else:
                    left.append((last, call))
            waiting = left
            if i < len(self.rows):
                self._apply(self.rows[i])

    def _apply(self, row: Row) -> None:
        calls = self.by_name.get(name_of_row(row))
        command: Any = (
            Expire(row.lock_id or "") if row.kind == "expire" else calls[0].command if calls else None
        )
        if command is None:
            self.problems.append(f"nobody asked for {row}")
            return
        before = len(self.model.moves)
        answer = self.model.apply(command, row.recorded_at)
        made = [
            (m.sku, m.warehouse, m.source.name.lower(), m.target.name.lower(), m.quantity)
            for m in self.model.moves[before:]
        ]
        if answer.outcome is not DONE[row.kind] or made != row.moves:
            self.problems.append(f"the model says {answer.outcome} {made} to {row} of {command}")

    def _is_right(self, call: Call, at: int) -> bool:
        """Whether the model refuses the call in the state it is in now, with the same word and the same shortages."""
        assert call.reply is not None
        wanted = CODES.get(call.reply.body["code"])
        answer = _part_of(self.model, call.command).apply(call.command, at)
        if answer.outcome is not wanted:
            return False
        if call.reply.body["code"] != "insufficient_stock":
            return True
        told = [
            (s["sku"], s.get("warehouse", ""), s["requested"], s["sellable"])
            for s in call.reply.body["shortages"]
        ]
        return told == [tuple(s[:4]) for s in answer.shortages]


def _part_of(model: Model, command: Any) -> Model:
    """A copy of what a command can see: trying it there changes nothing."""
    part = Model(order=model.order)
    skus = {line.sku for line in getattr(command, "lines", None) or ()}
    lock = model.locks.get(getattr(command, "lock_id", ""))
    if lock:
        skus |= {line.sku for line in lock.view.lines} | {line.sku for line in lock.original.lines}
        part.locks[command.lock_id] = copy.copy(lock)
    part.stock = {
        sku: {w: dict(p) for w, p in model.stock[sku].items()} for sku in skus if sku in model.stock
    }
    op = getattr(command, "op", "")
    if op in model.ops:
        part.ops[op] = model.ops[op]
    return part


def final_counts(model: Model) -> dict[tuple[str, str], tuple[int, int]]:
    """(sku, warehouse) -> available, locked."""
    return {
        (sku, warehouse): (model.counts(sku, warehouse).available, model.counts(sku, warehouse).locked)
        for sku, places in model.stock.items()
        for warehouse in places
    }


__all__ = ["Book", "Checker", "LockStatus", "Row", "Verdict", "final_counts"]
