"""What of a replay did not come about: a few on the terminal, all of it in a file."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from app.commands.progress import Complaints
from app.commands.replay_plan import Document, Kind
from app.errors import SellableError
from app.files.formulas import as_text
from app.files.reader import BadLine

NAMED_MAX = 20
COLUMNS = ("line", "order_id", "kind", "result", "why")


class Report:
    """Names documents that were refused, failed or left out, and bad lines, one a row."""

    def __init__(self, file: TextIO | None, name: str) -> None:
        self._writer = csv.writer(file) if file else None
        where = f": {name} names them all" if name else ": --report FILE names them all"
        self._complaints = Complaints("refused or failed", named_max=NAMED_MAX, where=where)
        self._write(COLUMNS)

    def add(self, document: Document, result: str, why: str, say: Callable[[str], None]) -> None:
        """A document was refused, or failed."""
        self._complaints.add(f"{document.kind} {document.order_id} {result}: {why}", say)
        self._write((document.first, document.order_id, document.kind, result, why))

    def add_left_out(self, document: Document) -> None:
        """A document is not to be sent; on the terminal such rows are counted."""
        self._write((document.first, document.order_id, document.kind, "left out", document.left_out))

    def add_bad_line(self, line: BadLine) -> None:
        """A line could not be read."""
        known = line.known
        kind = (known["kind"] or Kind.ORDER) if "kind" in known else ""
        self._write((line.line, known.get("order_id", ""), kind, "bad line", line.reason))

    def finish(self, say: Callable[[str], None]) -> None:
        """Say how many were not named."""
        self._complaints.finish(say)

    def _write(self, row: tuple[object, ...]) -> None:
        if self._writer:
            self._writer.writerow([as_text(cell) for cell in row])


@contextmanager
def opened_report(path: Path | None) -> Iterator[Report]:
    """A report that is written to a file, if one is named."""
    if path is None:
        yield Report(None, "")
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise SellableError(f"{path} cannot be written: {error.strerror}") from error
    with file:
        yield Report(file, str(path))
