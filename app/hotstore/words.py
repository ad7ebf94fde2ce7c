"""What the worker says of itself, in the hot store, where every API process can read it; and what shows without it."""

import asyncio
import json
import time
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.domain.events import Position
from app.hotstore.keys import Keys

_log = structlog.get_logger()

READ_SECONDS = 1.0
SILENT_SECONDS_MAX = 10
STANDS_STILL_SECONDS = 5.0
"""After so long with the same overdue lock, or with events that are not persisted, it is no mere delay."""
NOBODY = "no worker has been heard of yet: nothing is persisted and nothing expires"


class _Since(NamedTuple):
    """Something that should be over soon, and since when it has been seen, in seconds of the server's clock."""

    what: Any
    at: float


class WorkerWords:
    """The last words, read every second; `{}` while nobody can be asked, or nothing was said yet."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.words: dict[str, Any] = {}
        self._asked = False
        self._now = 0.0
        self._overdue: _Since | None = None
        self._unpersisted: _Since | None = None
        self._alarms: frozenset[str] = frozenset()
        self.overdue_seconds = 0.0
        """How long ago the lock that is overdue for longest should have expired."""

    async def keep(self) -> None:
        """Read them again and again; until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(READ_SECONDS)

    async def refresh(self) -> None:
        """Read them now."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.time()
        pipeline.hmget(self._keys.meta, ["worker", "last", "persisted"])
        pipeline.zrange(self._keys.due, 0, 0, withscores=True)
        try:
            (seconds, micros), (text, last, persisted), due = await pipeline.execute()
            self.words, self._asked = json.loads(text) if text else {}, True
        except (RedisError, OSError, ValueError):
            self.words, self._asked, self._overdue, self._unpersisted = {}, False, None, None
            return
        self._now = seconds + micros / 1e6
        self._look_at_due(due)
        self._look_at_outbox(last, persisted)
        self._alarm()

    def _look_at_due(self, due: list[Any]) -> None:
        lock_id, score = due[0] if due else ("", self._now * 1000)
        self.overdue_seconds = max(0.0, self._now - float(score) / 1000)
        if not self.overdue_seconds:
            self._overdue = None
        elif self._overdue is None or self._overdue.what != lock_id:
            self._overdue = _Since(lock_id, self._now)

    def _look_at_outbox(self, last: str | None, persisted: str | None) -> None:
        reached, newest = (Position.parse(text or "0-0") for text in (persisted, last))
        if reached >= newest:
            self._unpersisted = None
        elif self._unpersisted is None or reached >= self._unpersisted.what:
            self._unpersisted = _Since(newest, self._now)

    @property
    def silent_seconds(self) -> float:
        """Return for how long no worker has said anything; infinite if none ever has."""
        if not self.words:
            return float("inf")
        stated = self.words.get("durability")
        if stated and stated["at_ms"]:  # by the server's own clock: machines' clocks differ
            return max(0.0, self._now - float(stated["at_ms"]) / 1000)
        return max(0.0, time.time() - int(self.words["at"]))

    @property
    def lag_seconds(self) -> float:
        """Return for how long events have been seen that are not persisted yet."""
        return self._now - self._unpersisted.at if self._unpersisted else 0.0

    @property
    def expiry_stands_still(self) -> bool:
        """Whether the same lock has been overdue for a while: nobody gives stock back that was promised back."""
        return self._overdue is not None and self._now - self._overdue.at > STANDS_STILL_SECONDS

    @property
    def persisting_stands_still(self) -> bool:
        """Whether the ledger has not gone on for a while, though there is something to persist."""
        return self.lag_seconds > STANDS_STILL_SECONDS

    def notes(self) -> list[str]:
        """Return what somebody should know though the service can serve, as sentences."""
        if not self._asked:
            return []
        words, waits = self.words, dict(self.words.get("waits", {}))
        notes = [] if words else [NOBODY]
        if words and self.silent_seconds > SILENT_SECONDS_MAX:
            notes.append(f"no worker has said anything for {int(self.silent_seconds)} s")
        if why := waits.pop("expire", ""):
            notes.append(f"nothing expires: {why}")
        if self.expiry_stands_still:
            notes.append(f"nothing expires: a lock should have expired {int(self.overdue_seconds)} s ago")
        if why := words.get("trouble", ""):
            notes.append(f"nothing is persisted: {why}")
        elif self.persisting_stands_still:
            notes.append(f"nothing is persisted: the ledger has not gone on for {int(self.lag_seconds)} s")
        waits.pop("persist", "")
        notes += [f"the background job '{name}' waits: {why}" for name, why in waits.items()]
        if words.get("level", "ok") != "ok":
            refused = "new locks are refused: " if words["level"] == "hard" else ""
            outbox = f"the outbox holds {words['entries']} events and its limit is {words['limit']}"
            notes.append(f"{refused}{outbox}, because of: {words['why']}")
        if words.get("quarantined"):
            notes.append(f"{words['quarantined']} SKUs or documents are in quarantine")
        return notes

    def _alarm(self) -> None:
        """Log once that something stands still, and once that it goes on."""
        alarms = {
            "the worker": bool(self.words) and self.silent_seconds > SILENT_SECONDS_MAX,
            "expiry": self.expiry_stands_still,
            "persisting": self.persisting_stands_still,
        }
        now = frozenset(what for what, is_on in alarms.items() if is_on)
        for what in sorted(now - self._alarms):
            _log.error("worker.stands_still", what=what, notes=self.notes())
        for what in sorted(self._alarms - now):
            _log.info("worker.goes_on", what=what)
        self._alarms = now
