"""A document counts once, whoever reports it: the same situations told by a route and by events, in both orders."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from app.bootstrap import Stores
from app.domain.commands import Unlock
from app.ledger import database
from app.ledger.archive import Archive, Archived
from app.ledger.horizon import Horizon
from app.ledger.partitions import Month, ensure_month
from app.recovery.findings import Finding
from app.settings import Settings
from app.worker import forget
from tests.integration.test_inbox import ago, event
from tests.integration.test_inbox_order import on_a_line
from tests.integration.warehouse import House
from tests.integration.working import drain, fetch, until

HORIZON_SECONDS = 60


@pytest.fixture
def test_settings() -> Settings:
    return Settings(
        trim_margin_seconds=0,
        horizon_seconds=HORIZON_SECONDS,
        inbox_sources="totals:reports=totals,twin:reporter=wms",
    )


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with on_a_line(stores) as house:
        yield house


async def at_once(_stores: Stores) -> None:
    """Nothing happens between."""


async def forgotten(stores: Stores) -> None:
    """The hot store forgets all that it may, as it does once the window has passed."""
    duty = forget.duty(stores.hot, Horizon(stores.engine, 0, seconds=0, entries_max=10**9))
    while await duty.run_once():
        pass


async def rebuilt(stores: Stores) -> None:
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.SAME


async def forgotten_and_rebuilt(stores: Stores) -> None:
    await forgotten(stores)
    await rebuilt(stores)


async def archived(stores: Stores) -> None:
    """The month of all that was told so far leaves the ledger; no lock of then may be open."""
    for (lock_id,) in await fetch(stores, "SELECT lock_id FROM lock WHERE status = 'partly_deducted'"):
        await stores.hot.execute(Unlock(lock_id))
    await drain(stores)
    await forgotten(stores)
    now = datetime.now(UTC)
    async with database.driver_transaction(stores.engine) as pg:
        await ensure_month(pg, Month.of(now).plus(-2))
        for table in ("move", "event", "event_id", "balance"):
            await pg.execute(f"UPDATE {table} SET recorded_at = recorded_at - interval '2 months'")  # noqa: S608
    while isinstance(done := await Archive(stores.engine, 0).archive_oldest(now, months_kept=1), Archived):
        pass
    assert done is None, done
    assert await fetch(stores, "SELECT count(*) FROM event WHERE op LIKE 'event:%'") == [(0,)]


STOCKED = 100
Units = tuple[int, int]


class Told(NamedTuple):
    """What one situation comes to: by (SKU, warehouse) the change of (on hand, damaged), and what is listed, by SKU."""

    counts: dict[tuple[str, str], Units]
    listed: Mapping[str, str] = MappingProxyType({})


class Situation(NamedTuple):
    """One document, told of by a route and by events of a warehouse system."""

    begin: Callable[["Scene"], Awaitable[None]]
    route: Callable[["Scene"], Awaitable[httpx.Response]]
    events: Callable[["Scene"], list[dict[str, Any]]]
    route_first: Told
    event_first: Told


class Scene:
    """Where a situation takes place: its SKUs and ids are its own."""

    def __init__(self, house: House, name: str) -> None:
        self.house, self.name = house, name
        self.routes: list[int] = []
        self.statuses: list[str] = []

    def id(self, name: str) -> str:
        return f"{name}-{self.name}"

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        async def answered() -> httpx.Response | None:
            answer = await self.house.http.post(path, json=body)
            return None if answer.status_code == 503 else answer

        answer = await until(
            answered
        )  # as callers do: after a rebuild each process has to find the store again
        assert answer is not None
        return answer

    async def lock(self, units: int, warehouse: str = "north") -> None:
        line = {"sku": self.id("A"), "quantity": units, "warehouse": warehouse}
        made = await self.post("/v1/locks", {"lock_id": self.id("L"), "lines": [line], "ttl_seconds": None})
        assert made.status_code == 201, made.text
        assert (await self.post(f"/v1/locks/{self.id('L')}/confirm", {})).status_code == 200

    async def deduct(self, shipment: str, units: int, **more: Any) -> httpx.Response:
        lines = [{"sku": self.id("A"), "quantity": units} | more]
        body = {"shipment_id": shipment, "lines": lines}
        return await self.post(f"/v1/locks/{self.id('L')}/deduct", body)

    async def order(self) -> None:
        lines = [{"sku": self.id(sku), "quantity": 50} for sku in ("A", "B")]
        body = {"purchase_order_id": self.id("P"), "warehouse": "north", "lines": lines}
        assert (await self.post("/v1/purchase-orders", body)).status_code == 201

    async def receive(self, **units: int) -> httpx.Response:
        lines = [{"sku": self.id(sku), "quantity": count} for sku, count in units.items()]
        body = {"receipt_id": "R", "lines": lines}
        return await self.post(f"/v1/purchase-orders/{self.id('P')}/receipts", body)

    async def transfer(self) -> None:
        lines = [{"sku": self.id("A"), "quantity": 100}]
        body = {"transfer_id": self.id("T"), "from": "south", "to": "north", "lines": lines}
        assert (await self.post("/v1/transfers", body)).status_code == 201
        ship = {"shipment_id": "S"}
        assert (await self.post(f"/v1/transfers/{self.id('T')}/ship", ship)).status_code == 200

    async def arrive(self, good: int, damaged: int, lost: int) -> httpx.Response:
        line = {"sku": self.id("A"), "quantity": good, "damaged": damaged, "lost": lost}
        return await self.post(f"/v1/transfers/{self.id('T')}/receive", {"receipt_id": "R", "lines": [line]})

    async def adjust(self, units: int) -> httpx.Response:
        line = {"sku": self.id("A"), "quantity": units, "reason": "counted"}
        body = {"adjustment_id": self.id("J"), "warehouse": "north", "lines": [line]}
        return await self.post("/v1/adjustments", body)

    async def give_back(self) -> httpx.Response:
        line = {"sku": self.id("A"), "quantity": 1, "condition": "sellable"}
        return await self.post(
            "/v1/returns", {"return_id": self.id("Q"), "warehouse": "north", "lines": [line]}
        )

    def said(self, name: str, kind: str, units: int, **more: Any) -> dict[str, Any]:
        told = {"occurred_at": AT, "sku": self.id("A"), "quantity": units} | more
        if kind == "shipped":
            told |= {"lock_id": self.id("L")}
        return event(f"{name}-{self.name}", kind, **told)

    async def send(self, *events: dict[str, Any], source: str = "wms") -> list[str]:
        answer = await self.post("/v1/warehouse-events", {"source": source, "events": list(events)})
        assert answer.status_code == 200, answer.text
        return [one["status"] for one in answer.json()["results"]]


AT = ago(5)


async def nothing(_scene: Scene) -> None:
    """Nothing has to be there before."""


def of(sku: str, on_hand: int, damaged: int = 0, warehouse: str = "north") -> dict[tuple[str, str], Units]:
    return {(sku, warehouse): (on_hand, damaged)}


SITUATIONS = {
    "a receipt of which each names another SKU": Situation(
        Scene.order,
        lambda s: s.receive(A=5),
        lambda s: [s.said("e", "received", 5, sku=s.id("B"), receipt_id="R", purchase_order_id=s.id("P"))],
        Told(of("A", 5) | of("B", 5), {"A": "line", "B": "line"}),
        Told(of("A", 5) | of("B", 5), {"A": "line", "B": "line"}),
    ),
    "a receipt told in two lots": Situation(
        Scene.order,
        lambda s: s.receive(A=12),
        lambda s: [
            s.said(f"e{n}", "received", 6, receipt_id="R", purchase_order_id=s.id("P")) for n in (1, 2)
        ],
        Told(of("A", 12)),
        Told(of("A", 12)),
    ),
    "a receipt of which the event says more": Situation(
        Scene.order,
        lambda s: s.receive(A=5),
        lambda s: [s.said("e", "received", 9, receipt_id="R", purchase_order_id=s.id("P"))],
        Told(of("A", 5), {"A": "units"}),
        Told(of("A", 9), {"A": "units"}),
    ),
    "a parcel that the warehouse has two names for": Situation(
        lambda s: s.lock(10),
        lambda s: s.deduct("shop-1", 10),
        lambda s: [
            s.said("e1", "shipped", 4, shipment_id="SSCC-1"),
            s.said("e2", "shipped", 6, shipment_id="SSCC-2"),
        ],
        Told(of("A", -10)),
        Told(of("A", -10)),
    ),
    "a shipment from another warehouse": Situation(
        lambda s: s.lock(5),
        lambda s: s.deduct("p1", 5, warehouse="north"),
        lambda s: [s.said("e", "shipped", 5, shipment_id="p1", warehouse="south")],
        Told(of("A", -5) | of("A", 0, warehouse="south"), {"A": "place"}),
        Told(of("A", 0) | of("A", -5, warehouse="south"), {"A": "place"}),
    ),
    "a transfer's receipt in other conditions": Situation(
        Scene.transfer,
        lambda s: s.arrive(95, 3, 2),
        lambda s: [s.said("e", "transfer_received", 98, damaged=2, transfer_id=s.id("T"), receipt_id="R")],
        Told(of("A", 95, 3), {"A": "condition"}),
        Told(of("A", 98, 2), {"A": "condition"}),
    ),
    "an adjustment that the warehouse took for a regrade": Situation(
        nothing,
        lambda s: s.adjust(1),
        lambda s: [
            s.said("e1", "adjusted", -1, adjustment_id=s.id("J")),
            s.said("e2", "adjusted", 1, condition="damaged", adjustment_id=s.id("J")),
        ],
        Told(of("A", 1), {"A": "units"}),
        Told(of("A", -1, 1), {"A": "units"}),
    ),
    "a shipment of which the event says more": Situation(
        lambda s: s.lock(4),
        lambda s: s.deduct("S", 1),
        lambda s: [s.said("e", "shipped", 4, shipment_id="S")],
        Told(of("A", -4), {"A": "units"}),
        Told(of("A", -4), {"A": "units"}),
    ),
    "a return in another warehouse": Situation(
        nothing,
        lambda s: s.give_back(),
        lambda s: [s.said("e", "returned", 1, return_id=s.id("Q"), warehouse="south")],
        Told(of("A", 1) | of("A", 1, warehouse="south"), {"A": "line"}),
        Told(of("A", 1) | of("A", 1, warehouse="south"), {"A": "line"}),
    ),
    "an adjustment the other way": Situation(
        nothing,
        lambda s: s.adjust(1),
        lambda s: [s.said("e", "adjusted", -50, adjustment_id=s.id("J"))],
        Told(of("A", -50), {"A": "units"}),
        Told(of("A", -50), {"A": "units"}),
    ),
}
"""The table of documents; each must come to the same whichever comes first, unless it says otherwise."""


async def stock_up(house: House, scenes: list[Scene]) -> None:
    rows = [
        {"event_id": f"s-{scene.name}-{warehouse}", "type": "received", "occurred_at": ago(50), "warehouse": warehouse,
         "sku": scene.id("A"), "quantity": STOCKED}
        for scene in scenes for warehouse in ("north", "south")
    ]  # fmt: skip
    answer = await house.http.post("/v1/warehouse-events", json={"source": "first", "events": rows})
    assert {one["status"] for one in answer.json()["results"]} == {"applied"}


async def by_route(scene: Scene, situation: Situation) -> None:
    """The route says it, and once more."""
    first, again = await situation.route(scene), await situation.route(scene)
    assert {first.status_code, again.status_code} <= {200, 201}, (scene.name, first.text, again.text)
    assert again.status_code == 200, (scene.name, again.text)


async def by_events(scene: Scene, situation: Situation) -> None:
    """The warehouse system says it, and once more: nothing is a duplicate that is not booked."""
    events = situation.events(scene)
    await scene.send(*events)
    again = await scene.send(*events)
    assert set(again) <= {"duplicate", "quarantined"}, (scene.name, again)
    scene.statuses = again


async def counts_of(scene: Scene, sku: str, warehouse: str) -> Units:
    told = (await scene.house.http.get(f"/v1/stock/{scene.id(sku)}")).json()
    counts = told.get("warehouses", {}).get(warehouse, {"on_hand": 0, "damaged": 0})
    return counts["on_hand"] - (STOCKED if sku == "A" else 0), counts["damaged"]


async def mismatches(house: House) -> dict[str, str]:
    await house.caught_up()
    found = (await house.http.get("/v1/mismatches?limit=1000")).json()["items"]
    return {one["sku"]: one["differs"] for one in found}


async def come_to(scenes: dict[Scene, Told], *, verified: bool = True) -> None:
    house = next(iter(scenes)).house
    listed = await mismatches(house)
    for scene, told in scenes.items():
        for (sku, warehouse), units in told.counts.items():
            assert await counts_of(scene, sku, warehouse) == units, (scene.name, sku, warehouse)
        its = {sku: listed[scene.id(sku)] for sku in ("A", "B") if scene.id(sku) in listed}
        assert its == told.listed, scene.name
    assert not verified or await house.differences() == []


async def tell_first(house: House) -> dict[str, tuple[str, str]]:
    """Begin each situation twice, and tell it by a route or by events; return what was begun, by its scene's name."""
    begun = {
        f"{number}-{order}": (name, order)
        for number, name in enumerate(SITUATIONS)
        for order in ("route", "event")
    }
    scenes = {Scene(house, name): told for name, told in begun.items()}
    await stock_up(house, list(scenes))
    for scene, (name, order) in scenes.items():
        await SITUATIONS[name].begin(scene)
        await (by_route if order == "route" else by_events)(scene, SITUATIONS[name])
    await house.caught_up()
    return begun


