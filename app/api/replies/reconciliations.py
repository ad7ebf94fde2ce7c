"""Reconciliations, their differences and what was done about them."""

from typing import Any

from pydantic import Field

from app.api.replies.base import Next, Position, Reply, Time
from app.domain.reconciliation import Cause, Kind, State, Status, Treatment


class SkippedReply(Reply):
    """A line, or a SKU on several lines, that is not compared, and why."""

    field: str
    message: str


class BegunReply(Reply):
    """A snapshot that was taken in; its comparison follows."""

    reconciliation_id: str
    skipped: list[SkippedReply] = Field([], description="what is not compared: the first 100 lines")
    notes: list[str] = Field([], description="what else of it was not used")


class CauseTotalsReply(Reply):
    """Differences with one likely cause."""

    discrepancies: int
    units_more: int
    units_less: int


class ReconciliationTotalsReply(Reply):
    """What a comparison came to, in SKUs, differences and units; while it runs, only what was noted in reading."""

    lines: int = 0
    skus: int = Field(0, description="those that either side knows")
    skus_differing: int = 0
    differing_share: float = 0.0
    discrepancies: int = 0
    units_more: int = 0
    units_less: int = 0
    by_cause: dict[Cause, CauseTotalsReply] = Field({})
    by_kind: dict[Kind, int] = Field({})
    alarm: bool = Field(default=False, description="more SKUs differ than a setting allows")
    partial: bool = Field(default=False, description="it was of some SKUs: the others were not compared")
    lines_bad: int = Field(0, description="lines that could not be read")
    skus_skipped: int = Field(0, description="SKUs not compared, for a line of theirs could not be taken")


class DiscrepancyReply(Reply):
    """One difference: counted less expected."""

    sku: str
    state: State
    kind: Kind
    cause: Cause = Field(description="the likely one")
    evidence: dict[str, Any] = Field(description="what speaks for it")
    expected: int
    counted: int
    difference: int
    treatment: Treatment


class ReconciliationHeadReply(Reply):
    """A comparison of a warehouse's snapshot with the ledger."""

    reconciliation_id: str
    warehouse: str
    as_of: Time
    status: Status
    lines: int
    whole: bool = Field(description="whether the snapshot says itself where it ends")
    requested_at: Time
    finished_at: Time | None
    failure: str = ""
    totals: ReconciliationTotalsReply


class ReconciliationReply(ReconciliationHeadReply):
    """A reconciliation with its differences."""

    discrepancies: list[DiscrepancyReply]
    next: Next


class ReconciliationListReply(Reply):
    """Reconciliations, newest first."""

    items: list[ReconciliationHeadReply]
    next: Next


class RepeatedReply(Reply):
    """A SKU that differs again: `times` of the last reconciliations, this one included."""

    sku: str
    state: State
    difference: int
    times: int
    since: Time


class DayReply(Reply):
    """One of the last reconciliations of the warehouse."""

    reconciliation_id: str
    as_of: Time
    skus_differing: int
    units_more: int
    units_less: int


class ReportReply(ReconciliationHeadReply):
    """What a reconciliation came to, beside earlier ones."""

    treatments: dict[Treatment, int]
    worst: list[DiscrepancyReply]
    repeated: list[RepeatedReply]
    days: list[DayReply]


class TreatedDifferenceReply(Reply):
    """What became of a difference; `resolved` and `outdated` ones were not booked, for the ledger has changed."""

    sku: str
    state: State
    difference: int
    treatment: Treatment
    position: Position | None


class TreatedReply(Reply):
    """What became of the differences that were chosen."""

    reconciliation_id: str
    results: list[TreatedDifferenceReply]
    more: bool = Field(description="there may be more: send it again")
