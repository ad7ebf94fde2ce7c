"""The words of stock and locks, the same on every floor."""

from enum import StrEnum
from typing import Literal

LAYOUT = 1
"""The layout of the hot store's keys; another layout is a new epoch with a rebuild."""
SCHEMA = 3
"""The schema number of the events written; workers read this one and the one before."""

QUANTITY_MAX = 1_000_000_000
"""The largest quantity in a command, in units."""
COUNT_MAX = 10_000_000_000_000
"""The largest count of a SKU in one warehouse and state, in units; Lua prints it exactly."""
LINES_MAX = 2_000
"""The most lines a lock may have."""


Durability = Literal["memory", "disk", "replica", "ledger"]
"""How safe a write is: the weakest level first."""


class Place(StrEnum):
    """Where a unit can be: a state in a warehouse, or the outside. `BUFFER` marks a note, not a place."""

    AVAILABLE = "a"
    LOCKED = "l"
    DAMAGED = "d"
    IN_TRANSIT = "t"
    BUFFER = "b"
    SUPPLIER = "s"
    CUSTOMER = "c"
    ADJUSTMENT = "j"


STATES = (Place.AVAILABLE, Place.LOCKED, Place.DAMAGED, Place.IN_TRANSIT)
"""The places inside a warehouse."""


class LockStatus(StrEnum):
    """The states in a lock's life."""

    HELD = "held"
    CONFIRMED = "confirmed"
    PARTLY_DEDUCTED = "partly_deducted"
    DEDUCTED = "deducted"
    RELEASED = "released"
    EXPIRED = "expired"


class TransferStatus(StrEnum):
    """The states in a transfer's life; they follow from its lines."""

    REQUESTED = "requested"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    RECEIVED = "received"
    CANCELLED = "cancelled"


TRANSFER_ENDED = frozenset({TransferStatus.RECEIVED, TransferStatus.CANCELLED})
"""In one of these, a transfer has nothing locked at its source and nothing on the way."""

OPEN_STATUSES = frozenset({LockStatus.HELD, LockStatus.CONFIRMED, LockStatus.PARTLY_DEDUCTED})
"""While a lock is in one of these, its outstanding units are promised."""