async def tell_second(house: House, begun: dict[str, tuple[str, str]], *, verified: bool) -> None:
    """Tell each the other way, and look what it came to."""
    scenes = {Scene(house, name): told for name, told in begun.items()}
    for scene, (name, order) in scenes.items():
        await (by_events if order == "route" else by_route)(scene, SITUATIONS[name])
    wanted = {}
    for scene, (name, order) in scenes.items():
        situation = SITUATIONS[name]
        wanted[scene] = situation.route_first if order == "route" else situation.event_first
    await come_to(wanted, verified=verified)
    listed = await mismatches(house)
    for scene in scenes:
        assert "quarantined" not in scene.statuses or scene.id("A") in listed, scene.name


_TIER = pytest.mark.tier


@pytest.mark.parametrize(
    "between",
    [
        at_once,
        pytest.param(forgotten, marks=_TIER),
        pytest.param(rebuilt, marks=_TIER),
        forgotten_and_rebuilt,
        pytest.param(archived, marks=_TIER),
    ],
)
async def test_a_document_counts_once(stores: Stores, between: Callable[[Stores], Awaitable[None]]) -> None:
    async with on_a_line(stores) as house:
        begun = await tell_first(house)
    await between(stores)
    async with on_a_line(stores) as house:
        await tell_second(house, begun, verified=between is not archived)


