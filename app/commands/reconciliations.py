"""`sellable reconciliations list|show|approve|undo`: what comparisons came to, and what is done about differences."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TextIO

from app.commands.acting import acting_as
from app.commands.progress import meter
from app.commands.service import find_service
from app.domain.reconciliation import Cause, Discrepancy, Treatment
from app.domain.times import moment
from app.errors import SellableError
from app.ledger.reconciliations import Chosen
from app.operations.compensations import BATCH

LISTED_MAX = 100
REFUSED = 1
WHO = acting_as("reconciliations")
_TAKEN = {"approve": Treatment.APPLIED, "undo": Treatment.UNDONE}


async def reconciliations(
    *,
    action: str,
    data_dir: Path,
    open_operations: Callable[[str, str], AbstractAsyncContextManager[Any]],
    reconciliation_id: str = "",
    warehouse: str | None = None,
    skus: Sequence[str] = (),
    cause: str | None = None,
    as_json: bool = False,
    html: Path | None = None,
    csv: Path | None = None,
) -> int:
    """List the newest (100 at most), show one, or treat its differences; return 1 if some could not be treated."""
    service = find_service(data_dir, "redis", "database")
    async with open_operations(service.redis, service.database) as operations:
        if action == "list":
            return await _list(operations.reconciliations, warehouse, as_json=as_json)
        if await operations.reconciliations.find(reconciliation_id) is None:
            where = "see `sellable reconciliations list`"
            raise SellableError(f"no reconciliation has the id {reconciliation_id} ({where})")
        if action == "show":
            await write_reports(operations.reconciliations, reconciliation_id, html=html, csv=csv)
            return await _show(operations.reconciliations, reconciliation_id, as_json=as_json)
        chosen = Chosen(list(skus) or None, Cause(cause) if cause else None)
        return await _treat(operations.compensations, action, reconciliation_id, chosen)


async def write_reports(
    found: Any, reconciliation_id: str, *, html: Path | None = None, csv: Path | None = None
) -> None:
    """Write the page and the lines to the files that were asked for."""
    from app.operations.reports.lines import csv_lines  # noqa: PLC0415 - only when asked for
    from app.operations.reports.page import page  # noqa: PLC0415 - only when asked for

    if html is not None:
        with _written(html) as target:
            target.write(page(await found.report(reconciliation_id)))
    if csv is not None:
        with _written(csv) as target:
            async for part in csv_lines(found.rows, await found.find(reconciliation_id)):
                target.write(part)


def _written(file: Path) -> TextIO:
    return file.open("w", encoding="utf-8")


async def _list(found: Any, warehouse: str | None, *, as_json: bool) -> int:
    newest, _ = await found.before(0, LISTED_MAX, warehouse)
    if as_json:
        print(json.dumps({"items": [one._asdict() for one in newest]}, ensure_ascii=False))
        return 0
    for one in newest:
        differing = one.totals.get("skus_differing", "-")
        print(
            f"{one.reconciliation_id}  {one.warehouse}  {_time(one.as_of)}  {one.status}  {differing} differ"
        )
    print(f"{len(newest)} reconciliations")
    return 0


async def _show(found: Any, reconciliation_id: str, *, as_json: bool) -> int:
    report = await found.report(reconciliation_id)
    if as_json:
        told = report.reconciliation._asdict() | {
            "treatments": report.treatments,
            "worst": [one._asdict() for one in report.worst],
            "repeated": [one._asdict() for one in report.repeated],
        }
        print(json.dumps(told, ensure_ascii=False))
        return 0
    one = report.reconciliation
    print(f"{one.reconciliation_id}  {one.warehouse}  {_time(one.as_of)}  {one.status}")
    for discrepancy in report.worst:
        print(_line(discrepancy))
    for again in report.repeated:
        print(
            f"SKU {again.sku} {again.state}: differs for the {again.times}. time since {_time(again.first_as_of)}"
        )
    print(", ".join(f"{count:,} {name}" for name, count in report.treatments.items()) or "nothing differs")
    return 0


def _line(one: Discrepancy) -> str:
    evidence = f" {json.dumps(one.evidence, ensure_ascii=False)}" if one.evidence else ""
    return (
        f"SKU {one.sku} {one.state}: expected {one.expected:,}, counted {one.counted:,} ({one.difference:+,}), "
        f"{one.kind}, {one.cause}, {one.treatment}{evidence}"
    )


async def _treat(compensations: Any, action: str, reconciliation_id: str, chosen: Chosen) -> int:
    step, counts = getattr(compensations, action), dict.fromkeys(Treatment, 0)
    with meter(action, 0, "differences") as display:
        while treated := await step(reconciliation_id, chosen, who=WHO):
            for one in treated:
                counts[one.treatment] += 1
            display.update(sum(counts.values()))
            if len(treated) < BATCH:
                break
    print(", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing to do")
    others = sum(counts.values()) - counts[_TAKEN[action]] - counts[Treatment.RESOLVED]
    return REFUSED if others else 0


def _time(ms: int) -> str:
    return moment(ms).isoformat(timespec="seconds").replace("+00:00", "Z")
