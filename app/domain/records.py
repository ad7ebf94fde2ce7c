"""Records of locks and transfers, as the hot store keeps them, events carry their changes, and the ledger has them.

Their fields have names of one letter, which `lua/shared/locks.lua` and `lua/shared/transfers.lua` explain. In Python
those names stand here alone: whoever reads a record reads it through these.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from app.domain.answers import LockLine, LockView, TransferLine, TransferView
from app.domain.events import Position
from app.domain.words import LockStatus, TransferStatus

Fields = Mapping[str, Any]
"""A record, or what changed of one, as JSON has it; None removes a field."""
_OPENED = "p"
_OVER = frozenset({LockStatus.RELEASED, LockStatus.DEDUCTED})

ENDED_BY_BACKFILL: dict[str, dict[str, str]] = {
    "lock": {"s": "released", "e": "carry_over"},
    "transfer": {"s": "cancelled"},
}
"""What changes of a document that the ledger holds open and the hot store has forgotten: it ended."""


class LockRecord(msgspec.Struct, frozen=True):
    """A lock. `expires_at` in ms since 1970, None: never; `ended_by` is `unlock` if that ended it."""

    status: LockStatus = msgspec.field(name="s")
    version: int = msgspec.field(name="v")
    lines: tuple[LockLine, ...] = msgspec.field(name="n")
    expires_at: int | None = msgspec.field(name="x", default=None)
    ended_by: str = msgspec.field(name="e", default="")

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read a whole record."""
        return msgspec.convert(fields, cls)

    def view(self, lock_id: str) -> LockView:
        """Return what an answer shows of it."""
        return LockView(lock_id, self.status, self.expires_at, self.lines, self.version)


class TransferRecord(msgspec.Struct, frozen=True):
    """A transfer."""

    status: TransferStatus = msgspec.field(name="s")
    source: str = msgspec.field(name="a")
    destination: str = msgspec.field(name="b")
    lines: tuple[TransferLine, ...] = msgspec.field(name="n")

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read a whole record."""
        return msgspec.convert(fields, cls)

    def view(self, transfer_id: str) -> TransferView:
        """Return what an answer shows of it."""
        return TransferView(transfer_id, self.source, self.destination, self.status, self.lines)


def status_of(fields: Fields) -> str | None:
    """Return the state that a record, or a change of one, says; None if it says nothing of it."""
    return fields.get("s")


def is_whole(fields: Fields) -> bool:
    """Whether a change has all of a record, and says where that was opened: it was carried over."""
    return _OPENED in fields


def opened_of(fields: Fields) -> Position:
    """Return where a record was opened; 0-0 if it does not say."""
    return Position.parse(fields.get(_OPENED, "0-0"))


def with_opened(fields: Fields, opened: Position) -> dict[str, Any]:
    """Return a record that says where it was opened."""
    return {**fields, _OPENED: str(opened)}


def without_opened(fields: Fields) -> dict[str, Any]:
    """Return a record as the ledger keeps it: where it was opened stands beside it."""
    return {name: value for name, value in fields.items() if name != _OPENED}


def lock_answer(fields: Fields) -> list[Any] | None:
    """Return what a repeat of the step that changed a lock so is answered, as its function keeps it.

    None where the record itself is the answer, and where the step left the lock as it was.
    """
    status = status_of(fields)
    beyond = fields.get("m")
    if status is None or (status in _OVER and not beyond):
        return None
    answer = [status, fields.get("x"), fields["n"], fields["v"]]
    return [*answer, json.loads(beyond)] if beyond else answer


def transfer_answer(fields: Fields) -> list[Any]:
    """Return what a repeat of the step that changed a transfer so is answered, as its function keeps it."""
    return [fields["s"], fields["n"]]
