"""The outbox: reading its entries."""

from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.client import NEVER_DECODE

from app.domain.chain import Entry, tip_after, unreadable
from app.domain.events import Event, Position
from app.domain.words import SCHEMA
from app.errors import NewerSchemaError
from app.hotstore.keys import Keys

_AS_BYTES: dict[str, Any] = {NEVER_DECODE: []}
_event = msgspec.json.Decoder(Event)


Raw = tuple[bytes, dict[bytes, bytes]]
"""An entry as it was read: its id, and its fields."""
READ_AT_ONCE = 200
"""Entries of one answer: large orders have a hundred thousand bytes each, and Redis does nothing else meanwhile."""
BYTES_MAX = 64_000_000
"""After so much, `read_after` has read enough."""


def entry_of(raw: Raw) -> Entry:
    """Make an entry out of what was read; one that cannot be read comes with its text.

    Raises `NewerSchemaError` at an event of a newer format.
    """
    entry_id, fields = raw
    body, prev = fields.get(b"e", b""), fields.get(b"p", b"")
    position, prev_tip = Position.parse(entry_id.decode()), _text(prev)
    own = fields.get(b"t")  # a replayed entry says its own: its text may differ
    tip = tip_after(prev, body) if own is None else _text(own)
    try:
        schema = int(body[1 : body.index(b",")])
        if schema > SCHEMA:
            raise NewerSchemaError(f"event {position} has schema {schema}; this worker reads up to {SCHEMA}")
        return Entry(position, prev_tip, tip, _event.decode(body))
    # A letter that is none is a ValueError, too.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return unreadable(position, prev_tip, tip, _text(body), str(error) or type(error).__name__)


async def read_raw(
    client: Redis, keys: Keys, after: Position, *, entries_max: int, block_ms: int | None = None
) -> list[Raw]:
    """Read up to `entries_max` entries after a position as they are, waiting up to `block_ms` for the first.

    There are no more than READ_AT_ONCE, however many are left.
    """
    block = () if block_ms is None else ("BLOCK", block_ms)
    found: Any = await client.execute_command(  # type: ignore[no-untyped-call]
        "XREAD",
        "COUNT",
        min(entries_max, READ_AT_ONCE),
        *block,
        "STREAMS",
        keys.outbox,
        str(after),
        **_AS_BYTES,
    )
    return found[0][1] if found else []


async def read_after(
    client: Redis, keys: Keys, after: Position, *, entries_max: int, block_ms: int | None = None
) -> list[Entry]:
    """Read up to `entries_max` entries after a position, waiting up to `block_ms` for the first.

    They end before an event of a newer format, and where they are BYTES_MAX together. Raises `NewerSchemaError` if the
    first is one of a newer format.
    """
    entries: list[Entry] = []
    size = 0
    while len(entries) < entries_max and size < BYTES_MAX:
        room = entries_max - len(entries)
        found = await read_raw(client, keys, after, entries_max=room, block_ms=None if entries else block_ms)
        for raw in found:
            try:
                entries.append(entry_of(raw))
            except NewerSchemaError:
                if not entries:
                    raise
                return entries
            size += sum(map(len, raw[1].values()))
        if len(found) < min(room, READ_AT_ONCE):
            break
        after = entries[-1].position
    return entries


async def read_first(client: Redis, keys: Keys) -> Entry | None:
    """Read the first entry that is left, None if there is none."""
    entries = await read_after(client, keys, Position(0, 0), entries_max=1)
    return entries[0] if entries else None


async def read_at(client: Redis, keys: Keys, position: Position) -> Entry | None:
    """Read the entry at a position, None if it is not there."""
    there = ("XRANGE", keys.outbox, str(position), str(position))
    found: Any = await client.execute_command(*there, **_AS_BYTES)  # type: ignore[no-untyped-call]
    return entry_of(found[0]) if found else None


async def read_last(client: Redis, keys: Keys) -> Entry | None:
    """Read the last entry, None if there is none."""
    latest = ("XREVRANGE", keys.outbox, "+", "-", "COUNT", 1)
    found: Any = await client.execute_command(*latest, **_AS_BYTES)  # type: ignore[no-untyped-call]
    return entry_of(found[0]) if found else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
