"""The whole service on real servers, its worker running: the application as the warehouse meets it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.api.app import create_app
from app.bootstrap import Stores
from app.domain.commands import OpeningRow
from app.ledger.check import LedgerCheck
from app.operations.operations import Operations
from app.worker.duty import run_all
from tests.integration.api_client import PretendHealth
from tests.integration.working import persisted

ROWS = (OpeningRow("A", "north", 10, 2), OpeningRow("A", "south", 5), OpeningRow("B", "north", 0))


@dataclass
class House:
    """The stores, what can be done with them, and a client of the application."""

    stores: Stores
    operations: Operations
    http: httpx.AsyncClient

    async def counts(self, sku: str, warehouse: str = "north") -> dict[str, int]:
        told = (await self.http.get(f"/v1/stock/{sku}")).json()
        return dict(told["warehouses"][warehouse])

    async def caught_up(self) -> None:
        """Wait until the ledger has every event."""
        async with asyncio.timeout(45):
            while not await persisted(self.stores):
                await asyncio.sleep(0.01)

    async def ready(self) -> None:
        """Wait until the gate is open."""
        async with asyncio.timeout(45):
            while not await self.stores.gate.is_open():
                await asyncio.sleep(0.01)

    async def differences(self) -> list[str]:
        """What `verify` and `ledger check` find."""
        await self.caught_up()
        found = [str(one) async for one in self.stores.verify(lambda _what, _count: None).differences()]
        check = LedgerCheck(self.stores.engine, 0, now=datetime.now(UTC))
        return found + [str(fault) async for fault in check.faults()]


@asynccontextmanager
async def house_on(stores: Stores, rows: tuple[OpeningRow, ...] = ROWS) -> AsyncIterator[House]:
    """The application with these rows on the shelves, over open stores."""
    operations = stores.operations()
    if rows:
        await operations.openings.book(rows)
    app = create_app(operations, stores.settings, PretendHealth())
    stop = asyncio.Event()
    working = asyncio.create_task(run_all(stores.duties(), stop))
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield House(stores, operations, http)
    finally:
        stop.set()
        await working


async def now_ms(house: House) -> int:
    """A time that everything so far is before, and everything that follows is after."""
    await asyncio.sleep(0.002)
    seconds, micros = await house.stores.client.time()
    await asyncio.sleep(0.002)
    return int(seconds) * 1000 + int(micros) // 1000


async def now(house: House) -> str:
    """The same as a text."""
    return text_of(await now_ms(house))


def text_of(ms: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def shelf(house: House, sku: str = "A") -> tuple[int, int]:
    """How many units are on hand and damaged in north."""
    counts = await house.counts(sku)
    return counts["on_hand"], counts["damaged"]


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer tells, which must be this one."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return dict(answer.json())
