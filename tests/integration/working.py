"""The worker's duties beside a test, traffic for them to follow, and what came of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from app.bootstrap import Stores
from app.domain.commands import (
    Adjust,
    Booking,
    Confirm,
    Deduct,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Return,
    Unlock,
)
from app.domain.words import Place
from app.ledger import database
from app.worker.duty import run_all

T = TypeVar("T")
SKUS = 5


@asynccontextmanager
async def working(stores: Stores) -> AsyncIterator[None]:
    """Every duty runs."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_all(stores.duties(), stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def until(ask: Callable[[], Awaitable[T]], limit_seconds: float = 45.0) -> T:
    """Ask again and again until the answer is true, and return it."""
    async with asyncio.timeout(limit_seconds):
        while not (answer := await ask()):
            await asyncio.sleep(0.01)
    return answer


async def drain(stores: Stores) -> None:
    """Persist until nothing is left."""
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
    while await persist.run_once():
        pass


async def persisted(stores: Stores) -> bool:
    """Whether the ledger has every event."""
    last, done = await stores.client.hmget(stores.keys.meta, ["last", "persisted"])
    return bool(last == done)


async def differences(stores: Stores) -> list[str]:
    """What `verify` finds."""
    verify = stores.verify(lambda _what, _count: None)
    return [str(difference) async for difference in verify.differences()]


async def execute(stores: Stores, statement: str) -> None:
    async with database.driver_transaction(stores.engine) as pg:
        await pg.execute(statement)


async def fetch(stores: Stores, statement: str) -> list[tuple[Any, ...]]:
    async with database.driver_transaction(stores.engine) as pg:
        return [tuple(row) for row in await pg.fetch(statement)]


async def some_traffic(stores: Stores) -> None:
    """A little of everything, until the outbox ends at 1-9."""
    hot = stores.hot
    await hot.execute(
        Opening([OpeningRow("A", "north", 10, 2), OpeningRow("A", "south", 5), OpeningRow("B", "north", 3)])
    )
    await hot.execute(Lock("one", (Line("A", 9),)))
    await hot.execute(Deduct("one", "s1", (Line("A", 3, "north"),)))
    await hot.execute(Lock("two", (Line("A", 2, "south"),), ttl_ms=None))
    await hot.execute(Confirm("two"))
    await hot.execute(Lock("three", (Line("A", 1),)))
    await hot.execute(Unlock("three"))
    await hot.execute(Return("r1", "north", (Booking("A", Place.CUSTOMER, Place.DAMAGED, 1),)))
    await hot.execute(
        Adjust("a1", "south", (Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 4, 'lost "it"'),))
    )


@asynccontextmanager
async def busy(stores: Stores, *, clients: int, pause_seconds: float = 0) -> AsyncIterator[None]:
    """Clients lock and unlock without end."""
    await stores.hot.execute(Opening([OpeningRow(f"S{i}", "north", 1000) for i in range(SKUS)]))
    running = True

    async def traffic(name: str) -> None:
        n = 0
        while running:
            n += 1
            await stores.hot.execute(Lock(f"{name}-{n}", (Line(f"S{n % SKUS}", 1),)))
            await stores.hot.execute(Unlock(f"{name}-{n}"))
            await asyncio.sleep(pause_seconds)

    tasks = [asyncio.create_task(traffic(f"t{i}")) for i in range(clients)]
    try:
        yield
    finally:
        running = False
        await asyncio.gather(*tasks)
