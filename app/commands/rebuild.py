"""`sellable rebuild`: the hot store made anew from the ledger, now."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from redis.exceptions import RedisError

from app.addresses.reasons import redis_sentence
from app.commands.progress import meter
from app.commands.service import find_service
from app.errors import UnavailableError
from app.recovery.findings import Finding

_ENDS = {
    None: "another recovery is running: wait until GET /readyz answers 200, then try again",
    Finding.CARRY_OVER: "not rebuilt: the ledger lacks events that the outbox has lost, so what the hot store holds "
    "was booked instead",
}


class Stores(Protocol):
    """What this command needs of the stores."""

    async def check(self) -> Any:
        """Refuse servers that cannot be used."""
        ...

    def recovery(self, progress: Callable[[str, int], None]) -> Any:
        """Return what rebuilds."""
        ...


async def rebuild(
    *, data_dir: Path, open_stores: Callable[[str, str], AbstractAsyncContextManager[Stores]]
) -> int:
    """Rebuild and say what was found; return 1 if another recovery holds the lease."""
    service = find_service(data_dir, "redis", "database")
    try:
        async with open_stores(service.redis, service.database) as stores:
            await stores.check()
            with meter("rebuilding", 0, "records") as display:
                recovery = stores.recovery(lambda _what, done: display.update(done))
                finding = await recovery.ensure_open(force_rebuild=True)
    except (RedisError, OSError) as error:
        raise UnavailableError(redis_sentence(error)) from error
    print(_ENDS.get(finding, "rebuilt from the ledger"))
    return 1 if finding is None else 0
