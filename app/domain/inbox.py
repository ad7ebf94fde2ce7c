"""The inbox: what a source of warehouse events may say before a person looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


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


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What of one source is booked without a person: units in one event, and how far its clock may be ahead."""

    units_max: int
    skew_seconds: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of every source; those that are not named have the common ones."""

    common: SourceLimits
    named: Mapping[str, SourceLimits] = field(default_factory=dict)

    def of(self, source: str) -> SourceLimits:
        """Return a source's limits."""
        return self.named.get(source, self.common)


def read_sources(text: str) -> dict[str, SourceLimits]:
    """Read `source:units:seconds,…`; raise `ValueError` with a sentence if it cannot be read."""
    found: dict[str, SourceLimits] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        source, *numbers = entry.rsplit(":", 2)
        if len(numbers) != 2 or not source or not all(one.isdecimal() for one in numbers):
            raise ValueError("each source is source:units:seconds")
        found[source] = SourceLimits(int(numbers[0]), int(numbers[1]))
    return found
