"""What the worker says of itself, in the hot store, where every API process can read it."""

import asyncio
import json
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.hotstore.keys import Keys

READ_SECONDS = 1.0
SILENT_SECONDS_MAX = 10
NOBODY = "no worker has been heard of yet: nothing is persisted and nothing expires"


class WorkerWords:
    """The last words, read every second; `{}` while nobody can be asked, or nothing was said yet."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.words: dict[str, Any] = {}
        self._asked = False

    async def keep(self) -> None:
        """Read them again and again; until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(READ_SECONDS)

    async def refresh(self) -> None:
        """Read them now."""
        try:
            text = await self._client.hget(self._keys.meta, "worker")
            self.words, self._asked = json.loads(text) if text else {}, True
        except (RedisError, OSError, ValueError):
            self.words, self._asked = {}, False

    def notes(self) -> list[str]:
        """Return what somebody should know though the service can serve, as sentences."""
        words = self.words
        if not words:
            return [NOBODY] if self._asked else []
        notes = []
        silent_seconds = int(time.time()) - int(words["at"])
        if silent_seconds > SILENT_SECONDS_MAX:
            notes.append(f"no worker has said anything for {silent_seconds} s")
        if words["trouble"]:
            notes.append(f"nothing is persisted: {words['trouble']}")
        if words["level"] != "ok":
            refused = "new locks are refused: " if words["level"] == "hard" else ""
            outbox = f"the outbox holds {words['entries']} events and its limit is {words['limit']}"
            notes.append(f"{refused}{outbox}, because of: {words['why']}")
        if words["quarantined"]:
            notes.append(f"{words['quarantined']} SKUs or documents are in quarantine")
        return notes
