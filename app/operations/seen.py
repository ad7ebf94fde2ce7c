"""How far this process has seen the hot store's memory to be: so that events that vanish with it are missed.

What a process acknowledged it can name, while it lives and remembers. That there was something at all is one number,
which is noted in the ledger as soon as an event was not persisted by the next look. Events are numbered without a
gap: so when a memory comes back smaller, or not at all, it is known how many are missing.
"""

from typing import Protocol

from app.domain.events import Position


class SeenRows(Protocol):
    """Where it is noted."""

    async def reached(self) -> Position:
        """Return the position of the newest event in the ledger."""
        ...

    async def note_seen(self, position: Position) -> None:
        """Note how far a memory was seen to be."""
        ...


class Seen:
    """The newest number of each epoch, until the ledger has gone on to a later one."""

    def __init__(self, rows: SeenRows) -> None:
        self._rows = rows
        self._heads: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._noted: dict[int, int] = {}
        self._reached: Position | None = None

    def see(self, position: Position | None) -> None:
        """Take note of an event that there is."""
        if position is not None:
            self._heads[position.epoch] = max(position.n, self._heads.get(position.epoch, 0))

    async def settle(self) -> None:
        """Note in the ledger what it may not get; `UnavailableError` while it is away, and then it is kept."""
        if self._is_settled():
            return
        self._reached = reached = await self._rows.reached()
        for epoch, n in sorted(self._heads.items()):
            is_over = epoch < reached.epoch  # whether the ledger has all of it is for the worker to find out
            waits = Position(epoch, self._before.get(epoch, -1)) > reached
            if (is_over or waits) and self._noted.get(epoch) != n:
                await self._rows.note_seen(Position(epoch, n))
                self._noted[epoch] = n
            if is_over:
                for numbers in (self._heads, self._noted):
                    numbers.pop(epoch, None)
        self._before = dict(self._heads)

    def _is_settled(self) -> bool:
        """Whether the ledger was seen to have all that there is."""
        if self._reached is None or len(self._heads) > 1:
            return not self._heads
        return all(Position(epoch, n) <= self._reached for epoch, n in self._heads.items())
