"""`sellable shortages list|resolve`: where less is on the shelf than is promised."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.service import find_service
from app.errors import SellableError

CASES_MAX = 1_000
REFUSED = 1


async def shortages(
    *,
    action: str,
    data_dir: Path,
    open_operations: Callable[[str, str], AbstractAsyncContextManager[Any]],
    as_json: bool = False,
    shortage_id: int = 0,
    lock_ids: Sequence[str] = (),
) -> int:
    """List the open cases (the first 1,000), or break promises of one; return 1 if there is no such case."""
    service = find_service(data_dir, "redis", "database")
    async with open_operations(service.redis, service.database) as operations:
        if action == "list":
            return await _list(operations.shortages, as_json=as_json)
        return await _resolve(operations.shortages, shortage_id, lock_ids)


async def _list(cases: Any, *, as_json: bool) -> int:
    found = await cases.list(0, CASES_MAX)
    remedies = await cases.remedies(found) if found else []
    if as_json:
        items = [
            {**case._asdict(), "promises": [one._asdict() for one in case.promises],
             "suggested": list(cases.suggested(case)), "transfers": [one._asdict() for one in others]}
            for case, others in zip(found, remedies, strict=True)
        ]  # fmt: skip
        print(json.dumps({"items": items}, ensure_ascii=False))
        return 0
    for case, others in zip(found, remedies, strict=True):
        names = ", ".join(cases.suggested(case)) or "none"
        moves = "".join(f"; or move {one.units} from {one.warehouse}" for one in others)
        print(
            f"{case.shortage_id}  SKU {case.sku} in {case.warehouse}: {case.units} short; break: {names}{moves}"
        )
    print(f"{len(found)} open")
    return 0


async def _resolve(cases: Any, shortage_id: int, lock_ids: Sequence[str]) -> int:
    done = await cases.resolve(shortage_id, lock_ids, "disk", who="sellable shortages")
    if done is None:
        raise SellableError(f"no shortage has the number {shortage_id} (see `sellable shortages list`)")
    for one in done.results:
        print(f"lock {one.lock_id}: {one.outcome}, {one.units} units")
    return REFUSED if any(one.outcome == "unknown_lock" for one in done.results) else 0
