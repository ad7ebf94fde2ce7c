"""Failures that other systems are known for, by name, through the hot store as the service uses it."""

import asyncio
import collections

import pytest
from redis.asyncio import Redis

from app.domain.answers import Answer, Excess
from app.domain.commands import (
    Adjust,
    Booking,
    Confirm,
    Deduct,
    Expire,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Replace,
    Return,
    Transfer,
    TransferShip,
    Unlock,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import LockStatus, Place
from app.errors import OutcomeUnknownError
from app.hotstore.store import HotStore
from app.hotstore.wire import FunctionCaller
from tests.properties.rig import START_MS, Server, Shard, Wire

pytest_plugins = ["tests.properties.fixtures"]

N, S = "north", "south"


async def stock(store: HotStore, **units_by_sku: int) -> None:
    rows = [OpeningRow(sku, N, units) for sku, units in units_by_sku.items()]
    assert (await store.execute(Opening(rows))).outcome is Outcome.OPENED


async def counts(store: HotStore, sku: str = "A", warehouse: str = N) -> Counts:
    found = (await store.read_stock([sku]))[1][0]
    assert found is not None
    return found.warehouses[warehouse]


def quantities(answer: Answer) -> list[tuple[str, str, int, int]]:
    assert answer.lock is not None
    return [tuple(line) for line in answer.lock.lines]  # type: ignore[misc]


async def test_the_same_sku_twice_in_one_order(store: HotStore) -> None:
    await stock(store, A=3)
    refused = await store.execute(Lock("L1", (Line("A", 2), Line("A", 2))))
    assert refused.outcome is Outcome.INSUFFICIENT_STOCK
    assert refused.shortages == (Shortage("A", "", 4, 3),)
    mixed = await store.execute(Lock("L2", (Line("A", 2, N), Line("A", 2))))
    assert mixed.outcome is Outcome.INSUFFICIENT_STOCK
    assert await counts(store) == Counts(3)
    taken = await store.execute(Lock("L3", (Line("A", 2), Line("A", 1, N))))
    assert quantities(taken) == [("A", N, 3, 0)]
    assert await counts(store) == Counts(0, 3)


async def test_many_buyers_and_the_last_unit(store: HotStore) -> None:
    await stock(store, A=1)
    answers = await asyncio.gather(*(store.execute(Lock(f"L{n}", (Line("A", 1),))) for n in range(50)))
    assert collections.Counter(answer.outcome for answer in answers) == {
        Outcome.LOCKED: 1,
        Outcome.INSUFFICIENT_STOCK: 49,
    }
    assert await counts(store) == Counts(0, 1)


async def test_two_orders_that_want_the_same_skus_in_opposite_order(store: HotStore) -> None:
    await stock(store, A=1, B=1)
    pair = (Line("A", 1), Line("B", 1))
    answers = await asyncio.gather(store.execute(Lock("L1", pair)), store.execute(Lock("L2", pair[::-1])))
    assert sorted(answer.outcome for answer in answers) == [Outcome.INSUFFICIENT_STOCK, Outcome.LOCKED]


async def test_one_line_short_takes_nothing_of_the_others(store: HotStore) -> None:
    await stock(store, A=5, B=0, C=5)
    answer = await store.execute(Lock("L", (Line("A", 1), Line("B", 1), Line("C", 1))))
    assert answer.outcome is Outcome.INSUFFICIENT_STOCK
    assert [await counts(store, sku) for sku in "ABC"] == [Counts(5), Counts(0), Counts(5)]


@pytest.mark.parametrize("key", ["", "same"])
async def test_unlock_twice(store: HotStore, key: str) -> None:
    await stock(store, A=10)
    await store.execute(Lock("L", (Line("A", 4),)))
    answers = await asyncio.gather(store.execute(Unlock("L", key)), store.execute(Unlock("L", key)))
    again = Outcome.REPEATED if key else Outcome.UNCHANGED
    assert {answer.outcome for answer in answers} == {Outcome.UNLOCKED, again}
    assert await counts(store) == Counts(10)


async def test_ship_twice(store: HotStore) -> None:
    await stock(store, A=10)
    await store.execute(Lock("L", (Line("A", 4),)))
    shipment = Deduct("L", "S1", (Line("A", 2),))
    answers = await asyncio.gather(*(store.execute(shipment) for _ in range(5)))
    assert collections.Counter(answer.outcome for answer in answers) == {
        Outcome.DEDUCTED: 1,
        Outcome.REPEATED: 4,
    }
    assert len({answer.lock for answer in answers}) == 1
    assert await counts(store) == Counts(6, 2)
    assert (await store.execute(Deduct("L", "S2"))).outcome is Outcome.DEDUCTED
    assert (await store.execute(Deduct("L", "S3"))).outcome is Outcome.LOCK_NOT_HELD
    assert await counts(store) == Counts(6)


async def expired_lock(store: HotStore, shard: Shard) -> None:
    await stock(store, A=5)
    await store.execute(Lock("L", (Line("A", 3),), ttl_ms=1000))
    shard.set_clock(START_MS + 1000)
    assert (await store.execute(Expire("L"))).outcome is Outcome.EXPIRED
    assert await counts(store) == Counts(5)


async def test_paid_after_expiry_and_the_stock_is_still_there(store: HotStore, shard: Shard) -> None:
    await expired_lock(store, shard)
    answer = await store.execute(Confirm("L"))
    assert answer.outcome is Outcome.CONFIRMED
    assert await counts(store) == Counts(2, 3)
    shard.set_clock(START_MS + 9000)
    assert (await store.execute(Expire("L"))).outcome is Outcome.NOT_DUE
    assert (await store.execute(Deduct("L", "S"))).outcome is Outcome.DEDUCTED


async def test_paid_after_expiry_and_the_stock_is_gone(store: HotStore, shard: Shard) -> None:
    await expired_lock(store, shard)
    await store.execute(Lock("other", (Line("A", 3),)))
    answer = await store.execute(Confirm("L"))
    assert answer.outcome is Outcome.LOCK_EXPIRED
    assert answer.shortages == (Shortage("A", "", 3, 2),)
    assert await counts(store) == Counts(2, 3)
    await store.execute(Unlock("other"))
    assert (await store.execute(Confirm("L"))).outcome is Outcome.CONFIRMED


async def test_paid_after_expiry_and_the_stock_is_elsewhere(store: HotStore, shard: Shard) -> None:
    await expired_lock(store, shard)
    await store.execute(Opening([OpeningRow("A", N, 0), OpeningRow("A", S, 3)]))
    answer = await store.execute(Confirm("L"))
    assert quantities(answer) == [("A", S, 3, 0)]


@pytest.mark.parametrize("named_last", [True, False])
async def test_paid_after_expiry_where_one_line_named_its_warehouse(
    store: HotStore, shard: Shard, *, named_last: bool
) -> None:
    await stock(store, A=3, B=1)
    lines = (Line("A", 3), Line("B", 1, N))
    await store.execute(Lock("L", lines if named_last else lines[::-1], ttl_ms=1000))
    shard.set_clock(START_MS + 1000)
    assert (await store.execute(Expire("L"))).outcome is Outcome.EXPIRED
    await store.execute(Opening([OpeningRow("A", N, 0), OpeningRow("A", S, 3)]))
    answer = await store.execute(Confirm("L"))
    assert sorted(quantities(answer)) == [("A", S, 3, 0), ("B", N, 1, 0)]


async def test_paid_after_expiry_takes_no_more_than_was_left(store: HotStore, shard: Shard) -> None:
    """What was given back before is not the order's any more, though sourcing once chose for all of it."""
    await stock(store, A=5)
    await store.execute(Lock("L", (Line("A", 3),), ttl_ms=1000))
    await store.execute(Unlock("L", "k", (Line("A", 1),)))
    shard.set_clock(START_MS + 9000)
    assert (await store.execute(Expire("L"))).outcome is Outcome.EXPIRED
    assert quantities(await store.execute(Confirm("L"))) == [("A", N, 2, 0)]
    assert await counts(store) == Counts(3, 2)


async def test_paid_at_the_very_moment_of_expiry(store: HotStore, shard: Shard) -> None:
    await stock(store, A=1)
    await store.execute(Lock("L", (Line("A", 1),), ttl_ms=1))
    shard.set_clock(START_MS + 1)
    paid, swept, rival = await asyncio.gather(
        store.execute(Confirm("L")), store.execute(Expire("L")), store.execute(Lock("M", (Line("A", 1),)))
    )
    rivals_got_it = rival.outcome is Outcome.LOCKED
    assert rivals_got_it != (paid.outcome is Outcome.CONFIRMED), (paid, swept, rival)
    assert await counts(store) == Counts(0, 1)


async def test_unlock_more_than_locked(store: HotStore) -> None:
    await stock(store, A=10)
    await store.execute(Lock("L", (Line("A", 4),)))
    answer = await store.execute(Unlock("L", "k", (Line("A", 3), Line("A", 2))))
    assert answer.outcome is Outcome.QUANTITY_EXCEEDS_LOCK
    assert answer.exceeding == (Excess("A", N, 5, 4),)
    assert await counts(store) == Counts(6, 4)


async def test_shrink_then_ship(store: HotStore) -> None:
    """What was given back must not ship, and what shipped must not be given back."""
    await stock(store, A=10)
    await store.execute(Lock("L", (Line("A", 4),)))
    await store.execute(Unlock("L", "k", (Line("A", 3),)))
    assert (await store.execute(Deduct("L", "S", (Line("A", 2),)))).outcome is Outcome.QUANTITY_EXCEEDS_LOCK
    assert quantities(await store.execute(Deduct("L", "S"))) == [("A", N, 1, 1)]
    assert await counts(store) == Counts(9)


async def test_release_after_a_partial_shipment(store: HotStore) -> None:
    await stock(store, A=10)
    await store.execute(Lock("L", (Line("A", 4),)))
    await store.execute(Deduct("L", "S", (Line("A", 1),)))
    answer = await store.execute(Unlock("L"))
    assert answer.lock is not None
    assert answer.lock.status is LockStatus.DEDUCTED
    assert quantities(answer) == [("A", N, 1, 1)]
    assert await counts(store) == Counts(9)


async def test_a_basket_changed_by_its_own_buyer_while_sold_out(store: HotStore) -> None:
    await stock(store, A=2, B=1)
    await store.execute(Lock("L", (Line("A", 2),)))
    answer = await store.execute(Replace("L", "k1", (Line("A", 2), Line("B", 1))))
    assert answer.outcome is Outcome.REPLACED
    answer = await store.execute(Replace("L", "k2", (Line("A", 1),)))
    assert quantities(answer) == [("A", N, 1, 0)]
    refused = await store.execute(Replace("L", "k3", (Line("A", 3),)))
    assert refused.outcome is Outcome.INSUFFICIENT_STOCK
    assert await counts(store) == Counts(1, 1)
    again = await store.execute(Lock("L", (Line("A", 2),)))
    assert again.outcome is Outcome.REPEATED
    assert quantities(again) == [("A", N, 2, 0)]
    await store.execute(Confirm("L"))
    assert await counts(store) == Counts(1, 1), "the old content came back"


async def test_retry_after_a_lost_reply(store: HotStore, shard: Shard, client: Redis) -> None:
    """The answer does not come in time; the same id again takes nothing more and gives the original answer."""
    await stock(store, A=10)
    impatient = HotStore(FunctionCaller(client, deadline_seconds=0.2), shard.keys, shard.library)
    assert await impatient.read_due(1) == []
    command = Lock("L", (Line("A", 4),))
    shard.wire.call("CLIENT", "PAUSE", "5000", "WRITE")
    with pytest.raises(OutcomeUnknownError):
        await impatient.execute(command)
    shard.wire.call("CLIENT", "UNPAUSE")
    first, second = await store.execute(command), await store.execute(command)
    assert first.outcome in {Outcome.LOCKED, Outcome.REPEATED}
    assert second.outcome is Outcome.REPEATED
    assert (first.lock, first.position) == (second.lock, second.position)
    assert await counts(store) == Counts(6, 4)


async def test_retry_after_the_connection_broke_on_the_answer(
    store: HotStore, shard: Shard, proof_server: Server
) -> None:
    """The command was done, and nobody read its answer."""
    await stock(store, A=10)
    command = Lock("L", (Line("A", 4),))
    with Wire(proof_server) as lost:
        lost.send([shard.post(command).send(None)])
        async with asyncio.timeout(30):
            while (await store.read_lock("L")).outcome is not Outcome.READ:
                await asyncio.sleep(0)
    again = await store.execute(command)
    assert again.outcome is Outcome.REPEATED
    assert quantities(again) == [("A", N, 4, 0)]
    assert await counts(store) == Counts(6, 4)


async def test_locked_in_two_warehouses_and_released_in_one(store: HotStore) -> None:
    await store.execute(Opening([OpeningRow("A", N, 3), OpeningRow("A", S, 3)]))
    await store.execute(Lock("L", (Line("A", 5),)))
    assert (await store.execute(Unlock("L", "k", (Line("A", 2),)))).outcome is Outcome.WAREHOUSE_REQUIRED
    answer = await store.execute(Unlock("L", "k", (Line("A", 2, S),)))
    assert quantities(answer) == [("A", N, 3, 0)]
    assert (await counts(store), await counts(store, warehouse=S)) == (Counts(0, 3), Counts(3))
    assert (await store.execute(Unlock("L", "k2", (Line("A", 1),)))).outcome is Outcome.UNLOCKED
    assert await counts(store) == Counts(1, 2)


async def test_an_order_of_1114_lines_over_900_skus(store: HotStore) -> None:
    skus = [f"sku {n}" for n in range(900)]
    await store.execute(Opening([OpeningRow(sku, N, 2) for sku in skus[:450]]))
    await store.execute(Opening([OpeningRow(sku, S, 2) for sku in skus[450:]]))
    lines = tuple(Line(skus[n % 900], 1) for n in range(1114))
    answer = await store.execute(Lock("L", lines))
    assert answer.outcome is Outcome.LOCKED
    assert len(quantities(answer)) == 900
    assert sum(line[2] for line in quantities(answer)) == 1114
    assert await counts(store, skus[0]) == Counts(0, 2)
    assert await counts(store, skus[899], S) == Counts(1, 1)
    assert (await store.execute(Lock("L", lines))).outcome is Outcome.REPEATED
    assert (await store.execute(Unlock("L"))).outcome is Outcome.UNLOCKED
    assert await counts(store, skus[0]) == Counts(2)


async def test_no_unit_of_another_product_came_back(store: HotStore) -> None:
    """Zero units are no excess; and the lock they were noted on goes on as before."""
    await stock(store, A=3, B=3)
    await store.execute(Lock("L", (Line("A", 2),)))
    await store.execute(Deduct("L", "parcel"))
    none = Return("first", N, (Booking("B", Place.CUSTOMER, Place.AVAILABLE, 0),), lock_id="L")
    some = Return("second", N, (Booking("A", Place.CUSTOMER, Place.AVAILABLE, 2),), lock_id="L")
    more = Return("third", N, (Booking("B", Place.CUSTOMER, Place.AVAILABLE, 1),), lock_id="L")
    answers = [await store.execute(command) for command in (none, some, more)]
    assert [answer.outcome for answer in answers] == [
        Outcome.RETURNED,
        Outcome.RETURNED,
        Outcome.QUANTITY_EXCEEDS_SHIPMENT,
    ]


@pytest.mark.parametrize("end", ["cancelled", "shipped"])
async def test_the_phone(store: HotStore, end: str) -> None:
    """Ten came in; one is ordered, so nine can be sold; it is cancelled (ten again) or shipped (nine there)."""
    came_in = Receive("R", N, (Booking("phone", Place.SUPPLIER, Place.AVAILABLE, 10),))
    assert (await store.execute(came_in)).outcome is Outcome.RECEIVED
    await store.execute(Lock("order", (Line("phone", 1),)))
    now = await counts(store, "phone")
    assert (now.on_hand, now.locked, now.sellable) == (10, 1, 9)
    if end == "cancelled":
        await store.execute(Unlock("order"))
        now = await counts(store, "phone")
        assert (now.on_hand, now.locked, now.sellable) == (10, 0, 10)
    else:
        await store.execute(Deduct("order", "parcel"))
        now = await counts(store, "phone")
        assert (now.on_hand, now.locked, now.sellable) == (9, 0, 9)


async def test_three_missing_in_the_north_never_hide_three_in_the_south(store: HotStore) -> None:
    await store.execute(Opening([OpeningRow("A", N, 4), OpeningRow("A", S, 3)]))
    await store.execute(Lock("L", (Line("A", 4, N),)))
    lost = Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 3, "stolen")
    assert (await store.execute(Adjust("a", N, (lost,)))).outcome is Outcome.ADJUSTED
    assert (await counts(store)).available == -3
    assert (await store.execute(Lock("M", (Line("A", 4),)))).shortages == (Shortage("A", "", 4, 3),)
    assert (await store.execute(Lock("M", (Line("A", 3),)))).outcome is Outcome.LOCKED


