"""Returns: a customer's goods came back."""

from dataclasses import dataclass

from app.domain.commands import Return
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told
from app.settings import Durability


@dataclass(frozen=True, slots=True)
class Returns:
    """Books returns, once per return_id."""

    hot: HotStore
    durabilities: Durabilities

    async def book(self, command: Return, wanted: Durability, *, who: str = "") -> Told:
        """Book the goods; raise what `HotStore` raises.

        A return of a lock that is past the horizon is refused as UNKNOWN_LOCK: what came back of it before can no
        longer be checked in the hot store.
        """
        return await self.durabilities.settle(await self.hot.return_goods(command, who), wanted)
