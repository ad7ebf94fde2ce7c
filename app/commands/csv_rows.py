"""CSV files of any length, a row at a time: good rows go on, bad lines are named with number and reason.

UTF-8 with or without a byte order mark, lines ending in LF or CRLF, quoted fields. Nothing is ever repaired:
a code with a blank at its end is a bad line, because the code without it may be another product.
"""

import csv
import io
import os
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from app.commands.progress import Complaints, Meter
from app.domain.codes import PLAIN_DIGITS, shown
from app.domain.words import QUANTITY_MAX
from app.errors import SellableError

RECORD_LINES_MAX = 50
LINE_CHARS_MAX = 100_000
METER_EVERY_ROWS = 256
_SIGNED_DIGITS = re.compile(r"[+-]?[0-9]{1,10}")

T = TypeVar("T")


class CsvFileError(SellableError):
    """The file as a whole cannot be read; the message says why, in one sentence."""


class BadLineError(ValueError):
    """One line cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One data row: the number of its first line (the header is line 1), and its fields by column."""

    line: int
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that is no row, and the reason as the end of a sentence."""

    line: int
    reason: str


class CsvFile:
    """An open CSV file whose header has been read; iterating yields each row, good or bad, once.

    Every column of `required` is in each record's values; those of `optional` are empty where the file
    lacks them.
    """

    def __init__(
        self, raw: io.FileIO, text: TextIO, name: str, *, required: Collection[str], optional: Collection[str]
    ) -> None:
        """`text` decodes what `raw` reads.

        CsvFileError when the file is empty, is not UTF-8, or lacks a required column.
        """
        self.name = name
        self._raw = raw
        self._required = frozenset(required)
        self._records = _records(_Lines(text))
        self._header = self._read_header()
        known = {*required, *optional}
        self._indexes = {column: self._header.index(column) for column in known if column in self._header}
        self._blanks = dict.fromkeys(known, "")
        self.ignored = tuple(column for column in self._header if column not in known)

    @property
    def bytes_total(self) -> int:
        """The size of the file, 0 where it has none (a pipe)."""
        return os.fstat(self._raw.fileno()).st_size

    @property
    def bytes_read(self) -> int:
        """How far reading has come."""
        return self._raw.tell() if self._raw.seekable() else 0

    def __iter__(self) -> Iterator[Record | BadLine]:
        for line, fields in self._records:
            if isinstance(fields, str):
                yield BadLine(line, fields)
            elif fields:
                yield self._row(line, fields)

    def _row(self, line: int, fields: list[str]) -> Record | BadLine:
        if len(fields) > len(self._header):
            return BadLine(line, f"has {len(fields)} fields, but the header names {len(self._header)}")
        values = self._blanks.copy()
        for column, index in self._indexes.items():
            if index < len(fields):
                values[column] = fields[index]
            elif column in self._required:
                return BadLine(line, f"ends before its {column}")
        broken = next((column for column, value in values.items() if not _is_utf8(value)), None)
        return BadLine(line, f"its {broken} is not UTF-8 text") if broken else Record(line, values)

    def _read_header(self) -> list[str]:
        fields = next((fields for _, fields in self._records if fields), None)
        wanted = "the first line must name its columns, among them " + ", ".join(sorted(self._required))
        if fields is None:
            raise CsvFileError(f"{self.name} is empty: {wanted}")
        if isinstance(fields, str):
            raise CsvFileError(f"{self.name} is not a CSV file: its first line {fields}")
        if not all(map(_is_utf8, fields)):
            raise CsvFileError(f"{self.name} is not UTF-8 text: save it as UTF-8 and try again")
        header = [field.strip().lower() for field in fields]
        self._check_header(header, wanted)
        return header

    def _check_header(self, header: list[str], wanted: str) -> None:
        missing = sorted(self._required.difference(header))
        if missing:
            hint = " (fields are separated by commas)" if len(header) == 1 and ";" in header[0] else ""
            raise CsvFileError(f"{self.name} has no column {' and no column '.join(missing)}: {wanted}{hint}")
        twice = next((column for column in header if column and header.count(column) > 1), None)
        if twice:
            raise CsvFileError(f"{self.name} has the column {shown(twice)} twice")


@contextmanager
def open_csv(path: Path, *, required: Collection[str], optional: Collection[str] = ()) -> Iterator[CsvFile]:
    """Open `path` and read its header; CsvFileError when that cannot be done."""
    try:
        raw = io.FileIO(path)
    except OSError as error:
        raise CsvFileError(f"{path} cannot be read: {error.strerror}") from error
    # Bytes that are not UTF-8 become lone surrogates, so that only the lines that hold them are refused.
    buffered = io.BufferedReader(raw)
    with io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield CsvFile(raw, text, path.name, required=required, optional=optional)


class Rows(Generic[T]):
    """The rows of a file as `parse` reads them; iterate once.

    `good` and `bad` count lines, and add up to the data rows so far. `parse` raises ValueError for a row that
    cannot be used.
    """

    def __init__(self, source: CsvFile, parse: Callable[[Record], T], *, meter: Meter) -> None:
        self._source, self._parse, self._meter = source, parse, meter
        self._complaints = Complaints("bad lines")
        self.good = 0

    @property
    def bad(self) -> int:
        """How many lines could not be used so far."""
        return self._complaints.count

    def __iter__(self) -> Iterator[T]:
        if self._source.ignored:
            self._meter.note(f"columns not used: {', '.join(map(shown, self._source.ignored))}")
        for entry in self._source:
            if (self.good + self.bad) % METER_EVERY_ROWS == 0:
                self._meter.update(self._source.bytes_read)
            if isinstance(entry, BadLine):
                self._complain(entry.line, entry.reason)
                continue
            try:
                row = self._parse(entry)
            except ValueError as error:
                self._complain(entry.line, str(error))
                continue
            self.good += 1
            yield row
        self._complaints.finish(self._meter.note)

    def _complain(self, line: int, reason: str) -> None:
        self._complaints.add(f"line {line}: {reason}", self._meter.note)


def quantity(text: str, noun: str = "quantity", *, least: int = 0) -> int:
    """A whole number of units, `least` to 1,000,000,000, written in plain digits; else BadLineError."""
    if not PLAIN_DIGITS.fullmatch(text):
        raise BadLineError(f"{noun} {shown(text)} is not a whole number in plain digits")
    number = int(text)
    if not least <= number <= QUANTITY_MAX:
        raise BadLineError(f"{noun} {shown(text)} is not between {least} and {QUANTITY_MAX:,}")
    return number


def signed_quantity(text: str, noun: str = "quantity") -> int:
    """A difference in units: plain digits with or without a sign, not 0; else BadLineError."""
    if not _SIGNED_DIGITS.fullmatch(text):
        raise BadLineError(f"{noun} {shown(text)} is not a whole number in plain digits")
    number = int(text)
    if number == 0 or abs(number) > QUANTITY_MAX:
        raise BadLineError(f"{noun} {shown(text)} is not between 1 and {QUANTITY_MAX:,}, with either sign")
    return number


class _LineError(Exception):
    """A line that cannot be part of a record."""


class _Lines:
    """The physical lines of a text, numbered from 1, that can be taken back while a record is being read."""

    _TOO_LONG = "too long"  # told apart by identity: it stands for a line that was skipped

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self._taken) >= RECORD_LINES_MAX:
            raise _LineError(f"has a quoted field that does not end within {RECORD_LINES_MAX} lines")
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self._taken.append(line)
        if line is self._TOO_LONG:
            raise _LineError(f"is longer than {LINE_CHARS_MAX:,} characters")
        return line

    def begin_record(self) -> int:
        """The number that the next record's first line will have."""
        self._taken.clear()
        return self.number + 1

    def keep_only_first(self) -> None:
        """Give back what a broken record swallowed, so that one stray quote costs one line."""
        later = self._taken[1:]
        self._again.extendleft(reversed(later))
        self.number -= len(later)

    def _read(self) -> str:
        line = self._text.readline(LINE_CHARS_MAX)
        if len(line) < LINE_CHARS_MAX or line.endswith(("\n", "\r")):
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self._text.readline(LINE_CHARS_MAX)
        return self._TOO_LONG


def _records(lines: _Lines) -> Iterator[tuple[int, list[str] | str]]:
    """Each record's first line, and its fields, or else what is wrong with it."""
    # Strict: without it the reader guesses what a stray quote meant, and guesses codes that nobody wrote.
    reader = csv.reader(lines, strict=True)
    while True:
        first = lines.begin_record()
        try:
            yield first, next(reader)
        except StopIteration:
            return
        except _LineError as error:
            lines.keep_only_first()
            yield first, str(error)
        except csv.Error as error:
            lines.keep_only_first()
            yield first, _explain(error)


def _explain(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "has a quoted field that does not end"
    return f"is not proper CSV: {error}"


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
