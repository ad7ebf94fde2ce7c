"""Documents told of late: what happened before the hot store remembers is asked of the ledger first."""

import time
from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Book
from app.domain.outcomes import Outcome
from app.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Once:
    """Finds repeats. Raises `UnavailableError` if only the ledger could know and cannot be asked."""

    ledger: Ledger
    horizon_seconds: float

    async def known(self, command: Book) -> Answer | None:
        """Return the answer to a repeat of a document older than the horizon; None: nobody told of it yet."""
        oldest = (time.time() - self.horizon_seconds) * 1000
        if command.occurred_at is None or command.occurred_at > oldest:
            return None
        return await self.ever(command)

    async def ever(self, command: Book) -> Answer | None:
        """Return the answer to a repeat of a document, however old; None: the ledger does not know of it (yet)."""
        found = await self.ledger.find_op(command.op)
        if found is None:
            return None
        if found.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        return Answer(Outcome.REPEATED, position=str(found.position))
