"""The rows of a file that a command was given: good ones go on, bad lines are named with number and reason."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from app.commands.progress import Complaints, Meter
from app.errors import SellableError
from app.files.errors import FileError
from app.files.options import Options
from app.files.reader import BadLine, Reader, Sheet

CHUNK_BYTES = 65_536

T = TypeVar("T")


@contextmanager
def opened(path: Path) -> Iterator[io.FileIO]:
    """Open a file; `SellableError` when that cannot be done."""
    try:
        raw = io.FileIO(path)
    except OSError as error:
        raise SellableError(f"{path} cannot be read: {error.strerror}") from error
    with raw:
        yield raw


def size_of(raw: io.FileIO) -> int:
    """Its size in bytes, 0 where it has none (a pipe)."""
    return os.fstat(raw.fileno()).st_size


class FileRows(Generic[T]):
    """The good rows of a file, as their line and what they are; iterate once, to the end.

    `good` and `bad` count lines. `on_bad` is told each bad line after it was named. `SellableError` when the file
    cannot be used: then nothing of it should be.
    """

    def __init__(
        self,
        path: Path,
        raw: io.FileIO,
        sheet: Sheet[T],
        options: Options,
        *,
        meter: Meter,
        on_bad: Callable[[BadLine], None] = lambda _line: None,
    ) -> None:
        self._name = path.name
        self._raw = raw
        self._reader = Reader(sheet, options)
        self._meter = meter
        self._on_bad = on_bad
        self._complaints = Complaints("bad lines")
        self.good = 0

    @property
    def bad(self) -> int:
        """How many lines could not be used so far."""
        return self._complaints.count

    def __iter__(self) -> Iterator[tuple[int, T]]:
        try:
            for entry in self._entries():
                if isinstance(entry, BadLine):
                    self.refuse(entry.line, entry.reason)
                    self._on_bad(entry)
                else:
                    self.good += 1
                    yield entry
        except FileError as error:
            raise SellableError(f"{self._name} {error}") from error
        for note in self._reader.notes():
            self._meter.note(note)

    def refuse(self, line: int, reason: str) -> None:
        """Name a line that cannot be used."""
        self._complaints.add(f"line {line}: {reason}", self._meter.note)

    def finish(self) -> None:
        """Say how many lines were counted without being named."""
        self._complaints.finish(self._meter.note)

    def _entries(self) -> Iterator[tuple[int, T] | BadLine]:
        done = 0
        while data := self._raw.read(CHUNK_BYTES):
            yield from self._reader.feed(data)
            done += len(data)
            self._meter.update(done)
        yield from self._reader.finish()
