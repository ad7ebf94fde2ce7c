"""Exchanges: goods came back, and others are held instead; both or neither."""

from dataclasses import dataclass

from app.domain.commands import Exchange
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Books exchanges, once per exchange_id."""

    hot: HotStore
    durabilities: Durabilities
    past: PastDocuments

    async def book(self, command: Exchange, wanted: Durability, *, who: str = "") -> Told:
        """Book the return and hold the new lock's stock, in one event; raise what `HotStore` raises.

        A lock that is past the horizon is held against as the ledger knows it.
        """
        answer = await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_LOCK and await self.past.recall_lock(command.lock_id):
            answer = await self.hot.execute(command, who)
        return await self.durabilities.settle(answer, wanted)
