"""Rules of transfers and counts that show only where several reports of one thing meet."""

import asyncio
from typing import Any

import pytest

from app.domain.commands import Opening, OpeningRow
from tests.integration.warehouse import House, now


async def transferred(house: House) -> None:
    """Eight units of A are promised to go from north to south."""
    body = {"transfer_id": "T", "from": "north", "to": "south", "lines": [{"sku": "A", "quantity": 8}]}
    assert (await house.http.post("/v1/transfers", json=body)).status_code == 201


async def report(house: House, *events: dict[str, Any]) -> list[str]:
    """What the warehouse system says, an event after the other."""
    told = []
    for event in events:
        answer = await house.http.post("/v1/warehouse-events", json={"source": "wms", "events": [event]})
        told.append(answer.json()["results"][0]["status"])
    return told


async def at(house: House, warehouse: str) -> tuple[int, int, int, int]:
    """on hand, locked, damaged, in transit"""
    counts = await house.counts("A", warehouse)
    return counts["on_hand"], counts["locked"], counts["damaged"], counts["in_transit"]


async def test_what_arrived_before_it_left_covers_one_shipment(house: House) -> None:
    """Four arrive whose shipment is reported later: that is the first shipment, and no other one as well."""
    await transferred(house)
    of = {"sku": "A", "transfer_id": "T", "occurred_at": await now(house)}
    came = {
        "event_id": "e1",
        "type": "transfer_received",
        "warehouse": "south",
        "quantity": 4,
        "receipt_id": "r",
    }
    left = {"type": "transfer_shipped", "warehouse": "north", "quantity": 4}
    assert await report(house, of | came) == ["applied"]
    assert (await at(house, "north"), await at(house, "south")) == ((6, 4, 0, 0), (9, 0, 0, 0))
    assert await report(house, of | left | {"event_id": "e2", "shipment_id": "s1"}) == ["applied"]
    assert (await at(house, "north"), await at(house, "south")) == ((6, 4, 0, 0), (9, 0, 0, 0))
    assert await report(house, of | left | {"event_id": "e3", "shipment_id": "s2"}) == ["applied"]
    assert (await at(house, "north"), await at(house, "south")) == ((2, 0, 0, 0), (9, 0, 0, 4))
    assert await house.differences() == []


@pytest.mark.parametrize("is_dated", [True, False])
async def test_damaged_units_that_arrived_before_a_count_are_in_it(house: House, is_dated: bool) -> None:
    """Reported after the count, with the time at which they came; without a time they came after it."""
    await transferred(house)
    assert (await house.http.post("/v1/transfers/T/ship", json={"shipment_id": "s"})).status_code == 200
    arrived_at = await now(house)
    lines = [{"sku": "A", "on_hand": 11, "damaged": 2}]
    take = {"stock_take_id": "C", "warehouse": "south", "counted_at": await now(house), "lines": lines}
    assert (await house.http.post("/v1/stock-takes", json=take)).status_code == 201
    body = {"receipt_id": "r", "lines": [{"sku": "A", "quantity": 6, "damaged": 2}]}
    body |= {"occurred_at": arrived_at} if is_dated else {}
    assert (await house.http.post("/v1/transfers/T/receive", json=body)).status_code == 200
    assert await at(house, "south") == ((11, 0, 2, 0) if is_dated else (17, 0, 4, 0))
    assert await house.differences() == []


async def test_no_reason_is_another_one_than_the_reason_none(house: House) -> None:
    body = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 2}]}
    assert (await house.http.post("/v1/locks", json=body)).status_code == 201
    some = {"lines": [{"sku": "A", "quantity": 1}]}
    for reason, status in ((None, 200), ("None", 409), (None, 200)):
        body = some if reason is None else some | {"reason": reason}
        answer = await house.http.post("/v1/locks/L/unlock", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == status, answer.text


async def test_a_code_with_a_comma_can_be_asked_for(house: House) -> None:
    assert (await house.http.put("/v1/warehouses/aisle 3, left")).status_code == 200
    await house.stores.hot.execute(
        Opening([OpeningRow("A", "aisle 3, left", 4), OpeningRow("x,y", "north", 1)])
    )
    asked = [("warehouse", "aisle 3, left"), ("warehouse", "south"), ("warehouses", "south")]
    page = (await house.http.get("/v1/availability/A", params=asked)).json()
    assert (page["sellable"], sorted(page["warehouses"])) == (9, ["aisle 3, left", "south"])
    assert "hint" not in (await house.http.get("/v1/availability", params={"sku": "x,y"})).json()
    told = (await house.http.get("/v1/availability", params={"sku": "A,B"})).json()
    assert told["unknown"] == ["A,B"]
    assert "?sku=A&sku=B" in told["hint"]


async def test_an_order_that_leaves_too_much_to_choose_says_what_to_do(house: House) -> None:
    codes = [f"w{number}" for number in range(100)]
    for code in codes:
        assert (await house.http.put(f"/v1/warehouses/{code}")).status_code == 200
    lines = [{"sku": f"sku {number}", "quantity": 1} for number in range(201)]
    locked = {"lock_id": "held", "lines": [{"sku": "A", "quantity": 1}]}
    assert (await house.http.post("/v1/locks", json=locked)).status_code == 201
    asked = {"lines": lines, "warehouses": codes}
    back = {
        "exchange_id": "X",
        "warehouse": "north",
        "returned": [{"sku": "A", "quantity": 1, "condition": "sellable"}],
    }
    for path, body in (
        ("locks", {"lock_id": "L", **asked}),
        ("locks/held/replace", asked),
        ("exchanges", back | {"lock": {"lock_id": "L", **asked}}),
    ):
        answer = await house.http.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": path})
        assert (answer.status_code, answer.json()["code"]) == (422, "too_many_choices"), answer.text
        assert "warehouse" in answer.json()["detail"]
    assert (await house.counts("A"))["on_hand"] == 10


async def test_voiding_a_shipment_against_a_return_of_it(house: House) -> None:
    """Goods that came back had left, and what never left cannot come back: one of the two is refused."""
    for number in range(6):
        lock_id = f"void-{number}"
        locked = {"lock_id": lock_id, "lines": [{"sku": "A", "quantity": 1, "warehouse": "north"}]}
        assert (await house.http.post("/v1/locks", json=locked)).status_code == 201
        shipped = await house.http.post(f"/v1/locks/{lock_id}/deduct", json={"shipment_id": "s"})
        assert shipped.status_code == 200
        await house.caught_up()
        before = await house.counts("A")
        line = {"sku": "A", "quantity": 1, "condition": "sellable"}
        back = {"return_id": f"back-{number}", "warehouse": "north", "lock_id": lock_id, "lines": [line]}
        void = house.http.post(f"/v1/locks/{lock_id}/deduct/s/void", json={})
        give_back = house.http.post("/v1/returns", json=back)
        if number % 2:
            voided, returned = await asyncio.gather(void, give_back)
        else:
            returned, voided = await asyncio.gather(give_back, void)
        statuses = (voided.status_code, returned.status_code)
        assert statuses in {(200, 409), (409, 201)}, (voided.text, returned.text)
        assert (await house.counts("A"))["on_hand"] == before["on_hand"] + 1
        if voided.status_code == 200:
            assert (await house.http.post(f"/v1/locks/{lock_id}/unlock", json={})).status_code == 200
    assert (await house.counts("A"))["locked"] == 0
    assert await house.differences() == []
