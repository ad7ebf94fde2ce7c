"""The whole service on real servers, its worker running: the application as the warehouse meets it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from app.api.app import create_app
from app.bootstrap import Stores
from app.domain.commands import OpeningRow
from app.ledger.check import LedgerCheck
from app.operations.operations import Operations
from app.worker.duty import run_all
from tests.integration.api_client import PretendHealth

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
            while True:
                persisted, last = await self.stores.client.hmget(self.stores.keys.meta, ["persisted", "last"])
                if persisted == last:
                    return
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


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer tells, which must be this one."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return dict(answer.json())
