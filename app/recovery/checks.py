"""Checks at connect: settings of the servers that would break a promise are refused, or claimed less of."""

import re
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.errors import ConfigurationError, UnavailableError
from app.hotstore.keys import Keys
from app.ledger.recovery_rows import RecoveryRows
from app.settings import Durability

_log = structlog.get_logger()

REDIS_MAJOR_MIN = 7
LOOKS_MAX = 10
LOOK_KEYS = 1_000
_OURS = re.compile(r"\{[A-Za-z0-9_-]*s\d+\}:")
"""What the keys of every installation begin with, whatever its prefix."""


@dataclass(frozen=True, slots=True)
class HotServer:
    """What is known of the Redis (or Valkey) that answers."""

    version: str
    level: Durability


async def check_hot_server(client: Redis, keys: Keys, *, shared: bool = False) -> HotServer:
    """Return what answers. `shared`: what others keep there does not matter.

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
    if kind == "none" and not shared:
        await _refuse_foreign_keys(client)
    return HotServer(str(info.get("valkey_version", version)), await hot_level(client))


async def _refuse_foreign_keys(client: Redis) -> None:
    """Raise `ConfigurationError` if somebody else keeps something here, as far as a short look tells."""
    cursor = 0
    for _ in range(LOOKS_MAX):
        try:
            found: Any = await client.scan(cursor, count=LOOK_KEYS)
        except ResponseError:
            return  # we may not look
        cursor, keys = found
        foreign = next((key for key in keys if not _OURS.match(key)), None)
        if foreign is not None:
            raise ConfigurationError(
                f"this Redis holds something else (the key {foreign!r}): give Sellable one of its own, or say "
                "that it shall share it with SELLABLE_REDIS_SHARED=true"
            )
        if int(cursor) == 0:
            return


async def check_installation(client: Redis, keys: Keys, rows: RecoveryRows) -> None:
    """Raise `ConfigurationError` if hot store and ledger belong to two installations.

    What cannot be asked now is asked again by recovery, before it opens anything.
    """
    try:
        hot = await client.hget(keys.meta, "installation")
        refuse_mismatch(str(hot or ""), await rows.installation() if hot else "")
    except (RedisError, OSError, UnavailableError):
        return


def refuse_mismatch(hot: str, ledger: str) -> None:
    """Raise `ConfigurationError` unless the hot store is nobody's yet, or the ledger's own."""
    if hot not in {"", ledger}:
        raise ConfigurationError(
            "this hot store belongs to another installation than this ledger: give the addresses of one "
            "installation, or set a SELLABLE_PREFIX of its own"
        )


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
