"""Long work shows how far it is: a bar on a terminal, a line every few seconds in a log. All on stderr."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_SECONDS = 5.0
NAMED_MAX = 1_000


def say(text: str) -> None:
    """One line on stderr; stdout belongs to what the command answers."""
    show(text, sys.stderr)


def show(text: str, stream: TextIO | None) -> None:
    """One line on `stream`. A service goes on without it: a stream that can't be written is given up for good.

    `stream` is None where the process was started without one.
    """
    if stream is None:
        return
    # Codes come from files: what this terminal's encoding lacks is escaped, never a traceback.
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except (OSError, ValueError):  # no reader, a full disk, a terminal that is gone, a closed descriptor
        give_up(stream)


def give_up(stream: TextIO) -> None:
    """Drop what `stream` still holds and what it gets from now on; or Python's own flush at the end would fail."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Meter:
    """How far one piece of work is; `total` 0 means that nobody knows how much there is."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit

    def update(self, done: int) -> None:
        """`done` of `total` units are behind us."""

    def note(self, text: str) -> None:
        """A line for the user, beside the display."""
        say(text)


class LineMeter(Meter):
    """Lines for a log, at most one in LINE_EVERY_SECONDS."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        super().__init__(label, total, unit)
        self._due_at = time.monotonic() + LINE_EVERY_SECONDS

    def update(self, done: int) -> None:
        """Say how far it is, if it was not said just now."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + LINE_EVERY_SECONDS
        of = f" of {self.total:,} ({done / self.total:.0%})" if self.total else ""
        say(f"{self.label}: {done:,}{of} {self.unit}")


class BarMeter(Meter):
    """A bar on a terminal."""

    def __init__(self, label: str, total: int, unit: str, *, progress: "Progress") -> None:
        super().__init__(label, total, unit)
        self._progress = progress
        self._task = progress.add_task(label, total=total or None)

    def update(self, done: int) -> None:
        """Move the bar; rich itself draws it a few times a second."""
        self._progress.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def meter(label: str, total: int, unit: str) -> Iterator[Meter]:
    """The display that fits stderr."""
    if not sys.stderr.isatty():
        yield LineMeter(label, total, unit)
        return
    # Rich takes a while to import, and only terminals need it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield BarMeter(label, total, unit, progress=progress)


class Complaints:
    """Names what went wrong, the first `named_max` times, and counts the rest; `where` says where all is named."""

    def __init__(self, noun: str, *, named_max: int = NAMED_MAX, where: str = "") -> None:
        self.noun = noun
        self.count = 0
        self._named_max = named_max
        self._where = where

    def add(self, text: str, write: Callable[[str], None] = say) -> None:
        """One more; written unless too many were."""
        self.count += 1
        if self.count <= self._named_max:
            write(text)

    def finish(self, write: Callable[[str], None] = say) -> None:
        """How many were counted without being named."""
        if self.count > self._named_max:
            write(f"and {self.count - self._named_max:,} more {self.noun}{self._where}")
