"""Answers: what a command came to, as the hot store and the model say it alike."""

from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import LockStatus


class LockLine(NamedTuple):
    """A lock's line: units it is for (what was given back is gone from them), and those that shipped."""

    sku: str
    warehouse: str
    quantity: int
    deducted: int = 0

    @property
    def outstanding(self) -> int:
        """Units still on the shelf for it, while the lock is open."""
        return self.quantity - self.deducted


class LockView(NamedTuple):
    """What an answer shows of a lock. `expires_at` in ms since 1970, None: never."""

    lock_id: str
    status: LockStatus
    expires_at: int | None
    lines: tuple[LockLine, ...]


class Excess(NamedTuple):
    """What a step asked of a lock beyond what it holds; `warehouse` is '' where none was named."""

    sku: str
    warehouse: str
    requested: int
    held: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to.

    `lock` is the lock after the step, or as it stands when the step is refused; `current_status` is told with a
    repeat. `position` (the outbox id, `<epoch>-<n>`) and `detail` are the hot store's own and not compared.
    """

    outcome: Outcome
    lock: LockView | None = None
    shortages: tuple[Shortage, ...] = ()
    exceeding: tuple[Excess, ...] = ()
    current_status: LockStatus | None = None
    position: str = field(default="", compare=False)
    detail: str = field(default="", compare=False)
