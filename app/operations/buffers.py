"""Buffers: the safety stock that is withheld from sale."""

from dataclasses import dataclass

from app.domain.commands import Buffer, Opening, OpeningRow
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told
from app.operations.openings import ROWS_MAX


@dataclass(frozen=True, slots=True)
class Buffers:
    """Sets buffers absolutely; setting them again changes nothing."""

    hot: HotStore
    durabilities: Durabilities

    async def put(self, command: Buffer, wanted: Durability, *, who: str = "") -> Told:
        """Set the buffers, all or none; raise what `HotStore` raises.

        SKUs that were never booked become known first, with nothing on hand: whether they may was asked before.
        """
        answer = await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_SKU:
            new = sorted({shortage.sku for shortage in answer.shortages})
            rows = [OpeningRow(sku, command.warehouse, 0, expected="new") for sku in new]
            for first in range(0, len(rows), ROWS_MAX):
                await self.hot.execute(Opening(rows[first : first + ROWS_MAX]), who)
            answer = await self.hot.execute(command, who)
        return await self.durabilities.settle(answer, wanted)
