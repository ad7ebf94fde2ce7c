"""What each process may ask of the hot store: the three users of `deploy/users.acl`, which this module prints.

    python -m app.hotstore.rights [PREFIX] > deploy/users.acl

A right is listed under the module that needs it. Rights inside functions are checked against the caller, so each user
has what its functions use: `pages` calls only those that read.
"""

import re
import sys
from collections.abc import Iterable

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.hotstore.keys import Keys
from app.hotstore.library import library

EVERY_CONNECTION = ("hello", "auth", "select", "ping", "client|setname", "fcall_ro")
"""What clients greet with, ours and a person's own, and the way to the functions that read."""
INSIDE_READING = ("time", "hmget", "hgetall", "hget", "hlen", "zrange", "get", "xlen", "xrange", "scan")
"""What the functions that read run inside."""
EVERY_PROCESS = {
    "recovery.checks": ("info", "type", "time", "hmget", "acl|dryrun"),
    "recovery.belonging": ("exists", "scan", "hget"),
    "hotstore.words": ("time", "hmget", "zrange"),
    "hotstore.gate": ("function|list", "hgetall", "info"),
}
PAGES = {"hotstore.near_cache": ("client|tracking", "client|caching", "hgetall")}
"""Those of an API process that serves pages only."""
API = {
    "hotstore.near_cache": ("client|tracking", "client|caching", "hgetall"),
    "hotstore.replicas": ("wait",),
}
"""The API's own."""
WORKER = {
    "recovery.checks": ("config|get",),
    "hotstore.gate": ("function|load",),
    "hotstore.outbox": ("xread", "xrange", "xrevrange"),
    "hotstore.backlog": ("xlen", "zcard", "info", "memory|usage", "config|get"),
    "hotstore.clock": ("time", "hget"),
    "hotstore.scan": ("scan", "hgetall", "get"),
    "worker.persist": ("hget",),
}
"""The worker's own, and those of the commands, which have the same user."""
WORKER_BEFORE = ("client|tracking",)
"""What the worker of the version before calls besides: while an upgrade is under way it has the same user."""


def inner_commands() -> tuple[str, ...]:
    """Return what the functions run inside, as `lua/shared/shard.lua` lists it."""
    listed = library().code.partition("INNER_COMMANDS = {")[2].partition("}")[0]
    return tuple(re.findall(r"'(\w+)'", listed))


def of_pages() -> tuple[str, ...]:
    """Return what an API process calls that serves pages only: it cannot write."""
    called = [command for one in (EVERY_PROCESS, PAGES) for commands in one.values() for command in commands]
    return tuple(dict.fromkeys([*EVERY_CONNECTION, *INSIDE_READING, *called]))


def of_api() -> tuple[str, ...]:
    """Return what an API process calls."""
    return _rights_with(API)


def of_worker() -> tuple[str, ...]:
    """Return what the worker, `migrate` and the commands call."""
    return _rights_with(WORKER)


async def lacking(client: Redis, keys: Keys) -> frozenset[str] | None:
    """Return which of the functions' rights, and of others that `lua/may.lua` names, our user lacks.

    None while the functions are not loaded.
    """
    try:
        reply = await client.fcall_ro(library().function("may"), 1, keys.meta)
    except ResponseError:
        return None
    return frozenset(reply[2:])


def users(prefix: str = "") -> str:
    """Return the text of an ACL file; each user's password stands there as PAGES_PASSWORD, API_PASSWORD or so."""
    pattern = f"~{Keys(prefix).tag}*"
    # Nobody can log in as `default`: it is off and has no password. But Redis 7.0 reads its append-only file as this
    # user, and drops every transaction of the functions that the user may not run: all would be lost at a restart.
    return "".join(
        (
            "user default off resetpass ~* resetchannels +@all\n",
            _user("pages", "PAGES_PASSWORD", pattern, of_pages()),
            _user("api", "API_PASSWORD", pattern, of_api()),
            _user("worker", "WORKER_PASSWORD", pattern, [*of_worker(), *WORKER_BEFORE]),
        )
    )


def _user(name: str, password: str, pattern: str, commands: Iterable[str]) -> str:
    rights = " ".join(f"+{command}" for command in commands)
    return f"user {name} on >{password} resetkeys {pattern} resetchannels -@all {rights}\n"


def _rights_with(own: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    called = [command for one in (EVERY_PROCESS, own) for commands in one.values() for command in commands]
    return tuple(dict.fromkeys([*EVERY_CONNECTION, "fcall", *inner_commands(), *called]))


if __name__ == "__main__":
    sys.stdout.write(users(*sys.argv[1:2]))
