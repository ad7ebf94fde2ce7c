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
    SHIPMENT_VOIDED = "SHIPMENT_VOIDED"
    EARLY = "EARLY"
    HELD = "HELD"
    OTHER_CONTENT = "OTHER_CONTENT"
    UNKNOWN_LOCK = "UNKNOWN_LOCK"
    UNKNOWN_TRANSFER = "UNKNOWN_TRANSFER"
    UNKNOWN_SKU = "UNKNOWN_SKU"
    UNCHANGED = "UNCHANGED"
    MOVED_SINCE = "MOVED_SINCE"
    LOCK_CHANGED = "LOCK_CHANGED"
    # The state the document is in.
    LOCK_EXPIRED = "LOCK_EXPIRED"
    LOCK_NOT_HELD = "LOCK_NOT_HELD"
    WAREHOUSE_REQUIRED = "WAREHOUSE_REQUIRED"
    QUANTITY_EXCEEDS_LOCK = "QUANTITY_EXCEEDS_LOCK"
    QUANTITY_EXCEEDS_SHIPMENT = "QUANTITY_EXCEEDS_SHIPMENT"
    SHIPMENT_REPORTED = "SHIPMENT_REPORTED"
    SHIPMENT_RETURNED = "SHIPMENT_RETURNED"
    BEYOND_ON_HAND = "BEYOND_ON_HAND"
    TOO_MANY_LINES = "TOO_MANY_LINES"
    NOT_DUE = "NOT_DUE"
    TRANSFER_NOT_OPEN = "TRANSFER_NOT_OPEN"
    QUANTITY_EXCEEDS_TRANSFER = "QUANTITY_EXCEEDS_TRANSFER"
    # Room.
    BACKLOG_FULL = "BACKLOG_FULL"
    TOO_MANY_CHOICES = "TOO_MANY_CHOICES"
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
    REOPENED = "REOPENED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    RECEIVED = "RECEIVED"
    RETURNED = "RETURNED"
    ADJUSTED = "ADJUSTED"
    EXCHANGED = "EXCHANGED"
    TRANSFER_REQUESTED = "TRANSFER_REQUESTED"
    TRANSFER_SHIPPED = "TRANSFER_SHIPPED"
    TRANSFER_RECEIVED = "TRANSFER_RECEIVED"
    TRANSFER_CANCELLED = "TRANSFER_CANCELLED"
    TRANSFER_CLOSED = "TRANSFER_CLOSED"
    BOOKED = "BOOKED"
    DISPUTED = "DISPUTED"
    DROPPED = "DROPPED"
    # Done: `on_hand` or a buffer was set.
    OPENED = "OPENED"
    BUFFERED = "BUFFERED"
    # Done: it is in another warehouse.
    MERGED = "MERGED"
    # Done: what a SKU has was said again.
    COMPENSATED = "COMPENSATED"
    # Not done: it shall not share a call.
    ASK_ALONE = "ASK_ALONE"
    # Read.
    READ = "READ"
    # Written for a WAIT to ask about.
    MARKED = "MARKED"
    # Recovery and housekeeping.
    FENCED = "FENCED"
    NO_RIGHTS = "NO_RIGHTS"
    TIP_MOVED = "TIP_MOVED"
    EPOCH_TOO_LOW = "EPOCH_TOO_LOW"
    REBUILDING = "REBUILDING"
    CLEARED = "CLEARED"
    LOADED = "LOADED"
    SHUT = "SHUT"
    REPLAYED = "REPLAYED"
    CARRIED = "CARRIED"
    TRIMMED = "TRIMMED"
    LIMITED = "LIMITED"
    LOCK_OPEN = "LOCK_OPEN"
    TRANSFER_OPEN = "TRANSFER_OPEN"
    FORGOTTEN = "FORGOTTEN"


WRITTEN = frozenset(
    {
        Outcome.LOCKED,
        Outcome.CONFIRMED,
        Outcome.EXTENDED,
        Outcome.UNLOCKED,
        Outcome.DEDUCTED,
        Outcome.REPLACED,
        Outcome.REOPENED,
        Outcome.VOIDED,
        Outcome.EXPIRED,
        Outcome.RECEIVED,
        Outcome.RETURNED,
        Outcome.ADJUSTED,
        Outcome.EXCHANGED,
        Outcome.TRANSFER_REQUESTED,
        Outcome.TRANSFER_SHIPPED,
        Outcome.TRANSFER_RECEIVED,
        Outcome.TRANSFER_CANCELLED,
        Outcome.TRANSFER_CLOSED,
        Outcome.BOOKED,
        Outcome.DISPUTED,
        Outcome.DROPPED,
        Outcome.OPENED,
        Outcome.BUFFERED,
        Outcome.MERGED,
        Outcome.COMPENSATED,
    }
)
"""Outcomes of a command whose event was written just now."""
AGAIN = frozenset({Outcome.REPEATED, Outcome.UNCHANGED})
"""Outcomes of a command that holds already: the hot store knows more of it than the event that they name."""
