"""Checks at connect and ever after: settings that would break a promise are refused, or less is claimed."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.domain.words import Durability
from app.errors import ConfigurationError, UnavailableError
from app.hotstore.keys import Keys
from app.turns import within

_log = structlog.get_logger()

REDIS_MAJOR_MIN = 7
READ_SECONDS = 1.0
ANSWER_SECONDS_MAX = 1.0
_KEEPS_ALL = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
"""With these, a reply comes after the fsync of what it tells."""
_READ = (*_KEEPS_ALL, "maxmemory-policy", "min-replicas-to-write")


@dataclass(frozen=True, slots=True)
class HotServer:
    """What is known of the Redis (or Valkey) that answers."""

    version: str
    level: Durability


@dataclass(frozen=True, slots=True)
class Promises:
    """What a server can keep: the level of its replies, its replicas that follow now, and what is wrong with it.

    `rewrites`: its append-only file is being written anew; where that has just been turned on, it keeps nothing yet.
    `evicts` is the policy if keys may vanish, else ''. `warnings` are sentences about settings that break a promise.
    """

    level: Durability = "memory"
    replicas: int = 0
    evicts: str = ""
    rewrites: bool = False
    warnings: tuple[str, ...] = ()


async def check_hot_server(client: Redis, keys: Keys) -> HotServer:
    """Return what answers.

    Raises `ConfigurationError` if it cannot keep our promises, `UnavailableError` if nothing answers.
    """
    try:
        info = await client.info("everything")
        kind: str = await client.type(keys.meta)  # type: ignore[assignment]
        promises = await read_promises(client)
    except ResponseError as error:
        raise UnavailableError(f"Redis does not answer as it should: {error}") from error
    except (RedisError, OSError) as error:
        raise UnavailableError(f"Redis cannot be reached: {error}") from error
    version = str(info["redis_version"])
    if int(version.split(".", maxsplit=1)[0]) < REDIS_MAJOR_MIN:
        raise ConfigurationError(f"Redis {version} is too old: 7.0 or newer is needed, or Valkey")
    if info.get("role") != "master":
        raise ConfigurationError("this Redis is a replica: give the primary's address")
    if promises.evicts:
        raise ConfigurationError(
            f"Redis may evict keys (maxmemory-policy {promises.evicts}): it must be noeviction"
        )
    if kind not in {"none", "hash"}:
        raise ConfigurationError(f"the key {keys.meta} in this Redis belongs to something else ({kind})")
    return HotServer(str(info.get("valkey_version", version)), promises.level)


async def read_promises(client: Redis) -> Promises:
    """Read what the server can keep now; raise a Redis error if it does not answer."""
    info: Mapping[str, Any] = (
        await client.info("replication") | await client.info("persistence") | await client.info("memory")
    )
    replicas = sum(
        isinstance(one, dict) and one.get("state") == "online"
        for name, one in info.items()
        if name.startswith("slave") and name[len("slave") :].isdigit()
    )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    evicts = "" if policy == "noeviction" else policy
    try:
        config: Mapping[Any, Any] = await client.config_get(*_READ)
    except ResponseError:  # denied to us: never claim more than is known
        denied = "this user may not read CONFIG: no level above memory is claimed for it, nor replica"
        return Promises("memory", replicas, evicts, warnings=(denied,))
    keeps_all = all(config.get(name) == value for name, value in _KEEPS_ALL.items())
    level: Durability = "disk" if keeps_all and not evicts else "memory"
    rewrites = bool(info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"))
    return Promises(level, replicas, evicts, rewrites, _warnings(config, replicas))


def _warnings(config: Mapping[Any, Any], replicas: int) -> tuple[str, ...]:
    found = [
        f"{name} is {config.get(name)!r}, not {value!r}: a power cut loses what was acknowledged"
        for name, value in _KEEPS_ALL.items()
        if config.get(name) != value
    ]
    if replicas and config.get("min-replicas-to-write", "0") == "0":
        found.append(
            "min-replicas-to-write is 0: after a failover an old primary that is still alive goes on taking writes"
        )
    return tuple(found)


class HotLevel:
    """What was last read; `memory` while it is not known. `replicas` is how many there are said to be."""

    def __init__(self, client: Redis, *, replicas: int) -> None:
        self._client = client
        self._replicas = replicas
        self._doubted = asyncio.Event()
        self._promises = Promises()
        self.level: Durability = "memory"

    @property
    def replicas(self) -> int:
        """Return how many replicas follow now."""
        return self._promises.replicas

    @property
    def replicas_needed(self) -> int:
        """Return how many must have an event before all have it."""
        return max(self._replicas, self._promises.replicas)

    @property
    def has_replicas(self) -> bool:
        """Whether all replicas that there are said to be follow now, and there is one."""
        return self._promises.replicas >= max(self._replicas, 1)

    @property
    def problems(self) -> list[str]:
        """Return what forbids to go on with this server."""
        evicts = self._promises.evicts
        return [f"Redis may evict keys (maxmemory-policy {evicts}): it must be noeviction"] if evicts else []

    def doubt(self) -> None:
        """Claim nothing until the server was asked again, which `keep` does at once: it may be another one."""
        self.level = "memory"
        self._doubted.set()

    async def keep(self) -> None:
        """Read it again every second, and whenever it is in doubt; until cancelled."""
        while True:
            # Not wait_for: Python 3.11's forgets that it was cancelled when a doubt comes at that moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READ_SECONDS):
                    await self._doubted.wait()
            await self.refresh()

    async def refresh(self) -> None:
        """Read it now: somebody may change a running server."""
        self._doubted.clear()
        try:
            promises = await within(ANSWER_SECONDS_MAX, read_promises(self._client))
        except (RedisError, OSError, TimeoutError):
            promises = Promises(warnings=self._promises.warnings)
        settled = not promises.rewrites or self.level == "disk"
        level: Durability = promises.level if settled else "memory"
        if self._doubted.is_set():  # this answer may be the other server's
            return
        if level != self.level:
            _log.info("hot_store.durability", reached=level)
        for warning in sorted(set(promises.warnings) - set(self._promises.warnings)):
            _log.error("hot_store.breaks_a_promise", what=warning)
        if promises.evicts and promises.evicts != self._promises.evicts:
            _log.error("hot_store.evicts", maxmemory_policy=promises.evicts)
        self.level, self._promises = level, promises
