"""`sellable warehouses list|merge`: the list of warehouses, and one that should never have been."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.service import find_service

PAGE = 1_000
WHO = "sellable warehouses"


async def warehouses(
    *,
    action: str,
    data_dir: Path,
    open_operations: Callable[[str, str], AbstractAsyncContextManager[Any]],
    as_json: bool = False,
    code: str = "",
    into: str = "",
) -> None:
    """List the warehouses with what is in each, or merge one into another."""
    service = find_service(data_dir, "redis", "database")
    async with open_operations(service.redis, service.database) as operations:
        if action == "list":
            await _list(operations.codes.warehouses, as_json=as_json)
        else:
            await _merge(operations.merging, code, into)


async def _list(listed: Any, *, as_json: bool) -> None:
    found, after = [], ""
    while page := await listed.stocked_after(after, PAGE):
        found += page
        after = page[-1].warehouse.code
    if as_json:
        items = [one.warehouse._asdict() | {"units": one.units._asdict()} for one in found]
        print(json.dumps({"items": items}, ensure_ascii=False))
        return
    for warehouse, units in found:
        rank = "" if warehouse.rank is None else f"  rank {warehouse.rank}"
        closed = "  closed" if warehouse.closed else ""
        name = f"  {warehouse.name}" if warehouse.name else ""
        print(
            f"{warehouse.code}{name}{rank}{closed}: {units.skus} SKUs, {units.on_hand} on hand, {units.locked} of them"
            f" locked, {units.damaged} damaged, {units.in_transit} in transit"
        )
    print(f"{len(found)} warehouses")


async def _merge(merging: Any, code: str, into: str) -> None:
    done = await merging.merge(code, into, who=WHO)
    print(
        f"merged {code} into {into}: {done.skus} SKUs, {done.locks} locks, {done.transfers} transfers,"
        f" {done.purchase_orders} purchase orders"
    )
    if done.waiting:
        print(f"{done.waiting} events in the inbox still name {code} (see `sellable inbox list`)")
