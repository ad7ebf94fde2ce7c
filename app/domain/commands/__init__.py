"""Commands: what callers ask for, already checked at the edge.

Each is defined once: its fields, the function that runs it and the arguments of that, the id and the fingerprint by
which a repeat is known, and what it did once it was acknowledged.
"""

from app.domain.commands.base import Acknowledged, Command, Effect, Moved
from app.domain.commands.bookings import Adjust, Book, Count, Exchange, Receive, Return
from app.domain.commands.locks import (
    Confirm,
    Deduct,
    Expire,
    Extend,
    Lock,
    Remember,
    Reopen,
    Replace,
    Step,
    Unlock,
    Void,
)
from app.domain.commands.stock import Buffer, Compensate, MergeLock, MergeStock, MergeTransfer, Opening
from app.domain.commands.transfers import (
    OnTheWay,
    Transfer,
    TransferCancel,
    TransferClose,
    TransferReceive,
    TransferShip,
    TransferStep,
)
from app.domain.commands.warehouse_events import Accept, Fact, FactMode
from app.domain.lines import Arrival, Booking, Line, OpeningRow, sum_arrivals

__all__ = [
    "Accept",
    "Acknowledged",
    "Adjust",
    "Arrival",
    "Book",
    "Booking",
    "Buffer",
    "Command",
    "Compensate",
    "Confirm",
    "Count",
    "Deduct",
    "Effect",
    "Exchange",
    "Expire",
    "Extend",
    "Fact",
    "FactMode",
    "Line",
    "Lock",
    "MergeLock",
    "MergeStock",
    "MergeTransfer",
    "Moved",
    "OnTheWay",
    "Opening",
    "OpeningRow",
    "Receive",
    "Remember",
    "Reopen",
    "Replace",
    "Return",
    "Step",
    "Transfer",
    "TransferCancel",
    "TransferClose",
    "TransferReceive",
    "TransferShip",
    "TransferStep",
    "Unlock",
    "Void",
    "sum_arrivals",
]
