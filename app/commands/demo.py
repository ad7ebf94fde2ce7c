"""`sellable demo` (hidden, for `up`): fills a new service with the demo catalogue."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from app.commands.service import find_service
from app.demo import catalogue
from app.domain.outcomes import Outcome
from app.operations.operations import Operations


async def demo(
    *, data_dir: Path, open_operations: Callable[[str, str], AbstractAsyncContextManager[Operations]]
) -> None:
    """Book the opening stock and the orders; a rerun changes nothing but the stock's counts."""
    service = find_service(data_dir, "redis", "database")
    async with open_operations(service.redis, service.database) as operations:
        await operations.codes.warehouses.add(catalogue.WAREHOUSES)
        await operations.openings.book(catalogue.rows(), who=catalogue.WHO)
        for lock, confirm, deduct in catalogue.orders():
            told = await operations.locks.create(lock, "disk", who=catalogue.WHO)
            if told.answer.outcome is not Outcome.LOCKED:
                continue  # sold out: that happens in a demo too
            if confirm:
                await operations.locks.step(confirm, "disk", who=catalogue.WHO)
            if deduct:
                await operations.locks.step(deduct, "disk", who=catalogue.WHO)
