"""Outcomes: what a command can come to. The same words as in `lua/`; a test holds the two together."""

from enum import StrEnum


class Outcome(StrEnum):
    """Every named answer of the functions, in order of precedence: an earlier one is told first."""

    # The memory: nothing was read or changed.
    NOT_READY = "NOT_READY"
    UNKNOWN_LAYOUT = "UNKNOWN_LAYOUT"
    STALE_EPOCH = "STALE_EPOCH"
    # The request.
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    REPEATED = "REPEATED"
    ID_REUSED = "ID_REUSED"
    UNKNOWN_LOCK = "UNKNOWN_LOCK"
    UNKNOWN_SKU = "UNKNOWN_SKU"
    UNCHANGED = "UNCHANGED"
    # The state the lock is in.
    LOCK_EXPIRED = "LOCK_EXPIRED"
    LOCK_NOT_HELD = "LOCK_NOT_HELD"
    WAREHOUSE_REQUIRED = "WAREHOUSE_REQUIRED"
    QUANTITY_EXCEEDS_LOCK = "QUANTITY_EXCEEDS_LOCK"
    NOT_DUE = "NOT_DUE"
    # Room.
    BACKLOG_FULL = "BACKLOG_FULL"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    INSUFFICIENT_DAMAGED = "INSUFFICIENT_DAMAGED"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE"
    # Done: an event was written.
    LOCKED = "LOCKED"
    CONFIRMED = "CONFIRMED"
    EXTENDED = "EXTENDED"
    UNLOCKED = "UNLOCKED"
    DEDUCTED = "DEDUCTED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    RECEIVED = "RECEIVED"
    RETURNED = "RETURNED"
    ADJUSTED = "ADJUSTED"
    # Done: `on_hand` or a buffer was set.
    OPENED = "OPENED"
    BUFFERED = "BUFFERED"
    # Read.
    READ = "READ"
    # Recovery and housekeeping.
    FENCED = "FENCED"
    NO_RIGHTS = "NO_RIGHTS"
    TIP_MOVED = "TIP_MOVED"
    EPOCH_TOO_LOW = "EPOCH_TOO_LOW"
    REBUILDING = "REBUILDING"
    CLEARED = "CLEARED"
    LOADED = "LOADED"
    TRIMMED = "TRIMMED"
    LOCK_OPEN = "LOCK_OPEN"
    FORGOTTEN = "FORGOTTEN"
