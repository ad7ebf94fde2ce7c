"""Checks at connect and ever after: settings that would break a promise are refused, or less is claimed."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.addresses.reasons import redis_sentence
from app.domain.words import Durability
from app.errors import ConfigurationError, UnavailableError
from app.hotstore import durability
from app.hotstore.clock import HotClock
from app.hotstore.durability import Server
from app.hotstore.keys import Keys
from app.hotstore.rights import lacking
from app.hotstore.wire import one_connection
from app.recovery.aof_rights import LOOKS_UP_RIGHTS, Replay, replay_of
from app.turns import within

_log = structlog.get_logger()

REDIS_MAJOR_MIN = 7
READ_SECONDS = 1.0
ANSWER_SECONDS_MAX = 1.0
_KEEPS_ALL = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
"""With these, a reply comes after the fsync of what it tells."""
_READ = (*_KEEPS_ALL, "maxmemory-policy", "min-replicas-to-write")
_READS_CONFIG = "config|get"
MAY_FORGET = (
    "Redis {} reads its append-only file with the rights of the user `default`, and our user may not look them up "
    f"({LOOKS_UP_RIGHTS}); see deploy/users.acl"
)
FORGETS = (
    "Redis {} would forget everything at its next restart: it reads its append-only file with the rights of the user "
    "`default`, who may not run what our functions write. Give that user all rights and no password (user default off "
    "resetpass ~* +@all): nobody can log in as it"
)

NO_SERVER = Server()


@dataclass(frozen=True, slots=True)
class HotServer:
    """What is known of the Redis (or Valkey) that answers."""

    version: str
    level: Durability


@dataclass(frozen=True, slots=True)
class Promises:
    """What a server can keep: the level of its replies, its replicas that follow now, and what is wrong with it.

    `rewrites`: its append-only file is being written anew; where that has just been turned on, it keeps nothing yet.
    `evicts` is the policy if keys may vanish, else ''; `forgets` says why a restart would lose all, or ''. `warnings`
    are sentences about settings that break a promise. `server` is what answered.
    """

    level: Durability = "memory"
    replicas: int = 0
    evicts: str = ""
    forgets: str = ""
    rewrites: bool = False
    warnings: tuple[str, ...] = ()
    server: Server = NO_SERVER


async def check_hot_server(client: Redis, keys: Keys) -> HotServer:
    """Return what answers.

    Raises `ConfigurationError` if it cannot keep our promises, `UnavailableError` if nothing answers.
    """
    try:
        info = await client.info("everything")
        version = str(info["redis_version"])
        if int(version.split(".", maxsplit=1)[0]) < REDIS_MAJOR_MIN:
            raise ConfigurationError(f"Redis {version} is too old: 7.0 or newer is needed, or Valkey")
        kind: str = await client.type(keys.meta)  # type: ignore[assignment]
        if kind not in {"none", "hash"}:
            raise ConfigurationError(f"the key {keys.meta} in this Redis belongs to something else ({kind})")
        promises = await read_promises(client, keys)
    except (RedisError, OSError) as error:
        raise UnavailableError(redis_sentence(error)) from error
    if info.get("role") != "master":
        raise ConfigurationError("this Redis is a replica: give the primary's address")
    if promises.evicts:
        raise ConfigurationError(
            f"Redis may evict keys (maxmemory-policy {promises.evicts}): it must be noeviction"
        )
    if promises.forgets:
        raise ConfigurationError(promises.forgets)
    return HotServer(str(info.get("valkey_version", version)), promises.level)


async def read_promises(client: Redis, keys: Keys) -> Promises:
    """Read what the server can keep now; raise a Redis error if it does not answer.

    All of it over one connection: it is about one server. Where CONFIG is denied, what the worker states counts.
    """
    async with one_connection(client) as one:
        info: Mapping[str, Any] = await one.info("server", "replication", "persistence", "memory")
        now_ms = await HotClock(one, keys).server_seconds() * 1000
        epoch, said = await one.hmget(keys.meta, ["epoch", "worker"])
        lacks = await lacking(one, keys)
        config = await _config(one, lacks)
        version = str(info["redis_version"])
        replay = await replay_of(one, keys, version=version, lacks=lacks)
    server = Server(str(info["run_id"]), str(epoch or ""), int(now_ms))
    policy = str(info.get("maxmemory_policy", "noeviction"))
    evicts = "" if policy == "noeviction" else policy
    replicas = _replicas_online(info)
    if config is None:
        keeps_all = durability.level_stated(str(said or ""), server) == "disk"
    else:
        keeps_all = all(config.get(name) == value for name, value in _KEEPS_ALL.items())
    rewrites = bool(info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"))
    return Promises(
        level="disk" if keeps_all and not evicts and replay == "whole" else "memory",
        replicas=replicas,
        evicts=evicts,
        forgets=FORGETS.format(version) if replay == "lossy" else "",
        rewrites=rewrites and config is not None,
        warnings=(*_warnings(config, replicas), *_replay_warnings(replay, version)),
        server=server,
    )


async def _config(client: Redis, lacks: Collection[str] | None) -> Mapping[Any, Any] | None:
    """Return the settings of durability; None where they are denied to us."""
    if lacks is not None and _READS_CONFIG in lacks:
        return None
    try:
        config: Mapping[Any, Any] = await client.config_get(*_READ)
    except ResponseError:
        return None
    return config


def _replicas_online(info: Mapping[str, Any]) -> int:
    return sum(
        isinstance(one, dict) and one.get("state") == "online"
        for name, one in info.items()
        if name.startswith("slave") and name[len("slave") :].isdigit()
    )


def _replay_warnings(replay: Replay, version: str) -> tuple[str, ...]:
    return {
        "whole": (),
        "lossy": (FORGETS.format(version),),
        "unknown": (
            f"whether a restart brings everything back cannot be found out: {MAY_FORGET.format(version)}",
        ),
    }[replay]


def _warnings(config: Mapping[Any, Any] | None, replicas: int) -> tuple[str, ...]:
    if config is None:  # the worker says what is wrong
        return ()
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

    def __init__(self, client: Redis, keys: Keys, *, replicas: int) -> None:
        self._client = client
        self._keys = keys
        self._replicas = replicas
        self._doubted = asyncio.Event()
        self._promises = Promises()
        self._read_level: Durability = "memory"
        self._read_from = NO_SERVER
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

    @property
    def statement(self) -> dict[str, Any]:
        """Return what to publish for processes that cannot read it themselves: what was read last, and when."""
        return durability.statement(self._read_level, self._read_from)

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
            promises = await within(ANSWER_SECONDS_MAX, read_promises(self._client, self._keys))
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
        if promises.server != NO_SERVER:
            self._read_level, self._read_from = level, promises.server
