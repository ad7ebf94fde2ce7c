"""Rules of transfers and counts that show only where several reports of one thing meet."""

from typing import Any

import pytest

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
