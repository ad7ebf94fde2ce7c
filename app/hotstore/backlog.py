"""What the outbox and the server under it have room for."""

import contextlib
import ipaddress
import shutil
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.hotstore.keys import Keys


@dataclass(frozen=True, slots=True)
class Room:
    """Entries and bytes of the outbox, locks that expire, and what is left; None: not limited, or not known."""

    entries: int
    bytes: int
    due_locks: int
    memory_free: int | None
    disk_free: int | None


class OutboxRoom:
    """Measures one shard's outbox. The file system is looked at only where the server is on this machine."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._folder: Path | None = None
        self._looked = False

    async def measure(self) -> Room:
        """Return what there is now; raise a Redis error if it does not answer."""
        entries = int(await self._client.xlen(self._keys.outbox))
        due = int(await self._client.zcard(self._keys.due))
        memory = await self._client.info("memory")
        limit, used = int(memory.get("maxmemory", 0)), int(memory["used_memory"])
        return Room(
            entries,
            await self._bytes(),
            due,
            max(0, limit - used) if limit else None,
            await self._disk_free(),
        )

    async def _bytes(self) -> int:
        with contextlib.suppress(ResponseError):  # not allowed to ask
            return int(await self._client.memory_usage(self._keys.outbox) or 0)
        return 0

    async def _disk_free(self) -> int | None:
        if not self._looked:
            self._folder, self._looked = await self._local_folder(), True
        if self._folder is None:
            return None
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return None

    async def _local_folder(self) -> Path | None:
        """Return where the append-only file is, if that is a folder of this machine."""
        options = self._client.connection_pool.connection_kwargs
        if "path" not in options and not _is_here(str(options.get("host", "localhost"))):
            return None
        try:
            config = await self._client.config_get("dir", "appenddirname", "appendonly")
        except ResponseError:
            return None
        folder = Path(str(config.get("dir"))) / str(config.get("appenddirname"))
        return folder if config.get("appendonly") == "yes" and folder.is_dir() else None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
