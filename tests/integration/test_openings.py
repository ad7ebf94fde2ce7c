"""Openings against what has moved: a list is not booked over it, unless as of a time or on purpose."""

import asyncio
from typing import Any

import pytest

from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Buffer,
    Confirm,
    Deduct,
    Line,
    Lock,
    OpeningRow,
    Receive,
    Return,
    Transfer,
    TransferReceive,
    TransferShip,
    Unlock,
)
from app.domain.words import Place
from app.errors import UnavailableError
from app.operations.openings import MOVED
from app.operations.stock_takes import CountedLine, StockTake
from tests.integration.warehouse import House, now_ms, text_of

N, S = "north", "south"


def steps(s: str) -> dict[str, tuple[tuple[Any, ...], int, bool]]:
    """What happens to 10 units of a SKU in north, which is in the ids; what is on hand then; and whether it moved."""

    def one(source: Place, target: Place) -> tuple[Booking, ...]:
        return (Booking(s, source, target, 4),)

    four = (Line(s, 4),)
    lock, away, here = Lock(s, (Line(s, 4, N),)), Transfer(s, N, S, four), Transfer(s, S, N, four)
    shipped = (lock, Confirm(s), Deduct(s, s))
    return {
        "nothing": ((), 10, False),
        "a lock": ((lock,), 10, False),
        "a lock that came and went": ((lock, Unlock(s)), 10, False),
        "a buffer": ((Buffer(N, (Line(s, 3),)),), 10, False),
        "a transfer that is promised": ((away,), 10, False),
        "damaged goods that came back": ((Return(s, N, one(Place.CUSTOMER, Place.DAMAGED)),), 10, False),
        "a shipment": (shipped, 6, True),
        "a shipment that came back": ((*shipped, Return(s, N, one(Place.CUSTOMER, Place.AVAILABLE))), 10, True),
        "a receipt": ((Receive(s, N, one(Place.SUPPLIER, Place.AVAILABLE)),), 14, True),
        "an adjustment": ((Adjust(s, N, one(Place.AVAILABLE, Place.ADJUSTMENT)),), 6, True),
        "what broke": ((Adjust(s, N, one(Place.AVAILABLE, Place.DAMAGED)),), 6, True),
        "a transfer that left": ((away, TransferShip(s, s)), 6, True),
        "a transfer that came": (
            (here, TransferShip(s, s), TransferReceive(s, s, None, (Arrival(s, 4, 0, 0),))), 14, True,
        ),
    }  # fmt: skip


async def test_what_has_moved_since_its_opening(house: House) -> None:
    openings, cases = house.operations.openings, list(steps(""))
    skus = {name: f"S{number}" for number, name in enumerate(cases)}
    await openings.book([OpeningRow(sku, place, 10) for sku in skus.values() for place in (N, S)])
    for name, sku in skus.items():
        done, on_hand, moved = steps(sku)[name]
        for step in done:
            await house.stores.hot.execute(step)
        same = await openings.book_unmoved([OpeningRow(sku, N, on_hand)])
        assert (same.changed, same.refused) == (0, []), name
        row = OpeningRow(sku, N, 12, 1)
        (preview,) = await openings.preview([row], at_ms=None, absolute=False)
        assert (preview.before, preview.after, preview.refusal) == (on_hand, 12, MOVED if moved else ""), name
        told = await openings.book_unmoved([row])
        assert (told.changed, len(told.refused)) == ((0, 1) if moved else (1, 0)), name
        counts = await house.counts(sku)
        assert (counts["on_hand"], counts["buffer"] == 1) == ((on_hand, False) if moved else (12, True)), name
        # One that is set on purpose is as it was opened, again.
        assert await openings.book([OpeningRow(sku, N, 11)]) == 1, name
        assert (await openings.book_unmoved([OpeningRow(sku, N, 20)])).changed == 1, name
    assert await house.differences() == []


async def test_rows_that_are_new_the_same_or_moved_beside_each_other(house: House) -> None:
    openings = house.operations.openings
    await openings.book([OpeningRow("M", N, 5), OpeningRow("U", N, 5)])
    await house.stores.hot.execute(Adjust("a", N, (Booking("M", Place.ADJUSTMENT, Place.AVAILABLE, 1),)))
    rows = [
        OpeningRow(*row) for row in (("A", N, 10), ("NEW", N, 3), ("M", N, 5), ("U", N, 7), ("A", "new", 0))
    ]
    told = await openings.book_unmoved(rows)
    assert (told.changed, [change.row.sku for change in told.refused]) == (3, ["M"])
    assert (await openings.book_unmoved(rows)).changed == 0
    assert [(await house.counts(sku))["on_hand"] for sku in ("A", "NEW", "M", "U")] == [10, 3, 6, 7]
    assert "new" in (await house.http.get("/v1/stock/A")).json()["warehouses"]


