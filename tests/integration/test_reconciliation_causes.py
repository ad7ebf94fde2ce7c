"""The likely cause of a difference: one cause, one test; each found with what speaks for it, and not without."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Confirm,
    Deduct,
    Line,
    Lock,
    Receive,
    Transfer,
    TransferReceive,
    TransferShip,
)
from app.domain.words import Place
from app.ledger import database
from app.settings import Settings
from tests.integration.inbox_rows import heard_up_to, wait_in_inbox
from tests.integration.reconciling import reconciled
from tests.integration.warehouse import House, house_on, now_ms, text_of

IN = (Place.SUPPLIER, Place.AVAILABLE)


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, reconcile_window_seconds=3_600)


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    """A has 10 in north and 5 in south, B none; their openings are long ago, beyond the window."""
    async with house_on(stores) as house:
        await house.caught_up()
        async with database.driver_transaction(stores.engine) as pg:
            await pg.execute("UPDATE move SET occurred_at = occurred_at - interval '2 days'")
        yield house


async def receive(house: House, receipt_id: str, units: int, at: int | None = None, sku: str = "A") -> None:
    await house.stores.hot.execute(Receive(receipt_id, "north", (Booking(sku, *IN, units),), at))


async def only(house: House, at: int, on_hand: int, damaged: int | None = None) -> dict[str, Any]:
    """The one difference of A."""
    line = f"A,{on_hand}" if damaged is None else f"A,{on_hand},{damaged}"
    head = "sku,on_hand" if damaged is None else "sku,on_hand,damaged"
    told = await reconciled(house, f"{head}\n{line}\n", at)
    (one,) = [one for one in told["discrepancies"] if one["sku"] == "A"]
    return dict(one)


async def cause(house: House, at: int, on_hand: int, damaged: int | None = None) -> str:
    return str((await only(house, at, on_hand, damaged))["cause"])


async def test_unexplained(house: House) -> None:
    one = await only(house, await now_ms(house), 7)
    assert (one["cause"], one["evidence"], one["kind"], one["difference"]) == ("unexplained", {}, "less", -3)


@pytest.mark.parametrize("status", ["parked", "quarantined"])
async def test_an_event_that_waits_in_the_inbox(house: House, status: str) -> None:
    before = text_of(await now_ms(house))
    at = await now_ms(house)
    later = text_of(at + 60_000)
    for number, event in enumerate((
        {"type": "received", "quantity": 4, "damaged": 1, "sku": "A", "occurred_at": before},
        {"type": "received", "quantity": 5, "sku": "B", "occurred_at": before},
        {"type": "received", "quantity": 6, "sku": "A", "occurred_at": later},
    )):  # fmt: skip
        await wait_in_inbox(house, f"e{number}", status, **event)
    told = await reconciled(house, "sku,on_hand,damaged\nA,14,1\nB,0,0\n", at)
    assert [(one["state"], one["cause"], one["evidence"]) for one in told["discrepancies"]] == [
        ("damaged", status, {"events": ["wms e0"]}),
        ("on_hand", status, {"events": ["wms e0"]}),
    ]
    assert await cause(house, at, 16, 0) == "unexplained"  # what happened after the count explains nothing
    await wait_in_inbox(house, "e3", status, type="shipped", quantity=2, sku="A", occurred_at=before)
    assert await cause(house, at, 12, 0) == status  # both of them
    assert await cause(house, at, 8, 0) == status  # one of them
    await wait_in_inbox(house, "e4", status, type="counted", on_hand=3, sku="A", occurred_at=before)
    assert await cause(house, at, 3, 0) == status


async def test_an_event_that_was_applied_twice(house: House) -> None:
    happened = await now_ms(house) - 86_400_000
    await receive(house, "r1", 4, happened)
    await receive(house, "r2", 4, happened)  # the route and the inbox, under two ids
    await receive(house, "r3", 3, happened)
    at = await now_ms(house)
    one = await only(house, at, 17)
    assert (one["cause"], one["evidence"]) == ("applied_twice", {"events": ["receipt:r1", "receipt:r2"]})
    assert await cause(house, at, 18) == "unexplained"  # r3 came once


async def test_two_alike_at_other_times_are_two(house: House) -> None:
    happened = await now_ms(house) - 86_400_000
    await receive(house, "r1", 4, happened)
    await receive(house, "r2", 4, happened + 1)
    assert await cause(house, await now_ms(house), 14) == "unexplained"


async def test_still_in_transit(house: House) -> None:
    hot = house.stores.hot
    await hot.execute(Transfer("T", "south", "north", (Line("A", 4),)))
    await hot.execute(TransferShip("T", "s"))
    at = await now_ms(house)
    one = await only(house, at, 14)
    assert (one["cause"], one["evidence"]) == ("in_transit", {"transfers": ["T"]})
    assert await cause(house, at, 15) == "unexplained"
    await hot.execute(TransferReceive("T", "r", None, (Arrival("A", 4, 0, 0),)))
    assert await cause(house, await now_ms(house), 18) != "in_transit"


async def test_shipped_after_the_cut(house: House) -> None:
    hot = house.stores.hot
    await hot.execute(Lock("L", (Line("A", 3, "north"),)))
    at = await now_ms(house)
    await receive(house, "r", 1)
    await hot.execute(Deduct("L", "s1", (Line("A", 1),)))
    await hot.execute(Deduct("L", "s2", (Line("A", 2),)))
    for on_hand, found in ((9, "s1"), (7, "s2"), (8, "s2")):  # the first, both, the second alone
        one = await only(house, at, on_hand)
        assert (one["cause"], one["evidence"]["events"]) == ("shipped_after_cut", [f"deduct:L{{{found}"])
    assert await cause(house, at, 6) == "unexplained"


async def test_counted_before_a_known_move(house: House) -> None:
    await receive(house, "r1", 4)
    await house.stores.hot.execute(
        Adjust("a", "north", (Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 1),))
    )
    at = await now_ms(house)
    one = await only(house, at, 10)
    assert (one["cause"], one["evidence"]) == ("count_before_move", {"events": ["receipt:r1"], "units": 3})
    assert await cause(house, at, 14) == "count_before_move"  # before the adjustment only
    assert await cause(house, at, 3) == "unexplained"  # 10: the opening, beyond the window


async def test_counted_after_a_move(house: House) -> None:
    at = await now_ms(house)
    await receive(house, "r1", 4)
    one = await only(house, at, 14)
    assert (one["cause"], one["evidence"]) == ("count_after_move", {"events": ["receipt:r1"], "units": 4})


async def test_a_shipment_that_nobody_told(house: House) -> None:
    hot = house.stores.hot
    await hot.execute(Lock("L1", (Line("A", 3, "north"),)))
    await hot.execute(Confirm("L1"))
    await hot.execute(Lock("L2", (Line("A", 2, "north"),)))  # nobody has paid it: no reason to ship
    at = await now_ms(house)
    one = await only(house, at, 7)
    assert (one["cause"], one["evidence"]) == ("event_missing", {"type": "shipped", "lock_ids": ["L1"]})
    assert await cause(house, at, 8) == "unexplained"


async def test_a_receipt_that_nobody_told(house: House) -> None:
    body = {"purchase_order_id": "P1", "warehouse": "north", "lines": [{"sku": "A", "quantity": 6}]}
    assert (await house.http.post("/v1/purchase-orders", json=body)).status_code == 201
    at = await now_ms(house)
    one = await only(house, at, 16)
    assert one["cause"] == "event_missing"
    assert one["evidence"] == {"type": "received", "purchase_order_ids": ["P1"]}
    assert await cause(house, at, 15) == "unexplained"


async def test_a_transfer_that_left_untold(house: House) -> None:
    await house.stores.hot.execute(Transfer("T", "north", "south", (Line("A", 4),)))
    one = await only(house, await now_ms(house), 6)
    assert one["cause"] == "event_missing"
    assert one["evidence"] == {"type": "transfer_shipped", "transfer_ids": ["T"]}


async def test_numbers_that_a_source_left_out(house: House) -> None:
    await heard_up_to(house, 7)
    at = text_of(await now_ms(house) - 1_000)
    for number in (9, 12):
        event = {"type": "received", "quantity": 900, "sku": "B", "occurred_at": at, "sequence": number}
        await wait_in_inbox(house, f"e{number}", "parked", **event)
    told = await reconciled(
        house, "sku,on_hand\nA,7\nB,1\nC,1\n", await now_ms(house)
    )  # 8, 10 and 11 are missing
    evidence = {"type": "sequence", "missing": ["wms 8-8", "wms 10-11"]}
    assert [(one["cause"], one["evidence"]) for one in told["discrepancies"]] == [
        ("event_missing", evidence)
    ] * 3
    told = await reconciled(
        house, "sku,on_hand\nA,7\nB,1\nC,1\nD,1\n", await now_ms(house)
    )  # more than three events
    assert {one["cause"] for one in told["discrepancies"]} == {"unexplained"}
