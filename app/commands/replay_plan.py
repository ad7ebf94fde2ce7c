"""What a replay will send: the rows of a file, gathered into documents, in the order in which they began.

Rows of one order_id need not stand together, and a file may have a million of them: they wait in a temporary
SQLite file, so memory stays flat.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app.domain.codes import shown
from app.domain.words import QUANTITY_MAX
from app.files.codes import code_reader, sku_reader, warehouse_reader
from app.files.moments import seconds_of
from app.files.numbers import Whole
from app.files.options import Options, Preset
from app.files.reader import BadLine, Column, Sheet

COLUMNS = ("order_id", "sku", "quantity", "occurred_at", "warehouse", "kind", "reason")
# A lock takes 2,000 lines; the others are bounded by the size of a request, and 10,000 lines stay below it.
ORDER_LINES_MAX = 2_000
DOCUMENT_LINES_MAX = 10_000
NO_REASON = "no reason given"
_TABLES = """
    CREATE TABLE document (id INTEGER PRIMARY KEY, order_id TEXT, kind TEXT, first INTEGER, at REAL, size INTEGER,
                           left_out TEXT, UNIQUE (order_id, kind));
    CREATE TABLE left_out (order_id TEXT PRIMARY KEY, why TEXT) WITHOUT ROWID;
    CREATE TABLE bad (order_id TEXT, kind TEXT, number INTEGER);
    CREATE TABLE line (document INTEGER, number INTEGER, sku TEXT, quantity INTEGER, warehouse TEXT,
                       reason TEXT, PRIMARY KEY (document, number)) WITHOUT ROWID;
"""


_ADD = """
    INSERT INTO document (order_id, kind, first, at, size) VALUES (?, ?, ?, ?, 1)
    ON CONFLICT DO UPDATE SET size = size + 1, first = min(first, excluded.first),
        at = CASE WHEN excluded.first < first THEN excluded.at ELSE at END
    RETURNING id
"""
# The bad line of a document is any that names its order, unless that says to be of another kind.
_DOCUMENTS = """
    SELECT id, order_id, kind, first, at, size,
        (SELECT min(number) FROM bad WHERE bad.order_id = document.order_id
            AND (bad.kind IS NULL OR bad.kind = document.kind)) AS bad_line
    FROM document WHERE left_out IS NULL ORDER BY first
"""
_LEAVE_OUT = """
    UPDATE document SET left_out = (SELECT why FROM left_out WHERE left_out.order_id = document.order_id)
    WHERE kind = 'order'
"""
_LEFT_OUT = (
    "SELECT order_id, kind, first, at, size, left_out FROM document WHERE left_out IS NOT NULL ORDER BY first"
)


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
    """A line, the document it belongs to, and when it happened (`at`, in seconds since 1970).

    `left_out` is '' unless the row says that its order must not be sent: then it is why.
    """

    number: int
    order_id: str
    kind: Kind
    at: float
    line: Line
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """All rows of one order_id and kind, in file order; `first` is the first row's line, `at` its time.

    `size` counts them. `lines` is empty when there are more than one request can carry. `bad_line`: a line of the
    document that could not be read, so that the others are not all of it; None if there is none. `left_out`: why it
    is not sent, if it is not.
    """

    order_id: str
    kind: Kind
    first: int
    at: float
    size: int
    lines: tuple[Line, ...] = ()
    bad_line: int | None = None
    left_out: str = ""


class Order:
    """In which order of time the rows of a file are."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._earlier = self._later = 0

    def note(self, at: float) -> None:
        """The next row is of this time."""
        if self._last is not None:
            self._earlier += at < self._last
            self._later += at > self._last
        self._last = at

    @property
    def is_newest_first(self) -> bool:
        """Whether time runs backwards in it, but for a few rows."""
        return self._earlier > 2 * self._later