async def test_codes_that_differ_by_case_or_look_odd_are_different_skus(store: HotStore) -> None:
    codes = ["85123a", "85123A", "BANK CHARGES", "A/12", "A:12", "A", "v", "ä", "日本"]
    await store.execute(Opening([OpeningRow(code, "v", n) for n, code in enumerate(codes, 1)]))
    found = (await store.read_stock(codes))[1]
    assert [stock and stock.warehouses["v"].available for stock in found] == list(range(1, len(codes) + 1))


async def test_a_hundred_buyers_of_sixty_units_with_all_kinds_of_steps(store: HotStore) -> None:
    await stock(store, A=60)

    async def buyer(number: int) -> int:
        lock_id, units = f"L{number}", 1 + number % 3
        if (await store.execute(Lock(lock_id, (Line("A", units),)))).outcome is not Outcome.LOCKED:
            return 0
        if number % 4 == 0:
            await asyncio.gather(store.execute(Unlock(lock_id)), store.execute(Unlock(lock_id)))
            return 0
        if number % 4 == 1:
            await store.execute(Deduct(lock_id, "S", (Line("A", 1),)))
            await store.execute(Unlock(lock_id))
            return 1
        await asyncio.gather(*(store.execute(Deduct(lock_id, "S")) for _ in range(3)))
        return units

    shipped = sum(await asyncio.gather(*(buyer(number) for number in range(100))))
    assert await counts(store) == Counts(60 - shipped)


async def test_a_transfer_of_which_one_product_ships_first(store: HotStore) -> None:
    await stock(store, A=3, B=2)
    await store.execute(Transfer("T", N, S, (Line("A", 3), Line("B", 2))))
    shipped = await store.execute(TransferShip("T", "parcel", lines=(Line("A", 1),)))
    assert shipped.transfer is not None
    assert [(line.sku, line.shipped) for line in shipped.transfer.lines] == [("A", 1), ("B", 0)]
    assert (await counts(store, "B"), await counts(store, "A", S)) == (Counts(0, 2), Counts(in_transit=1))
    rest = await store.execute(TransferShip("T", "second parcel"))
    assert rest.transfer is not None
    assert [(line.sku, line.shipped) for line in rest.transfer.lines] == [("A", 3), ("B", 2)]
