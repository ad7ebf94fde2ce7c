"""What was: a SKU's counts and a lock at a moment, and the moves that made them. Times in ms since 1970."""

from dataclasses import dataclass
from typing import NamedTuple

from app.domain.events import Counts, Position


class StockThen(NamedTuple):
    """A SKU at a moment: its version in the order of recording, and the counts by when things happened."""

    sku: str
    version: int
    warehouses: dict[str, Counts]


class Document(NamedTuple):
    """What an event was about, such as a lock, a purchase order or a return."""

    kind: str
    id: str


class PastMove(NamedTuple):
    """A quantity that went from one place to another, and why.

    `cause` is the event's kind, None if the event is gone. `to_warehouse` is where it led, if not to `warehouse`.
    """

    version: int
    position: Position
    cause: str | None
    document: Document | None
    who: str | None
    reason: str | None
    recorded_at: int
    occurred_at: int
    warehouse: str
    source: str
    target: str
    quantity: int
    after: Counts
    to_warehouse: str | None
    to_after: Counts | None


class Units(NamedTuple):
    """Units in one place; `warehouse` None: outside, where less than none means that more came from there."""

    warehouse: str | None
    place: str
    units: int


class Explanation(NamedTuple):
    """Every place that a SKU is or was in, which should come to zero, and a page of its moves, newest first."""

    sku: str
    version: int
    places: tuple[Units, ...]
    moves: tuple[PastMove, ...]

    @property
    def total(self) -> int:
        """Return the sum over all places: zero, unless the books are wrong."""
        return sum(place.units for place in self.places)


class Reach(NamedTuple):
    """How far back the ledger goes; `archived`: there was more, which was taken out of it."""

    since: int
    archived: bool


class TooOld(NamedTuple):
    """A refusal: nobody can say what was then."""

    reach: Reach


@dataclass(frozen=True, slots=True)
class Unknown:
    """A refusal: the ledger has never heard of it, or not at that time."""
