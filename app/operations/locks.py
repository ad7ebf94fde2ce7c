"""Locks: what checkout asks for, from the creation to the shipment."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.domain.answers import Answer
from app.domain.commands import Confirm, Deduct, Extend, Lock, Reopen, Replace, Step, Unlock
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.ledger.ledger import Ledger
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments

S = TypeVar("S", bound=Step)


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
        return await self.durabilities.settle(await self.hot.lock(command, who), wanted)

    async def get(self, lock_id: str) -> Answer:
        """Return READ with the lock, from the ledger once the hot store has forgotten it, or UNKNOWN_LOCK.

        Raises `UnavailableError` if only the ledger could know and cannot be asked.
        """
        answer = await self.hot.read_lock(lock_id)
        if answer.outcome is not Outcome.UNKNOWN_LOCK:
            return answer
        lock = await self.ledger.find_lock(lock_id)
        return Answer(Outcome.READ, lock) if lock else answer

    async def confirm(self, command: Confirm, wanted: Durability, *, who: str = "") -> Told:
        """Make a lock last; take its stock again if it had expired."""
        return await self._step(self.hot.confirm, command, wanted, who)

    async def extend(self, command: Extend, wanted: Durability, *, who: str = "") -> Told:
        """Let a held lock expire later."""
        return await self._step(self.hot.extend, command, wanted, who)

    async def unlock(self, command: Unlock, wanted: Durability, *, who: str = "") -> Told:
        """Give back all that is left of a lock, or some."""
        return await self._step(self.hot.unlock, command, wanted, who)

    async def deduct(self, command: Deduct, wanted: Durability, *, who: str = "") -> Told:
        """Take what shipped off the shelf."""
        return await self._step(self.hot.deduct, command, wanted, who)

    async def replace(self, command: Replace, wanted: Durability, *, who: str = "") -> Told:
        """Swap a lock's lines for others."""
        return await self._step(self.hot.replace, command, wanted, who)

    async def reopen(self, command: Reopen, wanted: Durability, *, who: str = "") -> Told:
        """Hold the stock of an expired or released lock again."""
        return await self._step(self.hot.reopen, command, wanted, who)

    async def _step(
        self, step: Callable[[S, str], Awaitable[Answer]], command: S, wanted: Durability, who: str
    ) -> Told:
        answer = await step(command, who)
        if answer.outcome is Outcome.UNKNOWN_LOCK and await self.past.recall_lock(command.lock_id):
            answer = await step(command, who)
        return await self.durabilities.settle(answer, wanted)
