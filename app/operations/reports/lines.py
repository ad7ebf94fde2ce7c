"""A reconciliation's differences as CSV, a page at a time: a report for people, in which no cell is a formula."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence

from app.domain.reconciliation import Discrepancy, Reconciliation
from app.files.formulas import as_text
from app.ledger.reconciliations import ReconciliationRows

HEADER = ("sku", "state", "kind", "cause", "evidence", "expected", "counted", "difference", "treatment")


async def csv_lines(rows: ReconciliationRows, found: Reconciliation) -> AsyncIterator[str]:
    """Yield the lines of every difference, by SKU; the header first."""
    yield _lines([HEADER])
    async for discrepancies in rows.all_discrepancies(found.reconciliation_id):
        yield _lines([_row(one) for one in discrepancies])


def _row(one: Discrepancy) -> tuple[object, ...]:
    return (*one[:4], json.dumps(one.evidence, ensure_ascii=False) if one.evidence else "", *one[5:])


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([as_text(cell) for cell in row] for row in rows)
    return text.getvalue()
