"""`sellable quarantine`: what the ledger could not book, tried again or given up."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.service import find_service
from app.domain.events import Position
from app.errors import SellableError

DONE_IN_PART = 3


async def quarantine(
    *,
    action: str,
    data_dir: Path,
    open_stores: Callable[[str, str], AbstractAsyncContextManager[Any]],
    as_json: bool = False,
    subject: str | None = None,
    reason: str = "",
) -> int:
    """List, retry or drop; return 3 if a retry left something parked. `SellableError` when there is nothing to drop."""
    service = find_service(data_dir, "redis", "database")
    async with open_stores(service.redis, service.database) as stores:
        await stores.check()
        held = stores.quarantine()
        match action:
            case "list":
                return _print(await held.parked(), as_json=as_json)
            case "retry":
                return _print_retried(await held.retry(subject))
        if not subject or not reason.strip():
            raise SellableError("a drop needs a SKU and a reason")
        event = _position(subject)
        if event is not None and await held.drop_event(event, reason.strip()):
            print(
                f"event {event} dropped; its text is kept. `sellable verify` tells of SKUs that still differ by it"
            )
            return 0
        moves, position = await held.drop(subject, reason.strip(), "sellable quarantine")
        print(f"SKU {subject}: {moves} moves dropped; the difference is booked as event {position}")
        return 0


def _position(subject: str) -> Position | None:
    """Return the position that a subject names: an event that cannot be read has no other name."""
    return Position.parse(subject) if re.fullmatch(r"[0-9]{1,18}-[0-9]{1,18}", subject) else None


def _print(found: Any, *, as_json: bool) -> int:
    if as_json:
        items = [one._asdict() | {"since": one.since.isoformat()} for one in found]
        print(json.dumps({"items": items}, ensure_ascii=False))
        return 0
    for one in found:
        print(_line(one))
    print(f"{len(found)} parked")
    return 0


def _line(one: Any) -> str:
    if one.part == "event":
        what = f"event {one.subject}, which cannot be read (a SKU that it moved shows by its next move, or by `verify`)"
    else:
        what = f"SKU {one.subject}" if one.part == "move" else one.subject
    why = f"{one.sqlstate} {one.error}" if one.sqlstate else "waits behind another"
    return f"{what}: {one.parts} since {one.since:%Y-%m-%d %H:%M:%S}Z, from event {one.first_position}: {why}"


def _print_retried(retried: Any) -> int:
    for one in retried:
        left = f"; still parked: {_line(one.left)}" if one.left else ""
        print(f"{one.parked.subject}: {one.booked} booked{left}")
    print(f"{sum(one.left is None for one in retried)} of {len(retried)} are in order again")
    return DONE_IN_PART if any(one.left for one in retried) else 0