async def test_what_happens_while_it_is_compared_is_not_overwritten(house: House) -> None:
    """Shipments run beside an import of the same SKU: each unit that left stays gone."""
    openings, left = house.operations.openings, 0
    await openings.book([OpeningRow("H", N, 1_000)])

    async def ship() -> None:
        nonlocal left
        for number in range(60):
            await house.stores.hot.execute(
                Adjust(f"h{number}", N, (Booking("H", Place.AVAILABLE, Place.CUSTOMER, 1),))
            )
            left += 1

    async def list_again() -> None:
        for _ in range(20):
            await openings.book_unmoved([OpeningRow("H", N, 1_000)])

    await asyncio.gather(ship(), list_again())
    assert (await house.counts("H"))["on_hand"] == 1_000 - left
    assert await house.differences() == []


async def test_moves_that_the_ledger_could_not_book_count_as_moves(house: House) -> None:
    """The projection is behind what the hot store says of the SKU: nobody knows what has moved."""
    openings = house.operations.openings
    await openings.book([OpeningRow("Q", N, 5)])
    await house.caught_up()
    await house.stores.client.hincrby(house.stores.keys.stock("Q"), "v", 1)
    told = await openings.book_unmoved([OpeningRow("Q", N, 9)])
    assert [change.row.sku for change in told.refused] == ["Q"]


async def test_as_of_a_time_it_is_a_stock_take(house: House) -> None:
    openings = house.operations.openings
    at = await now_ms(house)
    for step in steps("A")["a shipment"][0]:
        await house.stores.hot.execute(step)
    rows = [
        OpeningRow("A", N, 9, 3),
        OpeningRow("B", N, 0),
        OpeningRow("NEW", N, 7, 1),
        OpeningRow("A", S, 5),
    ]
    previewed = await openings.preview(rows, at_ms=at, absolute=False)
    assert [(one.row.sku, one.before, one.after) for one in previewed] == [("A", 6, 5), ("NEW", None, 7)]
    told = await openings.book_counted(rows, at)
    assert (told.changed, told.refused) == (2, [])
    counts = await house.counts("A")
    assert (counts["on_hand"], counts["buffer"]) == (5, 3)
    assert await house.counts("NEW") == {
        "on_hand": 7, "available": 7, "locked": 0, "damaged": 0, "in_transit": 0, "buffer": 1, "sellable": 6,
    }  # fmt: skip
    assert (await openings.book_counted(rows, at)).changed == 0
    assert (await house.counts("A"))["on_hand"] == 5
    assert await openings.preview(rows, at_ms=at, absolute=False) == []
    assert await house.differences() == []


async def test_what_was_set_after_the_count_is_not_counted_twice(house: House) -> None:
    openings, at = house.operations.openings, await now_ms(house)
    await openings.book([OpeningRow("A", N, 12), OpeningRow("NEW", N, 3)])
    rows = [OpeningRow("A", N, 11), OpeningRow("NEW", N, 3), OpeningRow("B", N, 2)]
    told = await openings.book_counted(rows, at)
    assert told.changed == 1
    (refused,) = told.refused
    assert (refused.row.sku, refused.before) == ("A", 12)
    assert refused.refusal.startswith("was set at ")
    assert [(await house.counts(sku))["on_hand"] for sku in ("A", "NEW", "B")] == [12, 3, 2]
    shown = await openings.preview([OpeningRow("A", N, 11)], at_ms=at, absolute=False)
    assert [one.refusal for one in shown] == [refused.refusal]
    # A buffer alone sets no count.
    await openings.book([OpeningRow("B", N, 2, 1)])
    assert (await openings.book_counted([OpeningRow("B", N, 4)], await now_ms(house))).changed == 1


async def test_a_stock_take_is_not_overwritten_either(house: House) -> None:
    take = StockTake("t", N, await now_ms(house), (CountedLine("A", 10),))
    await house.operations.stock_takes.book(take, "disk")
    told = await house.operations.openings.book_unmoved([OpeningRow("A", N, 12)])
    assert [change.refusal for change in told.refused] == [MOVED]


async def test_only_what_differs_needs_the_ledger(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    openings = house.operations.openings
    await openings.book([OpeningRow("A", N, 12), OpeningRow("A", S, 5)])
    await house.caught_up()

    async def away(*_: Any) -> None:
        raise UnavailableError("Postgres cannot be reached")

    monkeypatch.setattr(type(openings.rows), "last_set", away)
    assert (await openings.book_unmoved([OpeningRow("A", S, 5, 1), OpeningRow("NEW", N, 1)])).changed == 2
    with pytest.raises(UnavailableError):
        await openings.book_unmoved([OpeningRow("A", N, 1)])
    assert (await house.counts("A"))["on_hand"] == 12


async def test_times_are_told_as_everywhere(house: House) -> None:
    before = await now_ms(house)
    await house.operations.openings.book([OpeningRow("A", N, 12)])
    after = await now_ms(house)
    (refused,) = (await house.operations.openings.book_counted([OpeningRow("A", N, 1)], before)).refused
    at = refused.refusal.split()[3].rstrip(",")
    assert text_of(before) < at < text_of(after)
