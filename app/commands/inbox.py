"""`sellable inbox list|retry|drop`: warehouse events that wait for their turn, their document or a person."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.acting import acting_as
from app.commands.service import find_service
from app.domain.times import moment
from app.errors import SellableError

PAGE = 1_000
WHO = acting_as("inbox")
REFUSED = 1


async def inbox(
    *,
    action: str,
    data_dir: Path,
    open_operations: Callable[[str, str], AbstractAsyncContextManager[Any]],
    as_json: bool = False,
    source: str = "",
    event_id: str = "",
    reason: str = "",
) -> int:
    """List what waits, book one event now whatever is missing, or never; return 1 if that was refused."""
    service = find_service(data_dir, "redis", "database")
    async with open_operations(service.redis, service.database) as operations:
        if action == "list":
            return await _list(operations.inbox, as_json=as_json)
        if action == "retry":
            done = await operations.inbox.retry(source, event_id, who=WHO)
        else:
            done = await operations.inbox.drop(source, event_id, reason, who=WHO)
    if done is None:
        raise SellableError(f"no event {event_id} of {source} waits (see `sellable inbox list`)")
    print(f"{source} {event_id}: {done.status}" + (f", {done.detail}" if done.detail else ""))
    return 0 if done.status in {"applied", "duplicate", "dropped"} else REFUSED


async def _list(inbox: Any, *, as_json: bool) -> int:
    after, count, items = ("", ""), 0, []
    while page := await inbox.list(after, PAGE):
        for row in page:
            items += [row._asdict()] if as_json else []
            if not as_json:
                _print(row)
        count += len(page)
        after = (page[-1].source, page[-1].event_id)
    print(json.dumps({"items": items}, ensure_ascii=False) if as_json else f"{count} waiting")
    return 0


def _print(row: Any) -> None:
    event = row.event
    units = event.get("on_hand", event.get("quantity", 0))
    what = f"{event['type']} {units} of {event['sku']} in {row.warehouse}"
    until = moment(row.until).isoformat(timespec="seconds")
    end = f", booked at {until} at the latest" if row.status == "parked" else ""
    print(f"{row.source} {row.event_id}  {row.status}: {what}: {row.why}{end}")
