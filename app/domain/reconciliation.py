"""Reconciliation: what a warehouse says it has against what the ledger says was there, and what is done about it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from app.domain.commands import Adjust, Booking
from app.domain.events import Document
from app.domain.words import Place

UNDO = "/undo"
"""Ends the id of the adjustment that takes another one back."""


class Status(StrEnum):
    """How far a reconciliation is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class State(StrEnum):
    """What was counted: good units, or damaged ones."""

    ON_HAND = "on_hand"
    DAMAGED = "damaged"


class Kind(StrEnum):
    """Which side has more, or does not know the SKU in this warehouse at all."""

    MORE = "more"
    LESS = "less"
    UNKNOWN_TO_US = "unknown_to_us"
    UNKNOWN_TO_WAREHOUSE = "unknown_to_warehouse"


class Cause(StrEnum):
    """The likely cause of a difference, in order of precedence: the first that fits is told."""

    PARKED = "parked"
    QUARANTINED = "quarantined"
    MISMATCH = "mismatch"
    APPLIED_TWICE = "applied_twice"
    IN_TRANSIT = "in_transit"
    SHIPPED_AFTER_CUT = "shipped_after_cut"
    COUNT_BEFORE_MOVE = "count_before_move"
    COUNT_AFTER_MOVE = "count_after_move"
    EVENT_MISSING = "event_missing"
    UNEXPLAINED = "unexplained"


class Treatment(StrEnum):
    """What becomes of a difference. `approved` is on its way to `applied`, `undoing` to `undone`."""

    REPORTED = "reported"
    PROPOSED = "proposed"
    APPROVED = "approved"
    APPLIED = "applied"
    RESOLVED = "resolved"
    OUTDATED = "outdated"
    REFUSED = "refused"
    UNDOING = "undoing"
    UNDONE = "undone"


class Action(StrEnum):
    """What a policy says shall be done."""

    REPORT = "report"
    PROPOSE = "propose"
    APPLY = "apply"


TREATED = {
    Action.REPORT: Treatment.REPORTED,
    Action.PROPOSE: Treatment.PROPOSED,
    Action.APPLY: Treatment.APPROVED,
}


class Rule(NamedTuple):
    """What is done about differences with this cause of at most so many units; None: of any size."""

    cause: Cause
    action: Action
    units_max: int | None = None


def read_policy(text: str) -> tuple[Rule, ...]:
    """Read `cause=action` or `cause=action<=units`, comma-separated; the first that fits counts.

    Raise `ValueError` if it cannot be read. What no rule fits is proposed.
    """
    rules = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        cause, _, rest = entry.partition("=")
        action, limited, units = rest.partition("<=")
        if limited and not (units.isascii() and units.isdecimal()):
            raise ValueError(f"'{entry}' must end with a number of units")
        try:
            rules.append(Rule(Cause(cause), Action(action), int(units) if limited else None))
        except ValueError:
            raise ValueError(f"'{entry}' must be cause=action, or cause=action<=units") from None
    return tuple(rules)


class Reconciliation(NamedTuple):
    """One comparison with a warehouse; times in ms since 1970. `whole`: the snapshot says itself where it ends."""

    reconciliation_id: str
    warehouse: str
    as_of: int
    status: Status
    lines: int
    whole: bool
    who: str
    requested_at: int
    finished_at: int | None
    failure: str | None
    totals: Mapping[str, Any]


class Discrepancy(NamedTuple):
    """One difference: `difference` is counted less expected, in units."""

    sku: str
    state: State
    kind: Kind
    cause: Cause
    evidence: Mapping[str, Any]
    expected: int
    counted: int
    difference: int
    treatment: Treatment


class Repeated(NamedTuple):
    """A SKU that differs again: in `times` of the last reconciliations of the warehouse, this one included."""

    sku: str
    state: State
    difference: int
    times: int
    first_as_of: int


class Day(NamedTuple):
    """One reconciliation in a row of them."""

    reconciliation_id: str
    as_of: int
    totals: Mapping[str, Any]


class Freshness(NamedTuple):
    """How a warehouse stands: the time of its last snapshot (ms, None: never), and what that one came to."""

    warehouse: str
    as_of: int | None
    totals: Mapping[str, Any]


class Standing(NamedTuple):
    """How a warehouse stands at a time: the age of its last snapshot, infinite without one, and whether to alarm."""

    warehouse: str
    age_seconds: float
    totals: Mapping[str, Any]
    overdue: bool
    alarm: bool


def standings(
    known: Sequence[Freshness], wanted: Sequence[str], now_ms: float, age_seconds_max: float
) -> list[Standing]:
    """Return how each warehouse stands that was ever reconciled or must be: a missing snapshot alarms too."""
    last = dict.fromkeys(wanted, Freshness("", None, {})) | {one.warehouse: one for one in known}
    found = []
    for warehouse, one in sorted(last.items()):
        age = float("inf") if one.as_of is None else max(0.0, (now_ms - one.as_of) / 1000)
        overdue = age > age_seconds_max
        alarm = overdue or bool(one.totals.get("alarm"))
        found.append(Standing(warehouse, age, one.totals, overdue, alarm))
    return found


class Correction(Adjust, frozen=True, gc=False):
    """The adjustment that makes the ledger agree with a count, as of the time of the count."""

    namespace: ClassVar[str] = "reconciliation"

    @property
    def document(self) -> Document | None:
        """The reconciliation that found the difference."""
        return Document("reconciliation", self.document_id.partition("/")[0], {})


def correction(done: Reconciliation, found: Discrepancy, *, undo: bool = False) -> Correction:
    """Return what books a difference, or takes that back: once each, for its id says what it is about."""
    adds = (found.difference > 0) is not undo
    place = Place.DAMAGED if found.state is State.DAMAGED else Place.AVAILABLE
    ends = (Place.ADJUSTMENT, place) if adds else (place, Place.ADJUSTMENT)
    reason = f"{'undo of ' if undo else ''}reconciliation {done.reconciliation_id}: {found.cause}"
    line = Booking(found.sku, *ends, abs(found.difference), reason)
    correction_id = f"{done.reconciliation_id}/{found.state}/{found.sku}{UNDO if undo else ''}"
    return Correction(correction_id, done.warehouse, (line,), done.as_of)


def worst(found: Sequence[Discrepancy], items_max: int) -> list[Discrepancy]:
    """Return the largest differences first, either sign."""
    return sorted(found, key=lambda one: (-abs(one.difference), one.sku, one.state))[:items_max]
