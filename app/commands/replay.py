"""`sellable replay`: sends the orders, returns and adjustments of a CSV file through the HTTP API."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.commands.file_rows import FileRows, opened, size_of
from app.commands.progress import Meter, meter
from app.commands.replay_client import Answer, ApiClient, open_http
from app.commands.replay_plan import Document, Kind, Line, Plan, sheet_of
from app.commands.replay_report import Report, opened_report
from app.commands.service import api_headers, find_service
from app.files.options import Options
from app.files.reader import BadLine, left_out_note


async def replay(
    file: Path,
    data_dir: Path,
    *,
    concurrency: int = 1,
    speed: float | None = None,
    summary: str = "text",
    warehouse: str = "main",
    options: Options | None = None,
    report: Path | None = None,
) -> int:
    """Replay `file`, and print the summary on stdout (`text`, or one object as `json`).

    At most `concurrency` documents are in flight, started in file order; `speed` is how many times faster
    than real time, None as fast as possible. Returns and adjustments of a SKU that no warehouse knows go to
    `warehouse`. What was refused, failed or could not be read is written to `report`. Returns the exit code: 0,
    or 3 when lines were bad or documents failed. SellableError when the file cannot be used or the service stayed
    away; what was done until then is in the summary.
    """
    service = find_service(data_dir, "api")
    http = open_http(service.api, api_headers(), connections=concurrency)
    tally = Tally()
    async with http:
        options = options or Options()
        with closing(Plan(options.preset)) as plan, opened_report(report) as noted:
            _read(file, plan, tally, options, noted)
            with meter("replaying", plan.count_documents(), "documents") as display:
                runner = Runner(
                    ApiClient(http, note=display.note),
                    display=display,
                    tally=tally,
                    pace=Pace(speed),
                    warehouse=warehouse,
                    report=noted,
                )
                try:
                    await runner.run(plan.documents(), concurrency=concurrency)
                finally:
                    runner.finish()
                    tally.unsent = plan.count_documents() - tally.documents
                    _print_summary(tally, summary)
    return 3 if tally.failed else 0


CODES_NAMED_MAX = 5
_MADE_KNOWN = {
    "unknown_sku": (
        "import new ones first: `sellable import-stock` makes a SKU known, also with the quantity 0"
    ),
    "unknown_warehouse": "`sellable import-stock --new-warehouses` lists new ones",
}


class Tally:
    """What a replay did: rows as read from the file, documents as answered by the service."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()
        self.rows: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self.bad_lines = 0
        self.locked = self.refused = self.refused_rows = self.shortages = self.shipped = 0
        self.booked: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self.failures: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self.unsent = 0

    @property
    def documents(self) -> int:
        """How many documents came to an end, good or bad."""
        return self.locked + self.refused + sum(self.booked.values()) + sum(self.failures.values())

    @property
    def failed(self) -> int:
        """Documents and lines that failed."""
        return sum(self.failures.values()) + self.bad_lines

    def as_dict(self) -> dict[str, int | float]:
        """The summary, in which figures add up.

        rows = order_rows + return_rows + adjustment_rows + bad_lines; orders = locked + refused +
        failed_orders; failed = every document that failed + bad_lines.
        """
        orders = self.locked + self.refused + self.failures[Kind.ORDER]
        return {
            "rows": sum(self.rows.values()) + self.bad_lines,
            "orders": orders,
            "locked": self.locked,
            "refused": self.refused,
            "returns": self.booked[Kind.RETURN],
            "adjustments": self.booked[Kind.ADJUSTMENT],
            "failed": self.failed,
            "seconds": round(time.monotonic() - self.started_at, 3),
            "order_rows": self.rows[Kind.ORDER],
            "return_rows": self.rows[Kind.RETURN],
            "adjustment_rows": self.rows[Kind.ADJUSTMENT],
            "refused_rows": self.refused_rows,
            "bad_lines": self.bad_lines,
            "shipped": self.shipped,
            "shortages": self.shortages,
            "failed_orders": self.failures[Kind.ORDER],
            "failed_returns": self.failures[Kind.RETURN],
            "failed_adjustments": self.failures[Kind.ADJUSTMENT],
            "unsent": self.unsent,
        }


