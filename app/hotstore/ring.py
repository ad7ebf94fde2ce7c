"""The ring: what this process has acknowledged and the ledger may not have yet.

A flush or a failover takes what was not carried over. What can't be known can't be listed: so each API process
remembers what it told its callers, and after a change of epoch the ledger is told what is missing.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from app.domain.commands import Acknowledged, Command
from app.domain.events import Position
from app.domain.outcomes import WRITTEN
from app.hotstore.replies import answer_to


class _Kept(NamedTuple):
    at: float
    command: Command
    reply: Sequence[str]


class Ring:
    """The newest `entries_max` acknowledged commands; the oldest make room."""

    def __init__(self, entries_max: int) -> None:
        self._entries: deque[_Kept] = deque(maxlen=entries_max)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._entries)

    def add(self, command: Command, reply: Sequence[str]) -> None:
        """Remember a reply that told of an event; others are not kept."""
        if command.is_kept and reply[0] in WRITTEN:
            # Tuples and commands, of plain values: the garbage collector leaves them alone, however many are kept.
            self._entries.append(_Kept(time.time(), command, tuple(reply)))

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
    effect = kept.command.effect(answer_to(kept.command, kept.reply))
    return Acknowledged(Position.parse(kept.reply[2]), int(kept.at * 1000), effect)
