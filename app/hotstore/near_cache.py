"""The near cache: what product pages show, kept in this process and dropped when the hot store says so.

The server tracks what this connection read, and sends an invalidation when it changes. The connection's parser
fills and drops entries itself, in the order of the bytes: an answer that is overtaken by its invalidation is
dropped again before anybody sees it. It is a hint for pages: a lock never reads it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from hiredis import ReplyError

from app.hotstore.keys import Keys
from app.hotstore.line import Line

_log = structlog.get_logger()

T = TypeVar("T")

REFETCH_SECONDS_MIN = 0.003
"""A SKU that changes all the time is read again at most this often; its readers wait together."""

GENERATIONS_MAX = 1_000
"""Ends of generations that are remembered: they say how old an answer of before is."""

_TRACK_NEXT = ("CLIENT", "CACHING", "YES")
"""Only what pages read is tracked: what the functions read would be too, and locks would drown in invalidations."""

OnValue = Callable[["Entry[Any] | None"], None]
"""Called with the entry, or with None if it cannot be had this way: unknown, or the hot store is away."""


class Entry(Generic[T]):
    """What is kept of a SKU. `generation` is the cache's when it was filled; `valid` until it is invalidated."""

    __slots__ = ("fetched_at", "generation", "known_until", "sku", "valid", "value")

    def __init__(self, sku: str, value: T, generation: int, fetched_at: float) -> None:
        self.sku = sku
        self.value = value
        self.generation = generation
        self.fetched_at = fetched_at
        self.valid = True
        self.known_until = 0.0


@dataclass(slots=True)
class CacheCounts:
    """Figures for the metrics."""

    hits: int = 0
    misses: int = 0
    invalidations: int = 0


class NearCache(Generic[T]):
    """Entries by SKU, at most `entries_max` (0: nothing is kept); `render` makes a SKU's value of its fields."""

    def __init__(self, keys: Keys, render: Callable[[str, dict[str, str]], T], *, entries_max: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._prefix = keys.stock("")
        self._render = render
        self.entries_max = entries_max
        self._entries: dict[str, Entry[T]] = {}
        self._fetching: dict[str, list[OnValue]] = {}
        self._generation = 0
        self._told_untracked = False
        self._ended_at: OrderedDict[int, float] = OrderedDict()
        self.counts = CacheCounts()
        self.line: Line | None = None

    # For readers

    def get(self, sku: str) -> Entry[T] | None:
        """Return a SKU's entry whether it is still right or not: see `is_right`, `stale_seconds`."""
        return self._entries.get(sku)

    def is_right(self, entry: Entry[T]) -> bool:
        """Whether nothing has changed it, as far as the last beat could tell."""
        line = self.line
        return entry.valid and entry.generation == self._generation and line is not None and line.is_fresh

    def is_away(self) -> bool:
        """Whether the hot store is silent, shut or not connected."""
        return self.line is None or not self.line.is_fresh

    def stale_seconds(self, entry: Entry[T]) -> float:
        """Return how long ago the entry was last known to be right."""
        if not entry.valid:
            known_until = entry.known_until
        elif entry.generation != self._generation:
            known_until = max(entry.fetched_at, self._ended_at.get(entry.generation, 0.0))
        else:
            known_until = self.line.heard_at if self.line else entry.fetched_at
        return self._loop.time() - known_until

    def fetch(self, sku: str, on_value: OnValue) -> None:
        """Read a SKU anew; readers of the same SKU share one read. `on_value` is called later."""
        self.counts.misses += 1
        waiting = self._fetching.get(sku)
        if waiting is not None:
            waiting.append(on_value)
            return
        self._fetching[sku] = [on_value]
        entry = self._entries.get(sku)
        pause = entry.fetched_at + REFETCH_SECONDS_MIN - self._loop.time() if entry else 0.0
        if pause > 0:
            self._loop.call_later(pause, self._read, sku)
        else:
            self._read(sku)

    def _read(self, sku: str) -> None:
        generation = self._generation
        if self.line is None or not self.line.epoch:
            self._loop.call_soon(self._settle, sku, None)
            return
        if self.entries_max:
            self._read_tracked(self.line, sku, generation)
            return
        self.line.call(
            ("HGETALL", self._prefix + sku), lambda reply: self._filled(sku, reply, generation, keep=False)
        )

    def _read_tracked(self, line: Line, sku: str, generation: int) -> None:
        is_tracked = False

        def on_tracked(reply: Any) -> None:
            nonlocal is_tracked
            is_tracked = reply == "OK"
            if isinstance(reply, ReplyError) and not self._told_untracked:
                self._told_untracked = True  # once: every page that is read would say it again
                _log.error("near_cache.keeps_nothing", why=str(reply))

        line.call(_TRACK_NEXT, on_tracked)
        line.call(
            ("HGETALL", self._prefix + sku),
            lambda reply: self._filled(sku, reply, generation, keep=is_tracked),
        )

    # For the connection's parser: in the order of the bytes

    def _filled(self, sku: str, reply: Any, generation: int, *, keep: bool) -> None:
        if not isinstance(reply, dict) or not reply or generation != self._generation:
            # An error, an unknown SKU (only the checked way may say so), or a memory of before.
            self._settle(sku, None)
            return
        try:
            value = self._render(sku, reply)
        except Exception:  # noqa: BLE001 - somebody waits: no record of ours, and the checked way says so
            self._settle(sku, None)
            return
        entry = Entry(sku, value, generation, self._loop.time())
        if keep:
            self._drop(sku)
            self._entries[sku] = entry
            if len(self._entries) > self.entries_max:
                self._drop(next(iter(self._entries)))
        self._settle(sku, entry)

    def _drop(self, sku: str) -> None:
        """Forget an entry; whoever still holds it must not believe it: no invalidation will find it any more."""
        entry = self._entries.pop(sku, None)
        if entry is not None and entry.valid:
            entry.valid = False
            entry.known_until = self._loop.time()

    def _settle(self, sku: str, entry: Entry[T] | None) -> None:
        for on_value in self._fetching.pop(sku, ()):
            try:
                on_value(entry)
            except Exception:  # noqa: BLE001 - a reader's own failure is its own: others wait for the same SKU
                _log.exception("near_cache.reader_failed")

    def on_push(self, push: list[Any]) -> None:
        """Drop what the server says has changed; None means everything."""
        if push[0] != "invalidate":
            return
        if push[1] is None:  # the memory was emptied
            self.on_shut()
            if self.line is not None:
                self.line.doubt()
            return
        now, cut = self._loop.time(), len(self._prefix)
        for key in push[1]:
            entry = self._entries.get(key[cut:]) if key.startswith(self._prefix) else None
            if entry is not None:
                self.counts.invalidations += 1
                entry.valid = False
                entry.known_until = now

    def on_shut(self) -> None:
        """Trust nothing any more; what is there stays as the last known answers."""
        self._ended_at[self._generation] = self.line.heard_at if self.line else self._loop.time()
        self._generation += 1
        if len(self._ended_at) > GENERATIONS_MAX:
            self._ended_at.popitem(last=False)
