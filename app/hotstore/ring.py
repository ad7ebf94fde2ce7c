"""The ring: what this process has acknowledged and the ledger may not have yet.

A flush or a failover takes what was not carried over. What can't be known can't be listed: so each API process
remembers what it told its callers, and after a change of epoch the ledger is told what is missing.
"""

import json
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.domain.events import Position
from app.domain.outcomes import WRITTEN, Outcome

_LOCK_STEPS = frozenset(
    {"lock", "replace", "reopen", "exchange", "unlock", "deduct", "confirm", "extend", "remember", "void"}
)
_BOOKINGS = frozenset({"receive", "return", "adjust", "count"})
_TAKES = frozenset({"lock", "replace", "reopen", "exchange"})
_ENDS = {"unlock": ("l", "a"), "deduct": ("l", "c"), "void": ("c", "l")}
_LINES_AT = {"unlock": 4, "deduct": 5, "void": 6}
"""Where a step's own lines begin in its arguments, if it has any."""
_FACTS = {
    "received": "receive",
    "shipped": "deduct",
    "returned": "return",
    "adjusted": "adjust",
    "regraded": "regrade",
    "transfer_shipped": "transfer_ship",
    "transfer_received": "transfer_receive",
}
"""Types of warehouse events, and the kinds of the events that book them."""


class Acknowledged(NamedTuple):
    """A command that was answered: `moves` are [sku, warehouse, source, target, quantity], as far as known."""

    position: Position
    at_ms: int
    kind: str
    lock_id: str | None
    op: str | None
    moves: list[list[Any]]


class _Kept(NamedTuple):
    at: float
    function: str
    reply: Sequence[str]
    args: Sequence[str | int]


class Ring:
    """The newest `entries_max` acknowledged commands; the oldest make room."""

    def __init__(self, entries_max: int) -> None:
        self._entries: deque[_Kept] = deque(maxlen=entries_max)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._entries)

    def add(self, function: str, reply: Sequence[str], args: Sequence[str | int]) -> None:
        """Remember a reply that told of an event; others are not kept."""
        if reply[0] in WRITTEN:
            # Tuples of plain values: the garbage collector leaves them alone, however many are kept.
            self._entries.append(_Kept(time.time(), function, tuple(reply), tuple(args)))

    @property
    def newest(self) -> Position | None:
        """Return the position of the newest command; None if none is kept."""
        return Position.parse(self._entries[-1].reply[2]) if self._entries else None

    def drop(self, persisted: Position) -> None:
        """Forget what the ledger has; commands answered out of order go with those before them."""
        entries = self._entries
        while entries and Position.parse(entries[0].reply[2]) <= persisted:
            entries.popleft()

    def begins_before(self, epoch: int) -> bool:
        """Whether the oldest command is of an earlier epoch."""
        return bool(self._entries) and Position.parse(self._entries[0].reply[2]).epoch < epoch

    def before(self, epoch: int) -> list[Acknowledged]:
        """Return what was acknowledged in earlier epochs; it stays until `forget`."""
        return [_named(kept) for kept in self._entries if Position.parse(kept.reply[2]).epoch < epoch]

    def forget(self, epoch: int) -> None:
        """Forget what was acknowledged in earlier epochs."""
        kept = [one for one in self._entries if Position.parse(one.reply[2]).epoch >= epoch]
        self._entries = deque(kept, maxlen=self._entries.maxlen)


def _named(kept: _Kept) -> Acknowledged:
    function, reply, args = kept.function, kept.reply, kept.args
    position, at_ms = Position.parse(reply[2]), int(kept.at * 1000)
    if function in _LOCK_STEPS:
        return Acknowledged(position, at_ms, function, reply[1], None, _moves_of_step(kept))
    if function in _BOOKINGS:
        return Acknowledged(position, at_ms, function, None, str(args[0]), _moves_of_booking(args))
    if function == "fact":
        return _named_fact(kept, position, at_ms)
    if function == "opening":
        return Acknowledged(position, at_ms, function, None, _rows_of_opening(kept), [])
    return Acknowledged(position, at_ms, function, None, f"{function}:{args[0]}", [])


def _moves_of_step(kept: _Kept) -> list[list[Any]]:
    """What a step moved: its own lines if it named some, else those of the lock."""
    function, args = kept.function, list(kept.args)
    held = json.loads(kept.reply[5])
    if function in _TAKES:
        left = ((sku, warehouse, quantity - deducted) for sku, warehouse, quantity, deducted in held)
        return [[sku, warehouse, "a", "l", units] for sku, warehouse, units in left if units]
    if function not in _ENDS:
        return []
    asked = args[_LINES_AT[function] + 1 :]
    if asked:
        rows = zip(asked[::3], asked[1::3], asked[2::3], strict=False)
        return [[sku, warehouse or "", *_ENDS[function], int(quantity)] for sku, quantity, warehouse in rows]
    return [[sku, warehouse, *_ENDS[function], quantity] for sku, warehouse, quantity, _ in held]


def _moves_of_booking(args: Sequence[str | int]) -> list[list[Any]]:
    """Lines of sku, source, target, quantity, reason, after a count."""
    count, rows = int(args[5]), args[6:]
    return [
        [rows[at], args[3], rows[at + 1], rows[at + 2], int(rows[at + 3])] for at in range(0, 5 * count, 5)
    ]


def _named_fact(kept: _Kept, position: Position, at_ms: int) -> Acknowledged:
    """Name a warehouse event as what it was booked as, under its own id."""
    op, told_type, document = str(kept.args[0]), str(kept.args[3]), str(kept.args[10])
    if kept.reply[0] == Outcome.DROPPED:
        return Acknowledged(position, at_ms, "drop", None, op, [])
    lock_id = document if document and told_type in {"shipped", "returned"} else None
    return Acknowledged(position, at_ms, _FACTS[told_type], lock_id, op, _moves_of_fact(kept))


def _moves_of_fact(kept: _Kept) -> list[list[Any]]:
    """What was odd about it was beyond its document, and is named as if all of it had been."""
    told_type, warehouse, sku = kept.args[3:6]
    good, damaged, lost = (int(units) for units in kept.args[6:9])
    state, covered = str(kept.args[9]), bool(kept.args[10]) and not kept.reply[3]
    match told_type:
        case "received":
            moves = [("s", "a", good), ("s", "d", damaged)]
        case "shipped":
            moves = [("l" if covered else "a", "c", good)]
        case "returned":
            moves = [("c", state, good)]
        case "adjusted":
            moves = [("j", state, good) if good > 0 else (state, "j", -good)]
        case "regraded":
            moves = [(state, "d" if state == "a" else "a", good)]
        case "transfer_shipped":
            moves = [("l", "t", good) if covered else ("a", "j", good)]
        case _ if covered:
            moves = [("t", "a", good), ("t", "d", damaged), ("t", "j", lost)]
        case _:
            moves = [("j", "a", good), ("j", "d", damaged)]
    return [[sku, warehouse, source, target, units] for source, target, units in moves if units]


def _rows_of_opening(kept: _Kept) -> str:
    """What was set; how many units that changed is not known."""
    args, left_out = kept.args, json.loads(kept.reply[4])
    rows = [args[at : at + 3] for at in range(1, 1 + 4 * int(args[0]), 4)]
    rows = [row for index, row in enumerate(rows) if index not in left_out]
    return "to " + ", ".join(f"{on_hand} {sku} in {warehouse}" for sku, warehouse, on_hand in rows)
