"""A snapshot of a warehouse on its way in: checked line by line, kept on disk, so that memory stays flat.

Nothing reaches the ledger before the snapshot was read to its end and found whole.
"""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from typing import IO, NamedTuple, Self

from app.domain.codes import PLAIN_DIGITS, check_sku, check_warehouse, shown
from app.domain.words import QUANTITY_MAX

SNAPSHOT_BYTES_MAX = 256 * 1_048_576
ERRORS_MAX = 100
"""How many wrong lines are named; reading ends with the last of them."""
BUFFER_ROWS = 2_000


class SnapshotError(ValueError):
    """A snapshot that cannot be used: (field, message) each. `code` is the problem's."""

    def __init__(self, *errors: tuple[str, str], code: str = "invalid_request") -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors[:3]))
        self.errors = errors
        self.code = code


class Asked(NamedTuple):
    """What is said about a snapshot: `as_of` in ms since 1970, `rows` how many lines it must have, if told."""

    warehouse: str
    as_of: int
    rows: int | None = None


class Spool:
    """The lines of one snapshot, as COPY reads them, in a temporary file. A context manager."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="sellable-snapshot-")  # noqa: SIM115 - closed by __exit__
        self._digest = hashlib.sha256()
        self._buffer: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.lines = 0
        self.counts_damaged = False
        self.whole = False
        self.place = "line {}"

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
        if damaged is None:
            self._buffer.append(f"{number}\t{sku}\t{on_hand}\t\\N\n")
        else:
            self.counts_damaged = True
            self._buffer.append(f"{number}\t{sku}\t{on_hand}\t{damaged}\n")
        if len(self._buffer) >= BUFFER_ROWS:
            self._flush()

    def complain(self, field: str, message: str) -> None:
        """Note what is wrong with a line; raise `SnapshotError` when that is enough."""
        self.errors.append((field, message))
        if len(self.errors) >= ERRORS_MAX:
            raise SnapshotError(*self.errors)

    def finish(self, rows: int | None) -> None:
        """End reading; raise `SnapshotError` for what was wrong, or if lines are missing."""
        self._flush()
        if self.errors:
            raise SnapshotError(*self.errors)
        if rows is not None and rows != self.lines:
            raise cut_off(f"it should have {rows} lines and has {self.lines}")
        if not self.lines:
            raise SnapshotError(("counts", "has no lines"))
        self.whole = self.whole or rows is not None

    def rewound(self) -> IO[bytes]:
        """Return the file, to be read from its beginning."""
        self._file.seek(0)
        return self._file

    def _flush(self) -> None:
        data = "".join(self._buffer).encode()
        self._buffer.clear()
        self._digest.update(data)
        self._file.write(data)


def cut_off(message: str) -> SnapshotError:
    """Return the error of a snapshot that is not whole."""
    return SnapshotError(("body", message), code="snapshot_incomplete")


def wrong_warehouse(field: str, given: str, wanted: str) -> SnapshotError:
    """Return the error of a snapshot that says itself that it is of another warehouse."""
    return SnapshotError(
        (field, f"is of the warehouse {shown(given)}, not of {shown(wanted)}"), code="wrong_warehouse"
    )


def units(text: str, noun: str) -> int:
    """Return a count written in plain digits, 0 to 1,000,000,000, or raise `ValueError` that says what it is."""
    if PLAIN_DIGITS.fullmatch(text):
        return bounded(int(text), noun)
    if re.fullmatch(r"-[0-9]+(\.[0-9]*)?", text):
        raise ValueError(f"{noun} {shown(text)} must not be negative")
    raise ValueError(f"{noun} {shown(text)} is not a whole number in plain digits")


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


def columns_wrong(header: Sequence[str]) -> str:
    """Return what is wrong with a header, or ''."""
    known = {"sku", "on_hand", "damaged", "warehouse"}
    for column in ("sku", "on_hand"):
        if column not in header:
            return f"the first line must name the columns sku, on_hand and maybe damaged: {column} is missing"
    for column in header:
        if column not in known:
            return f"the column {shown(column)} is not known"
    return "a column is named twice" if len(set(header)) < len(header) else ""
