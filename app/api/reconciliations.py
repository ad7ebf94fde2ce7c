"""Reconciliations as JSON."""

from typing import Any

from app.api.views import wire_position
from app.domain.reconciliation import Discrepancy, Reconciliation
from app.domain.times import time_text
from app.operations.compensations import Treated
from app.operations.reconciliations import Report
from app.operations.snapshots.spool import Spool


def of_reconciliation(found: Reconciliation) -> dict[str, Any]:
    """Return a reconciliation without its differences."""
    told: dict[str, Any] = {
        "reconciliation_id": found.reconciliation_id,
        "warehouse": found.warehouse,
        "as_of": time_text(found.as_of),
        "status": found.status,
        "lines": found.lines,
        "whole": found.whole,
        "requested_at": time_text(found.requested_at),
        "finished_at": time_text(found.finished_at),
        "totals": found.totals,
    }
    return told | ({"failure": found.failure} if found.failure else {})


def of_reading(spool: Spool) -> dict[str, Any]:
    """Return what of a snapshot's lines is not compared, and what of it was not used, if anything."""
    told: dict[str, Any] = {}
    if spool.errors:
        told["skipped"] = [{"field": field, "message": message} for field, message in spool.errors]
    return told | ({"notes": spool.notes} if spool.notes else {})


def of_discrepancy(one: Discrepancy) -> dict[str, Any]:
    """Return a difference."""
    return one._asdict()


def of_treated(one: Treated) -> dict[str, Any]:
    """Return what became of a difference."""
    found = one.discrepancy
    return {
        "sku": found.sku,
        "state": found.state,
        "difference": found.difference,
        "treatment": one.treatment,
        "position": wire_position(one.position) if one.position else None,
    }


def of_report(report: Report) -> dict[str, Any]:
    """Return a report."""
    return of_reconciliation(report.reconciliation) | {
        "treatments": report.treatments,
        "worst": [of_discrepancy(one) for one in report.worst],
        "repeated": [
            {
                "sku": one.sku,
                "state": one.state,
                "difference": one.difference,
                "times": one.times,
                "since": time_text(one.first_as_of),
            }
            for one in report.repeated
        ],
        "days": [
            {
                "reconciliation_id": day.reconciliation_id,
                "as_of": time_text(day.as_of),
                "skus_differing": day.totals["skus_differing"],
                "units_more": day.totals["units_more"],
                "units_less": day.totals["units_less"],
            }
            for day in report.days
        ],
    }
