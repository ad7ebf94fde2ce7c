"""A warehouse with differences planted in it, under live traffic: each must be found with its cause, none invented.

The warehouse keeps its own books, as a real one does: what is on its shelves is counted here, unit by unit, and never
read from the service. A snapshot is taken of these books at one instant, while traffic goes on before and after it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.domain.commands import (
    Booking,
    Confirm,
    Deduct,
    Line,
    Lock,
    OpeningRow,
    Receive,
    Return,
    Transfer,
    TransferShip,
)
from app.domain.outcomes import Outcome
from app.domain.purchase_orders import Plan, PlannedLine
from app.domain.reconciliation import Cause
from app.domain.words import Place
from app.ledger import database
from tests.integration.inbox_rows import wait_in_inbox
from tests.integration.warehouse import House, text_of

OPENED = 1_000
"""Units of each SKU at the beginning, so that no order is refused."""
SHOPPERS = 4
ORDERS_A_TURN = 8
HOUR_MS = 3_600_000
WINDOW_SECONDS = 600
"""How far from the snapshot's time causes are looked for; openings are made older than that."""


class Planted(NamedTuple):
    """A difference that must be found."""

    cause: Cause
    difference: int


@dataclass
class Warehouse:
    """What is on the shelves of one warehouse, by its own books: good and damaged units by SKU."""

    good: Counter[str] = field(default_factory=Counter)
    damaged: Counter[str] = field(default_factory=Counter)

    def csv(self) -> str:
        """The snapshot; a SKU with nothing left is not named, as many systems do it."""
        skus = sorted(
            sku for sku in self.good.keys() | self.damaged.keys() if self.good[sku] or self.damaged[sku]
        )
        lines = (f"{sku},{self.good[sku]},{self.damaged[sku]}\n" for sku in skus)
        return f"sku,on_hand,damaged\n{''.join(lines)}#rows={len(skus)}\n"


class Traffic:
    """Shoppers, receipts and returns on all SKUs; `still` stops them between two commands for an instant."""

    def __init__(self, house: House, warehouse: Warehouse, skus: list[str], seed: str) -> None:
        self._hot = house.stores.hot
        self._warehouse = warehouse
        self._skus = skus
        self._random = random.Random(seed)
        self._seed = seed
        self._numbers = iter(range(10**9))
        self._room = [asyncio.Lock() for _ in range(SHOPPERS)]
        self.commands = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let traffic run meanwhile."""
        shoppers = [asyncio.create_task(self._shop(room)) for room in self._room]
        try:
            yield
        finally:
            for shopper in shoppers:
                shopper.cancel()
            done = await asyncio.gather(*shoppers, return_exceptions=True)
            failed = [one for one in done if isinstance(one, Exception)]
            assert not failed, failed

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing is on its way: what the books say and what was booked is the same."""
        for room in self._room:
            await room.acquire()
        try:
            yield
        finally:
            for room in self._room:
                room.release()

    async def _shop(self, room: asyncio.Lock) -> None:
        steps: tuple[Callable[[str, str], Awaitable[None]], ...] = (self._order, self._receive, self._return)
        while True:
            for _ in range(ORDERS_A_TURN):
                (step,) = self._random.choices(steps, (8, 1, 1))
                async with room:
                    await step(f"{self._seed}-{next(self._numbers)}", self._random.choice(self._skus))
                    self.commands += 1
            await asyncio.sleep(0.002)

    async def _order(self, name: str, sku: str) -> None:
        units = self._random.randint(1, 3)
        answer = await self._hot.execute(Lock(name, (Line(sku, units, "north"),)))
        assert answer.outcome is Outcome.LOCKED
        fate = self._random.random()
        if fate < 0.2:
            return  # it stays in the basket
        await self._hot.execute(Confirm(name))
        if fate < 0.3:
            return  # it ships another day
        await self._hot.execute(Deduct(name, "s"))
        self._warehouse.good[sku] -= units

    async def _receive(self, name: str, sku: str) -> None:
        line = Booking(sku, Place.SUPPLIER, Place.AVAILABLE, 5)
        await self._hot.execute(Receive(name, "north", (line,)))
        self._warehouse.good[sku] += 5

    async def _return(self, name: str, sku: str) -> None:
        line = Booking(sku, Place.CUSTOMER, Place.DAMAGED, 1)
        await self._hot.execute(Return(name, "north", (line,)))
        self._warehouse.damaged[sku] += 1


