"""Transfers: stock goes from one warehouse to another, and is promised, on the way or there at every moment."""

from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Transfer, TransferStep
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.ledger.ledger import Ledger
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments


@dataclass(frozen=True, slots=True)
class Transfers:
    """Every step of a transfer. A step raises what `HotStore` raises; a refusal is an answer.

    A step on a transfer that the hot store has forgotten is taken as the ledger knows it.
    """

    hot: HotStore
    ledger: Ledger
    durabilities: Durabilities
    past: PastDocuments

    async def request(self, command: Transfer, wanted: Durability, *, who: str = "") -> Told:
        """Promise stock at the source, all lines or none. Never reads the ledger."""
        return await self.durabilities.settle(await self.hot.execute(command, who), wanted)

    async def get(self, transfer_id: str) -> Answer:
        """Return READ with the transfer, from the ledger once the hot store has forgotten it, or UNKNOWN_TRANSFER.

        Raises `UnavailableError` if only the ledger could know and cannot be asked.
        """
        answer = await self.hot.read_transfer(transfer_id)
        if answer.outcome is not Outcome.UNKNOWN_TRANSFER:
            return answer
        transfer = await self.ledger.find_transfer(transfer_id)
        return Answer(Outcome.READ, transfer=transfer) if transfer else answer

    async def step(self, command: TransferStep, wanted: Durability, *, who: str = "") -> Told:
        """Take a step in a transfer's life."""
        answer = await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_TRANSFER and await self.past.recall_transfer(
            command.transfer_id
        ):
            answer = await self.hot.execute(command, who)
        return await self.durabilities.settle(answer, wanted)