class Plan:
    """The documents to send, on disk."""

    def __init__(self, preset: Preset | None = None) -> None:
        self._preset = preset
        # An empty name is SQLite's own temporary file, gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self._last: Row | None = None
        self.rows: Counter[Kind] = Counter()
        self.rows_left_out: Counter[str] = Counter()
        self.order = Order()

    def add_all(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Take every row of a file."""
        for _, row in rows:
            self._add(row)
        self._database.execute(_LEAVE_OUT)
        for document in self.left_out():
            self.rows[document.kind] -= document.size
            self.rows_left_out[document.left_out] += document.size
        self._database.execute("CREATE INDEX bad_order ON bad (order_id)")

    def note_bad(self, line: BadLine) -> None:
        """Remember what a bad line is about: the document would lack it."""
        self.note_left_out(line.known)
        order_id, kind = line.known.get("order_id"), None
        if order_id is None and line.is_cut and self._last:
            order_id = self._last.order_id  # most files have the rows of an order together
        elif "kind" in line.known:
            kind = line.known["kind"] or Kind.ORDER
        if order_id is not None:
            self._database.execute("INSERT INTO bad VALUES (?, ?, ?)", (order_id, kind, line.line))

    def note_left_out(self, known: Mapping[str, Any]) -> None:
        """A row that is none of the plan's may say all the same that its order is not to be sent."""
        order_id = known.get("order_id")
        if order_id is not None and self._preset and (why := self._preset.why_left_out(known)):
            self._leave_out(order_id, why)

    def left_out(self) -> Iterator[Document]:
        """Each order that is not to be sent, without its lines."""
        for order_id, kind, first, at, size, why in self._database.execute(_LEFT_OUT):
            yield Document(order_id, Kind(kind), first, at, size, left_out=why)

    def count_documents(self) -> int:
        """How many documents are to be sent."""
        query = "SELECT count(*) FROM document WHERE left_out IS NULL"
        return int(self._database.execute(query).fetchone()[0])

    def documents(self) -> Iterator[Document]:
        """Each document, in the order of its first row."""
        for key, order_id, kind, first, at, size, bad_line in self._database.execute(_DOCUMENTS):
            lines_max = ORDER_LINES_MAX if kind == Kind.ORDER else DOCUMENT_LINES_MAX
            lines = self._lines(key) if size <= lines_max else ()
            yield Document(
                order_id=order_id,
                kind=Kind(kind),
                first=first,
                at=at,
                size=size,
                lines=lines,
                bad_line=bad_line,
            )

    def close(self) -> None:
        """Throw the file away."""
        self._database.close()

    def _add(self, row: Row) -> None:
        self.rows[row.kind] += 1
        self.order.note(row.at)
        self._last = row
        if row.left_out:
            self._leave_out(row.order_id, row.left_out)
        key = self._database.execute(_ADD, (row.order_id, row.kind.value, row.number, row.at)).fetchone()[0]
        line = row.line
        self._database.execute(
            "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?)",
            (key, row.number, line.sku, line.quantity, line.warehouse, line.reason),
        )

    def _leave_out(self, order_id: str, why: str) -> None:
        self._database.execute("INSERT OR IGNORE INTO left_out VALUES (?, ?)", (order_id, why))

    def _lines(self, key: int) -> tuple[Line, ...]:
        query = "SELECT sku, quantity, warehouse, reason FROM line WHERE document = ? ORDER BY number"
        return tuple(Line(*values) for values in self._database.execute(query, (key,)))


def sheet_of(options: Options, on_left_out: Callable[[Mapping[str, Any]], None]) -> Sheet[Row]:
    """What a file of orders, returns and adjustments holds; `on_left_out` is that of `Sheet`."""
    preset = options.preset
    names = preset.order_columns() if preset else ()

    def build(number: int, values: list[Any]) -> Row:
        row = _row(number, values[: len(COLUMNS)])
        why = preset.why_left_out(dict(zip(names, values[len(COLUMNS) :], strict=True))) if preset else ""
        return replace(row, left_out=why) if why else row

    return Sheet(
        (
            Column("order_id", code_reader(_order_id, options)),
            Column("sku", sku_reader(options)),
            Column("quantity", Whole(signed=True)),
            Column("occurred_at", seconds_of),
            Column("warehouse", warehouse_reader(options), required=False),
            Column("kind", _kind, required=False),
            Column("reason", str.strip, required=False),
            *(Column(name, str.strip, required=False) for name in names),
        ),
        build if names else _row,
        on_left_out=on_left_out,
    )


def _row(number: int, values: list[Any]) -> Row:
    """The row that a line's fields make; ValueError if its quantity is none of its kind."""
    order_id, sku, units, at, warehouse, kind, reason = values
    kind = kind or Kind.ORDER
    if units == 0 or (units < 0 and kind is not Kind.ADJUSTMENT):
        sign = ", with either sign" if kind is Kind.ADJUSTMENT else ""
        raise ValueError(f"quantity {shown(str(units))} is not between 1 and {QUANTITY_MAX:,}{sign}")
    line = Line(sku=sku, quantity=units, warehouse=warehouse or "", reason=reason or NO_REASON)
    return Row(number=number, order_id=order_id, kind=kind, at=at, line=line)


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        raise ValueError(f"is none of {', '.join(Kind)}") from None


def _order_id(text: str) -> str:
    # It becomes part of a path, where these would mean another one.
    if text != text.strip() or not text.isprintable() or text in {".", ".."}:
        raise ValueError("cannot be an id")
    return text
