"""The chain of events: each carries the fingerprint of the one before, and positions have no gap."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.domain.events import Event, Position


class ChainBrokenError(ValueError):
    """An event does not continue what is known: nothing may be persisted beyond it."""


class OutOfOrderError(ChainBrokenError):
    """A SKU's move does not come next by its version: nobody may book it before a person has seen why."""


class UnreadableEventError(ValueError):
    """An event's text is no event: what it did cannot be known from it."""


UNREADABLE = "unreadable"
"""The kind of event that stands in the place of one whose text is none."""


class Link(NamedTuple):
    """A place in the chain: the position of an event, and its fingerprint."""

    position: Position
    tip: str


class Entry(NamedTuple):
    """An outbox entry: where it stands, the fingerprint before it and its own, and the event.

    `raw` is the text of an event that cannot be read, and `why` says why not; the event is empty then.
    """

    position: Position
    prev: str
    tip: str
    event: Event
    raw: str | None = None
    why: str = ""


def unreadable(position: Position, prev: str, tip: str, raw: str, why: str) -> Entry:
    """Return the entry of an event that cannot be read."""
    return Entry(position, prev, tip, Event(0, UNREADABLE, 0, *(None,) * 7, moves=[]), raw, why)


def tip_after(prev: bytes, body: bytes) -> str:
    """Return the fingerprint of an event: 16 hex digits of the SHA-1 of the one before and its own text."""
    return hashlib.sha1(prev + body, usedforsecurity=False).hexdigest()[:16]


def follows(position: Position, at: Position) -> bool:
    """Whether a position is the next one of an epoch, or opens a later one."""
    if position.epoch == at.epoch:
        return position.n == at.n + 1
    return position.epoch > at.epoch and position.n == 0


def unbroken(entries: Iterable[Entry], at: Link) -> list[Entry]:
    """Return the entries up to the first that does not continue the one before; raise if that is the first of all."""
    good: list[Entry] = []
    try:
        for entry in check_chain(entries, *at):
            good.append(entry)  # noqa: PERF402 - what came before the error is wanted
    except ChainBrokenError:
        if not good:
            raise
    return good


def check_chain(entries: Iterable[Entry], at: Position, tip: str) -> Iterator[Entry]:
    """Yield the entries while each continues the one before; raise `ChainBrokenError` at one that does not."""
    for entry in entries:
        if not follows(entry.position, at) or entry.prev != tip:
            raise ChainBrokenError(
                f"outbox entry {entry.position} (prev {entry.prev}) does not continue {at} ({tip})"
            )
        yield entry
        at, tip = entry.position, entry.tip
