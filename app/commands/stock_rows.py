"""The rows of a stock file on disk, until all of them are known: memory stays flat, and no line counts twice."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from app.domain.codes import shown
from app.domain.commands import OpeningRow
from app.domain.words import QUANTITY_MAX
from app.files.codes import sku_reader, warehouse_reader
from app.files.numbers import Whole
from app.files.options import Options, Ways
from app.files.reader import Column, Sheet

COLUMNS = ("sku", "warehouse", "quantity", "buffer")
BATCH_ROWS = 1_000
_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE row (line INTEGER PRIMARY KEY, sku TEXT, warehouse TEXT, on_hand INTEGER, buffer INTEGER, fold TEXT);
    CREATE TABLE bad (sku TEXT, warehouse TEXT);
"""
_TWINS = """
    CREATE TABLE twin AS SELECT fold FROM row GROUP BY fold
    HAVING count(*) > count(DISTINCT warehouse) OR min(sku) <> max(sku)
"""
# Each shelf that has several rows.
_SHELVES = """
    CREATE TABLE shelf AS
    SELECT sku, warehouse, min(fold) AS fold, min(line) AS first, max(line) AS last, sum(on_hand) AS on_hand,
        min(buffer) AS buffer, min(buffer) IS NOT max(buffer) AS differs
    FROM row WHERE fold IN (SELECT fold FROM twin) GROUP BY sku, warehouse HAVING count(*) > 1
"""
_ROWS_OF_SHELVES = """
    SELECT row.line, row.sku, row.warehouse, shelf.first, shelf.last
    FROM row JOIN shelf USING (sku, warehouse) ORDER BY row.line
"""
_DROP_ROWS_OF_SHELVES = "DELETE FROM row WHERE (sku, warehouse) IN (SELECT sku, warehouse FROM shelf)"
_CASES = """
    SELECT min(line), max(line), min(sku), max(sku) FROM row WHERE fold IN (SELECT fold FROM twin)
    GROUP BY fold HAVING min(sku) <> max(sku) ORDER BY 1
"""

StockRow = tuple[str, str, int, int | None]
"""sku, warehouse, on_hand and buffer."""
Refuse = Callable[[int, str], None]
"""Is told the line of a row that is not taken, and why."""


def sheet_of(options: Options) -> Sheet[StockRow]:
    """What a file of stock holds."""
    return Sheet(
        (
            Column("sku", sku_reader(options)),
            Column("warehouse", warehouse_reader(options)),
            Column("quantity", Whole()),
            Column("buffer", Whole(), required=False),
        ),
        lambda _line, values: (values[0], values[1], values[2], values[3]),
    )


class StockRows:
    """The good rows of a file; a context for one import."""

    def __init__(self) -> None:
        # An empty name is SQLite's own temporary file, gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")

    def add_all(self, rows: Iterable[tuple[int, StockRow]]) -> None:
        """Keep every row."""
        flat = ((line, *row, row[0].casefold()) for line, row in rows)
        while batch := list(islice(flat, BATCH_ROWS)):
            self._database.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?)", batch)

    def note_bad(self, known: Mapping[str, Any]) -> None:
        """Remember what a bad line is about: a sum that may lack it is no sum."""
        if sku := known.get("sku"):
            self._database.execute("INSERT INTO bad VALUES (?, ?)", (sku, known.get("warehouse")))

    def settle(self, refuse: Refuse, warn: Callable[[str], None], ways: Ways, *, adds_up: bool) -> None:
        """Take rows of one SKU and warehouse as their sum, or none of them."""
        self._database.execute(_TWINS)
        if adds_up:
            self._refuse_bad_sums(refuse)
        if self._database.execute("SELECT 1 FROM twin LIMIT 1").fetchone():
            self._database.execute(_SHELVES)
            self._add_up(refuse) if adds_up else self._refuse_all(refuse, ways)
            self._warn(warn)

    def warehouses(self) -> list[str]:
        """The warehouses that the rows name."""
        return [code for (code,) in self._database.execute("SELECT DISTINCT warehouse FROM row ORDER BY 1")]

    def refuse_warehouses(self, codes: Iterable[str], refuse: Refuse, reason: str) -> None:
        """Take no row of these warehouses."""
        for code in codes:
            for (line,) in self._database.execute(
                "SELECT line FROM row WHERE warehouse = ? ORDER BY line", (code,)
            ):
                refuse(line, f"warehouse {shown(code)} {reason}")
            self._database.execute("DELETE FROM row WHERE warehouse = ?", (code,))

    def count(self) -> int:
        """How many rows are left."""
        return int(self._database.execute("SELECT count(*) FROM row").fetchone()[0])

    def chunks(self, rows_max: int) -> Iterator[list[tuple[int, OpeningRow]]]:
        """The rows that are left, in the order of the file, with their lines."""
        found = self._database.execute("SELECT line, sku, warehouse, on_hand, buffer FROM row ORDER BY line")
        while chunk := found.fetchmany(rows_max):
            yield [(line, OpeningRow(*row)) for line, *row in chunk]

    def close(self) -> None:
        """Throw the file away."""
        self._database.close()

    def _refuse_all(self, refuse: Refuse, ways: Ways) -> None:
        for line, sku, warehouse, first, last in self._database.execute(_ROWS_OF_SHELVES):
            other = last if line == first else first
            refuse(
                line,
                f"{shown(sku)} in {shown(warehouse)} is in line {other} as well: neither is taken"
                f" ({ways.sum} adds them up)",
            )
        self._database.execute(_DROP_ROWS_OF_SHELVES)

    def _refuse_bad_sums(self, refuse: Refuse) -> None:
        """A sum that lacks a line is too small: take none of it."""
        missing = "FROM row WHERE EXISTS (SELECT 1 FROM bad WHERE bad.sku = row.sku AND bad.warehouse IS row.warehouse)"
        anywhere = "OR row.sku IN (SELECT sku FROM bad WHERE warehouse IS NULL)"
        for line, sku, warehouse in self._database.execute(
            f"SELECT line, sku, warehouse {missing} {anywhere} ORDER BY line"
        ):
            refuse(line, f"{shown(sku)} in {shown(warehouse)} is not added up, for another line of it is bad")
        self._database.execute(f"DELETE {missing} {anywhere}")

    def _add_up(self, refuse: Refuse) -> None:
        found = list(
            self._database.execute(
                "SELECT sku, warehouse, first, last, on_hand, differs FROM shelf WHERE differs OR on_hand > ?",
                (QUANTITY_MAX,),
            )
        )
        for sku, warehouse, first, last, on_hand, differs in found:
            why = (
                "have different buffers"
                if differs
                else f"add up to {on_hand:,}, which is above {QUANTITY_MAX:,}"
            )
            refuse(
                first, f"the lines of {shown(sku)} in {shown(warehouse)}, the last of them line {last}, {why}"
            )
        self._database.execute(_DROP_ROWS_OF_SHELVES)
        self._database.execute(
            "INSERT INTO row SELECT first, sku, warehouse, on_hand, buffer, fold FROM shelf"
            " WHERE NOT differs AND on_hand <= ?",
            (QUANTITY_MAX,),
        )

    def _warn(self, warn: Callable[[str], None]) -> None:
        for first, last, one, other in self._database.execute(_CASES):
            warn(f"lines {first} and {last}: {shown(one)} and {shown(other)} differ in case only")
