"""The outbox: reading its entries."""

from typing import Any

import msgspec
from redis.asyncio import Redis

from app.domain.chain import Entry, tip_after, unreadable
from app.domain.events import Event, Position
from app.domain.words import SCHEMA
from app.errors import NewerSchemaError
from app.hotstore.keys import Keys

_event = msgspec.json.Decoder(Event)


def _entry(entry_id: str, fields: dict[str, str]) -> Entry:
    body, prev, position = fields.get("e", ""), fields.get("p", ""), Position.parse(entry_id)
    tip = fields.get("t") or tip_after(prev, body)  # a replayed entry says its own: its text may differ
    try:
        schema = int(body[1 : body.index(",")])
        if schema > SCHEMA:
            raise NewerSchemaError(f"event {entry_id} has schema {schema}; this worker reads up to {SCHEMA}")
        return Entry(position, prev, tip, _event.decode(body))
    except (
        msgspec.MsgspecError,
        ValueError,
        RecursionError,
    ) as error:  # a letter that is none is a ValueError, too
        return unreadable(position, prev, tip, body, str(error) or type(error).__name__)


async def read_after(
    client: Redis, keys: Keys, after: Position, *, entries_max: int, block_ms: int | None = None
) -> list[Entry]:
    """Read up to `entries_max` entries after a position, waiting up to `block_ms` for the first.

    They end before an event of a newer format; raises `NewerSchemaError` if that is the first. One that cannot be
    read comes with its text.
    """
    streams: dict[str, str] = {keys.outbox: str(after)}
    found: Any = await client.xread(streams, count=entries_max, block=block_ms)  # type: ignore[arg-type]
    if not found:
        return []
    entries: list[Entry] = []
    for entry_id, fields in found[0][1]:
        try:
            entries.append(_entry(entry_id, fields))
        except NewerSchemaError:
            if not entries:
                raise
            break
    return entries


async def read_first(client: Redis, keys: Keys) -> Entry | None:
    """Read the first entry that is left, None if there is none."""
    entries = await read_after(client, keys, Position(0, 0), entries_max=1)
    return entries[0] if entries else None


async def read_last(client: Redis, keys: Keys) -> Entry | None:
    """Read the last entry, None if there is none."""
    found: Any = await client.xrevrange(keys.outbox, count=1)
    return _entry(*found[0]) if found else None