class Planter:
    """Plants differences, each on a SKU of its own and of a size that no traffic has by chance."""

    def __init__(self, house: House, warehouse: Warehouse, skus: list[str], now_ms: int, run: str) -> None:
        """The last two of the SKUs are traded by nobody."""
        self._house = house
        self._hot = house.stores.hot
        self._warehouse = warehouse
        self._run = run
        self._skus = iter(skus[:-2])
        self._quiet = iter(skus[-2:])
        self._units = iter(range(101, 900, 7))
        self._then = now_ms - HOUR_MS // 2
        self.planted: dict[tuple[str, str], Planted] = {}
        self.after: list[Callable[[], Awaitable[None]]] = []

    async def plant(self, how_often: int) -> None:
        """Plant each kind so many times."""
        kinds = (
            self._lost, self._found, self._damaged, self._never_heard_of, self._gone, self._parked, self._quarantined,
            self._twice, self._in_transit, self._late_shipment, self._early_count, self._late_count,
            self._shipment_untold, self._receipt_untold, self._transfer_untold,
        )  # fmt: skip
        for number in range(how_often):
            for kind in kinds:
                await kind(next(self._skus), next(self._units), f"{self._run}{kind.__name__}{number}")

    def _must(self, sku: str, cause: Cause, difference: int, state: str = "on_hand") -> None:
        self.planted[sku, state] = Planted(cause, difference)

    async def _receive(self, name: str, sku: str, units: int, at: int | None = None) -> None:
        line = Booking(sku, Place.SUPPLIER, Place.AVAILABLE, units)
        await self._hot.execute(Receive(name, "north", (line,), at))

    async def _lost(self, sku: str, units: int, _name: str) -> None:
        self._warehouse.good[sku] -= units
        self._must(sku, Cause.UNEXPLAINED, -units)

    async def _found(self, sku: str, units: int, _name: str) -> None:
        self._warehouse.good[sku] += units
        self._must(sku, Cause.UNEXPLAINED, units)

    async def _damaged(self, sku: str, units: int, _name: str) -> None:
        self._warehouse.damaged[sku] += units
        self._must(sku, Cause.UNEXPLAINED, units, "damaged")

    async def _never_heard_of(self, _sku: str, units: int, name: str) -> None:
        self._warehouse.good[f"new {name}"] = units
        self._must(f"new {name}", Cause.UNEXPLAINED, units)

    async def _gone(self, _sku: str, _units: int, _name: str) -> None:
        sku = next(self._quiet)  # a shelf cannot have less than nothing
        self._must(sku, Cause.UNEXPLAINED, -self._warehouse.good[sku])
        self._warehouse.good[sku] = 0

    async def _parked(self, sku: str, units: int, name: str) -> None:
        await self._wait(sku, units, name, "parked")
        self._must(sku, Cause.PARKED, units)

    async def _quarantined(self, sku: str, units: int, name: str) -> None:
        await self._wait(sku, units, name, "quarantined")
        self._must(sku, Cause.QUARANTINED, units)

    async def _wait(self, sku: str, units: int, name: str, status: str) -> None:
        self._warehouse.good[sku] += units
        event = {"type": "received", "sku": sku, "quantity": units, "occurred_at": text_of(self._then)}
        await wait_in_inbox(self._house, name, status, **event)

    async def _twice(self, sku: str, units: int, name: str) -> None:
        for again in ("route", "inbox"):
            await self._receive(f"{name} {again}", sku, units, self._then)
        self._warehouse.good[sku] += units
        self._must(sku, Cause.APPLIED_TWICE, -units)

    async def _in_transit(self, sku: str, units: int, name: str) -> None:
        line = Booking(sku, Place.SUPPLIER, Place.AVAILABLE, units)
        await self._hot.execute(Receive(f"{name} south", "south", (line,)))
        await self._hot.execute(Transfer(name, "south", "north", (Line(sku, units),)))
        await self._hot.execute(TransferShip(name, "s"))
        self._warehouse.good[sku] += units
        self._must(sku, Cause.IN_TRANSIT, units)

    async def _late_shipment(self, sku: str, units: int, name: str) -> None:
        await self._hot.execute(Lock(name, (Line(sku, units, "north"),), ttl_ms=None))
        self._warehouse.good[sku] -= units
        self.after.append(lambda: self._done(self._hot.execute(Deduct(name, "s"))))
        self._must(sku, Cause.SHIPPED_AFTER_CUT, -units)

    async def _early_count(self, sku: str, units: int, name: str) -> None:
        await self._receive(name, sku, units)
        self._must(sku, Cause.COUNT_BEFORE_MOVE, -units)

    async def _late_count(self, sku: str, units: int, name: str) -> None:
        self._warehouse.good[sku] += units
        self.after.append(lambda: self._receive(name, sku, units))
        self._must(sku, Cause.COUNT_AFTER_MOVE, units)

    async def _shipment_untold(self, sku: str, units: int, name: str) -> None:
        await self._hot.execute(Lock(name, (Line(sku, units, "north"),), ttl_ms=None))
        await self._hot.execute(Confirm(name))
        self._warehouse.good[sku] -= units
        self._must(sku, Cause.EVENT_MISSING, -units)

    async def _receipt_untold(self, sku: str, units: int, name: str) -> None:
        plan = Plan(name, "north", (PlannedLine(sku, units, None),))
        await self._house.operations.purchase_orders.create(plan)
        self._warehouse.good[sku] += units
        self._must(sku, Cause.EVENT_MISSING, units)

    async def _transfer_untold(self, sku: str, units: int, name: str) -> None:
        await self._hot.execute(Transfer(name, "north", "south", (Line(sku, units),)))
        self._warehouse.good[sku] -= units
        self._must(sku, Cause.EVENT_MISSING, -units)

    @staticmethod
    async def _done(step: Awaitable[Any]) -> None:
        await step


