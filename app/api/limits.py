"""How much a key may hold: lines and units of a lock, for how long, and how many locks at once.

The sizes are checked by each process for itself, on every request. How many locks a key holds is a figure of the whole
installation, which each process reads from the ledger every few seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from app.api.api_keys import ApiKey
from app.api.auth import ApiKeys
from app.api.problems import Problem, too_many_requests
from app.domain.commands import Line, Lock
from app.errors import UnavailableError

_log = structlog.get_logger()

COUNT_SECONDS = 5.0
"""How often locks are counted: so long a key may go on beyond its limit."""

CountOpen = Callable[[Mapping[str, int]], Awaitable[Collection[str]]]
"""Return which of these keys hold as many open locks as they may, or more."""


def size_problem(key: ApiKey | None, lines: Sequence[Line]) -> Problem | None:
    """Return what is wrong with the lines of a lock, for this key (None: without keys there is no limit)."""
    if key is None or key.is_admin:
        return None
    limits = key.limits
    if len(lines) > limits.lock_lines:
        return _beyond(key, "lock_lines", f"lock {limits.lock_lines:,} lines at once", limits.lock_lines)
    if sum(line.quantity for line in lines) > limits.lock_units:
        return _beyond(key, "lock_units", f"lock {limits.lock_units:,} units at once", limits.lock_units)
    return None


def time_problem(key: ApiKey | None, ttl_ms: int | None) -> Problem | None:
    """Return what is wrong with a lock that lasts so long (None: for ever), for this key."""
    if key is None or key.is_admin:
        return None
    limits = key.limits
    if ttl_ms is None:
        return None if limits.unending else _beyond(key, "unending", "not make locks that never expire", 0)
    if ttl_ms > limits.ttl_seconds * 1000:
        return _beyond(key, "ttl_seconds", f"lock for {limits.ttl_seconds:,} s", limits.ttl_seconds)
    return None


def lock_problem(keys: ApiKeys, key: ApiKey, command: Lock) -> Problem | None:
    """Return what is wrong with a new lock, for this key; what is right takes a third of a microsecond."""
    limits, units = key.limits, 0
    for line in command.lines:
        units += line.quantity
    if (
        units <= limits.lock_units
        and len(command.lines) <= limits.lock_lines
        and command.ttl_ms is not None
        and command.ttl_ms <= limits.ttl_seconds * 1000
        and key.name not in keys.holding_all
    ):
        return None
    return size_problem(key, command.lines) or time_problem(key, command.ttl_ms) or count_problem(keys, key)


def count_problem(keys: ApiKeys, key: ApiKey | None) -> Problem | None:
    """Return what is wrong with one more lock of this key."""
    if key is None or key.name not in keys.holding_all or key.is_admin:
        return None
    most = key.limits.open_locks
    detail = f"the key {key.name} may hold {most:,} open locks; the ledger has as many"
    return too_many_requests(detail, COUNT_SECONDS, '"open-locks"', f'"open-locks";q={most}')


def _beyond(key: ApiKey, limit: str, may: str, most: int) -> Problem:
    return Problem("forbidden", f"the key {key.name} may {may}", {"limit": limit, "limit_value": most})


class LockCounts:
    """Keeps `ApiKeys.holding_all` up to date. While the ledger is away, what it said last holds."""

    def __init__(self, keys: ApiKeys, count: CountOpen) -> None:
        self._keys = keys
        self._count = count

    async def keep(self) -> None:
        """Count again and again, until cancelled."""
        while True:
            try:
                await self.refresh()
            except UnavailableError:
                pass  # sales go on without the ledger
            except Exception:  # noqa: BLE001 - a count that nobody renews any more would hold for ever
                _log.exception("open_locks.failed")
            await asyncio.sleep(COUNT_SECONDS)

    async def refresh(self) -> None:
        """Count now."""
        limits = self._keys.open_locks_limits()
        self._keys.holding_all = frozenset(await self._count(limits)) if limits else frozenset()
