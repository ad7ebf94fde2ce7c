"""The reader: bytes in, rows out, as they come. Memory stays flat, however long the file is."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, Generic, TypeVar

from app.domain.codes import shown
from app.files.errors import AmbiguousError, FileError, LeftOutError
from app.files.header import Header, Wanted, find_header, names_shown
from app.files.kinds import other_kind
from app.files.numbers import Whole
from app.files.options import Options
from app.files.records import Broken, Record, Records
from app.files.text import Decoder, is_readable, not_text, seems_wide

PIECE_BYTES = 4_096
"""What is read in one go, at least: so much is looked at before anything else, and smaller pieces are gathered."""
DEFERRED_BYTES_IN_MEMORY = 1_048_576

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ours. `read` returns what a field means, or raises `ValueError` with the end of a sentence about it.

    It may raise `LeftOutError` for a row that is not meant. A column that is not `required` may be missing, or its
    field blank: it means None then.
    """

    name: str
    read: Callable[[str], Any]
    required: bool = True


def left_out_note(why: str, count: int) -> str:
    """Return the sentence about rows that are not meant."""
    return f"rows left out, {why}: {count:,}"


@dataclass(frozen=True, slots=True)
class Sheet(Generic[T]):
    """What a file holds: its columns, and what a row of it is.

    `build` is told the row's line and what its fields mean, in the order of `columns`; it may raise `ValueError` with
    a whole sentence, and `FileError` to refuse the file. `take_note` is told the line and the text of a row that
    begins with #, and returns whether that is no row. `on_left_out` is told what the fields of a row that is left out
    mean.
    """

    columns: Sequence[Column]
    build: Callable[[int, list[Any]], T]
    take_note: Callable[[int, str], bool] | None = None
    on_left_out: Callable[[Mapping[str, Any]], None] = lambda _known: None

    def whole_numbers(self) -> Iterator[Whole]:
        """The columns of numbers."""
        return (column.read for column in self.columns if isinstance(column.read, Whole))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no row: its number, the reason as the end of a sentence, and what of its columns can be read.

    `is_cut`: it has no end, and is the last one.
    """

    line: int
    reason: str
    known: Mapping[str, Any] = field(default_factory=dict)
    is_cut: bool = False


Entry = tuple[int, T] | BadLine
"""A good row, as the number of its first line and what it is; or a bad one."""


class Reader(Generic[T]):
    """Reads one file: feed it all of its bytes, then finish it. Both yield rows, good and bad, to be exhausted.

    They raise `FileError` if the file cannot be used; nothing that was yielded before should be kept then.
    """

    def __init__(self, sheet: Sheet[T], options: Options) -> None:
        self._sheet = sheet
        self._options = options
        self._wanted = Wanted(
            [column.name for column in sheet.columns],
            [column.name for column in sheet.columns if column.required],
        )
        self._waiting = b""
        self._text = ""
        self._header_chars = 0
        self._decoder: Decoder | None = None
        self._header: Header | None = None
        self._records: Records | None = None
        self._plan: list[tuple[int, Callable[[str], Any]]] = []
        self._deferred: IO[str] | None = None
        self._is_suspicious = False  # once anything was no text of the file's encoding
        self._left_out: Counter[str] = Counter()

    def notes(self) -> list[str]:
        """What of the file was not used, in a sentence each; known at the end."""
        ignored = self._header.ignored if self._header else ()
        said = [f"columns not used: {names_shown(ignored)}"] if ignored else []
        return said + [left_out_note(why, count) for why, count in self._left_out.items()]

    def feed(self, data: bytes) -> Iterator[Entry[T]]:
        """Read some more."""
        self._waiting += data
        if len(self._waiting) >= PIECE_BYTES:
            yield from self._read(final=False)

    def finish(self) -> Iterator[Entry[T]]:
        """Read what is left."""
        yield from self._read(final=True)
        yield from self._decide()

    # From bytes to records

    def _begin(self) -> Decoder:
        """Look at the first bytes, and take the file's mark off them."""
        head = self._waiting
        decoder = Decoder(head, self._options.encoding)
        if (decoder.lacks_mark or not decoder.is_certain) and (wide := seems_wide(head)):
            way = self._options.ways.encoding.format(wide)
            raise FileError(f"seems to be UTF-16 without the mark that says so: {way} reads it")
        if decoder.lacks_mark:
            way = self._options.ways.encoding.format(self._options.encoding)
            raise FileError(
                f"has no mark of UTF-16 or UTF-32, and does not look like it: give it without {way}"
            )
        self._waiting = head[decoder.mark_bytes :]
        if kind := other_kind(head, Decoder(b"", decoder.encoding).decode(self._waiting[:PIECE_BYTES])):
            raise FileError(kind)
        return decoder

    def _read(self, *, final: bool) -> Iterator[Entry[T]]:
        decoder = self._decoder = self._decoder or self._begin()
        text, self._waiting = decoder.decode(self._waiting, final=final), b""
        if not text.isascii():
            decoder.note(text)
            self._is_suspicious = self._is_suspicious or not is_readable(text)
        if self._records is None:
            self._text += text
            if len(self._text) < self._header_chars and not final:
                return
            self._header_chars = 2 * len(self._text)  # tried again when there is much more of it
            header = find_header(self._text, self._wanted, self._options, final=final)
            if header is None:
                return
            text, self._text = header.rest, ""
            self._records = self._begin_records(header)
        yield from self._rows(self._records.take(text, final=final))

    def _begin_records(self, header: Header) -> Records:
        self._header = header
        # A column that the file lacks is read from a field behind the last one, which is always blank.
        self._plan = [
            (header.indexes.get(column.name, header.width), _reading(column))
            for column in self._sheet.columns
        ]
        return Records(
            header.delimiter,
            line=header.line,
            accepts_last_line=self._options.accepts_last_line,
            way=self._options.ways.accept_last_line,
        )

    # From records to rows

    def _rows(self, records: Iterator[tuple[int, Record]]) -> Iterator[Entry[T]]:
        header, is_suspicious = self._header, self._is_suspicious
        assert header is not None  # noqa: S101 - without it there are no records
        width, plan, build = header.width, self._plan, self._sheet.build
        for line, fields in records:
            if isinstance(fields, Broken):
                yield from self._broken(line, fields)
            elif len(fields) == width and not is_suspicious:
                fields.append("")
                try:
                    yield line, build(line, [read(fields[index]) for index, read in plan])
                except ValueError:
                    yield from self._slowly(line, fields[:-1])
            else:
                yield from self._slowly(line, fields)

    def _slowly(self, line: int, fields: list[str]) -> Iterator[Entry[T]]:
        """Read a row that is out of the ordinary: it may be blank, a note, left out, undecided, or bad."""
        try:
            yield from self._judged(line, fields)
        except LeftOutError as why:
            self._left_out[str(why)] += 1
            self._sheet.on_left_out(self._known(fields))

    def _judged(self, line: int, fields: list[str]) -> Iterator[Entry[T]]:
        if _is_blank(fields) or self._is_note(line, fields):
            return
        problem, fields = self._fitted(fields)
        if problem:
            yield BadLine(line, problem, self._known(fields))
            return
        self._check_meant(fields)
        values, problems, is_undecided = self._values(fields)
        if is_undecided:
            self._defer(line, fields)
        elif problems:
            yield BadLine(line, "; ".join(problems), values)
        else:
            yield self._built(line, values)

    def _fitted(self, fields: list[str]) -> tuple[str, list[str]]:
        """Return a row's fields as many as the header has, or why they cannot be brought to that."""
        header = self._header
        assert header is not None  # noqa: S101
        while len(fields) > header.width and not fields[-1].strip():
            fields.pop()
        if len(fields) > header.width:
            return f"has {len(fields)} fields, but the header names {header.width}", fields[: header.width]
        missing = next((name for name in self._wanted.required if header.indexes[name] >= len(fields)), None)
        padded = fields + [""] * (header.width - len(fields))
        return (f"ends before its {missing}", fields) if missing else ("", padded)

    def _values(self, fields: Sequence[str]) -> tuple[dict[str, Any], list[str], bool]:
        """What the fields mean, what is wrong with others, and whether that is to be decided later."""
        values, problems, is_undecided = dict[str, Any](), list[str](), False
        fields = [*fields, ""]
        for column, (index, read) in zip(self._sheet.columns, self._plan, strict=True):
            try:
                if not is_readable(fields[index]):
                    problems.append(f"its {column.name} is not {self._encoding} text")
                    is_undecided = is_undecided or not self._is_certain
                    continue
                values[column.name] = read(fields[index])
            except LeftOutError:
                raise
            except AmbiguousError:
                is_undecided = True
            except ValueError as error:
                problems.append(f"{self._noun(column.name)} {shown(fields[index])} {error}")
        # One that is bad anyway need not wait, unless the whole file may be in another encoding.
        return values, problems, is_undecided and (not problems or not self._is_certain)

    def _built(self, line: int, values: dict[str, Any]) -> Entry[T]:
        try:
            return line, self._sheet.build(line, [values[column.name] for column in self._sheet.columns])
        except ValueError as error:
            return BadLine(line, str(error), values)

    def _broken(self, line: int, broken: Broken) -> Iterator[BadLine]:
        if not (broken.is_cut and self._is_note(line, [broken.text])):
            reason = broken.reason + ("" if broken.is_cut else self._place_of(broken))
            yield BadLine(line, reason, self._known(broken.intact), broken.is_cut)

    def _place_of(self, broken: Broken) -> str:
        """In which column a record is broken, and what stands there."""
        names = self._header.names if self._header else ()
        at = len(broken.intact)
        return (
            f", in its {names[at] or at + 1}: {shown(broken.text)}" if broken.text and at < len(names) else ""
        )

    def _known(self, fields: Sequence[str]) -> dict[str, Any]:
        """What the first fields of a row mean, as far as they can be read."""
        known = dict[str, Any]()
        for column, (index, read) in zip(self._sheet.columns, self._plan, strict=True):
            if index < len(fields) and is_readable(fields[index]):
                try:
                    known[column.name] = read(fields[index])
                except ValueError:
                    continue
        return known

    def _is_note(self, line: int, fields: Sequence[str]) -> bool:
        note = self._sheet.take_note
        if note is None or not fields[0].startswith("#") or any(one.strip() for one in fields[1:]):
            return False
        return note(line, fields[0])

    def _check_meant(self, fields: Sequence[str]) -> None:
        """Raise `LeftOutError` if it is a row that a preset leaves out."""
        header, preset = self._header, self._options.preset
        if preset is None or header is None:
            return
        for skip in preset.skips:
            index = header.indexes.get(skip.column)
            if index is not None and fields[index].strip().casefold() == skip.value:
                raise LeftOutError(skip.why)

    def _noun(self, ours: str) -> str:
        theirs = self._header.theirs.get(ours) if self._header else None
        return f"{ours} (column {shown(theirs)})" if theirs else ours

    # What only the end of the file decides

    @property
    def _is_certain(self) -> bool:
        return self._decoder is not None and self._decoder.is_certain

    @property
    def _encoding(self) -> str:
        return self._decoder.encoding.upper() if self._decoder else ""

    def _defer(self, line: int, fields: Sequence[str]) -> None:
        if self._deferred is None:
            # Closed by `_decide`.
            self._deferred = tempfile.SpooledTemporaryFile(  # noqa: SIM115
                DEFERRED_BYTES_IN_MEMORY, "w+", encoding="ascii"
            )
        self._deferred.write(json.dumps([line, fields]) + "\n")

    def _decide(self) -> Iterator[Entry[T]]:
        """Read again what had to wait: every number has been seen now, and every letter."""
        if self._deferred is None:
            return
        with self._deferred as deferred:
            self._deferred = None
            if self._is_suspicious and not self._is_certain and self._decoder is not None:
                self._check_letters(deferred)
                self._decoder.is_certain = True
            for number in self._sheet.whole_numbers():
                number.close()
            deferred.seek(0)
            for text in deferred:
                line, fields = json.loads(text)
                yield from self._slowly(line, fields)

    def _check_letters(self, deferred: IO[str]) -> None:
        """Raise `FileError` if no letter beyond ASCII can be read: the whole file is in another encoding then."""
        deferred.seek(0)
        for text in deferred:
            line, fields = json.loads(text)
            if not all(is_readable(fields[index]) for index, _ in self._plan if index < len(fields)):
                raise not_text(line, self._options.ways.encoding)


def _reading(column: Column) -> Callable[[str], Any]:
    return column.read if column.required else partial(_read_optional, column.read)


def _read_optional(read: Callable[[str], Any], text: str) -> Any:
    return read(text) if text and not text.isspace() else None


def _is_blank(fields: Sequence[str]) -> bool:
    """Whether there is nothing on a line; what old systems write behind the last line counts for nothing."""
    return not "".join(fields).strip(" \t\x1a\u00a0")