async def decide(scene: Scene, sku: str, decision: str) -> httpx.Response:
    """Accept or drop the one case of a SKU, and wait for what that books."""
    await scene.house.caught_up()
    found = (await scene.house.http.get("/v1/mismatches?limit=1000")).json()["items"]
    (case,) = [one for one in found if one["sku"] == scene.id(sku)]
    path = f"/v1/mismatches/{case['mismatch_id']}/{decision}"
    first, again = [await scene.post(path, {"reason": "looked at"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200), (first.text, again.text)
    assert (
        first.json()["decision"]
        == again.json()["decision"]
        == {"accept": "accepted", "drop": "dropped"}[decision]
    )
    await scene.house.caught_up()
    return first


ACCEPTED = {
    "a receipt of which the event says more": of("A", 9),
    "a shipment from another warehouse": of("A", 0) | of("A", -5, warehouse="south"),
    "a transfer's receipt in other conditions": of("A", 98, 2),
    "a shipment of which the event says more": of("A", -4),
    "a return in another warehouse": of("A", 1) | of("A", 1, warehouse="south"),
}


@pytest.mark.parametrize("decision", ["accept", "drop"])
async def test_a_person_decides_what_reporters_disagree_on(house: House, decision: str) -> None:
    """Accepted: what is beyond is booked, another place corrects both; dropped: it stays. Nothing is listed then."""
    scenes = {Scene(house, f"{number}"): name for number, name in enumerate(ACCEPTED)}
    await stock_up(house, list(scenes))
    for scene, name in scenes.items():
        await SITUATIONS[name].begin(scene)
        await by_route(scene, SITUATIONS[name])
        await by_events(scene, SITUATIONS[name])
        await decide(scene, "A", decision)
        await by_events(scene, SITUATIONS[name])
    for scene, name in scenes.items():
        counts = ACCEPTED[name] if decision == "accept" else SITUATIONS[name].route_first.counts
        for (sku, warehouse), units in counts.items():
            assert await counts_of(scene, sku, warehouse) == units, (name, sku, warehouse)
    assert await mismatches(house) == {}
    assert await house.differences() == []


async def test_a_case_closes_by_itself_and_opens_again_when_more_is_said(house: House) -> None:
    scene = Scene(house, "x")
    await stock_up(house, [scene])
    await scene.order()
    await scene.receive(A=5)
    lots = [
        scene.said(f"e{n}", "received", n, receipt_id="R", purchase_order_id=scene.id("P")) for n in (2, 3, 4)
    ]
    for lot, listed, status in zip(
        lots, ({"A-x": "units"}, {}, {"A-x": "units"}), ("duplicate",) * 3, strict=True
    ):
        assert await scene.send(lot) == [status if lot is not lots[2] else "quarantined"]
        assert await mismatches(house) == listed
    await decide(scene, "A", "drop")
    assert await mismatches(house) == {}
    more = scene.said("e5", "received", 1, receipt_id="R", purchase_order_id=scene.id("P"))
    assert await scene.send(more) == ["quarantined"]
    assert await mismatches(house) == {"A-x": "units"}
    assert await counts_of(scene, "A", "north") == (5, 0)


async def test_what_shipped_from_elsewhere_settles_its_order(house: House) -> None:
    """The promise in the north ends; the order has its goods, and all of them can come back, but no more."""
    scene = Scene(house, "x")
    await stock_up(house, [scene])
    await scene.lock(3)
    shipped = scene.said("e", "shipped", 3, shipment_id="p", warehouse="south")
    assert await scene.send(shipped, shipped) == ["applied", "duplicate"]
    told = (await house.http.get(f"/v1/locks/{scene.id('L')}")).json()
    assert (told["status"], told["lines"]) == (
        "deducted",
        [{"sku": "A-x", "warehouse": "south", "quantity": 3, "deducted": 3}],
    )
    assert (await house.counts("A-x", "north"))["locked"] == 0
    assert await counts_of(scene, "A", "north") == (0, 0)
    assert await counts_of(scene, "A", "south") == (-3, 0)
    await returns_of(scene, 3)
    assert await house.differences() == []


async def returns_of(scene: Scene, units: int) -> None:
    """As much as was shipped comes back, one of it by an exchange, and not one more."""
    line = {"sku": scene.id("A"), "condition": "sellable"}
    swap = {
        "warehouse": "north", "lock_id": scene.id("L"), "returned": [line | {"quantity": 1}],
        "lock": {"lock_id": scene.id("M"), "lines": [{"sku": scene.id("A"), "quantity": 1}]},
    }  # fmt: skip
    assert (await scene.post("/v1/exchanges", swap | {"exchange_id": scene.id("X")})).status_code == 201
    back = {"warehouse": "north", "lock_id": scene.id("L"), "lines": [line | {"quantity": units - 1}]}
    assert (await scene.post("/v1/returns", back | {"return_id": scene.id("Q")})).status_code == 201
    for path, body in (
        ("/v1/returns", back | {"return_id": scene.id("Q2")}),
        ("/v1/exchanges", swap | {"exchange_id": scene.id("X2"), "lock": swap["lock"] | {"lock_id": "N"}}),
    ):
        refused = await scene.post(path, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "quantity_exceeds_shipment")


async def test_what_was_cancelled_and_shipped_can_come_back(house: House) -> None:
    scene = Scene(house, "x")
    await stock_up(house, [scene])
    await scene.lock(2)
    assert (await scene.post(f"/v1/locks/{scene.id('L')}/unlock", {})).status_code == 200
    assert await scene.send(scene.said("e", "shipped", 2, shipment_id="p")) == ["applied"]
    await returns_of(scene, 2)
    await house.caught_up()
    await forgotten(house.stores)
    assert await counts_of(scene, "A", "north") == (0, 0)


async def test_a_time_that_was_given_beats_one_that_was_assumed(house: House) -> None:
    """Counted at 10 what was shipped at 9 and reported at 11: what was counted stands, whoever gives the time when."""
    nine, ten = ago(20), ago(10)
    scenes = [Scene(house, name) for name in ("route", "event", "both", "arrived")]
    await stock_up(house, scenes)
    for scene in scenes[:3]:
        await scene.lock(2)
        line = {"sku": scene.id("A"), "on_hand": 98}
        take = {"stock_take_id": scene.id("C"), "warehouse": "north", "counted_at": ten, "lines": [line]}
        assert (await scene.post("/v1/stock-takes", take)).status_code == 201
        body = {"shipment_id": "p"} | ({"occurred_at": nine} if scene.name == "route" else {})
        if scene.name != "event":
            assert (await scene.post(f"/v1/locks/{scene.id('L')}/deduct", body)).status_code == 200
        if scene.name != "route":
            await scene.send(scene.said("e", "shipped", 2, shipment_id="p", occurred_at=nine))
        if scene.name == "event":
            assert (await scene.post(f"/v1/locks/{scene.id('L')}/deduct", body)).status_code == 200
    for scene in scenes[:3]:
        assert await counts_of(scene, "A", "north") == (-2, 0), scene.name
    assert await mismatches(house) == {}
    assert await house.differences() == []


async def test_sources_that_speak_for_one_and_those_that_report_totals(house: House) -> None:
    scene = Scene(house, "x")
    await stock_up(house, [scene])
    await scene.order()
    named = {"receipt_id": "R", "purchase_order_id": scene.id("P")}
    assert await scene.send(scene.said("e", "received", 3, **named)) == ["applied"]
    assert await scene.send(scene.said("e", "received", 4, **named), source="twin") == ["applied"]
    assert await counts_of(scene, "A", "north") == (7, 0)
    assert await mismatches(house) == {}
    totals = [
        scene.said(
            f"t{n}", "received", n, occurred_at=ago(n), receipt_id="S", purchase_order_id=scene.id("P")
        )
        for n in (6, 2, 9)
    ]
    assert await scene.send(*totals, source="totals") == ["applied", "applied", "duplicate"]
    assert await counts_of(scene, "A", "north") == (9, 0)
    assert await house.differences() == []


async def test_a_lock_that_is_forgotten_is_no_unknown_lock_to_a_step(house: House) -> None:
    scene = Scene(house, "x")
    await stock_up(house, [scene])
    await scene.lock(2)
    await scene.deduct("p", 2)
    await house.caught_up()
    await forgotten(house.stores)
    path = f"/v1/locks/{scene.id('L')}"
    answers = {
        "confirm": ({}, 200),
        "extend": ({"ttl_seconds": 5}, 409),
        "unlock": ({}, 409),
        "deduct": ({"shipment_id": "q"}, 409),
    }
    for step, (body, status) in answers.items():
        answer = await scene.post(f"{path}/{step}", body)
        told = answer.json()
        assert (answer.status_code, told.get("current_status", told.get("status"))) == (status, "deducted"), (
            step
        )
    again = await scene.deduct("p", 2)
    assert (again.status_code, again.json()["status"]) == (200, "deducted")
    assert (await scene.deduct("p", 1)).json()["code"] == "shipment_id_reused"
    assert await counts_of(scene, "A", "north") == (-2, 0)


async def test_an_event_is_known_for_ever(stores: Stores) -> None:
    """Once its month is archived it is a duplicate still."""
    async with on_a_line(stores) as house:
        scene = Scene(house, "x")
        await stock_up(house, [scene])
        plain = [scene.said(f"e{n}", "received", 1, occurred_at=AT) for n in range(3)]
        assert await scene.send(*plain) == ["applied"] * 3
        await house.caught_up()
    await archived(stores)
    async with on_a_line(stores) as house:
        scene = Scene(house, "x")
        assert await scene.send(*plain) == ["duplicate"] * 3
        assert await counts_of(scene, "A", "north") == (3, 0)
