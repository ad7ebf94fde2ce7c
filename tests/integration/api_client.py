"""The application on a real hot store, with a ledger or without; and a client that sends paths as they are."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import redis.asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.app import create_app
from app.domain.events import Position
from app.domain.ranking import Ranking
from app.hotstore import wire
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.store import Caller, HotStore
from app.ledger import database
from app.ledger.counts import CountRows
from app.ledger.documents import MismatchRows
from app.ledger.inbox import InboxRows
from app.ledger.ledger import Ledger
from app.ledger.lock_rows import LockRows
from app.ledger.merging import MergeRows
from app.ledger.openings import OpeningRows
from app.ledger.past import PastRows
from app.ledger.purchase_orders import PurchaseOrderRows
from app.ledger.reconciliations import ReconciliationRows
from app.ledger.shipments import ShipmentRows
from app.ledger.shortages import ShortageRows
from app.ledger.skus import SkuRows
from app.ledger.snapshots import Snapshots
from app.ledger.warehouses import WarehouseRows
from app.operations.adjustments import Adjustments
from app.operations.availability import Availability
from app.operations.buffers import Buffers
from app.operations.codes import Codes
from app.operations.compensations import Compensations
from app.operations.durability import Durabilities
from app.operations.exchanges import Exchanges
from app.operations.inbox import Inbox
from app.operations.inbox_counts import InboxCounts
from app.operations.lock_list import LockList
from app.operations.locks import Locks
from app.operations.merging import Merging
from app.operations.mismatches import Mismatches
from app.operations.once import Once
from app.operations.openings import OpeningRow, Openings
from app.operations.operations import Operations
from app.operations.past import Past
from app.operations.past_documents import PastDocuments
from app.operations.purchase_orders import PurchaseOrders
from app.operations.reconciliations import Reconciliations
from app.operations.returns import Returns
from app.operations.shortages import Shortages
from app.operations.skus import Skus
from app.operations.stock import StockCounts
from app.operations.stock_takes import StockTakes
from app.operations.transfers import Transfers
from app.operations.unlocking import Unlocking
from app.operations.voiding import Voiding
from app.operations.warehouses import Warehouses
from app.settings import Settings
from tests import servers

ROWS = (
    OpeningRow("A", "north", 10, 2),
    OpeningRow("A", "south", 5),
    OpeningRow("B", "north", 0),
    OpeningRow("A/12", "north", 4),
    OpeningRow("BANK CHARGES", "north", 3),
    OpeningRow("Größe", "north", 6),
)

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
"""Where no Postgres listens."""


@dataclass
class PretendWatch:
    """The ledger is where a test says; it has no event of an ended epoch."""

    persisted: list[str]
    trouble: str = ""

    async def reached(self, position: Position) -> bool:
        while not self.persisted[0] or Position.parse(self.persisted[0]) < position:
            await asyncio.sleep(0.005)
        return Position.parse(self.persisted[0]).epoch == position.epoch


@dataclass
class PretendHealth:
    reasons: list[str] = field(default_factory=list)

    async def readiness(self) -> list[str]:
        return self.reasons

    def notes(self) -> list[str]:
        return []


class AsIs(httpx.AsyncBaseTransport):
    """Sends the path of the extension `target`, if there is one, where httpx would change it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await httpx.ASGITransport(self._aimed(request)).handle_async_request(request)

    def _aimed(self, request: httpx.Request) -> Any:
        target = request.extensions.get("target")
        if target is None:
            return self._app
        raw, _, query = target.partition(b"?")

        async def aimed(scope: Any, receive: Any, send: Any) -> None:
            await self._app({**scope, "raw_path": raw, "query_string": query}, receive, send)

        return aimed


