"""Redis before 7.2 reads its append-only file with the rights of the user `default`, also where that user is off.

What a function wrote stands there as one transaction. If `default` may not run a command of it, the whole transaction
is dropped, with a line in Redis' log, and Redis starts without it: everything would be lost at the next restart.
"""

from collections.abc import Collection
from typing import Literal

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.hotstore.keys import Keys

LOOKS_UP_RIGHTS = "acl|dryrun"
USER = "default"
REPLAYS_AS_NOBODY = (7, 2)
"""From this version on no user's rights are asked for."""

Replay = Literal["whole", "lossy", "unknown"]
"""What a restart would bring back: all, less than was acknowledged, or nobody can tell."""


async def replay_of(client: Redis, keys: Keys, *, version: str, lacks: Collection[str] | None) -> Replay:
    """Return what a restart of this server would bring back; nothing is run. `lacks` are rights that we don't have."""
    if tuple(int(part) for part in version.split(".")[:2]) >= REPLAYS_AS_NOBODY:
        return "whole"
    if lacks is not None and LOOKS_UP_RIGHTS in lacks:
        return "unknown"
    pipeline = client.pipeline(transaction=False)
    for command in _written(keys):
        pipeline.execute_command("ACL", "DRYRUN", USER, *command)
    try:
        answers = await pipeline.execute()
    except ResponseError:
        return "unknown"
    return "whole" if all(answer in {"OK", b"OK", True} for answer in answers) else "lossy"


def _written(keys: Keys) -> tuple[tuple[str, ...], ...]:
    """Return every command that the functions write with, as it could stand in the file."""
    return (
        ("XADD", keys.outbox, "1-0", "e", "x"),
        ("XTRIM", keys.outbox, "MINID", "1-0"),
        ("HSET", keys.meta, "epoch", "1"),
        ("HDEL", keys.meta, "epoch"),
        ("ZADD", keys.due, "1", "x"),
        ("ZREM", keys.due, "x"),
        ("SET", keys.op("x"), "x"),
        ("UNLINK", keys.op("x")),
    )
