"""A ledger written by hand: events as the hot store would send them, through the real writer; no Redis is needed."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from app.domain.chain import Entry, tip_after
from app.domain.events import Counts, Document, Event, Move, Position
from app.ledger.writer import Writer

STATES = "aldt"
BEGIN_MS = 1_700_000_000_000


@dataclass
class Book:
    """Keeps the counts that events leave, so that each carries what a real one would; `write` persists them."""

    writer: Writer
    position: Position = field(default_factory=lambda: Position(0, 0))
    tip: str = ""
    at: int = BEGIN_MS
    counts: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 5))
    versions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    waiting: list[Entry] = field(default_factory=list)

    def open(self) -> None:
        """Begin an epoch, as every ledger does."""
        self.position = Position(self.position.epoch + 1, -1)
        self.add("open")

    def move(
        self,
        sku: str,
        way: str,
        units: int,
        warehouse: str = "north",
        *,
        to: str | None = None,
        buffer: int | None = None,
    ) -> Move:
        """`way` is such as "ja": from adjustment to available."""
        here, there = self.counts[sku, warehouse], self.counts[sku, to or warehouse]
        if way[0] in STATES:
            here[STATES.index(way[0])] -= units
        if way[1] in STATES:
            there[STATES.index(way[1])] += units
        if buffer is not None:
            here[4] = buffer
        self.versions[sku] += 1
        after = None if to is None else Counts(*there)
        return Move(sku, self.versions[sku], warehouse, *way, units, Counts(*here), None, to, after)

    def add(
        self,
        kind: str,
        *moves: Move,
        at: int = 1,
        occurred_at: int | None = None,
        op: str | None = None,
        lock: tuple[str, dict[str, Any]] | None = None,
        document: Document | None = None,
    ) -> Entry:
        """Note an event, `at` ms after the one before."""
        self.at += at
        lock_id, fields = lock or (None, None)
        event = Event(
            2,
            kind,
            self.at,
            op,
            op and "f",
            "test",
            None,
            occurred_at,
            lock_id,
            fields,
            list(moves),
            document,
        )
        self.position = Position(self.position.epoch, self.position.n + 1)
        entry = Entry(self.position, self.tip, tip_after(self.tip.encode(), repr(event).encode()), event)
        self.tip = entry.tip
        self.waiting.append(entry)
        return entry

    async def write(self, batch: int = 5_000) -> None:
        await self.writer.position()
        while self.waiting:
            assert await self.writer.write(self.waiting[:batch]) is not None
            del self.waiting[:batch]
