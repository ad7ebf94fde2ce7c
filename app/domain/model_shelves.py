"""What every part of the model stands on: the shelves, what is remembered, and how units move.

A shelf is what a warehouse has of a SKU; what was counted there stays as it was counted, whatever is told later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from app.domain import sourcing
from app.domain.answers import Answer, Beyond, Excess, LockLine, LockView, TransferView
from app.domain.commands import (
    Book,
    Line,
)
from app.domain.documents import Sums, Units
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import (
    COUNTED,
    LockStatus,
    Place,
)

VOID = "void"
"""The fingerprint of a shipment that never left."""
ENDED_BY_STEP = {LockStatus.RELEASED, LockStatus.DEDUCTED}
_COUNTS_MAX = 8
SHELVES = {
    Place.AVAILABLE: Place.AVAILABLE,
    Place.LOCKED: Place.AVAILABLE,
    Place.DAMAGED: Place.DAMAGED,
}
"""What a count sees of a place, and where it corrects it."""


@dataclass(slots=True)
class LockRecord:
    """What is remembered of a lock.

    `original` is the creating answer, `request` what sourcing chose from (lines, ranked warehouses), `returned`
    units by SKU that came back. `fingerprint` is '' where the id was released before any request came.
    """

    view: LockView
    original: LockView
    fingerprint: str
    request: tuple[tuple[Line, ...], tuple[str, ...]] | None
    given_back: bool = False
    returned: dict[str, int] = field(default_factory=dict)

    @property
    def ranked(self) -> tuple[str, ...]:
        """The warehouses that its request ranked, and was restricted to."""
        return self.request[1] if self.request else ()

    def change(self, **fields: Any) -> LockView:
        """Show something else from now on, under the next version."""
        self.view = self.view._replace(version=self.view.version + 1, **fields)
        return self.view


@dataclass(slots=True)
class TransferRecord:
    """What is remembered of a transfer; `original` is the creating answer.

    `implied` are units that arrived before anybody said that they had left: (sku, units, when they arrived).
    """

    view: TransferView
    original: TransferView
    fingerprint: str
    implied: list[tuple[str, int, int]] = field(default_factory=list)


class Repeatable(NamedTuple):
    """What an id was used for, the answer it got, and the document it was used on, if on one."""

    fingerprint: str
    answer: Answer
    record: LockRecord | TransferRecord | None = None
    stands: bool = False
    """Whether the answer is kept, although the step ended its lock: else that lock's record is the answer."""


class SaidLine(NamedTuple):
    """What a line of a document said: its content's fingerprint, its units, and when."""

    fingerprint: str
    units: Units
    at: int


class Moved(NamedTuple):
    """A move as the model notes it; `to_warehouse` is '' where it stays in one, `occurred_at` None as its command."""

    sku: str
    warehouse: str
    source: Place
    target: Place
    quantity: int
    to_warehouse: str = ""
    occurred_at: int | None = None


