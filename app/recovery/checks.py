"""Checks at connect: settings of the servers that would break a promise are refused, or claimed less of."""

from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.errors import ConfigurationError, UnavailableError
from app.hotstore.keys import Keys
from app.settings import Durability

_log = structlog.get_logger()

REDIS_MAJOR_MIN = 7


@dataclass(frozen=True, slots=True)
class HotServer:
    """What is known of the Redis (or Valkey) that answers."""

    version: str
    level: Durability


async def check_hot_server(client: Redis, keys: Keys) -> HotServer:
    """Return what answers.

    Raises `ConfigurationError` if it cannot keep our promises, `UnavailableError` if nothing answers.
    """
    try:
        info = await client.info("everything")
        kind: str = await client.type(keys.meta)  # type: ignore[assignment]
    except ResponseError as error:
        raise UnavailableError(f"Redis does not answer as it should: {error}") from error
    except (RedisError, OSError) as error:
        raise UnavailableError(f"Redis cannot be reached: {error}") from error
    version = str(info["redis_version"])
    if int(version.split(".", maxsplit=1)[0]) < REDIS_MAJOR_MIN:
        raise ConfigurationError(f"Redis {version} is too old: 7.0 or newer is needed, or Valkey")
    if info.get("role") != "master":
        raise ConfigurationError("this Redis is a replica: give the primary's address")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise ConfigurationError(f"Redis may evict keys (maxmemory-policy {policy}): it must be noeviction")
    if kind not in {"none", "hash"}:
        raise ConfigurationError(f"the key {keys.meta} in this Redis belongs to something else ({kind})")
    return HotServer(str(info.get("valkey_version", version)), await hot_level(client))


async def hot_level(client: Redis) -> Durability:
    """Return what the hot store itself gives: `disk` only while it fsyncs before it answers, else `memory`."""
    try:
        config = await client.config_get("appendonly", "appendfsync", "no-appendfsync-on-rewrite")
    except ResponseError:
        return "memory"  # CONFIG is denied to us: never claim more than is known
    wanted = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
    return "disk" if config == wanted else "memory"


class HotLevel:
    """The level as last read; `memory` while it is not known."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.level: Durability = "memory"

    async def refresh(self) -> None:
        """Read it again: somebody may change a running server."""
        try:
            level = await hot_level(self._client)
        except (RedisError, OSError):
            level = "memory"
        if level != self.level:
            _log.info("hot_store.durability", reached=level)
        self.level = level
