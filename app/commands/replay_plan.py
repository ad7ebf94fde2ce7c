"""What a replay will send: the rows of a file, gathered into documents, in the order in which they began.

Rows of one order_id need not stand together, and a file may have a million of them: they wait in a temporary
SQLite file, so memory stays flat.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.commands.csv_rows import BadLineError, Record, quantity, signed_quantity
from app.domain.codes import check_sku, check_warehouse, shown

REQUIRED = ("order_id", "sku", "quantity", "occurred_at")
OPTIONAL = ("warehouse", "kind", "reason")
# A lock takes 2,000 lines; the others are bounded by the size of a request, and 10,000 lines stay below it.
ORDER_LINES_MAX = 2_000
DOCUMENT_LINES_MAX = 10_000
NO_REASON = "no reason given"
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_TABLES = """
    CREATE TABLE document (id INTEGER PRIMARY KEY, order_id TEXT, kind TEXT, at REAL, size INTEGER,
                           UNIQUE (order_id, kind));
    CREATE TABLE line (document INTEGER, number INTEGER, sku TEXT, quantity INTEGER, warehouse TEXT,
                       reason TEXT, PRIMARY KEY (document, number)) WITHOUT ROWID;
"""


class Kind(StrEnum):
    """What a document is about."""

    ORDER = "order"
    RETURN = "return"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True)
class Line:
    """One row: `quantity` in units, signed in adjustments; `warehouse` empty where the file names none."""

    sku: str
    quantity: int
    warehouse: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line, the document it belongs to, and when it happened (`at`, in seconds since 1970)."""

    number: int
    order_id: str
    kind: Kind
    at: float
    line: Line


@dataclass(frozen=True, slots=True)
class Document:
    """All rows of one order_id and kind, in file order; `at` is the first row's, in seconds since 1970.

    `size` counts them. `lines` is empty when there are more than one request can carry.
    """

    order_id: str
    kind: Kind
    at: float
    size: int
    lines: tuple[Line, ...]


class Plan:
    """The documents to send, on disk."""

    def __init__(self) -> None:
        # An empty name is SQLite's own temporary file, gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self.rows: Counter[Kind] = Counter()

    def add_all(self, rows: Iterable[Row]) -> None:
        """Take every row of a file."""
        for row in rows:
            self._add(row)

    def count_documents(self) -> int:
        """How many documents the rows make."""
        return int(self._database.execute("SELECT count(*) FROM document").fetchone()[0])

    def documents(self) -> Iterator[Document]:
        """Each document, in the order of its first row."""
        query = "SELECT id, order_id, kind, at, size FROM document ORDER BY id"
        for key, order_id, kind, at, size in self._database.execute(query):
            lines_max = ORDER_LINES_MAX if kind == Kind.ORDER else DOCUMENT_LINES_MAX
            lines = self._lines(key) if size <= lines_max else ()
            yield Document(order_id=order_id, kind=Kind(kind), at=at, size=size, lines=lines)

    def close(self) -> None:
        """Throw the file away."""
        self._database.close()

    def _add(self, row: Row) -> None:
        self.rows[row.kind] += 1
        key = self._database.execute(
            "INSERT INTO document (order_id, kind, at, size) VALUES (?, ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET size = size + 1 RETURNING id",
            (row.order_id, row.kind.value, row.at),
        ).fetchone()[0]
        line = row.line
        self._database.execute(
            "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?)",
            (key, row.number, line.sku, line.quantity, line.warehouse, line.reason),
        )

    def _lines(self, key: int) -> tuple[Line, ...]:
        query = "SELECT sku, quantity, warehouse, reason FROM line WHERE document = ? ORDER BY number"
        return tuple(Line(*values) for values in self._database.execute(query, (key,)))


def parse_row(record: Record) -> Row:
    """The row that a record holds; ValueError when it holds none."""
    values = record.values
    kind = _kind(values["kind"])
    units = values["quantity"]
    line = Line(
        sku=check_sku(values["sku"]),
        quantity=signed_quantity(units) if kind is Kind.ADJUSTMENT else quantity(units, least=1),
        warehouse=check_warehouse(values["warehouse"]) if values["warehouse"] else "",
        reason=values["reason"].strip() or NO_REASON,
    )
    order_id, at = _order_id(values["order_id"]), _seconds(values["occurred_at"])
    return Row(number=record.line, order_id=order_id, kind=kind, at=at, line=line)


def _kind(text: str) -> Kind:
    if not text:
        return Kind.ORDER
    try:
        return Kind(text)
    except ValueError:
        raise BadLineError(f"kind {shown(text)} is none of {', '.join(Kind)}") from None


def _order_id(text: str) -> str:
    if not text:
        raise BadLineError("order_id is empty")
    # It becomes part of a path, where these would mean another one.
    if text != text.strip() or not text.isprintable() or text in {".", ".."}:
        raise BadLineError(f"order_id {shown(text)} cannot be an id")
    return text


def _seconds(text: str) -> float:
    try:
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass  # a day or an hour that does not exist
    raise BadLineError(f"occurred_at {shown(text)} is not a time such as 2025-01-31T08:30:00Z")
