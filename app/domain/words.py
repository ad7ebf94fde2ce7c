"""The words of stock and locks, the same on every floor."""

from enum import StrEnum
from typing import Literal

LAYOUT = 1
"""The layout of the hot store's keys; another layout is a new epoch with a rebuild."""
SCHEMA = 4
"""The schema number of the events written; workers read this one and the one before."""

QUANTITY_MAX = 1_000_000_000
"""The largest quantity in a command, in units."""
COUNT_MAX = 10_000_000_000_000
"""The largest count of a SKU in one warehouse and state, in units; Lua prints it exactly."""
LINES_MAX = 2_000
"""The most lines a lock may have."""
BIGINT_MAX = 2**63 - 1
"""The highest version, number or time that the ledger can hold."""


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

    @property
    def word(self) -> str:
        """What it is called wherever a letter is too short: in the ledger, and to people."""
        return self.name.lower()


STATES = (Place.AVAILABLE, Place.LOCKED, Place.DAMAGED, Place.IN_TRANSIT)
"""The places inside a warehouse."""
OUTSIDE = (Place.SUPPLIER, Place.CUSTOMER, Place.ADJUSTMENT)
"""Where units come from and go to, beside the warehouses."""
COUNTED = (*STATES, Place.BUFFER)
"""What is kept of a SKU in a warehouse, in the order of `events.Counts`."""

STATE_WORDS = tuple(place.word for place in STATES)
OUTSIDE_WORDS = tuple(place.word for place in OUTSIDE)
WORDS = {place.value: place.word for place in Place}
"""The words of the places, by letter."""
LETTERS = {place.word: place.value for place in Place}
"""The letters of the places, by word."""


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
