"""Events of the inbox that say what a shelf has: two counts of one time, and units that were regraded."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.test_inbox import event, send
from tests.integration.warehouse import House, now, shelf
from tests.integration.working import fetch

TIME = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
TWICE = (
    "on_hand: this SKU was counted in this warehouse at this very time by 2 events of this call"
    "; send one event with what is there in all"
)
LATER = (datetime.now(UTC) - timedelta(minutes=4)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counted(event_id: str, on_hand: int, **more: Any) -> dict[str, Any]:
    return event(event_id, "counted", on_hand=on_hand, **{"occurred_at": TIME, **more})


async def test_two_counts_of_one_time_in_a_call(house: House) -> None:
    """A row per bin: neither is what is there in all. A later count, and that of another SKU, stand."""
    at, later = {"occurred_at": await now(house)}, {"occurred_at": await now(house)}
    bins = [counted("bin-1", 3, **at), counted("bin-2", 4, **at)]
    told = await send(house, *bins, counted("b", 2, sku="B", **at), counted("c", 6, **later))
    assert told == [("rejected", TWICE), ("rejected", TWICE), ("applied", ""), ("applied", "")]
    assert await shelf(house) == (6, 0)
    assert await send(house, counted("all", 7, **at)) == [
        ("applied", "")
    ]  # before the later one, which stands
    assert await shelf(house) == (6, 0)
    assert await house.differences() == []


async def test_two_counts_of_one_time_in_two_calls(house: House) -> None:
    at = {"occurred_at": await now(house)}
    assert await send(house, counted("e1", 3, **at)) == [("applied", "")]
    ((status, detail),) = await send(house, counted("e2", 3, **at))
    assert status == "rejected"
    assert "at this very time already (event e1 of wms)" in detail
    assert await send(house, counted("e2", 3, **at), source="erp") == [("rejected", detail)]
    both = await send(house, counted("e1", 3, **at), counted("e2", 4, **at))
    assert both == [("duplicate", ""), ("rejected", detail)]
    assert await shelf(house) == (3, 0)
    line = {"sku": "A", "on_hand": 5}
    body = {"stock_take_id": "S", "warehouse": "north", "counted_at": at["occurred_at"], "lines": [line]}
    assert (await house.http.post("/v1/stock-takes", json=body)).status_code == 201  # a person corrects it
    assert await shelf(house) == (5, 0)


async def test_the_same_count_twice_in_a_call(house: House) -> None:
    told = counted("e1", 3, occurred_at=await now(house))
    assert await send(house, told, told) == [("applied", ""), ("duplicate", "")]
    assert await shelf(house) == (3, 0)


async def test_a_refused_count_holds_up_no_other(house: House) -> None:
    at = {"occurred_at": await now(house)}
    events = [counted("e1", 3, sequence=1, **at), counted("e2", 4, sequence=2, **at), event("e3", sequence=3)]
    told = await send(house, *events)
    assert [status for status, _ in told] == ["rejected", "rejected", "applied"]
    assert await shelf(house) == (13, 0)


async def test_a_count_that_a_person_wants_booked(house: House) -> None:
    """It waited, and meanwhile another one of its time was booked."""
    waits = counted("e1", 3, occurred_at=(datetime.now(UTC) + timedelta(hours=2)).isoformat())
    assert (await send(house, waits))[0][0] == "quarantined"
    done = await house.operations.inbox.retry("wms", "e1")
    assert done is not None
    assert done.status == "applied"


# Regraded


def regraded(event_id: str, quantity: int, grade: str, **more: Any) -> dict[str, Any]:
    return event(event_id, "regraded", quantity=quantity, **{"from": grade}, **more)


async def test_regrading_moves_between_good_and_damaged(house: House) -> None:
    assert await send(house, regraded("e1", 4, "available", reason="dented")) == [("applied", "")]
    assert await shelf(house) == (6, 4)
    assert await send(house, regraded("e2", 1, "damaged")) == [("applied", "")]
    assert await shelf(house) == (7, 3)
    assert await send(house, regraded("e1", 4, "available", reason="dented")) == [
        ("rejected", "event_id: was used with other content")
    ]
    history = (await house.http.get("/v1/stock/A/history")).json()["items"]
    assert [(one["cause"], one["from"], one["to"], one["quantity"]) for one in history[:2]] == [
        ("regrade", "damaged", "available", 1),
        ("regrade", "available", "damaged", 4),
    ]
    assert await house.differences() == []


async def test_regrading_more_than_is_there(house: House) -> None:
    """Good units may go below zero; damaged ones that are not there wait, and then more were good than thought."""
    assert await send(house, regraded("e1", 12, "available")) == [("applied", "")]
    assert await shelf(house) == (-2, 12)
    assert await send(house, regraded("e2", 13, "damaged")) == [("parked", "fewer units are damaged")]
    done = await house.operations.inbox.retry("wms", "e2")
    assert done is not None
    assert (done.status, done.detail) == ("applied", "fewer were damaged")
    assert await shelf(house) == (10, 0)
    assert await house.differences() == []


async def test_regrading_and_counting_in_any_order(house: House) -> None:
    """3 of 10 were found damaged before the shelf was counted: 7 good ones and 3 damaged, whoever comes first."""
    earlier = {"occurred_at": TIME}
    for number, order in enumerate(itertools.permutations(range(3))):
        sku = f"S{number}"
        order_line = {"sku": sku, "quantity": 10}
        plan = {"purchase_order_id": sku, "warehouse": "north", "lines": [order_line]}
        assert (await house.http.post("/v1/purchase-orders", json=plan)).status_code == 201
        events = [
            event("in", sku=sku, quantity=10, occurred_at="2026-01-01T00:00:00Z"),
            regraded("re", 3, "available", sku=sku, **earlier),
            counted("co", 7, damaged=3, sku=sku, occurred_at=LATER),
        ]
        for index in order:
            told = events[index] | {"event_id": f"{sku}-{events[index]['event_id']}"}
            assert (await send(house, told))[0][0] == "applied"
        assert await shelf(house, sku) == (7, 3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"from": None}, "from: is missing"),
        ({"from": "locked"}, "from: 'locked' is none of available, damaged"),
        ({"quantity": None}, "quantity: is missing"),
        ({"quantity": 0}, "quantity: must not be 0"),
        ({"quantity": -1}, "quantity: must be from 0 to 1000000000"),
        ({"condition": "damaged"}, "condition: does not apply to an event of type regraded"),
        ({"adjustment_id": "a"}, "adjustment_id: does not apply to an event of type regraded"),
        ({"type": "adjusted"}, "from: does not apply to an event of type adjusted"),
    ],
)
async def test_what_is_no_regrading(house: House, change: dict[str, Any], sentence: str) -> None:
    told = {
        name: value for name, value in (regraded("e1", 1, "available") | change).items() if value is not None
    }
    assert await send(house, told) == [("rejected", sentence)]


async def test_what_a_regrading_that_waits_would_change(house: House) -> None:
    """A reconciliation names it as a likely cause."""
    assert await send(house, regraded("e1", 11, "damaged")) == [("parked", "fewer units are damaged")]
    assert await fetch(
        house.stores, "SELECT state, units FROM waiting_events('north', now(), 'parked') ORDER BY 1"
    ) == [("damaged", -11), ("on_hand", 11)]
