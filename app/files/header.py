"""The first line of a file: which delimiter it has, and which of its columns are ours."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.codes import shown
from app.files.errors import FileError
from app.files.options import PRESETS, Options
from app.files.records import LINE_CHARS_MAX, RECORD_LINES_MAX
from app.files.text import is_readable, not_text

DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<mark>[^\w"\r\n])"?(?P<more>[,;\t|]*)\s*', re.IGNORECASE)
HEADER_CHARS_MAX = 10 * LINE_CHARS_MAX
BLOCK_LINES_MAX = 40
"""Lines in front of the columns' names, as reports have them, that are looked at to say where those are."""
_NAMED_MAX = 40
"""Columns of a file that are named in a message."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's first line says: its `names`; `indexes` are of our columns, `theirs` its names of them if others.

    `line` is the number of the line after it, and `rest` the text from there on.
    """

    delimiter: str
    names: Sequence[str]
    indexes: dict[str, int]
    theirs: dict[str, str]
    ignored: tuple[str, ...]
    line: int
    rest: str

    @property
    def width(self) -> int:
        """How many fields a row has."""
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that are ours; a file must have the `required` ones."""

    columns: Sequence[str]
    required: Sequence[str]


def find_header(text: str, wanted: Wanted, options: Options, *, final: bool) -> Header | None:
    """Return the header that a text begins with, None if more of it is needed; `FileError` if there is none."""
    final = final or len(text) > HEADER_CHARS_MAX
    lines = list(io.StringIO(text, newline=""))
    # A \r at the very end may be half of a line end.
    whole = lines if final or text.endswith("\n") else lines[:-1]
    separator = _SEPARATOR_LINE.fullmatch(whole[0]) if whole else None
    first = next(
        (n for n, line in enumerate(whole) if not _is_blank(line) and not (separator and n == 0)), None
    )
    if first is None:
        _check_begins(text, wanted, final=final)
        return None
    marks = separator["mark"] if separator else DELIMITERS
    found = [_first_record(whole[first : first + RECORD_LINES_MAX], mark) for mark in marks]
    if any(one.is_open for one in found) and not final and len(whole) - first < RECORD_LINES_MAX:
        return None
    best = max(found, key=lambda one: (_score(one.names, wanted, options), len(one.names)))
    if not best.names:
        what = "has a quoted field that does not end" if best.is_open else "is not proper CSV"
        raise FileError(f"is not a CSV file: its first line {what}", line=first + 1)
    end = first + best.lines
    if below := _names_below(best, whole, end, wanted, options):
        raise FileError(
            f"names its columns in line {below}, not in its first one: delete the lines before that",
            line=first + 1,
        )
    return _header(best, wanted, options, line=end + 1, rest="".join(lines[end:]))


@dataclass(frozen=True, slots=True)
class _Found:
    """The first record as one delimiter reads it, and how many lines it has."""

    delimiter: str
    names: list[str]
    lines: int = 1
    is_open: bool = False


def _first_record(lines: list[str], delimiter: str) -> _Found:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        return _Found(delimiter, next(reader), reader.line_num)
    except csv.Error as error:
        return _Found(delimiter, [], is_open="unexpected end" in str(error))


def _names_below(found: _Found, lines: list[str], first: int, wanted: Wanted, options: Options) -> int:
    """Return the line that names all that the first one must, and does not; 0 if there is none nearby."""
    needed = Wanted(wanted.required, wanted.required)
    if _score(found.names, needed, options) == len(wanted.required):
        return 0
    for number, line in enumerate(lines[first : first + BLOCK_LINES_MAX], first + 1):
        for mark in DELIMITERS:
            if _score(_first_record([line], mark).names, needed, options) == len(wanted.required):
                return number
    return 0


def _score(names: Sequence[str], wanted: Wanted, options: Options) -> int:
    known = {normal(name) for name in names}
    return sum(any(theirs in known for theirs in _names_of(ours, options)) for ours in wanted.columns)


def _names_of(ours: str, options: Options) -> list[str]:
    """The names that a column of ours may have in the file, the best first, as `normal` has them."""
    if ours in options.names:
        return [normal(options.names[ours])]
    preset = options.preset.columns.get(ours, ()) if options.preset else ()
    return [*map(normal, preset), ours]


def _header(found: _Found, wanted: Wanted, options: Options, *, line: int, rest: str) -> Header:
    given = [name.strip() for name in found.names]
    names = [normal(name) for name in found.names]
    indexes, theirs = dict[str, int](), dict[str, str]()
    for ours in wanted.columns:
        name = next((name for name in _names_of(ours, options) if name in names), None)
        if name is None:
            continue
        if names.count(name) > 1:
            raise FileError(f"has the column {shown(name)} twice", line=line - 1)
        indexes[ours] = names.index(name)
        if name != ours:
            theirs[ours] = given[indexes[ours]]
    _check_all(found.names, indexes, wanted, options, line=line - 1)
    used = set(indexes.values())
    ignored = tuple(name for n, name in enumerate(given) if n not in used)
    return Header(found.delimiter, given, indexes, theirs, ignored, line, rest)


def _check_all(
    names: Sequence[str], indexes: dict[str, int], wanted: Wanted, options: Options, *, line: int
) -> None:
    """Raise `FileError` if a column that the file must have is not there, with the names that are."""
    if not all(map(is_readable, names)) and any(ours not in indexes for ours in wanted.required):
        raise not_text(line, options.ways.encoding)
    mapped = [ours for ours in options.names if ours in wanted.columns and ours not in indexes]
    if mapped:
        ours = mapped[0]
        what = f"has no column {shown(options.names[ours])}, which is to be its {ours}"
        raise FileError(f"{what}: it names {names_shown(names)}", line=line)
    missing = sorted(ours for ours in wanted.required if ours not in indexes)
    if missing:
        must = "the first line must name its columns, among them " + ", ".join(sorted(wanted.required))
        hint = _hint(names, missing, wanted, options)
        what = " and no column ".join(missing)
        raise FileError(f"has no column {what}: {must}; it names {names_shown(names)} ({hint})", line=line)


def _hint(names: Sequence[str], missing: Sequence[str], wanted: Wanted, options: Options) -> str:
    for preset in PRESETS.values():
        given = Options(names=options.names, preset=preset)
        if options.preset is None and _score(names, wanted, given) > _score(names, wanted, options):
            return f"{options.ways.format.format(preset.name)} reads an export of Shopify"
    if len(names) == 1 and len(names[0].split()) > 1:
        return "if those are several, it has no delimiter: export it with commas, semicolons or tabs"
    ways = " and ".join(options.ways.map.format(ours) for ours in missing)
    which = "says which one it is" if len(missing) == 1 else "say which ones they are"
    return f"{ways} {which}; a column that the file lacks must be added to it"


def names_shown(names: Sequence[str]) -> str:
    """Return the names of columns as they can stand in a message, the first of them."""
    given = [shown(name.strip()) for name in names if name.strip()]
    named = given[:_NAMED_MAX]
    if len(given) > _NAMED_MAX:
        named.append(f"{len(given) - _NAMED_MAX} more")
    if len(given) < len(names):
        named.append(f"{len(names) - len(given)} without a name")
    return ", ".join(named)


def normal(name: str) -> str:
    """Return a column's name as it is compared: without blanks around it, without case."""
    return name.strip(" \t\r\n\u00a0\u200b\ufeff").casefold()


def _is_blank(line: str) -> bool:
    return not line.strip(" \t\r\n,;|\u00a0\ufeff")


def _check_begins(text: str, wanted: Wanted, *, final: bool) -> None:
    if final:
        must = ", ".join(sorted(wanted.required))
        raise FileError(f"is empty: the first line must name its columns, among them {must}", line=1)
    if len(text) > LINE_CHARS_MAX:
        raise FileError(
            f"is not a CSV file: its first line is longer than {LINE_CHARS_MAX:,} characters", line=1
        )
