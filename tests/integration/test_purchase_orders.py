"""Purchase orders: what was ordered, what came in, what is still expected; through HTTP, on real servers."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from app.bootstrap import Stores
from app.domain.commands import Booking, Receive
from app.domain.events import Event
from app.domain.outcomes import Outcome
from app.domain.words import SCHEMA, Place
from app.ledger import database
from app.recovery.findings import Finding
from tests.integration.api_client import World, world_on
from tests.integration.warehouse import House, problem
from tests.integration.working import differences, drain

DAY_1, DAY_2 = "2030-01-01T08:00:00.000Z", "2030-01-02T08:00:00.000Z"
YESTERDAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%S}.000Z"


def order(order_id: str = "P1", *lines: dict[str, Any], warehouse: str = "north") -> dict[str, Any]:
    given = lines or ({"sku": "A", "quantity": 5, "expected_at": DAY_2}, {"sku": "B", "quantity": 3})
    return {"purchase_order_id": order_id, "warehouse": warehouse, "lines": list(given)}


async def create(house: House, *lines: dict[str, Any], order_id: str = "P1", **more: Any) -> httpx.Response:
    return await house.http.post("/v1/purchase-orders", json=order(order_id, *lines, **more))


async def receive(house: House, receipt_id: str, *units: tuple[Any, ...], **more: Any) -> httpx.Response:
    """Units are (sku, good, damaged)."""
    lines = [dict(zip(("sku", "quantity", "damaged"), line, strict=False)) for line in units]
    order_id = more.pop("order_id", "P1")
    body = {"receipt_id": receipt_id, "lines": lines, **more}
    return await house.http.post(f"/v1/purchase-orders/{order_id}/receipts", json=body)


async def read(house: House, order_id: str = "P1") -> dict[str, Any]:
    await house.caught_up()
    return dict((await house.http.get(f"/v1/purchase-orders/{order_id}")).json())


async def expected(house: House, query: str = "") -> list[tuple[Any, ...]]:
    await house.caught_up()
    items = (await house.http.get(f"/v1/expected{query}")).json()["items"]
    return [(one["sku"], one["warehouse"], one["expected_at"], one["quantity"]) for one in items]


async def test_a_plan_moves_no_stock_and_is_kept_once(house: House) -> None:
    created = await create(house)
    told = created.json()
    assert (created.status_code, told["status"], told["durability"]) == (201, "open", "ledger")
    assert told["lines"] == [
        {"sku": "A", "quantity": 5, "expected_at": DAY_2, "outstanding": 5},
        {"sku": "B", "quantity": 3, "outstanding": 3},
    ]
    assert (await house.counts("A"))["on_hand"] == 10
    await receive(house, "R1", ("A", 5), ("B", 3))
    await house.caught_up()
    again = await create(house)
    assert (again.status_code, again.json()) == (200, told | {"current_status": "received"})
    problem(await create(house, warehouse="south"), 409, "purchase_order_id_reused")
    problem(await create(house, {"sku": "A", "quantity": 5}), 409, "purchase_order_id_reused")


async def test_receipts_in_parts_with_damaged_ones(house: House) -> None:
    await create(house)
    booked = await receive(house, "R1", ("A", 2, 1), ("A", 1), occurred_at=YESTERDAY)
    told = booked.json()
    assert (booked.status_code, told["lines"]) == (201, [{"sku": "A", "quantity": 3, "damaged": 1}])
    assert (told["over_received"], told["current_status"], told["occurred_at"]) == ([], "open", YESTERDAY)
    counts = await house.counts("A")
    assert (counts["on_hand"], counts["damaged"]) == (13, 1)
    now = await read(house)
    assert [line["outstanding"] for line in now["lines"]] == [1, 3]
    assert now["received"] == [{"sku": "A", "quantity": 3, "damaged": 1, "over": 0}]
    assert (await receive(house, "R2", ("A", 1), ("B", 0, 3))).status_code == 201
    now = await read(house)
    assert (now["status"], [line["outstanding"] for line in now["lines"]]) == ("received", [0, 0])
    assert (await house.counts("B"))["damaged"] == 3
    assert await house.differences() == []


async def test_what_is_beyond_the_plan_is_booked_and_flagged(house: House) -> None:
    await create(house)
    first = (await receive(house, "R1", ("A", 4))).json()
    second = (await receive(house, "R2", ("A", 4), ("B", 1), ("C", 2))).json()
    third = (await receive(house, "R3", ("B", 1))).json()
    over = {"sku": "A", "quantity": 8, "damaged": 0, "over": 3}
    unplanned = {"sku": "C", "quantity": 2, "damaged": 0, "over": 2}
    assert [told["over_received"] for told in (first, second, third)] == [[], [over, unplanned], []]
    assert (await house.counts("A"))["on_hand"] == 18
    for receipt, told in (("R1", first), ("R2", second)):  # each as of itself, whatever came since
        units = [(line["sku"], line["quantity"]) for line in told["lines"]]
        again = await receive(house, receipt, *units)
        assert (again.status_code, again.json()) == (200, told)
    assert (await house.counts("A"))["on_hand"] == 18


async def test_an_id_of_a_receipt_stands_for_one_content(house: House) -> None:
    await create(house)
    await create(house, order_id="P2")
    await receive(house, "R1", ("A", 1))
    for other in (
        await receive(house, "R1", ("A", 2)),
        await receive(house, "R1", ("A", 1), occurred_at=YESTERDAY),
    ):
        problem(other, 409, "receipt_id_reused")
    another = await receive(house, "R1", ("A", 1), order_id="P2")  # an order's receipts are its own
    assert another.status_code == 201
    assert (await house.counts("A"))["on_hand"] == 12


async def test_a_receipt_beyond_the_horizon_is_still_known(house: House) -> None:
    await create(house)
    told = (await receive(house, "R1", ("A", 1))).json()
    await house.caught_up()
    (op,) = [f"receipt:{order}{{R1" for order in ("P1",)]
    await house.stores.hot.forget("", [op])
    assert await house.stores.client.exists(house.stores.keys.op(op)) == 0
    again = await receive(house, "R1", ("A", 1))
    assert (again.status_code, again.json()) == (200, told)
    problem(await receive(house, "R1", ("A", 9)), 409, "receipt_id_reused")
    assert (await house.counts("A"))["on_hand"] == 11


async def test_an_order_nobody_planned(house: House) -> None:
    for answer in (
        await receive(house, "R1", ("A", 1), order_id="nobody's"),
        await house.http.get("/v1/purchase-orders/nobody's"),
        await house.http.post("/v1/purchase-orders/nobody's/close"),
    ):
        problem(answer, 404, "unknown_purchase_order")
    assert (await house.counts("A"))["on_hand"] == 10


async def test_closing_short(house: House) -> None:
    await create(house)
    await receive(house, "R1", ("A", 2))
    await house.caught_up()
    closed = await house.http.post("/v1/purchase-orders/P1/close")
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    assert (await house.http.post("/v1/purchase-orders/P1/close", json={})).json() == closed.json()
    assert await expected(house) == []
    late = await receive(house, "R2", ("A", 1))  # it is there: booked, and told
    assert (late.status_code, late.json()["current_status"]) == (201, "closed")
    assert (await house.counts("A"))["on_hand"] == 13


async def test_what_is_still_expected(house: House) -> None:
    await create(house, {"sku": "A", "quantity": 4, "expected_at": DAY_2}, {"sku": "A", "quantity": 5})
    await create(house, {"sku": "A", "quantity": 2, "expected_at": DAY_2}, order_id="P2")
    await create(house, {"sku": "A", "quantity": 3, "expected_at": DAY_1}, order_id="P3")
    await create(house, {"sku": "A", "quantity": 7}, order_id="P4", warehouse="south")
    await create(house, {"sku": "B", "quantity": 1}, order_id="P5")
    north = [("A", "north", DAY_1, 3), ("A", "north", DAY_2, 6), ("A", "north", None, 5)]
    everything = [*north, ("A", "south", None, 7), ("B", "north", None, 1)]
    assert await expected(house) == everything
    assert await expected(house, "?sku=A&warehouse=north") == north
    assert await expected(house, "?warehouse=south") == [everything[3]]
    await receive(house, "R1", ("A", 5, 1))  # the line that is expected first, then the other one
    assert await expected(house, "?sku=A&warehouse=north") == [
        north[0],
        ("A", "north", DAY_2, 2),
        ("A", "north", None, 3),
    ]
    page, seen = "?limit=2", []
    for _ in range(9):
        told = (await house.http.get(f"/v1/expected{page}")).json()
        seen += told["items"]
        if not told["next"]:
            break
        page = f"?limit=2&after={told['next']}"
    assert seen == (await house.http.get("/v1/expected")).json()["items"]
    assert seen[1]["purchase_order_ids"] == ["P2"] or seen[1]["purchase_order_ids"] == ["P1", "P2"]


async def test_what_comes_counts_for_the_line_that_is_expected_first(house: House) -> None:
    await create(
        house,
        {"sku": "A", "quantity": 2},
        {"sku": "A", "quantity": 4, "expected_at": DAY_2},
        {"sku": "A", "quantity": 3, "expected_at": DAY_1},
    )
    seen = []
    for number in range(4):
        await receive(house, f"R{number}", ("A", 3))
        seen.append([line["outstanding"] for line in (await read(house))["lines"]])
    assert seen == [[2, 4, 0], [2, 1, 0], [0, 0, 0], [0, 0, 0]]


async def test_the_list(house: House) -> None:
    for number in range(5):
        await create(house, order_id=f"P{number}")
    told = (await house.http.get("/v1/purchase-orders?limit=3")).json()
    assert [one["purchase_order_id"] for one in told["items"]] == ["P0", "P1", "P2"]
    rest = (await house.http.get(f"/v1/purchase-orders?limit=3&after={told['next']}")).json()
    assert ([one["purchase_order_id"] for one in rest["items"]], rest["next"]) == (["P3", "P4"], None)
    assert rest["items"][0] == await read(house, "P3")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("", order("P9", {"sku": "A", "quantity": 0}), "lines[0].quantity"),
        ("", order("P9", {"sku": "A", "quantity": 1, "expected_at": "soon"}), "lines[0].expected_at"),
        ("", order("P9", {"sku": "A{", "quantity": 1}), "lines[0].sku"),
        ("", order("P9", {"sku": "A", "quantity": 1, "warehouse": "x"}), "lines[0].warehouse"),
        ("", order("P9") | {"lines": []}, "lines"),
        ("/P1/receipts", {"receipt_id": "R", "lines": [{"sku": "A", "quantity": -1}]}, "lines[0].quantity"),
        ("/P1/receipts", {"receipt_id": "R", "lines": [{"sku": "A", "quantity": 0}]}, "lines[0].damaged"),
        (
            "/P1/receipts",
            {"receipt_id": "R", "lines": [{"sku": "A", "quantity": 1, "damaged": -1}]},
            "lines[0].damaged",
        ),
        ("/P1/receipts", {"receipt_id": "", "lines": [{"sku": "A", "quantity": 1}]}, "receipt_id"),
        ("/P1/close", {"why": "late"}, "why"),
    ],
)
async def test_bad_input(world: World, path: str, body: dict[str, Any], field: str) -> None:
    answer = await world.http.post(f"/v1/purchase-orders{path}", json=body)
    assert field in [one["field"] for one in problem(answer, 422, "invalid_request")["errors"]]


@pytest.fixture
async def world(hot_client: Any) -> AsyncIterator[World]:
    """A world whose Postgres is away."""
    async with world_on(hot_client) as world:
        yield world


@pytest.mark.parametrize(
    "query", ["?after=%C3%A4", "?after=W10", "?after=WyJhIiwiYiIsMV", "?after=WyJhIiwiYiIsInMiXQ", "?limit=0"]
)
async def test_a_cursor_of_somebody_else(world: World, query: str) -> None:
    problem(await world.http.get(f"/v1/expected{query}"), 422, "invalid_request")


async def test_without_postgres_plans_wait(world: World) -> None:
    line = [{"sku": "A", "quantity": 1}]
    before = await world.hot.xlen("{s0}:outbox")
    for answer in (
        await world.http.post("/v1/purchase-orders", json=order()),
        await world.http.get("/v1/purchase-orders"),
        await world.http.get("/v1/purchase-orders/P1"),
        await world.http.get("/v1/expected"),
        await world.http.post("/v1/purchase-orders/P1/receipts", json={"receipt_id": "R", "lines": line}),
        await world.http.post("/v1/purchase-orders/P1/close"),
    ):
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"]
    assert await world.hot.xlen("{s0}:outbox") == before


async def test_an_event_of_before_has_no_document() -> None:
    text = '[1,"receive",5,"receipt:R","f","w",null,null,null,null,[["A",1,"north","s","a",2,[2,0,0,0,0]]]]'
    event = msgspec.json.decode(text, type=Event)
    assert (event.document, event.moves[0].quantity) == (None, 2)


async def test_the_event_carries_its_order_into_the_ledger(house: House) -> None:
    await create(house)
    await receive(house, "R1", ("A", 1))
    await house.stores.hot.execute(
        Receive("R2", "north", (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 1),))
    )
    await house.caught_up()
    async with database.driver_transaction(house.stores.engine) as pg:
        rows = await pg.fetch(
            "SELECT schema, document_kind, document_id FROM event WHERE kind = 'receive' ORDER BY epoch, n"
        )
    assert [tuple(row) for row in rows] == [(SCHEMA, "purchase_order", "P1"), (SCHEMA, None, None)]


async def test_a_rebuilt_store_remembers_receipts(stores: Stores) -> None:
    receipt = Receive("R1", "north", (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 3),), None, "P1")
    told = await stores.hot.execute(receipt)
    await drain(stores)
    key = stores.keys.op(receipt.op)
    kept = await stores.client.get(key)
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    assert await stores.client.get(key) == kept
    again = await stores.hot.execute(receipt)
    assert (again.outcome, again.position) == (Outcome.REPEATED, told.position)
    assert await differences(stores) == []


async def test_verify_finds_what_was_not_received(house: House) -> None:
    await create(house)
    await receive(house, "R1", ("A", 3, 1))
    await house.caught_up()
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute("UPDATE purchase_order_receipt SET good = 4, damaged = 0")
    assert await house.differences() == [
        "purchase order P1 A good: receipts 4, sum of moves 3",
        "purchase order P1 A damaged: receipts 0, sum of moves 1",
    ]
