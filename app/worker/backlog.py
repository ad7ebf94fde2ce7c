"""Backpressure: how long the outbox may grow before new obligations are refused, as the room allows.

The functions compare the outbox with a limit that stands in `meta`, which they read anyway. So it holds when no
worker runs, too; the worker sets it every second, lower where memory or disk would not do.
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import structlog

from app.errors import UnavailableError
from app.hotstore.backlog import OutboxRoom, Room
from app.hotstore.store import HotStore
from app.ledger.backlog import Figures
from app.worker.duty import Duty

_log = structlog.get_logger()

PAUSE_SECONDS = 1.0
FIGURES_SECONDS = 10.0
FIGURES_SHARE_MAX = 0.01
"""How much of the time the ledger may be busy with them: a million open locks take a second to count."""
ENTRY_BYTES_MIN = 100
"""What an entry takes at least."""
SAMPLE_ENTRIES_MIN = 1_000
ENTRY_BYTES_FEW_MAX = 4_000
"""What an entry to come takes at most, judged by fewer: an import's are a hundred times as large as a lock's."""
RESERVED_PER_LOCK = 2
"""Entries kept for each open lock: it will be unlocked, or confirmed and deducted."""
STEP_BYTES_MAX = 500
"""What such an entry takes at most, as a rule: it names few lines, whatever else is in the outbox."""
RESERVED_SHARE_MAX = 0.5
"""How much of the room the reserve may take: else a shop with many open locks could open no more, and never again."""
FULL = 1
"""A limit that every outbox has reached: the last entry always stays."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Soft limits raise an alarm; beyond hard ones new obligations are refused. Entries and bytes."""

    entries_soft: int
    entries_hard: int
    bytes_soft: int
    bytes_hard: int
    disk_free_min: int


class Judgement(NamedTuple):
    """How the outbox stands: its limit in entries, `ok`, `soft` or `hard`, and why."""

    limit: int
    level: str
    why: str


def judge(room: Room, limits: Limits, open_locks: int) -> Judgement:
    """Return the limit that the room allows, with a reserve for the locks that are open."""
    each = max(ENTRY_BYTES_MIN, room.bytes // max(1, room.entries))
    if room.entries < SAMPLE_ENTRIES_MIN:
        each = min(each, ENTRY_BYTES_FEW_MAX)
    steps = RESERVED_PER_LOCK * max(open_locks, room.due_locks) * min(each, STEP_BYTES_MAX)

    def limit_of(free: int) -> int:
        reserved = min(steps, int((free + room.bytes) * RESERVED_SHARE_MAX))
        return room.entries + (free - reserved) // each

    allowed = {
        "the number of entries": limits.entries_hard,
        "the size of the outbox": limit_of(limits.bytes_hard - room.bytes),
    }
    if room.memory_free is not None:
        allowed["the hot store's memory"] = limit_of(room.memory_free)
    if room.disk_free is not None and room.disk_free < limits.disk_free_min:
        allowed["the disk under the append-only file"] = FULL
    why = min(allowed, key=lambda name: allowed[name])
    limit = max(FULL, allowed[why])
    if room.entries >= limit:
        return Judgement(limit, "hard", why)
    if room.entries >= limits.entries_soft:
        return Judgement(limit, "soft", "the number of entries")
    if room.bytes >= limits.bytes_soft:
        return Judgement(limit, "soft", "the size of the outbox")
    if room.disk_free is not None and room.disk_free < 2 * limits.disk_free_min:
        return Judgement(limit, "soft", "the disk under the append-only file")
    return Judgement(limit, "ok", "")


class Status(Protocol):
    """What else the worker says of itself."""

    def waits(self) -> dict[str, str]:
        """Return why which background jobs have been waiting for a while."""
        ...

    async def durability(self) -> dict[str, Any]:
        """Return how durable the hot store is, as it says now."""
        ...


class Backlog:
    """Sets the limit, raises alarms, and publishes the worker's status.

    `trouble` says why nothing is persisted now, or ''.
    """

    def __init__(
        self,
        room: OutboxRoom,
        store: HotStore,
        limits: Limits,
        figures: Callable[[], Awaitable[Figures]],
        trouble: Callable[[], str],
        status: Status,
    ) -> None:
        self._room = room
        self._store = store
        self._limits = limits
        self._ask = figures
        self._trouble = trouble
        self._status = status
        self._figures = Figures(0, 0)
        self._ask_at = 0.0
        self._level = "ok"

    def duty(self) -> Duty:
        """Look every second."""
        return Duty("backlog", self.run_once, PAUSE_SECONDS)

    async def run_once(self) -> bool:
        """Measure, judge, set the limit, and raise or end the alarm."""
        await self._read_figures()
        room = await self._room.measure()
        judged = judge(room, self._limits, self._figures.open_locks)
        self._alarm(room, judged)
        words = {
            "at": int(time.time()),
            "entries": room.entries,
            "bytes": room.bytes,
            "limit": judged.limit,
            "level": judged.level,
            "why": judged.why,
            "trouble": self._trouble(),
            "quarantined": self._figures.quarantined,
            "waits": self._status.waits(),
            "durability": await self._status.durability(),
            "mismatches": self._figures.mismatches,
        }
        await self._store.limit(judged.limit, json.dumps(words))
        return False

    async def _read_figures(self) -> None:
        """Ask the ledger now and then; while it is away, what it said last counts."""
        began_at = time.monotonic()
        if began_at < self._ask_at:
            return
        try:
            self._figures = await self._ask()
            took_seconds = time.monotonic() - began_at
            self._ask_at = began_at + max(FIGURES_SECONDS, took_seconds / FIGURES_SHARE_MAX)
        except UnavailableError:
            self._ask_at = time.monotonic() + PAUSE_SECONDS

    def _alarm(self, room: Room, judged: Judgement) -> None:
        if judged.level == self._level:
            return
        say = _log.info if judged.level == "ok" else _log.error
        say("backlog.level", level=judged.level, before=self._level, why=judged.why, entries=room.entries,
            bytes=room.bytes, limit=judged.limit, disk_free=room.disk_free)  # fmt: skip
        self._level = judged.level
