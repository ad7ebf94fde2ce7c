"""`sellable import-stock`: what is on hand, from a file. A rerun changes nothing, and sells nothing again that left."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.commands.acting import acting_as
from app.commands.file_rows import FileRows, opened, size_of
from app.commands.progress import Complaints, Meter, meter, say
from app.commands.service import find_service
from app.commands.stock_rows import StockRow, StockRows, sheet_of
from app.demo import catalogue
from app.domain.codes import UnknownCode, shown
from app.errors import NotReadyError, OutcomeUnknownError, SellableError, UnavailableError
from app.files.options import Options
from app.operations.openings import Change, OpeningRow, Set

CHUNK_ROWS = 500
CHUNKS_IN_FLIGHT_MAX = 4
RETRY_SECONDS = 60.0
RETRY_PAUSE_SECONDS = 0.5
WHO = acting_as("import-stock")

Numbered = tuple[int, OpeningRow]
"""A row, and the line of the file that it stands in."""


class Openings(Protocol):
    """What books opening stock."""

    async def book(self, rows: Sequence[OpeningRow], *, who: str = "") -> int:
        """Set every row, whatever has happened; how many of them changed something."""
        ...

    async def book_unmoved(self, rows: Sequence[OpeningRow], *, who: str = "") -> Set:
        """Set the rows that have not moved since their opening."""
        ...

    async def book_counted(self, rows: Sequence[OpeningRow], at_ms: int, *, who: str = "") -> Set:
        """Take the rows as counted at a time."""
        ...

    async def preview(
        self, rows: Sequence[OpeningRow], *, at_ms: int | None, absolute: bool
    ) -> Sequence[Change]:
        """What booking the rows would change."""
        ...


class Warehouses(Protocol):
    """The list of warehouses."""

    async def new_in_import(
        self, codes: Iterable[str], *, demo_skus: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[UnknownCode]]:
        """Which unknown warehouses an import may make, and which it must not without being told."""
        ...

    async def closed_among(self, codes: Iterable[str]) -> Sequence[str]:
        """Those of the warehouses that are closed."""
        ...

    async def add(self, codes: Iterable[str]) -> None:
        """List warehouses."""
        ...


class Codes(Protocol):
    """What knows which codes name a warehouse."""

    @property
    def warehouses(self) -> Warehouses:
        """The list of warehouses."""
        ...


class Operations(Protocol):
    """The operations of a service, of which this command needs two."""

    @property
    def openings(self) -> Openings:
        """Opening stock."""
        ...

    @property
    def codes(self) -> Codes:
        """Which codes name a warehouse."""
        ...


OpenOperations = Callable[[str, str], AbstractAsyncContextManager[Operations]]


@dataclass(frozen=True, slots=True)
class How:
    """How rows are booked: `at_ms` as counted then (ms since 1970), `overwrite` whatever has happened since."""

    at_ms: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    new_warehouses: bool = False
    adds_up: bool = False


async def import_stock(
    file: Path,
    data_dir: Path,
    *,
    open_operations: OpenOperations,
    options: Options | None = None,
    how: How | None = None,
) -> int:
    """Import `file` (columns sku, warehouse, quantity and maybe buffer) and print what was done.

    `open_operations(redis_url, database_url)` reaches both stores. Returns the exit code: 0, 3 when
    lines were bad, 1 when none was good. SellableError when the file or the service cannot be used.
    """
    options, how = options or Options(), how or How()
    service = find_service(data_dir, "redis", "database")
    with opened(file) as raw, closing(StockRows()) as kept:
        with meter("reading", size_of(raw), "bytes") as display:
            sheet = sheet_of(options)
            rows = FileRows(
                file, raw, sheet, options, meter=display, on_bad=lambda bad: kept.note_bad(bad.known)
            )
            kept.add_all(rows)
            kept.settle(rows.refuse, display.note, options.ways, adds_up=how.adds_up)
        async with open_operations(service.redis, service.database) as operations:
            await _settle_warehouses(operations.codes.warehouses, kept, rows, how)
            with meter("importing", kept.count(), "rows") as display:
                job = _Job(how, rows, display)
                await job.run(kept.chunks(CHUNK_ROWS), operations.openings)
                job.finish()
    if rows.bad == 0:
        return 0
    return 3 if job.rows else 1


async def _settle_warehouses(listed: Warehouses, kept: StockRows, file: FileRows[StockRow], how: How) -> None:
    """List the warehouses that this file may bring into being, and take no row of the others, or of closed ones."""
    named = kept.warehouses()
    new, unknown = await listed.new_in_import(named, demo_skus=catalogue.skus())
    if how.new_warehouses:
        for one in unknown:
            if one.near:
                say(f"warehouse {shown(one.code)} is new, and looks like {_either(one.near)}")
        new, unknown = [*new, *(one.code for one in unknown)], ()
    for one in unknown:
        near = f"; did you mean {_either(one.near)}?" if one.near else ""
        kept.refuse_warehouses([one.code], file.refuse, f"is not known{near} (--new-warehouses makes it one)")
    kept.refuse_warehouses(await listed.closed_among(named), file.refuse, "is closed")
    if new and not how.dry_run:
        await listed.add(new)


def _either(codes: Sequence[str]) -> str:
    return " or ".join(map(shown, codes))


class _Job:
    """Books the rows of one file, or says what booking them would change."""

    def __init__(self, how: How, file: FileRows[StockRow], display: Meter) -> None:
        self._how = how
        self._file = file
        self._display = display
        self._shown = Complaints("changes")
        self.rows = self.changed = 0

    async def run(self, chunks: Iterator[list[Numbered]], openings: Openings) -> None:
        """Several bookers take chunks from one iterator: bounded in flight, and read only as fast as booked."""
        bookers = [
            asyncio.create_task(self._book_chunks(chunks, openings)) for _ in range(CHUNKS_IN_FLIGHT_MAX)
        ]
        try:
            await asyncio.gather(*bookers)
        except SellableError as error:
            raise SellableError(
                f"{error}; {self.rows} rows were imported before, and a rerun is safe"
            ) from error
        finally:
            for booker in bookers:
                booker.cancel()
            await asyncio.gather(*bookers, return_exceptions=True)

    def finish(self) -> None:
        """Say what was done, or would be."""
        self._file.finish()
        self._shown.finish(print)
        done = "would import" if self._how.dry_run else "imported"
        print(f"{done} {self.rows} rows ({self.changed} changed), {self._file.bad} bad lines")

    async def _book_chunks(self, chunks: Iterator[list[Numbered]], openings: Openings) -> None:
        for chunk in chunks:
            done = await self._repeated(chunk, openings)
            self.changed += done.changed
            self.rows += len(chunk) - len(done.refused)
            lines = {(row.sku, row.warehouse): line for line, row in chunk}
            for change in done.refused:
                row = change.row
                reason = f"{row.sku} {row.warehouse} {change.before} -> {row.on_hand} {change.refusal}"
                self._file.refuse(lines[row.sku, row.warehouse], f"{reason}{self._advice()}")
            self._display.update(self.rows)

    def _advice(self) -> str:
        if self._how.at_ms is None:
            return " (--as-of T takes it as counted at a time, --overwrite sets it whatever has happened)"
        return ""

    async def _repeated(self, chunk: list[Numbered], openings: Openings) -> Set:
        """Book one chunk. Repeating one whose outcome is unknown is safe."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + RETRY_SECONDS
        while True:
            try:
                return await self._book([row for _, row in chunk], openings)
            except (UnavailableError, NotReadyError, OutcomeUnknownError):
                if loop.time() + RETRY_PAUSE_SECONDS > give_up_at:
                    raise
            await asyncio.sleep(RETRY_PAUSE_SECONDS)

    async def _book(self, rows: list[OpeningRow], openings: Openings) -> Set:
        how = self._how
        if how.dry_run:
            return self._previewed(await openings.preview(rows, at_ms=how.at_ms, absolute=how.overwrite))
        if how.at_ms is not None:
            return await openings.book_counted(rows, how.at_ms, who=WHO)
        if how.overwrite:
            return Set(await openings.book(rows, who=WHO), ())
        return await openings.book_unmoved(rows, who=WHO)

    def _previewed(self, changes: Sequence[Change]) -> Set:
        made = [change for change in changes if not change.refusal]
        for change in made:
            row, before = change.row, "new" if change.before is None else change.before
            buffer = f", buffer {change.buffer} -> {row.buffer}" if change.changes_buffer else ""
            self._shown.add(f"{row.sku} {row.warehouse} {before} -> {change.after}{buffer}", print)
        return Set(len(made), [change for change in changes if change.refusal])
