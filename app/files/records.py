"""Text as records: whole lines only, numbered as an editor numbers them, however they end."""

import csv
import io
import re
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from app.domain.codes import shown

RECORD_LINES_MAX = 50
"""Lines that one record may have, by line breaks in quoted fields: a stray quote swallows no more."""
LINE_CHARS_MAX = 100_000
RECORD_CHARS_MAX = 2 * LINE_CHARS_MAX
"""Characters of a record that is not whole yet: it is read again with each piece of the file."""
_END_MARKS = "\x1a\0"
"""What old systems write behind the last line."""


class Broken(NamedTuple):
    """A record that cannot be read: why, its fields up to there, and the text from there on.

    `is_cut`: it is the last one, and does not end; `text` is all of it then.
    """

    reason: str
    intact: Sequence[str] = ()
    text: str = ""
    is_cut: bool = False


Record = list[str] | Broken
_ENDLESS = "a record without end"
_TOO_LONG = Broken(f"is longer than {LINE_CHARS_MAX:,} characters")


class Records:
    """The records of a text that comes in pieces; each is yielded once, with the number of its first line."""

    def __init__(self, delimiter: str, *, line: int, accepts_last_line: bool, way: str) -> None:
        """`line` is the number of the first line to come; `way` is how to accept a last line that does not end."""
        self._delimiter = delimiter
        self._accepts_last_line = accepts_last_line
        self._way = way
        self._line = line
        self._rest = ""
        self._is_skipping = False

    def take(self, text: str, *, final: bool = False) -> Iterator[tuple[int, Record]]:
        """Yield the records that are whole by now; with `final`, those that are left. To be exhausted."""
        text = self._rest + text
        if self._is_skipping:
            text = self._skip(text, final=final)
        end = _end_of_lines(text, final=final)
        whole, self._rest = text[:end], text[end:]
        is_endless = len(self._rest) > LINE_CHARS_MAX
        lines = list(io.StringIO(whole, newline=""))
        if len(whole) > LINE_CHARS_MAX:
            lines = yield from self._without_long(lines)
        yield from self._parse(lines, is_last=final or is_endless)
        if is_endless:
            yield self._line, _TOO_LONG
            self._rest, self._is_skipping = "", True
        elif final:
            yield from self._last()

    def _without_long(self, lines: list[str]) -> Generator[tuple[int, Record], None, list[str]]:
        """Yield what stands before each line that is too long; return what follows the last of them."""
        first = 0
        for at, line in enumerate(lines):
            if len(line) > LINE_CHARS_MAX:
                yield from self._parse(lines[first:at], is_last=True)
                yield self._line, _TOO_LONG
                self._line += 1
                first = at + 1
        return lines[first:]

    def _parse(self, lines: list[str], *, is_last: bool) -> Iterator[tuple[int, Record]]:
        """Yield the records of whole lines; unless these are the last ones, an open quote waits for more."""
        at = 0
        while at < len(lines):
            begun, problem = 0, ""
            # Strict: without it the reader guesses what a stray quote meant, and guesses codes that are nowhere.
            reader = csv.reader(lines[at:] if at else lines, delimiter=self._delimiter, strict=True)
            try:
                for fields in reader:
                    if reader.line_num - begun > RECORD_LINES_MAX:
                        problem = _ENDLESS
                        break
                    if fields:
                        yield self._line + at + begun, fields
                    begun = reader.line_num
            except csv.Error as error:
                problem = str(error)
            at += begun
            if not problem:
                break
            if "unexpected end" in problem and not is_last and _may_go_on(lines[at:]):
                self._rest = "".join(lines[at:]) + self._rest
                break
            yield self._line + at, self._explain(lines[at], problem)
            at += 1
        self._line += at

    def _last(self) -> Iterator[tuple[int, Record]]:
        """What stands behind the last line end: a line that was cut off, unless the caller knows better."""
        rest, self._rest = self._rest.rstrip(_END_MARKS), ""
        if not rest or rest.isspace():
            return
        if self._accepts_last_line:
            yield from self._parse(list(io.StringIO(rest, newline="")), is_last=True)
            return
        reason = (
            f"the file ends in the middle of a line, {shown(rest)}, or only its last line end is missing"
            f" ({self._way} takes it)"
        )
        yield self._line, Broken(reason, _intact(rest, self._delimiter)[0][:-1], rest, is_cut=True)

    def _skip(self, text: str, *, final: bool) -> str:
        """Return what follows a line that is too long."""
        end = re.search(r"\r\n|\n|\r" if final else r"\r\n|\n|\r(?!\Z)", text)
        if end is None:
            return "\r" if text.endswith("\r") and not final else ""
        self._is_skipping = False
        self._line += 1
        return text[end.end() :]

    def _explain(self, line: str, error: str) -> Broken:
        intact = _intact(line, self._delimiter)
        if error == _ENDLESS:
            reason = f"has a quoted field that does not end within {RECORD_LINES_MAX} lines"
        elif "unexpected end" in error:
            reason = "has a quoted field that does not end"
        elif "field limit" in error:
            reason = "has a field that is too large"
        else:
            reason = "is not proper CSV: a quote in a quoted field is not doubled"
        return Broken(reason, *intact)


def _may_go_on(lines: Sequence[str]) -> bool:
    """Whether a quoted field that these lines leave open may end in the next ones."""
    return len(lines) < RECORD_LINES_MAX and sum(map(len, lines)) <= RECORD_CHARS_MAX


def _end_of_lines(text: str, *, final: bool) -> int:
    """Where the last whole line ends. A carriage return at the very end may be half of a line end."""
    stop = len(text) - 1 if text.endswith("\r") and not final else len(text)
    return max(text.rfind("\n", 0, stop), text.rfind("\r", 0, stop)) + 1


def _intact(line: str, delimiter: str) -> tuple[list[str], str]:
    """Return the fields of a line up to the first that is not proper, and the text from that on."""
    line, mark = line.rstrip("\r\n"), re.escape(delimiter)
    field = re.compile(rf'"((?:[^"]|"")*)"(?={mark}|\Z)|((?!")[^{mark}]*)')
    fields, at = list[str](), 0
    while at <= len(line) and (found := field.match(line, at)):
        quoted, plain = found.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        at = found.end() + 1
    return fields, line[at:]
