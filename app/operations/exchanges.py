"""Exchanges: goods came back, and others are held instead; both or neither."""

from dataclasses import dataclass

from app.domain.commands import Exchange
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Books exchanges, once per exchange_id."""

    hot: HotStore
    durabilities: Durabilities

    async def book(self, command: Exchange, wanted: Durability, *, who: str = "") -> Told:
        """Book the return and hold the new lock's stock, in one event; raise what `HotStore` raises."""
        return await self.durabilities.settle(await self.hot.exchange(command, who), wanted)
