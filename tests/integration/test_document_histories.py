"""Random histories: a shop and two sources report the same documents, in any order, split in any lines, each twice.

Between two reports the hot store may forget all that it may, or be made anew. The counts are what really happened, what
is listed is what somebody said otherwise, and nothing is a duplicate that is not booked.
"""

import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from app.bootstrap import Stores
from app.bootstrap.operations import operations_of
from app.domain.commands import Adjust, Booking, Deduct, Line, Lock
from app.domain.inbox import Status
from app.domain.outcomes import Outcome
from app.domain.purchase_orders import Plan, PlannedLine
from app.domain.words import Place
from app.operations.operations import Operations
from app.operations.warehouse_events import read_event
from app.settings import Settings
from tests.integration.test_documents import AT, forgotten, rebuilt
from tests.integration.working import differences, drain

HISTORIES_HERE = 1
HISTORIES = int(os.environ.get("SELLABLE_PROOF_EXAMPLES", "0")) or 8
STOCKED = 100
KINDS = ("receipt", "shipment", "adjustment", "return")
Report = Callable[[], Awaitable[object]]


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, horizon_seconds=60)


@dataclass
class History:
    """Some documents, each about a SKU of its own; `liar` says one unit more of one of them, if anybody does."""

    operations: Operations
    rng: random.Random
    name: str
    units: dict[str, tuple[str, int]] = field(default_factory=dict)
    lie: tuple[str, str] = ("", "")
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def begin(self) -> None:
        for number, kind in enumerate(KINDS):
            sku = f"{kind}-{self.name}"
            self.units[sku] = (kind, self.rng.randint(2, 9))
            await self.say("first", self.event(f"s{number}", "received", sku, STOCKED))
            if kind == "receipt":
                line = PlannedLine(sku, 50, None)
                await self.operations.purchase_orders.create(Plan(f"P-{self.name}", "north", (line,)))
            if kind == "shipment":
                lock = Lock(f"L-{self.name}", (Line(sku, self.units[sku][1] + 1, "north"),), ttl_ms=None)
                assert (await self.operations.locks.create(lock, "disk")).answer.outcome is Outcome.LOCKED

    def event(self, event_id: str, type_: str, sku: str, units: int, **more: Any) -> dict[str, Any]:
        told = {"event_id": f"{event_id}-{self.name}", "type": type_, "occurred_at": AT, "warehouse": "north"}
        return told | {"sku": sku, "quantity": units} | more

    async def say(self, source: str, event: dict[str, Any]) -> Status:
        self.said.append((source, event))
        taken = await self.operations.inbox.take(source, [read_event(msgspec.json.encode(event))], "disk")
        return taken.results[0].status

    def reports(self) -> Iterator[Report]:
        """Everything that anybody says: the shop's documents whole, the sources' split in lines."""
        for sku, (kind, units) in self.units.items():
            if kind != "return":
                yield lambda sku=sku, kind=kind, units=units: self.route(kind, sku, units)
            for source in ("wms", "erp"):
                said = units + (self.lie == (source, sku))
                for number, part in enumerate(self.split(said)):
                    event = self.event_of(kind, sku, part, f"{sku}{number}")
                    yield lambda source=source, event=event: self.say(source, event)

    def split(self, units: int) -> Iterator[int]:
        while units:
            part = self.rng.randint(1, units)
            units -= part
            yield part

    def event_of(self, kind: str, sku: str, units: int, event_id: str) -> dict[str, Any]:
        match kind:
            case "receipt":
                named = {"purchase_order_id": f"P-{self.name}", "receipt_id": "R"}
                return self.event(event_id, "received", sku, units, **named)
            case "shipment":
                return self.event(event_id, "shipped", sku, units, lock_id=f"L-{self.name}", shipment_id="S")
            case "adjustment":
                return self.event(event_id, "adjusted", sku, -units, adjustment_id=f"J-{self.name}")
        return self.event(event_id, "returned", sku, units, return_id=f"Q-{self.name}")

    async def route(self, kind: str, sku: str, units: int) -> None:
        match kind:
            case "receipt":
                lines = (Booking(sku, Place.SUPPLIER, Place.AVAILABLE, units),)
                order = (f"P-{self.name}", "R", lines, "disk")
                await self.operations.purchase_orders.receive(*order, occurred_at=None)
            case "shipment":
                await self.operations.locks.step(Deduct(f"L-{self.name}", "S", (Line(sku, units),)), "disk")
            case "adjustment":
                lines = (Booking(sku, Place.AVAILABLE, Place.ADJUSTMENT, units, "lost"),)
                await self.operations.adjustments.book(Adjust(f"J-{self.name}", "north", lines), "disk")

    def wanted(self, sku: str) -> int:
        kind, units = self.units[sku]
        leaves = kind in {"shipment", "adjustment"}
        more = self.lie[1] == sku and leaves  # what goes out is the greatest that anybody says
        return STOCKED + (-(units + more) if leaves else units)


async def live(stores: Stores, seed: str) -> None:
    rng = random.Random(seed)
    history = History(operations_of(stores), rng, seed)
    await history.begin()
    if rng.random() < 0.6:
        history.lie = (rng.choice(("wms", "erp")), rng.choice(list(history.units)))
    reports = list(history.reports()) * 2
    for report in rng.sample(reports, len(reports)):
        await report()
        if rng.random() < 0.08:
            await drain(stores)
            await rng.choice((forgotten, rebuilt))(stores)
            stores.hot.epoch = ""
    await settled(stores, history)


async def settled(stores: Stores, history: History) -> None:
    await drain(stores)
    _, found = await stores.hot.read_stock(list(history.units))
    there = {stock.sku: stock.warehouses["north"].on_hand for stock in found if stock}
    _, lied = history.lie
    comes_in = lied and history.units[lied][0] in {"receipt", "return"}
    for sku in history.units:
        likely = {history.wanted(sku)} | ({history.wanted(sku) + 1} if sku == lied and comes_in else set())
        assert there[sku] in likely, (history.name, sku)
    listed = [
        one.sku for one in await history.operations.mismatches.list(0, 1_000) if one.sku in history.units
    ]
    assert Counter(listed) == Counter([lied] if lied else []), history.name
    for source, event in tuple(history.said):
        beyond = comes_in and (source, event["sku"]) == history.lie and there[lied] == history.wanted(lied)
        wanted = Status.QUARANTINED if beyond else Status.DUPLICATE
        assert await history.say(source, event) is wanted, (history.name, source, event)


@pytest.mark.parametrize("histories", [HISTORIES_HERE, pytest.param(HISTORIES, marks=pytest.mark.tier)])
async def test_random_histories_of_documents(stores: Stores, histories: int) -> None:
    for number in range(histories):
        await live(stores, f"{os.environ.get('SELLABLE_PROOF_SEED', 'any')}-{number}")
    assert await differences(stores) == []