@dataclass
class World:
    """Everything one test may touch."""

    app: FastAPI
    http: httpx.AsyncClient
    hot: redis.asyncio.Redis
    operations: Operations
    health: PretendHealth
    persisted: list[str]

    async def at(self, method: str, target: str, **more: Any) -> httpx.Response:
        """Send a request whose path is exactly `target`."""
        return await self.http.request(method, "/", extensions={"target": target.encode("latin-1")}, **more)

    async def lock(self, lock_id: str, *lines: tuple[Any, ...], **more: Any) -> httpx.Response:
        body = {"lock_id": lock_id, "lines": as_lines(lines), **more}
        return await self.http.post("/v1/locks", json=body)

    async def step(self, lock_id: str, step: str, body: Any = None, key: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post(f"/v1/locks/{lock_id}/{step}", json=body, headers=headers)

    async def sellable(self, sku: str) -> int:
        return int((await self.http.get(f"/v1/availability/{sku}")).json()["sellable"])


def as_lines(lines: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """('A', 2) or ('A', 2, 'north') as lines of a body."""
    return [dict(zip(("sku", "quantity", "warehouse"), line, strict=False)) for line in lines]


def remember(database_url: str, kind: str, record_id: str, record: dict[str, Any]) -> None:
    """Let the ledger have a lock or a transfer that the hot store has forgotten."""
    row = f"0, '{record_id}', 1, 1, 1, 1, now(), '{json.dumps(record)}'"
    servers.execute(database_url, f"INSERT INTO {kind} VALUES ({row})")  # noqa: S608 - a test's own words


def operations_on(
    caller: Caller,
    settings: Settings,
    persisted: list[str],
    engine: AsyncEngine,
    ranking: Ranking | None = None,
) -> Operations:
    ranking = ranking or Ranking(settings.order)
    hot = HotStore(caller, Keys(settings.prefix), library(), ranking=ranking)

    levels = Durabilities(
        hot_level=lambda: "disk",
        watch=PretendWatch(persisted),
        wait_seconds=settings.durability_wait_seconds,
    )
    availability = Availability(
        hot,
        ranking=ranking,
        entries_max=settings.stale_entries_max,
        stale_seconds_max=settings.stale_seconds_max,
    )
    ledger = Ledger(engine)
    once, past = Once(ledger), PastDocuments(hot, ledger, settings.horizon_seconds)
    stock_takes = StockTakes(hot, once, CountRows(engine), levels)
    listed = Warehouses(WarehouseRows(engine), takes_any=settings.new_warehouses == "any")
    codes = Codes(listed, Skus(hot, SkuRows(engine), levels), hot, ledger, PurchaseOrderRows(engine))
    return Operations(
        locks=Locks(hot, ledger, levels, past),
        lock_list=LockList(hot, LockRows(engine), levels),
        unlocking=Unlocking(hot, ledger, levels),
        voiding=Voiding(hot, ShipmentRows(engine), levels, past),
        availability=availability,
        stock=StockCounts(hot),
        returns=Returns(hot, levels, past),
        adjustments=Adjustments(hot, levels, past),
        openings=Openings(hot, OpeningRows(engine), CountRows(engine), stock_takes, levels),
        exchanges=Exchanges(hot, levels, past),
        transfers=Transfers(hot, ledger, levels, past),
        buffers=Buffers(hot, levels),
        purchase_orders=PurchaseOrders(hot, PurchaseOrderRows(engine), past, levels),
        stock_takes=stock_takes,
        shortages=Shortages(hot, ShortageRows(engine), levels, settings.shortage_choice),
        inbox=Inbox(
            hot,
            ledger,
            InboxRows(engine),
            InboxCounts(hot, CountRows(engine), levels),
            past,
            levels,
            codes,
            settings.rules,
            wait_seconds=settings.inbox_wait_seconds,
        ),
        mismatches=Mismatches(hot, MismatchRows(engine), past, levels),
        past=Past(hot, PastRows(engine), levels),
        reconciliations=Reconciliations(hot, Snapshots(engine, 0), ReconciliationRows(engine)),
        compensations=Compensations(hot, ReconciliationRows(engine), CountRows(engine), levels),
        codes=codes,
        merging=Merging(hot, MergeRows(engine), listed, levels),
    )


@asynccontextmanager
async def world_on(
    client: redis.asyncio.Redis, *, database_url: str = NOWHERE, **more: Any
) -> AsyncIterator[World]:
    """The application with ROWS on the shelves; without Postgres unless one is named; `more` are settings."""
    settings = Settings(**more)
    health, persisted = PretendHealth(), [""]
    caller = wire.FunctionCaller(client, deadline_seconds=settings.call_deadline_seconds)
    engine = database.open_engine(database_url)
    operations = operations_on(caller, settings, persisted, engine)
    if database_url != NOWHERE:
        await operations.codes.warehouses.add(servers.LISTED)
    await operations.openings.book(ROWS)
    app = create_app(operations, settings, health)
    async with httpx.AsyncClient(transport=AsIs(app), base_url="http://test") as http:
        yield World(app, http, client, operations, health, persisted)
    await engine.dispose()