async def fill(house: House, skus: list[str]) -> Warehouse:
    """Put units of every SKU on the shelves, long ago."""
    for first in range(0, len(skus), 5_000):
        rows = [OpeningRow(sku, "north", OPENED) for sku in skus[first : first + 5_000]]
        await house.operations.openings.book(rows)
    await house.caught_up()
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute("UPDATE move SET occurred_at = occurred_at - interval '2 days'")
    warehouse = Warehouse(Counter(dict.fromkeys(skus, OPENED)))
    warehouse.good["A"] = 10  # what every house begins with
    return warehouse


async def hot_ms(house: House) -> int:
    """The hot store's time, in ms."""
    seconds, micros = await house.stores.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def instant(house: House) -> int:
    """A time that everything so far is before, and everything that follows is after."""
    await asyncio.sleep(0.002)
    at = await hot_ms(house)
    await asyncio.sleep(0.002)
    return at


class Taken(NamedTuple):
    """One run: what was planted, the snapshot and its time."""

    planted: dict[tuple[str, str], Planted]
    csv: str
    at: int


async def take(
    house: House, warehouse: Warehouse, traffic: Traffic, planter: Planter, how_often: int
) -> Taken:
    """Plant differences while traffic runs, and count the shelves at one instant."""
    await planter.plant(how_often)
    async with traffic.still():
        at = await instant(house)
        csv = warehouse.csv()
    for step in planter.after:
        await step()
    return Taken(planter.planted, csv, at)


async def make_even(house: House, warehouse: Warehouse, traffic: Traffic, taken: Taken) -> None:
    """Let the shelves have what the ledger says by now, for the next run: its differences are others."""
    skus = sorted({sku for sku, _ in taken.planted})
    async with traffic.still():
        _, found = await house.stores.hot.read_stock(skus)
        for sku, stock in zip(skus, found, strict=True):
            counts = stock.warehouses.get("north") if stock else None
            warehouse.good[sku] = counts.on_hand if counts else 0
            warehouse.damaged[sku] = counts.damaged if counts else 0
