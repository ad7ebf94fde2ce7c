"""`sellable import-stock`: sets what is on hand, absolutely, from a CSV file; a rerun changes nothing."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, closing
from itertools import islice
from pathlib import Path
from typing import Protocol

from app.commands.csv_rows import BadLineError, Record, Rows, open_csv, quantity
from app.commands.progress import meter
from app.commands.service import find_service
from app.domain.codes import check_sku, check_warehouse, shown
from app.errors import NotReadyError, OutcomeUnknownError, SellableError, UnavailableError
from app.operations.openings import OpeningRow

CHUNK_ROWS = 500
CHUNKS_IN_FLIGHT_MAX = 4
RETRY_SECONDS = 60.0
RETRY_PAUSE_SECONDS = 0.5


class Openings(Protocol):
    """What books opening stock."""

    async def book(self, rows: Sequence[OpeningRow]) -> int:
        """Set every row, all or none; how many of them changed something."""
        ...


class Operations(Protocol):
    """The operations of a service, of which this command needs one."""

    @property
    def openings(self) -> Openings:
        """Opening stock."""
        ...


OpenOperations = Callable[[str, str], AbstractAsyncContextManager[Operations]]


async def import_stock(file: Path, data_dir: Path, *, open_operations: OpenOperations) -> int:
    """Import `file` (columns sku, warehouse, quantity and maybe buffer) and print what was done.

    `open_operations(redis_url, database_url)` reaches both stores. Returns the exit code: 0, 3 when
    lines were bad, 1 when none was good. SellableError when the file or the service cannot be used.
    """
    service = find_service(data_dir, "redis", "database")
    with (
        open_csv(file, required=("sku", "warehouse", "quantity"), optional=("buffer",)) as source,
        closing(SeenKeys()) as seen,
        meter("importing", source.bytes_total, "bytes") as display,
    ):
        rows = Rows(source, lambda record: _parse(record, seen), meter=display)
        booked = Booked()
        async with open_operations(service.redis, service.database) as operations:
            await _book_all(rows, operations.openings, booked)
    print(f"imported {booked.rows} rows ({booked.changed} changed), {rows.bad} bad lines")
    if rows.bad == 0:
        return 0
    return 3 if booked.rows else 1


class SeenKeys:
    """Which (sku, warehouse) pairs came already, and in which line. On disk: memory stays flat."""

    def __init__(self) -> None:
        # An empty name is SQLite's own temporary file, gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(
            "CREATE TABLE seen (sku TEXT, warehouse TEXT, line INTEGER,"
            " PRIMARY KEY (sku, warehouse)) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")

    def add(self, sku: str, warehouse: str, line: int) -> None:
        """Remember a pair; BadLineError when an earlier line had it."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (sku, warehouse, line))
        if added.rowcount:
            return
        query = "SELECT line FROM seen WHERE sku = ? AND warehouse = ?"
        earlier = self._database.execute(query, (sku, warehouse)).fetchone()[0]
        raise BadLineError(f"{shown(sku)} in {shown(warehouse)} was given in line {earlier} already")

    def close(self) -> None:
        """Throw the file away."""
        self._database.close()


class Booked:
    """What was booked so far, in rows."""

    def __init__(self) -> None:
        self.rows = 0
        self.changed = 0


def _parse(record: Record, seen: SeenKeys) -> OpeningRow:
    values = record.values
    row = OpeningRow(
        sku=check_sku(values["sku"]),
        warehouse=check_warehouse(values["warehouse"]),
        on_hand=quantity(values["quantity"]),
        buffer=quantity(values["buffer"], "buffer") if values["buffer"] else None,
    )
    seen.add(row.sku, row.warehouse, record.line)
    return row


async def _book_all(rows: Rows[OpeningRow], openings: Openings, booked: Booked) -> None:
    """Several bookers take chunks from one iterator: bounded in flight, and read only as fast as booked."""
    chunks = _chunks(iter(rows))
    bookers = [
        asyncio.create_task(_book_chunks(chunks, openings, booked)) for _ in range(CHUNKS_IN_FLIGHT_MAX)
    ]
    try:
        await asyncio.gather(*bookers)
    except SellableError as error:
        raise SellableError(
            f"{error}; {booked.rows} rows were imported before, and a rerun is safe"
        ) from error
    finally:
        for booker in bookers:
            booker.cancel()
        await asyncio.gather(*bookers, return_exceptions=True)


def _chunks(rows: Iterator[OpeningRow]) -> Iterator[list[OpeningRow]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


async def _book_chunks(chunks: Iterator[list[OpeningRow]], openings: Openings, booked: Booked) -> None:
    for chunk in chunks:
        changed = await _book(chunk, openings)  # before the sum: the other bookers add to it meanwhile
        booked.changed += changed
        booked.rows += len(chunk)


async def _book(chunk: list[OpeningRow], openings: Openings) -> int:
    """Book one chunk. Rows are absolute, so repeating one whose outcome is unknown is safe."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + RETRY_SECONDS
    while True:
        try:
            return await openings.book(chunk)
        except (UnavailableError, NotReadyError, OutcomeUnknownError):
            if loop.time() + RETRY_PAUSE_SECONDS > give_up_at:
                raise
        await asyncio.sleep(RETRY_PAUSE_SECONDS)
