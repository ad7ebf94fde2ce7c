"""Whose is it: a Redis that holds something else, and stores of two installations, are refused."""

import re
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.addresses.reasons import redis_sentence
from app.errors import ConfigurationError, UnavailableError
from app.hotstore.keys import Keys
from app.ledger.recovery_rows import RecoveryRows

LOOKS_MAX = 10
LOOK_KEYS = 1_000
_OURS = re.compile(r"\{[A-Za-z0-9_-]*s\d+\}:")
"""What the keys of every installation begin with, whatever its prefix."""


async def refuse_foreign_keys(client: Redis, keys: Keys) -> None:
    """Raise `ConfigurationError` if somebody else keeps something here, as far as a short look tells.

    Once Sellable is at home there, others may come.
    """
    cursor = 0
    try:
        if await client.exists(keys.meta):
            return
        for _ in range(LOOKS_MAX):
            found: Any = await client.scan(cursor, count=LOOK_KEYS)
            cursor, names = int(found[0]), found[1]
            _refuse(next((name for name in names if not _OURS.match(name)), None))
            if cursor == 0:
                return
    except ResponseError:
        return  # we may not look
    except (RedisError, OSError) as error:
        raise UnavailableError(redis_sentence(error)) from error


def _refuse(foreign: str | None) -> None:
    if foreign is not None:
        raise ConfigurationError(
            f"this Redis holds something else (the key {foreign!r}): give Sellable one of its own, or say "
            "that it shall share it with SELLABLE_REDIS_SHARED=true"
        )


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
