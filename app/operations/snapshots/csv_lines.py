"""A snapshot as CSV: `sku,on_hand[,damaged][,warehouse]`, a line each; the last line may be `#rows=N`.

It must end with the end of a line, so that a number that was cut in two is never taken for a smaller one; with the
count of rows a cut between two lines shows as well. A line that cannot be read is named, and the others are compared.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from app.files.codes import sku_reader
from app.files.errors import FileError, LeftOutError
from app.files.numbers import Whole
from app.files.options import Options
from app.files.reader import BadLine, Column, Entry, Reader, Sheet
from app.operations.snapshots.spool import Asked, Ending, SnapshotError, Spool, cut_off, wrong_warehouse

COLUMNS = ("sku", "on_hand", "damaged", "warehouse")
_TRAILER = re.compile(r"#rows=([0-9]{1,9})")
_ELSEWHERE = "of other places"

Count = tuple[str, int, int | None, str | None]
"""sku, on_hand, damaged and warehouse."""


class CsvLines:
    """Reads one file into a spool; `feed` and `finish` raise `SnapshotError`."""

    def __init__(self, spool: Spool, asked: Asked, options: Options) -> None:
        self._spool = spool
        self._asked = asked
        self._ending = Ending(spool, asked)
        self._options = options
        spool.how_to_add_up = f" ({options.ways.sum} adds them up)"
        columns = (
            Column("sku", sku_reader(options)),
            Column("on_hand", Whole()),
            Column("damaged", Whole(), required=False),
            Column("warehouse", _place_reader(asked.warehouse, options), required=False),
        )
        self._reader = Reader(Sheet(columns, _count, self._is_trailer), options)

    def feed(self, chunk: bytes) -> None:
        """Read some more."""
        self._take(lambda: self._reader.feed(chunk))

    def finish(self) -> Asked:
        """Check that it is whole."""
        self._take(self._reader.finish)
        self._spool.notes += self._reader.notes()
        self._spool.finish(self._ending.asked)
        return self._asked

    def _take(self, entries: Callable[[], Iterator[Entry[Count]]]) -> None:
        try:
            for entry in entries():
                if isinstance(entry, BadLine):
                    self._skip(entry)
                else:
                    self._add(*entry)
        except FileError as error:
            field = "body" if error.line is None else f"line {error.line}"
            raise SnapshotError((field, str(error)), code=error.code) from None

    def _skip(self, line: BadLine) -> None:
        self._ending.check(line.line)
        if line.is_cut:
            way = self._options.ways.accept_last_line
            raise cut_off(
                f"line {line.line} does not end: the file seems to be cut off ({way} takes it as it is)"
            )
        self._spool.skip(line.line, line.reason, line.known.get("sku"))

    def _add(self, line: int, count: Count) -> None:
        sku, on_hand, damaged, warehouse = count
        self._ending.check(line)
        if warehouse not in {None, self._asked.warehouse}:
            raise wrong_warehouse(f"line {line}", warehouse or "", self._asked.warehouse)
        self._spool.add(line, sku, on_hand, damaged)

    def _is_trailer(self, _line: int, text: str) -> bool:
        found = _TRAILER.fullmatch(text)
        if found:
            self._ending.note(int(found[1]))
        return found is not None


def _count(_line: int, values: list[Any]) -> Count:
    return values[0], values[1], values[2], values[3]


def _place_reader(wanted: str, options: Options) -> Callable[[str], str]:
    """A file of one warehouse is of that one or of none; of an export of all of them, the others are not meant."""
    of_all = options.preset is not None and options.preset.is_of_all_places

    def read(text: str) -> str:
        if of_all and text != wanted:
            raise LeftOutError(_ELSEWHERE)
        return text

    return read
