"""What the operations need from the ledger, as small as it can be."""

from typing import Protocol

from app.domain.answers import LockView, TransferView
from app.ledger.ledger import EndedLock


class Ledger(Protocol):
    """The part of the ledger that operations ask."""

    async def find_lock(self, lock_id: str) -> LockView | None:
        """Return the newest lock of this id, or None; raise `UnavailableError` if Postgres cannot be asked."""

    async def find_transfer(self, transfer_id: str) -> TransferView | None:
        """Return the newest transfer of this id, or None; raise `UnavailableError` if Postgres cannot be asked."""

    async def find_ended(self, lock_id: str) -> EndedLock | None:
        """Return the newest lock of this id, if it has ended; raise likewise."""
