"""The inbox: what a source of warehouse events may say before a person looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

SOURCE_LENGTH_MAX = 64


class Status(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    DROPPED = "dropped"


class Result(NamedTuple):
    """The answer about one event; `event_id` None where none could be read."""

    event_id: str | None
    status: Status
    detail: str = ""


class Row(NamedTuple):
    """An event that is kept in the ledger until it is booked; `until` and times in ms since 1970."""

    source: str
    event_id: str
    status: Status
    why: str
    event: dict[str, Any]
    fingerprint: str
    warehouse: str
    sequence: int | None
    who: str
    received_at: int
    until: int


class SourceLimits(NamedTuple):
    """What of one source is booked without a person: units in one event, and how far its clock may be ahead.

    `reporter` is whose word its events are ('': its own), `totals` whether an event says all that is known of its line.
    """

    units_max: int
    skew_seconds: int
    reporter: str = ""
    totals: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of every source; those that are not named have the common ones."""

    common: SourceLimits
    named: Mapping[str, SourceLimits] = field(default_factory=dict)

    def of(self, source: str) -> SourceLimits:
        """Return a source's limits."""
        return self.named.get(source, self.common)


def read_sources(text: str, common: SourceLimits) -> dict[str, SourceLimits]:
    """Read `source[:units:seconds][:reporter=name][:reports=lines|totals],…`; what is not said is as in `common`.

    Raises `ValueError` with a sentence if it cannot be read.
    """
    found: dict[str, SourceLimits] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        source, named = _named_options(entry)
        head, *numbers = source.rsplit(":", 2)
        limits = common
        if len(numbers) == 2 and all(one.isdecimal() for one in numbers):
            source, limits = head, common._replace(units_max=int(numbers[0]), skew_seconds=int(numbers[1]))
        elif not named:
            raise ValueError(_SOURCES)
        if not source:
            raise ValueError(_SOURCES)
        found[source] = limits._replace(
            reporter=named.get("reporter", ""), totals=named.get("reports", "lines") == "totals"
        )
    return found


_SOURCES = "each source is source:units:seconds, and maybe :reporter=name and :reports=lines or totals"


def _named_options(entry: str) -> tuple[str, dict[str, str]]:
    """Take `:reporter=name` and `:reports=totals` off the end of an entry."""
    named: dict[str, str] = {}
    while True:
        rest, _, last = entry.rpartition(":")
        name, is_named, value = last.partition("=")
        if not rest or not is_named or name not in {"reporter", "reports"}:
            return entry, named
        if not value or name in named or (name == "reports" and value not in {"lines", "totals"}):
            raise ValueError(_SOURCES)
        entry, named[name] = rest, value
