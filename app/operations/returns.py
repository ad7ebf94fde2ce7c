"""Returns: a customer's goods came back."""

from dataclasses import dataclass

from app.domain.commands import Return
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments


@dataclass(frozen=True, slots=True)
class Returns:
    """Books returns, once per return_id."""

    hot: HotStore
    durabilities: Durabilities
    past: PastDocuments

    async def book(self, command: Return, wanted: Durability, *, who: str = "") -> Told:
        """Book the goods; raise what `HotStore` raises, and `UnavailableError` if only the ledger could know.

        A lock that is past the horizon is held against as the ledger knows it.
        """
        answer = await self.past.known(command) or await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_LOCK and await self.past.recall_lock(command.lock_id):
            answer = await self.hot.execute(command, who)
        return await self.durabilities.settle(answer, wanted)
