"""Purchase orders: what was ordered from a supplier. A plan, kept beside the counts: it moves no stock."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class PlannedLine(NamedTuple):
    """Units ordered; `expected_at` in ms since 1970, None where nobody said when."""

    sku: str
    quantity: int
    expected_at: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is ordered for one warehouse. The same SKU may come on several lines, at several times."""

    purchase_order_id: str
    warehouse: str
    lines: tuple[PlannedLine, ...]

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again: sixteen hex digits."""
        lines = (f"{line.sku}\t{line.quantity}\t{line.expected_at}" for line in self.lines)
        return hashlib.sha256("\n".join((self.warehouse, *lines)).encode()).hexdigest()[:16]


class OpenLine(NamedTuple):
    """A planned line, and the units that have not come yet."""

    sku: str
    quantity: int
    expected_at: int | None
    outstanding: int


class Arrived(NamedTuple):
    """Units of a SKU that came in for an order: good and damaged ones, and how many were planned."""

    sku: str
    quantity: int
    damaged: int
    planned: int

    @property
    def over(self) -> int:
        """Units beyond the plan: accepted, for they are there, and flagged."""
        return max(0, self.quantity + self.damaged - self.planned)


class OrderStatus(StrEnum):
    """The states in an order's life."""

    OPEN = "open"
    RECEIVED = "received"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class PurchaseOrder:
    """An order as the ledger knows it now. Times in ms since 1970; `closed_at` None: not closed."""

    purchase_order_id: str
    warehouse: str
    fingerprint: str
    created_at: int
    closed_at: int | None
    lines: tuple[OpenLine, ...]
    arrived: tuple[Arrived, ...]

    @property
    def status(self) -> OrderStatus:
        """Closed by somebody, else received once nothing is outstanding."""
        if self.closed_at is not None:
            return OrderStatus.CLOSED
        return OrderStatus.OPEN if any(line.outstanding for line in self.lines) else OrderStatus.RECEIVED


class Expected(NamedTuple):
    """Units of a SKU that a warehouse still expects at a time (ms since 1970, None: nobody said when)."""

    sku: str
    warehouse: str
    expected_at: int | None
    quantity: int
    purchase_order_ids: tuple[str, ...]
