"""Adjustments: corrections of what is physically there, each with its reason."""

from dataclasses import dataclass

from app.domain.commands import Adjust
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments


@dataclass(frozen=True, slots=True)
class Adjustments:
    """Books adjustments, once per adjustment_id."""

    hot: HotStore
    durabilities: Durabilities
    past: PastDocuments

    async def book(self, command: Adjust, wanted: Durability, *, who: str = "") -> Told:
        """Book the correction; raise what `HotStore` raises, and `UnavailableError` if it is old, without Postgres."""
        answer = await self.past.known(command) or await self.hot.execute(command, who)
        return await self.durabilities.settle(answer, wanted)
