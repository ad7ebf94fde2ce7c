"""Locks: what checkout asks for, from the creation to the shipment."""

from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Lock, Step
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.ledger.ledger import Ledger
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments


@dataclass(frozen=True, slots=True)
class Locks:
    """Every step of a lock. A step raises what `HotStore` raises; a refusal is an answer.

    A step on a lock that the hot store has forgotten is taken as the ledger knows it: `UnavailableError` if that
    cannot be asked.
    """

    hot: HotStore
    ledger: Ledger
    durabilities: Durabilities
    past: PastDocuments

    async def create(self, command: Lock, wanted: Durability, *, who: str = "") -> Told:
        """Hold stock for an order, all lines or none. Never reads the ledger."""
        return await self.durabilities.settle(await self.hot.execute(command, who), wanted)

    async def get(self, lock_id: str) -> Answer:
        """Return READ with the lock, from the ledger once the hot store has forgotten it, or UNKNOWN_LOCK.

        Raises `UnavailableError` if only the ledger could know and cannot be asked.
        """
        answer = await self.hot.read_lock(lock_id)
        if answer.outcome is not Outcome.UNKNOWN_LOCK:
            return answer
        lock = await self.ledger.find_lock(lock_id)
        return Answer(Outcome.READ, lock) if lock else answer

    async def step(self, command: Step, wanted: Durability, *, who: str = "") -> Told:
        """Take a step in a lock's life."""
        answer = await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_LOCK and await self.past.recall_lock(command.lock_id):
            answer = await self.hot.execute(command, who)
        return await self.durabilities.settle(answer, wanted)
