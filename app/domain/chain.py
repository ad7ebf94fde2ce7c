"""The chain of events: each carries the fingerprint of the one before, and positions have no gap."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.domain.events import Event, Position


class ChainBrokenError(ValueError):
    """An event does not continue what is known: nothing may be persisted beyond it."""


class Entry(NamedTuple):
    """An outbox entry: where it stands, the fingerprint before it and its own, and the event."""

    position: Position
    prev: str
    tip: str
    event: Event


def tip_after(prev: str, body: str) -> str:
    """Return the fingerprint of an event: 16 hex digits of the SHA-1 of the one before and its own text."""
    return hashlib.sha1(f"{prev}{body}".encode(), usedforsecurity=False).hexdigest()[:16]


def check_chain(entries: Iterable[Entry], after: Position, tip: str) -> Iterator[Entry]:
    """Yield the entries while each continues the one before; raise `ChainBrokenError` at one that does not."""
    for entry in entries:
        next_in_epoch = entry.position == Position(after.epoch, after.n + 1)
        opens_epoch = entry.position.epoch > after.epoch and entry.position.n == 0
        if not (next_in_epoch or opens_epoch) or entry.prev != tip:
            raise ChainBrokenError(
                f"outbox entry {entry.position} (prev {entry.prev}) does not continue {after} ({tip})"
            )
        yield entry
        after, tip = entry.position, entry.tip
