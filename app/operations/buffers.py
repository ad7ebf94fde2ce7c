"""Buffers: the safety stock that is withheld from sale."""

from dataclasses import dataclass

from app.domain.commands import Buffer
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told


@dataclass(frozen=True, slots=True)
class Buffers:
    """Sets buffers absolutely; setting them again changes nothing."""

    hot: HotStore
    durabilities: Durabilities

    async def put(self, command: Buffer, wanted: Durability, *, who: str = "") -> Told:
        """Set the buffers, all or none; raise what `HotStore` raises."""
        return await self.durabilities.settle(await self.hot.buffer(command, who), wanted)