class Pace:
    """When each document is due: `speed` times as fast as it happened, or at once."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._begun: tuple[float, float] | None = None

    async def wait(self, at: float) -> None:
        """Wait until what happened at `at` (seconds since 1970) is due; never backwards."""
        if self._speed is None:
            return
        loop = asyncio.get_running_loop()
        if self._begun is None:
            self._begun = (at, loop.time())
        first_at, started_at = self._begun
        await asyncio.sleep(max(0.0, started_at + (at - first_at) / self._speed - loop.time()))


class DocumentFailedError(Exception):
    """The service answered what a document cannot go on with; the message says what."""


class Runner:
    """Sends documents, several at a time, each one's steps in sequence."""

    def __init__(
        self, api: ApiClient, *, display: Meter, tally: Tally, pace: Pace, warehouse: str, report: Report
    ) -> None:
        self._api, self._display, self._tally, self._pace = api, display, tally, pace
        self._warehouse = warehouse
        self._report = report
        self._turn = asyncio.Lock()

    async def run(self, documents: Iterator[Document], *, concurrency: int) -> None:
        """Send every document. The first error that concerns all of them ends it."""
        senders = [asyncio.create_task(self._send_in_turn(documents)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*senders)
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    def finish(self) -> None:
        """Say what was counted without being named."""
        self._report.finish(self._display.note)

    async def _send_in_turn(self, documents: Iterator[Document]) -> None:
        while True:
            # One at a time takes a document and waits for its hour, so they start in file order.
            async with self._turn:
                document = next(documents, None)
                if document is None:
                    return
                await self._pace.wait(document.at)
            await self._send_counted(document)
            self._display.update(self._tally.documents)

    async def _send_counted(self, document: Document) -> None:
        try:
            await self._send(document)
        except DocumentFailedError as error:
            self._fail(document, str(error))
        except BaseException:
            # Stopped in the middle: whether it happened is not known, and repeating it is safe.
            self._fail(document, "not finished")
            raise

    def _fail(self, document: Document, reason: str) -> None:
        self._tally.failures[document.kind] += 1
        self._report.add(document, "failed", reason, self._display.note)

    async def _send(self, document: Document) -> None:
        if document.bad_line is not None:
            raise DocumentFailedError(f"line {document.bad_line} of it is bad, so none of it was booked")
        if not document.lines:
            raise DocumentFailedError(f"its {document.size:,} lines are more than one request can carry")
        if document.kind is Kind.ORDER:
            await self._send_order(document)
            return
        await self._send_stock_document(document)
        self._tally.booked[document.kind] += 1

    async def _send_order(self, document: Document) -> None:
        """Lock, confirm and deduct; counted once, when its end is known."""
        locked = await self._api.post("/v1/locks", _lock_body(document))
        if locked.code == "insufficient_stock":
            short = _shortages(locked)
            self._tally.shortages += len(short)
            self._tally.refused += 1
            self._report.add(document, "refused", f"not enough of {', '.join(short)}", self._display.note)
            self._tally.refused_rows += document.size
            return
        _require_ok(locked)
        # A rerun finds the order shipped, and has nothing left to do.
        if locked.body.get("current_status") != "deducted":
            await self._ship(document.order_id)
        self._tally.locked += 1
        self._tally.shipped += 1

    async def _ship(self, order_id: str) -> None:
        path = f"/v1/locks/{quote(order_id, safe='')}"
        _require_ok(await self._api.post(f"{path}/confirm"))
        _require_ok(await self._api.post(f"{path}/deduct", {"shipment_id": order_id}))

    async def _send_stock_document(self, document: Document) -> None:
        """A return or an adjustment: a request a warehouse, because that is what one document can name."""
        by_warehouse = await self._lines_by_warehouse(document)
        for warehouse, lines in by_warehouse.items():
            part = document.order_id if len(by_warehouse) == 1 else f"{document.order_id}@{warehouse}"
            path, body = _stock_request(document.kind, part, warehouse, lines)
            _require_ok(await self._api.post(path, body))

    async def _lines_by_warehouse(self, document: Document) -> dict[str, list[Line]]:
        by_warehouse: dict[str, list[Line]] = {}
        found: dict[str, str] = {}
        for line in document.lines:
            if not line.warehouse and line.sku not in found:
                found[line.sku] = await self._find_warehouse(line.sku)
            by_warehouse.setdefault(line.warehouse or found[line.sku], []).append(line)
        return by_warehouse

    async def _find_warehouse(self, sku: str) -> str:
        """The first warehouse, by code, that knows the SKU."""
        answer = await self._api.get_stock(sku)
        if answer.status == 404:
            return self._warehouse
        _require_ok(answer)
        warehouses = answer.body.get("warehouses")
        return min(warehouses) if isinstance(warehouses, dict) and warehouses else self._warehouse


def _read(file: Path, plan: Plan, tally: Tally, options: Options, report: Report) -> None:
    def note_bad(line: BadLine) -> None:
        plan.note_bad(line)
        report.add_bad_line(line)

    with opened(file) as raw, meter("reading", size_of(raw), "bytes") as display:
        rows = FileRows(
            file, raw, sheet_of(options, plan.note_left_out), options, meter=display, on_bad=note_bad
        )
        plan.add_all(rows)
        rows.finish()
        for why, count in plan.rows_left_out.items():
            display.note(left_out_note(why, count))
        for document in plan.left_out():
            report.add_left_out(document)
        if plan.order.is_newest_first:
            display.note(
                "the newest rows come first in this file, and it is sent in its own order: sort it by occurred_at"
                " if the oldest orders shall have their stock first"
            )
    tally.rows.update(plan.rows)
    tally.bad_lines = rows.bad


def _require_ok(answer: Answer) -> None:
    if not answer.ok:
        detail = _advice(answer) or answer.detail
        raise DocumentFailedError(f"{answer.code} ({answer.status}){f': {detail}' if detail else ''}")


def _advice(answer: Answer) -> str:
    """Which codes are not known, and what makes them known here: the service's own advice is for programs. Else ''."""
    if answer.code not in _MADE_KNOWN or not (said := answer.errors):
        return ""
    more = f"; and {len(said) - CODES_NAMED_MAX} more" if len(said) > CODES_NAMED_MAX else ""
    return f"{'; '.join(said[:CODES_NAMED_MAX])}{more} ({_MADE_KNOWN[answer.code]})"


def _shortages(answer: Answer) -> list[str]:
    """The SKUs that fall short."""
    shortages = answer.body.get("shortages")
    if not isinstance(shortages, list) or not shortages:
        raise DocumentFailedError(f"{answer.code} ({answer.status}) without naming its shortages")
    return [str(one.get("sku")) if isinstance(one, dict) else str(one) for one in shortages]


def _lock_body(document: Document) -> dict[str, Any]:
    lines = [_with_warehouse({"sku": line.sku, "quantity": line.quantity}, line) for line in document.lines]
    return {"lock_id": document.order_id, "lines": lines}


def _with_warehouse(body: dict[str, Any], line: Line) -> dict[str, Any]:
    return body | {"warehouse": line.warehouse} if line.warehouse else body


def _stock_request(kind: Kind, part: str, warehouse: str, lines: list[Line]) -> tuple[str, dict[str, Any]]:
    """The path and body that book `lines` in one warehouse under the id `part`."""
    bodies: list[dict[str, Any]] = [{"sku": line.sku, "quantity": line.quantity} for line in lines]
    if kind is Kind.RETURN:
        returned = [body | {"condition": "sellable"} for body in bodies]
        return "/v1/returns", {"return_id": part, "warehouse": warehouse, "lines": returned}
    adjusted = [body | {"reason": line.reason} for body, line in zip(bodies, lines, strict=True)]
    return "/v1/adjustments", {"adjustment_id": part, "warehouse": warehouse, "lines": adjusted}


def _print_summary(tally: Tally, summary: str) -> None:
    figures = tally.as_dict()
    if summary == "json":
        print(json.dumps(figures))
        return
    width = max(map(len, figures))
    for name, figure in figures.items():
        print(f"{name:<{width}}  {figure:,}")
