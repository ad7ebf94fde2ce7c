"""The books after a run: the ledger's events, what it lists as lost, and what `verify` finds."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from redis.exceptions import RedisError

from app.bootstrap import Stores
from app.errors import SellableError
from tests.histories.check import Row

QUIET_SECONDS = 2.2
"""Locks of the load live for one or two seconds, or for a minute: after this nothing is due any more."""


@dataclass(frozen=True, slots=True)
class Books:
    """`named` are the (kind, id) of what the service lists as lost; `read_at` is on the recorder's clock."""

    rows: list[Row]
    named: set[tuple[str, str]]
    differences: list[str]
    lag_seconds: float
    held: set[str] = field(default_factory=set)
    """Locks that are held and would expire."""
    read_at: float = 0.0


async def settle(stores: Stores, database_url: str, *, limit_seconds: float) -> float:
    """Wait until the ledger has every event and nothing is due; return how long the ledger took."""
    began, caught_up = time.monotonic(), 0.0
    last = ""
    async with asyncio.timeout(limit_seconds):
        while True:
            try:
                now = str(await stores.client.hget(stores.keys.meta, "last"))
                done = await _position(database_url)
                if now == done and not caught_up:
                    caught_up = time.monotonic() - began
                if now == done == last and not await stores.hot.read_due(1):
                    return caught_up
            except (SellableError, RedisError, OSError, asyncpg.PostgresError):
                now = ""
            last = now
            await asyncio.sleep(QUIET_SECONDS if last and last == done else 0.1)


async def _position(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    try:
        return str(await connection.fetchval("SELECT epoch || '-' || n FROM position"))
    finally:
        await connection.close()


async def read_books(stores: Stores, database_url: str, *, settle_seconds: float) -> Books:
    """All that the judge needs; raise `TimeoutError` if the ledger never catches up."""
    lag_seconds = await settle(stores, database_url, limit_seconds=settle_seconds)
    connection = await asyncpg.connect(database_url)
    try:
        rows = await _events(connection)
        named = await _named(connection)
        held = await connection.fetch(
            "SELECT lock_id FROM lock WHERE record->>'s' = 'held' AND coalesce(record->>'x', '') <> ''"
        )
    finally:
        await connection.close()
    found = [str(one) async for one in stores.verify(lambda _what, _done: None).differences()]
    return Books(rows, named, found, lag_seconds, {row["lock_id"] for row in held}, time.monotonic())


async def _events(connection: Any) -> list[Row]:
    events = await connection.fetch(
        "SELECT epoch, n, kind, (extract(epoch FROM recorded_at) * 1000)::bigint AS at, op, lock_id FROM event"
        " ORDER BY epoch, n"
    )
    moves = await connection.fetch(
        "SELECT epoch, n, sku, warehouse, source, target, quantity FROM move ORDER BY epoch, n, line"
    )
    of: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for move in moves:
        of.setdefault((move["epoch"], move["n"]), []).append(tuple(move)[2:])
    return [
        Row(
            f"{e['epoch']}-{e['n']}",
            _kind_of(e),
            e["at"],
            e["op"],
            e["lock_id"],
            of.get((e["epoch"], e["n"]), []),
        )
        for e in events
    ]


def _kind_of(event: Any) -> str:
    """An extension without an id of its own is the service's: it mends what a wrong clock had promised.

    A poison event is the fault run's.
    """
    if (event["op"] or "").startswith("adjust:poison-"):
        return "planted"
    return "mended" if event["kind"] == "extend" and event["op"] is None else str(event["kind"])


async def _named(connection: Any) -> set[tuple[str, str]]:
    named = set()
    for record in await connection.fetch("SELECT event FROM lost_event"):
        event = json.loads(record["event"])
        event = json.loads(event) if isinstance(event, str) else event
        kind, op, lock_id = (
            (event["kind"], event.get("op"), event.get("lock_id"))
            if isinstance(event, dict)
            else (event[1], event[3], event[8])
        )
        named.add((kind, op or lock_id or ""))
    return named
