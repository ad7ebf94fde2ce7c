"""The outbox: reading its entries and checking that each continues the one before."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from app.domain.events import Event, Position
from app.domain.words import SCHEMA
from app.errors import ChainBrokenError, SellableError
from app.hotstore.keys import Keys

_event = msgspec.json.Decoder(Event)


class NewerSchemaError(SellableError):
    """An event was written by newer code than this: leave it to a newer worker."""


class Entry(NamedTuple):
    """An outbox entry: where it stands, the fingerprint before it and its own, and the event."""

    position: Position
    prev: str
    tip: str
    event: Event


def tip_after(prev: str, body: str) -> str:
    """Return the fingerprint of an event: 16 hex digits of the SHA-1 of the one before and its own text."""
    return hashlib.sha1(f"{prev}{body}".encode(), usedforsecurity=False).hexdigest()[:16]


def _entry(entry_id: str, fields: dict[str, str]) -> Entry:
    body = fields["e"]
    schema = int(body[1 : body.index(",")])
    if schema > SCHEMA:
        raise NewerSchemaError(f"event {entry_id} has schema {schema}; this worker reads up to {SCHEMA}")
    return Entry(Position.parse(entry_id), fields["p"], tip_after(fields["p"], body), _event.decode(body))


async def read_after(
    client: Redis, keys: Keys, after: Position, *, entries_max: int, block_ms: int | None = None
) -> list[Entry]:
    """Read up to `entries_max` entries after a position, waiting up to `block_ms` for the first."""
    streams: dict[str, str] = {keys.outbox: str(after)}
    found: Any = await client.xread(streams, count=entries_max, block=block_ms)  # type: ignore[arg-type]
    if not found:
        return []
    return [_entry(entry_id, fields) for entry_id, fields in found[0][1]]


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
