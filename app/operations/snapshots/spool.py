"""A snapshot of a warehouse on its way in: checked line by line, kept on disk, so that memory stays flat.

Nothing reaches the ledger before the snapshot was read to its end and found whole.
"""

import hashlib
import tempfile
from typing import IO, NamedTuple, Self

from app.domain.codes import check_sku, check_warehouse, shown
from app.domain.words import QUANTITY_MAX

SNAPSHOT_BYTES_MAX = 256 * 1_048_576
ERRORS_MAX = 100
"""How many wrong lines are named."""
BUFFER_ROWS = 2_000
NOT_COUNTED = -1
"""Stands for a count that could not be read: its SKU is not compared."""


class SnapshotError(ValueError):
    """A snapshot that cannot be used: (field, message) each. `code` is the problem's."""

    def __init__(self, *errors: tuple[str, str], code: str = "invalid_request") -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors[:3]))
        self.errors = errors
        self.code = code


class Asked(NamedTuple):
    """What is said about a snapshot: `as_of` in ms since 1970, `rows` how many lines it must have, if told.

    `is_partial`: it says nothing about what it does not name. `adds_up`: a SKU has what its lines have together.
    """

    warehouse: str
    as_of: int
    rows: int | None = None
    is_partial: bool = False
    adds_up: bool = False


class Spool:
    """The lines of one snapshot, as COPY reads them, in a temporary file. A context manager."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="sellable-snapshot-")  # noqa: SIM115 - closed by __exit__
        self._digest = hashlib.sha256()
        self._buffer: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.lines = 0
        self.lines_bad = 0
        self.counts_damaged = False
        self.whole = False
        self.place = "line {}"
        self.takes_lines = True
        """Whether lines that can be read are taken if others cannot; else it is all of it or nothing."""
        self.how_to_add_up = ""
        self._good = 0
        self._has_unnamed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits of what was counted, in order; how it was written does not matter."""
        return self._digest.hexdigest()[:16]

    def place_of(self, number: int) -> str:
        """Return the words for where a line stands."""
        return self.place.format(number)

    def add(self, number: int, sku: str, on_hand: int, damaged: int | None) -> None:
        """Keep one line; `number` is where it stands in the file, for complaints about it later."""
        self.lines += 1
        self._good += 1
        if damaged is None:
            self._buffer.append(f"{number}\t{sku}\t{on_hand}\t\\N\n")
        else:
            self.counts_damaged = True
            self._buffer.append(f"{number}\t{sku}\t{on_hand}\t{damaged}\n")
        if len(self._buffer) >= BUFFER_ROWS:
            self._flush()

    def skip(self, number: int, message: str, sku: str | None) -> None:
        """Name a line that cannot be read: the SKU that it is about, if that is known, is not compared."""
        self.lines_bad += 1
        if len(self.errors) < ERRORS_MAX:
            self.errors.append((self.place_of(number), message))
        if sku is None:
            self._has_unnamed = True
            return
        self.lines += 1
        self._buffer.append(f"{number}\t{sku}\t{NOT_COUNTED}\t\\N\n")
        if len(self._buffer) >= BUFFER_ROWS:
            self._flush()

    def complain(self, field: str, message: str) -> None:
        """Note what makes the whole snapshot useless; raise `SnapshotError` when that is enough."""
        self.errors.append((field, message))
        if len(self.errors) >= ERRORS_MAX:
            raise SnapshotError(*self.errors)

    def finish(self, asked: Asked) -> None:
        """End reading; raise `SnapshotError` if nothing can be compared, or lines are missing."""
        self._flush()
        if self.errors and not (self.lines_bad and self._good):
            raise SnapshotError(*self.errors)
        # Those that have no SKU are lines of the file, too.
        unnamed = self.lines_bad - (self.lines - self._good)
        if asked.rows is not None and asked.rows != self.lines + unnamed:
            raise cut_off(f"it should have {asked.rows} lines and has {self.lines + unnamed}")
        if not self.lines:
            raise SnapshotError(("counts", "; ".join(["has no lines", *self.notes])))
        self._digest.update(
            f"{asked.is_partial} {asked.adds_up}".encode() if asked.is_partial or asked.adds_up else b""
        )
        # What an unnamed line is about would be taken for missing.
        self.whole = (self.whole or asked.rows is not None) and not self._has_unnamed

    def rewound(self) -> IO[bytes]:
        """Return the file, to be read from its beginning."""
        self._file.seek(0)
        return self._file

    def _flush(self) -> None:
        data = "".join(self._buffer).encode()
        self._buffer.clear()
        self._digest.update(data)
        self._file.write(data)


class Ending:
    """What a snapshot's last line says: how many lines were written before it."""

    def __init__(self, spool: Spool, asked: Asked) -> None:
        self._spool = spool
        self._is_there = False
        self.asked = asked

    def note(self, rows: int) -> None:
        """It has come."""
        if self.asked.rows is not None and rows != self.asked.rows:
            raise cut_off(f"its last line says {rows} lines, the request {self.asked.rows}")
        self.asked = self.asked._replace(rows=rows)
        self._is_there = self._spool.whole = True

    def check(self, line: int) -> None:
        """Raise `SnapshotError` if a line comes after it."""
        if self._is_there:
            raise SnapshotError((f"line {line}", "comes after the last line"))


def cut_off(message: str) -> SnapshotError:
    """Return the error of a snapshot that is not whole."""
    return SnapshotError(("body", message), code="snapshot_incomplete")


def wrong_warehouse(field: str, given: str, wanted: str) -> SnapshotError:
    """Return the error of a snapshot that says itself that it is of another warehouse."""
    return SnapshotError(
        (field, f"is of the warehouse {shown(given)}, not of {shown(wanted)}"), code="wrong_warehouse"
    )


def bounded(count: int, noun: str) -> int:
    """Return a count, or raise `ValueError` beyond 0 to 1,000,000,000."""
    if count < 0:
        raise ValueError(f"{noun} {count} must not be negative")
    if count > QUANTITY_MAX:
        raise ValueError(f"{noun} {shown(str(count))} is above {QUANTITY_MAX:,}")
    return count


def sku_of(text: str) -> str:
    """Return the SKU, or raise `ValueError`."""
    try:
        return check_sku(text)
    except ValueError as error:
        raise ValueError(f"sku {shown(text)} {error}") from None


def warehouse_of(text: str) -> str:
    """Return the warehouse's code, or raise `ValueError`."""
    return check_warehouse(text)
