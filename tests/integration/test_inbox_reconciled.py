"""An event of the inbox and a reconciliation: the warehouse's count knows of a delivery that nobody has told yet."""

from typing import Any

import pytest

from app.settings import Settings
from tests.integration.reconciling import differences, reconciled
from tests.integration.test_compensations import step, treatments
from tests.integration.test_inbox import counts, event, send, until_nothing_waits, waiting
from tests.integration.warehouse import House, now_ms, text_of

UNITS = 4


@pytest.fixture
def test_settings() -> Settings:
    return Settings(
        trim_margin_seconds=0,
        reconcile_window_seconds=0,
        inbox_wait_seconds=60,
        reconcile_differing_share_max=1,
    )


async def counted_too_early(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    """A delivery of UNITS came before the count of 14, and its event comes after: the event, the reconciliation."""
    late = event("late", quantity=UNITS, sequence=2, occurred_at=text_of(await now_ms(house)))
    return late, await reconciled(house, "sku,on_hand\nA,14\nB,0\n#rows=2\n", await now_ms(house))


async def shelf(house: House) -> int:
    return (await counts(house))[0]


async def test_it_is_only_proposed_and_the_event_closes_it(house: House) -> None:
    late, told = await counted_too_early(house)
    assert differences(told) == {("A", "on_hand"): ("more", "unexplained", 10, 14, UNITS)}
    assert await treatments(house, told) == {"proposed": 1}
    await send(house, event("first", "adjusted", quantity=1, condition="damaged", sequence=1))
    assert await send(house, late) == [("applied", "")]
    assert await shelf(house) == 14
    assert await step(house, told, "approve") == [("A", "on_hand", "resolved")]
    assert await shelf(house) == 14
    assert (await reconciled(house, "sku,on_hand\nA,14\nB,0\n", await now_ms(house)))["discrepancies"] == []


async def test_an_event_that_waits_is_the_cause_and_only_reported(house: House) -> None:
    """It is parked when the count comes: that explains the difference, and nothing has to be corrected."""
    happened = text_of(await now_ms(house))
    late = event("late", quantity=UNITS, sequence=2, occurred_at=happened)
    assert [status for status, _ in await send(house, late)] == ["parked"]
    told = await reconciled(house, "sku,on_hand\nA,14\nB,0\n#rows=2\n", await now_ms(house))
    assert differences(told) == {("A", "on_hand"): ("more", "parked", 10, 14, UNITS)}
    assert told["discrepancies"][0]["evidence"] == {"events": ["wms late"]}
    assert await treatments(house, told) == {"reported": 1}
    await send(house, event("first", "adjusted", quantity=1, condition="damaged", sequence=1))
    await until_nothing_waits(house)
    assert await shelf(house) == 14
    assert await step(house, told, "approve") == [("A", "on_hand", "resolved")]
    assert await shelf(house) == 14


async def test_corrected_all_the_same_it_counts_twice_until_that_is_undone(house: House) -> None:
    """A correction is no count: nobody can say that the event is what it was about. The next count shows it."""
    late, told = await counted_too_early(house)
    assert await step(house, told, "approve") == [("A", "on_hand", "applied")]
    assert await shelf(house) == 14
    await send(house, event("first", "adjusted", quantity=1, condition="damaged", sequence=1))
    assert await send(house, late, late) == [("applied", ""), ("duplicate", "")]
    assert await shelf(house) == 14 + UNITS
    again = await reconciled(house, "sku,on_hand\nA,14\nB,0\n", await now_ms(house))
    (found,) = again["discrepancies"]
    assert (found["cause"], found["difference"]) == ("unexplained", -UNITS)
    assert await step(house, told, "undo") == [("A", "on_hand", "undone")]
    assert await shelf(house) == 14
    assert await waiting(house) == []
    assert await house.differences() == []


async def test_a_stock_take_of_the_same_stands(house: House) -> None:
    """The way without that: a count by `/v1/stock-takes` has a time of its own, and the late event is in it."""
    happened, counted_at = await now_ms(house), await now_ms(house)
    body = {
        "stock_take_id": "S", "warehouse": "north", "counted_at": text_of(counted_at),
        "lines": [{"sku": "A", "on_hand": 14}],
    }  # fmt: skip
    assert (await house.http.post("/v1/stock-takes", json=body)).status_code == 201
    late = event("late", quantity=UNITS, occurred_at=text_of(happened))
    assert await send(house, late) == [("applied", "")]
    assert await shelf(house) == 14
    assert await house.differences() == []
