"""`sellable verify`: whether hot store, projection and the sum of the moves are the same."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from redis.exceptions import RedisError

from app.addresses.reasons import redis_sentence
from app.commands.progress import meter
from app.commands.service import find_service
from app.errors import UnavailableError

DIFFERS = 1
SHOWN_MAX = 1_000


class Verify(Protocol):
    """What finds differences."""

    def differences(self) -> AsyncIterator[Any]:
        """Yield every difference: a tuple with names, whose text is a line for a person."""
        ...


class Stores(Protocol):
    """What this command needs of the stores."""

    async def check(self) -> Any:
        """Refuse servers that cannot be compared."""
        ...

    def verify(self, progress: Callable[[str, int], None]) -> Verify:
        """Return what finds differences."""
        ...


OpenStores = Callable[[str, str], AbstractAsyncContextManager[Stores]]


async def verify(*, as_json: bool, data_dir: Path, open_stores: OpenStores) -> int:
    """Print every difference (the first 1,000, then how many more); return 0, or 1 if there is any."""
    service = find_service(data_dir, "redis", "database")
    count = 0
    shown: list[Any] = []
    try:
        async with open_stores(service.redis, service.database) as stores:
            await stores.check()
            with meter("comparing", 0, "items") as display:
                async for difference in stores.verify(lambda _what, done: display.update(done)).differences():
                    count += 1
                    if len(shown) < SHOWN_MAX:
                        shown.append(difference)
    except (RedisError, OSError) as error:
        raise UnavailableError(f"could not compare: {redis_sentence(error)}") from error
    _print(shown, count, as_json=as_json)
    return DIFFERS if count else 0


def _print(shown: list[Any], count: int, *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {"differences": count, "items": [item._asdict() for item in shown]}, ensure_ascii=False
            )
        )
        return
    for item in shown:
        print(item)
    if count > len(shown):
        print(f"… and {count - len(shown)} more")
    print(f"{count} differences" if count else "no difference: hot store = projection = sum of the moves")
