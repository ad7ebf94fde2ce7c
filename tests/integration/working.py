"""The worker's duties beside a test, and traffic for them to follow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.bootstrap import Stores
from app.domain.commands import Line, Lock, OpeningRow, Unlock
from app.worker.duty import run_all

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


@asynccontextmanager
async def busy(stores: Stores, *, clients: int, pause_seconds: float = 0) -> AsyncIterator[None]:
    """Clients lock and unlock without end."""
    await stores.hot.opening([OpeningRow(f"S{i}", "north", 1000) for i in range(SKUS)])
    running = True

    async def traffic(name: str) -> None:
        n = 0
        while running:
            n += 1
            await stores.hot.lock(Lock(f"{name}-{n}", (Line(f"S{n % SKUS}", 1),)))
            await stores.hot.unlock(Unlock(f"{name}-{n}"))
            await asyncio.sleep(pause_seconds)

    tasks = [asyncio.create_task(traffic(f"t{i}")) for i in range(clients)]
    try:
        yield
    finally:
        running = False
        await asyncio.gather(*tasks)
