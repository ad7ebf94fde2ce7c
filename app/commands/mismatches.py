"""`sellable mismatches list|accept|drop`: what reporters of one document disagree on."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from app.commands.acting import acting_as
from app.commands.service import find_service
from app.errors import SellableError

PAGE = 1_000
WHO = acting_as("mismatches")
REFUSED = 1


async def mismatches(
    *,
    action: str,
    data_dir: Path,
    open_operations: Callable[[str, str], AbstractAsyncContextManager[Any]],
    as_json: bool = False,
    mismatch_id: int = 0,
    reason: str = "",
) -> int:
    """List the open cases, or decide one; return 1 if what is booked cannot follow the decision."""
    service = find_service(data_dir, "redis", "database")
    async with open_operations(service.redis, service.database) as operations:
        if action == "list":
            return await _list(operations.mismatches, as_json=as_json)
        if action == "accept":
            done = await operations.mismatches.accept(mismatch_id, reason, "disk", who=WHO)
        else:
            done = await operations.mismatches.drop(mismatch_id, reason, who=WHO)
    if done is None:
        raise SellableError(f"no mismatch has the number {mismatch_id} (see `sellable mismatches list`)")
    if done.is_refused:
        print(f"{mismatch_id}: refused, {done.answer.outcome.lower()}")
        return REFUSED
    print(f"{mismatch_id}: {done.decision}")
    return 0


async def _list(cases: Any, *, as_json: bool) -> int:
    after, count, items = 0, 0, []
    while page := await cases.list(after, PAGE):
        for case in page:
            if as_json:
                items.append(case._asdict() | {"sums": case.sums.as_json()})
            else:
                _print(case)
        count, after = count + len(page), page[-1].mismatch_id
    print(json.dumps({"items": items}, ensure_ascii=False) if as_json else f"{count} open")
    return 0


def _print(case: Any) -> None:
    said = "; ".join(
        f"{one.reporter} {_units(one.units)} in {one.warehouse}"
        + (f" as {one.document}" if one.document else "")
        for one in case.sums.claims
    )
    booked = "; ".join(f"{_units(one.units)} in {one.warehouse}" for one in case.sums.booked) or "nothing"
    print(f"{case.mismatch_id}  {case.family} {case.sku}: {case.differs} differ: {said}; booked: {booked}")


def _units(units: tuple[int, int, int]) -> str:
    good, damaged, lost = units
    return str(good) + (f" (damaged {damaged})" if damaged else "") + (f" (lost {lost})" if lost else "")