@dataclass(slots=True)
class Shelves:
    """Every count, lock and id of one shard.

    `order` ranks warehouses where a request does not; nothing new is promised in `closed` ones.
    """

    order: tuple[str, ...] = ()
    stock: dict[str, dict[str, dict[Place, int]]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    locks: dict[str, LockRecord] = field(default_factory=dict)
    transfers: dict[str, TransferRecord] = field(default_factory=dict)
    ops: dict[str, Repeatable] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)
    counted: dict[tuple[str, str], dict[int, bool]] = field(default_factory=dict)
    """When a SKU was counted in a warehouse, and whether its damaged units were too."""
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    """How far a source's numbered events of a warehouse are."""
    shipped: dict[str, tuple[Line, ...]] = field(default_factory=dict)
    """What each shipment by route took, by its op; each line with its warehouse."""
    documents: dict[str, dict[str, Sums]] = field(default_factory=dict)
    """What reporters said, by family and SKU."""
    lines: dict[str, SaidLine] = field(default_factory=dict)
    """What lines of documents that have an id of their own said last."""
    facts: int = 0
    """How many events of the inbox were noted, with moves or without."""
    closed: frozenset[str] = frozenset()

    def counts(self, sku: str, warehouse: str) -> Counts:
        """Return the counts of a SKU in a warehouse; zeros if it is unknown there."""
        place = self.stock.get(sku, {}).get(warehouse, {})
        return Counts(*(place.get(state, 0) for state in COUNTED))

    def _source(
        self, lines: Sequence[Line], asked: Sequence[str], held: dict[tuple[str, str], int] | None = None
    ) -> tuple[tuple[LockLine, ...], Answer | None]:
        """Source lines, or refuse; what `held` holds already stays promised to its lock, even where stock is short."""
        present = {w for line in lines if not line.warehouse for w in self.stock.get(line.sku, {})}

        def room(sku: str, warehouse: str) -> int:
            kept = (held or {}).get((sku, warehouse), 0)
            return kept if warehouse in self.closed else kept + self.counts(sku, warehouse).sellable

        def choices_of(sku: str) -> int:
            return len(rank) if asked else len(self.stock.get(sku, {}))

        rank = sourcing.rank_of(asked, self.order, present)
        found = sourcing.source(lines, rank, room, self.stock.__contains__, choices_of)
        if isinstance(found, sourcing.TooManyChoices):
            return (), Answer(Outcome.TOO_MANY_CHOICES)
        shortages = tuple(item for item in found if isinstance(item, Shortage))
        if shortages:
            return (), Answer(Outcome.INSUFFICIENT_STOCK, shortages=shortages)
        taken = (item for item in found if isinstance(item, Line))
        return tuple(LockLine(line.sku, line.warehouse, line.quantity) for line in taken), None

    def _on_hand(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return what is on these shelves, by SKU and warehouse."""
        return {place: self.counts(*place).on_hand for place in places}

    def _missing(self, before: Mapping[tuple[str, str], int]) -> tuple[Beyond, ...]:
        """Return what has been taken beyond what was on these shelves before."""
        missing = [
            Beyond(*place, max(0, -self.counts(*place).on_hand) - max(0, -units))
            for place, units in before.items()
        ]
        return tuple(beyond for beyond in missing if beyond.units > 0)

    def _take(self, lines: Sequence[LockLine]) -> None:
        self._move_lines(lines, [line.quantity for line in lines], Place.AVAILABLE, Place.LOCKED)

    def _move_lines(
        self, lines: Sequence[LockLine], units: Sequence[int], source: Place, target: Place
    ) -> None:
        for line, quantity in zip(lines, units, strict=True):
            self._move(line.sku, line.warehouse, source, target, quantity)

    def _move(
        self,
        sku: str,
        warehouse: str,
        source: Place,
        target: Place,
        quantity: int,
        *,
        even_zero: bool = False,
        to_warehouse: str = "",
        occurred_at: int | None = None,
    ) -> None:
        if quantity <= 0 and not even_zero:
            return
        places = self.stock.setdefault(sku, {})
        here, there = places.setdefault(warehouse, {}), places.setdefault(to_warehouse or warehouse, {})
        here[source] = here.get(source, 0) - quantity
        there[target] = there.get(target, 0) + quantity
        self.versions[sku] = self.versions.get(sku, 0) + 1
        self.moves.append(Moved(sku, warehouse, source, target, quantity, to_warehouse, occurred_at))

    def _fact_move(
        self,
        sku: str,
        warehouse: str,
        source: Place,
        target: Place,
        quantity: int,
        *,
        at: int | None,
        even_zero: bool = False,
        to_warehouse: str = "",
        occurred_at: int | None = None,
    ) -> None:
        """Move what happened at `at`, and the opposite on each shelf that was counted since."""
        self._move(
            sku,
            warehouse,
            source,
            target,
            quantity,
            even_zero=even_zero,
            to_warehouse=to_warehouse,
            occurred_at=occurred_at,
        )
        if quantity <= 0:
            return
        for place, where, gone in (
            (source, warehouse, True),
            (target, to_warehouse or warehouse, False),
        ):
            counted_at = self._counted_since(sku, where, place, at)
            if counted_at is not None:
                ways = (SHELVES[place], Place.ADJUSTMENT)
                back, to = ways[::-1] if gone else ways
                self._move(sku, where, back, to, quantity, occurred_at=counted_at)

    def _counted_since(self, sku: str, warehouse: str, place: Place, at: int | None) -> int | None:
        """When the shelf of a place was counted first, at `at` or later."""
        if at is None or place not in SHELVES:
            return None
        counts = self.counted.get((sku, warehouse), {})
        found = (when for when, too in counts.items() if when >= at and (place is not Place.DAMAGED or too))
        return min(found, default=None)

    def _keep_ending(self, record: LockRecord) -> None:
        """Keep how a lock had ended, as the answer of the steps that ended it, before it is opened again."""
        for op, one in self.ops.items():
            lock = one.answer.lock
            if one.record is record and not one.stands and lock and lock.status in ENDED_BY_STEP:
                self.ops[op] = one._replace(answer=replace(one.answer, lock=record.view), stands=True)

    def _note_counts(self, command: Book, at: int) -> None:
        damaged: dict[str, bool] = {}
        for line in command.lines:
            damaged[line.sku] = damaged.get(line.sku, False) or Place.DAMAGED in {line.source, line.target}
        for sku, too in damaged.items():
            counts = self.counted.setdefault((sku, command.warehouse), {})
            counts[at] = counts.get(at, False) or too
            if len(counts) > _COUNTS_MAX:
                del counts[min(counts)]


def sums_of(units: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the units of each SKU together."""
    sums: dict[str, int] = {}
    for sku, quantity in units:
        sums[sku] = sums.get(sku, 0) + quantity
    return sums


def beyond(asked: Mapping[str, int], left: Mapping[str, int]) -> tuple[Excess, ...]:
    """Return every SKU of which more is asked than there is left."""
    return tuple(
        Excess(sku, "", units, left.get(sku, 0)) for sku, units in asked.items() if units > left.get(sku, 0)
    )
