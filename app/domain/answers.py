"""Answers: what a command came to, as the hot store and the model say it alike."""

from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import LockStatus, TransferStatus


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
    """What an answer shows of a lock. `expires_at` in ms since 1970, None: never.

    `version` counts what changed of this, from 1.
    """

    lock_id: str
    status: LockStatus
    expires_at: int | None
    lines: tuple[LockLine, ...]
    version: int = 1


class TransferLine(NamedTuple):
    """A transfer's line of one SKU, in units; `received` arrived in good order, `returned` at the source again."""

    sku: str
    quantity: int
    shipped: int = 0
    received: int = 0
    damaged: int = 0
    lost: int = 0
    cancelled: int = 0
    returned: int = 0

    @property
    def unshipped(self) -> int:
        """Units locked at the source."""
        return self.quantity - self.shipped - self.cancelled

    @property
    def in_transit(self) -> int:
        """Units on the way."""
        return self.shipped - self.received - self.damaged - self.lost - self.returned


class TransferView(NamedTuple):
    """What an answer shows of a transfer."""

    transfer_id: str
    source: str
    destination: str
    status: TransferStatus
    lines: tuple[TransferLine, ...]


class Excess(NamedTuple):
    """What a step asked of its document beyond what that has left; `warehouse` is '' where none was named."""

    sku: str
    warehouse: str
    requested: int
    held: int


class Beyond(NamedTuple):
    """Units that were taken, or should have been, beyond what was on the shelf."""

    sku: str
    warehouse: str
    units: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to.

    `lock` (or `transfer`) is the document after the step, or as it stands when the step is refused;
    `current_status` comes with a repeat, `original_status` with that of a creation whose lock has ended: what was
    answered first. `position` (the outbox id, `<epoch>-<n>`) and `detail` are the hot
    store's own and not compared.
    """

    outcome: Outcome
    lock: LockView | None = None
    shortages: tuple[Shortage, ...] = ()
    exceeding: tuple[Excess, ...] = ()
    current_status: LockStatus | TransferStatus | None = None
    position: str = field(default="", compare=False)
    detail: str = field(default="", compare=False)
    transfer: TransferView | None = None
    beyond_on_hand: tuple[Beyond, ...] = ()
    original_status: LockStatus | None = None
    left_out: tuple[int, ...] = field(default=(), compare=False)
