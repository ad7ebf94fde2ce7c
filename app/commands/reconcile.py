"""`sellable reconcile`: a warehouse's snapshot against the ledger, as of its time."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.acting import acting_as
from app.commands.progress import meter, say
from app.commands.reconciliations import write_reports
from app.commands.service import find_service
from app.domain.reconciliation import Reconciliation, Status
from app.domain.times import time_ms
from app.errors import LedgerBehindError, SellableError
from app.files.options import Options
from app.operations.reconciliations import Refused
from app.operations.snapshots.csv_lines import CsvLines
from app.operations.snapshots.formats import Format, JsonBody, NdjsonLines
from app.operations.snapshots.spool import ERRORS_MAX, SNAPSHOT_BYTES_MAX, Asked, SnapshotError, Spool

DIFFERS = 1
IN_PART = 3
CHUNK_BYTES = 65_536
POLL_SECONDS = 0.2
WAIT_SECONDS_MAX = 300.0
WHO = acting_as("reconcile")
_REFUSED = {
    Refused.FUTURE: "the snapshot's time is in the future",
    Refused.TOO_OLD: "the snapshot's time is before the ledger begins",
    Refused.UNKNOWN_WAREHOUSE: "nothing was ever booked in this warehouse",
}

OpenStores = Callable[[str, str], AbstractAsyncContextManager[Any]]


async def reconcile(
    *,
    file: Path,
    warehouse: str,
    as_of: str,
    rows: int | None,
    data_dir: Path,
    open_stores: OpenStores,
    as_json: bool = False,
    html: Path | None = None,
    csv: Path | None = None,
    options: Options | None = None,
    partial: bool = False,
    adds_up: bool = False,
) -> int:
    """Compare `file` (.csv, .ndjson or .json) and print what differs.

    Returns 0, 1 if anything differs, or 3 if some of it could not be compared, whatever the rest came to. Raises
    `SellableError` if it cannot be compared: nothing was filed then.
    """
    service = find_service(data_dir, "redis", "database")
    asked = Asked(warehouse, _time_ms(as_of), rows, partial, adds_up)
    async with open_stores(service.redis, service.database) as stores:
        await stores.check()
        operations = stores.operations()
        reconciliation_id = await _begin(operations.reconciliations, file, asked, options or Options())
        found = await _run(stores, operations, reconciliation_id)
        await write_reports(operations.reconciliations, reconciliation_id, html=html, csv=csv)
    _print(found, as_json=as_json)
    if found.totals.get("lines_bad") or found.totals.get("skus_skipped"):
        return IN_PART
    return DIFFERS if found.totals["discrepancies"] else 0


def _time_ms(text: str) -> int:
    try:
        return time_ms(text)
    except ValueError as error:
        raise SellableError(f"--as-of {error}") from None


async def _begin(reconciliations: Any, file: Path, asked: Asked, options: Options) -> str:
    if refused := await reconciliations.check(asked):
        raise SellableError(_REFUSED[refused])
    try:
        with Spool() as spool:
            _read(file, _format(file, spool, asked, options))
            begun = await reconciliations.begin(asked, spool, who=WHO)
            _say_what_is_not_compared(spool)
    except SnapshotError as error:
        lines = "; ".join(f"{field}: {message}" for field, message in error.errors)
        raise SellableError(f"{file.name} cannot be compared ({error.code}): {lines}") from None
    return str(begun.reconciliation_id)


def _say_what_is_not_compared(spool: Spool) -> None:
    for field, message in spool.errors:
        say(f"{field}: {message}")
    if spool.lines_bad > ERRORS_MAX:
        say(f"and {spool.lines_bad - ERRORS_MAX:,} more bad lines")
    for note in spool.notes:
        say(note)


def _format(file: Path, spool: Spool, asked: Asked, options: Options) -> Format:
    match file.suffix.lower():
        case ".json":
            return JsonBody(spool, time_ms, asked, is_partial=asked.is_partial, adds_up=asked.adds_up)
        case ".ndjson" | ".jsonl":
            return NdjsonLines(spool, asked)
    return CsvLines(spool, asked, options)


def _read(file: Path, form: Format) -> None:
    size = file.stat().st_size
    if size > SNAPSHOT_BYTES_MAX:
        raise SellableError(f"{file.name} has more than {SNAPSHOT_BYTES_MAX:,} bytes")
    with file.open("rb") as source, meter("reading", size, "bytes") as display:
        done = 0
        while chunk := source.read(CHUNK_BYTES):
            form.feed(chunk)
            done += len(chunk)
            display.update(done)
    form.finish()


async def _run(stores: Any, operations: Any, reconciliation_id: str) -> Reconciliation:
    """Run it here, unless the worker was quicker; wait for the ledger until its time has come."""
    from app.reconcile.reconcile import STEPS  # noqa: PLC0415 - only to size the bar

    give_up_at = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    with meter("comparing", STEPS, "steps") as display:
        run = stores.reconcile(lambda _what, count: display.update(count))
        while asyncio.get_running_loop().time() < give_up_at:
            await run.run_once(reconciliation_id)
            found: Reconciliation = await operations.reconciliations.find(reconciliation_id)
            if found.status is Status.FAILED:
                raise SellableError(found.failure or "it failed")
            if found.status is Status.DONE:
                await operations.compensations.go_on(who="policy")
                return found
            await asyncio.sleep(POLL_SECONDS)
    later = f"the worker compares it later: `sellable reconciliations show {reconciliation_id}`"
    raise LedgerBehindError(f"the ledger did not catch up within {WAIT_SECONDS_MAX:.0f} s; {later}")


def _print(found: Reconciliation, *, as_json: bool) -> None:
    totals = found.totals
    if as_json:
        head = {"reconciliation_id": found.reconciliation_id, "warehouse": found.warehouse}
        print(json.dumps(head | {"totals": totals}, ensure_ascii=False))
        return
    print(
        f"{found.reconciliation_id}: {totals['skus']:,} SKUs compared, {totals['skus_differing']:,} differ: "
        f"{totals['units_more']:,} units more there, {totals['units_less']:,} less"
    )
    if totals.get("skus_skipped") or totals.get("lines_bad"):
        print(
            f"not compared: {totals['skus_skipped']:,} SKUs; lines that could not be read: {totals['lines_bad']:,}"
        )
    for cause, sums in totals["by_cause"].items():
        print(f"  {cause}: {sums['discrepancies']:,} (+{sums['units_more']:,} -{sums['units_less']:,})")
    if totals["alarm"]:
        print("alarm: far too many differ; is it a snapshot of this warehouse, and whole?")
    if totals["discrepancies"]:
        print(f"look closer: sellable reconciliations show {found.reconciliation_id}")
