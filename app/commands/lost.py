"""`sellable lost list`: what could not be kept, and which counts were set right after it."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.service import find_service
from app.domain.events import Counts
from app.domain.words import WORDS

COUNTS_MAX = 1_000
UNKNOWN = "unknown"


async def lost(
    *, as_json: bool, data_dir: Path, open_stores: Callable[[str, str], AbstractAsyncContextManager[Any]]
) -> int:
    """Print every lost event with its order, SKUs and quantities, then the corrected counts (the newest 1,000)."""
    service = find_service(data_dir, "redis", "database")
    async with open_stores(service.redis, service.database) as stores:
        rows = stores.lost()
        events = [event async for event in rows.events()]
        counts = await rows.counts(COUNTS_MAX)
    if as_json:
        print(
            json.dumps({"events": [_event(one) for one in events], "counts": [_count(one) for one in counts]})
        )
        return 0
    for event in events:
        print(_event_line(event))
    for count in counts:
        print(_count_line(count))
    print(f"{sum(event.events for event in events)} events lost, {len(counts)} counts set right")
    return 0


def _event(event: Any) -> Any:
    lines = [
        line._asdict() | {"source": WORDS[line.source], "target": WORDS[line.target]} for line in event.lines
    ]
    times = {name: getattr(event, name).isoformat() for name in ("recorded_at", "found_at")}
    return event._asdict() | times | {"lines": lines}


def _count(count: Any) -> Any:
    return count._asdict() | {"found_at": count.found_at.isoformat()}


def _event_line(event: Any) -> str:
    about = (f" of lock {event.lock_id}" if event.lock_id else "") + (f" ({event.op})" if event.op else "")
    units = "; ".join(
        f"{line.quantity} {line.sku} in {line.warehouse}, {WORDS[line.source]} -> {WORDS[line.target]}"
        for line in event.lines
    )
    when = event.recorded_at.isoformat(timespec="seconds")
    if event.kind == UNKNOWN:
        place = f"{event.position} to {event.last}"
        return f"{place}  {when}  {event.events} events of which nothing else is known  [{event.finding}]"
    return f"{event.position}  {when}  {event.kind}{about}: {units or 'no units'}  [{event.finding}]"


def _count_line(count: Any) -> str:
    changes = ", ".join(
        f"{name} {count.before[name]} -> {count.after[name]}"
        for name in Counts._fields
        if count.before[name] != count.after[name]
    )
    return f"epoch {count.epoch}  SKU {count.sku} in {count.warehouse}: {changes}"
