"""Documents beyond the deduplication window: what is reported of them late is held against what the ledger knows."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Book, Receive
from app.domain.documents import Sums
from app.domain.outcomes import Outcome
from app.errors import UnavailableError
from app.hotstore.records import opened_fields, text_of
from app.hotstore.store import HotStore
from app.ledger.ledger import Ledger

FAMILIES_MAX = 1_000
"""Families of documents that are put back into the hot store in one call."""


@dataclass(frozen=True, slots=True)
class PastDocuments:
    """Raises what `HotStore` raises, and `UnavailableError` if only the ledger could know and cannot be asked."""

    hot: HotStore
    ledger: Ledger
    horizon_seconds: float

    async def known(self, command: Book) -> Answer | None:
        """Return the answer to a repeat of a route's document, however old.

        None: it is new, or the hot store knows better. What others reported of the document is remembered again.
        """
        try:
            older = [command.older_op] if isinstance(command, Receive) else []
            known = await self.ledger.find_ops([command.op, *older])
            found = known.get(command.op)
            for (
                op
            ) in older:  # which of several orders an older version's receipt was for, only its content tells
                if op in known and known[op].fingerprint == command.fingerprint:
                    found = known[op]
            if found is None:
                await self.rehydrate([command.op])
                return None
        except UnavailableError:
            if self.is_recent(command.occurred_at):
                return None
            raise
        if found.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        return Answer(Outcome.REPEATED, position=str(found.position))

    def is_recent(self, occurred_at: int | None) -> bool:
        """Whether the hot store would remember what was reported of something that happened then (None: now)."""
        return occurred_at is None or occurred_at > (time.time() - self.horizon_seconds) * 1000

    async def rehydrate(self, families: Iterable[str]) -> dict[str, dict[str, Sums]]:
        """Put what the ledger knows of documents back into the hot store, where that has forgotten them; return it."""
        found = await self.ledger.find_documents(list(families))
        await self.put_back(found)
        return found

    async def put_back(self, found: Mapping[str, Mapping[str, Sums]]) -> None:
        """Let the hot store remember documents again; what it remembers stays as it is."""
        listed = list(found.items())
        for first in range(0, len(listed), FAMILIES_MAX):
            texts = {
                family: {sku: text_of(said.as_json()) for sku, said in sums.items()}
                for family, sums in listed[first : first + FAMILIES_MAX]
            }
            await self.hot.recall_documents(texts)

    async def recall_lock(self, lock_id: str) -> bool:
        """Put an ended lock and its shipments back into the hot store; return whether the ledger has one."""
        ended = await self.ledger.find_ended(lock_id)
        if ended is None:
            return False
        await self.rehydrate([f"deduct:{lock_id}"])
        await self.hot.recall_lock(lock_id, opened_fields(ended.record, ended.opened))
        return True

    async def recall_transfer(self, transfer_id: str) -> bool:
        """Put an ended transfer, its shipments and receipts back; return whether the ledger has one."""
        ended = await self.ledger.find_ended_transfer(transfer_id)
        if ended is None:
            return False
        await self.rehydrate([f"transfer_ship:{transfer_id}", f"transfer_receive:{transfer_id}"])
        await self.hot.recall_transfer(transfer_id, opened_fields(ended.record, ended.opened))
        return True
