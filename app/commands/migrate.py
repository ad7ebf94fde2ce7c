"""`sellable migrate`: the ledger's tables and the hot store's functions, up to date."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Stores(Protocol):
    """What this command needs of the stores."""

    async def migrate(self) -> str:
        """Bring both up to date and return the revision."""
        ...


async def migrate(*, open_stores: Callable[[], AbstractAsyncContextManager[Stores]]) -> None:
    """Migrate and say which revision was reached. `SellableError` when a server cannot be used."""
    async with open_stores() as stores:
        print(f"the ledger is at schema {await stores.migrate()}; the functions are loaded")
