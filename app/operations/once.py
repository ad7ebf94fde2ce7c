"""Stock-takes told of late: what happened before the hot store remembers is asked of the ledger first."""

from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Book
from app.domain.outcomes import Outcome
from app.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Once:
    """Finds repeats. Raises `UnavailableError` if only the ledger could know and cannot be asked."""

    ledger: Ledger

    async def ever(self, command: Book) -> Answer | None:
        """Return the answer to a repeat of a document, however old; None: the ledger does not know of it (yet)."""
        found = await self.ledger.find_op(command.op)
        if found is None:
            return None
        if found.fingerprint != command.fingerprint:
            return Answer(Outcome.ID_REUSED)
        return Answer(Outcome.REPEATED, position=str(found.position))
