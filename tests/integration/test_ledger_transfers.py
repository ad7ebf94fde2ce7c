"""Transfers in the ledger: projected, verified, forgotten, and put back by a rebuild."""

import pytest

from app.bootstrap import Stores
from app.domain.answers import Answer
from app.domain.commands import (
    Arrival,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Transfer,
    TransferCancel,
    TransferReceive,
    TransferShip,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.ledger.audit import Audit
from app.ledger.horizon import Horizon
from app.ledger.ledger import Ledger
from app.recovery.findings import Finding
from app.worker import forget
from tests.integration.test_worker import _gone
from tests.integration.working import differences, drain, execute, fetch, until, working

N, S = "north", "south"
MOVE = Transfer("T", N, S, (Line("A", 60), Line("B", 5)))
SHIPMENT = TransferShip("T", "s1", None, (Line("A", 40),))
RECEIPT = TransferReceive("T", "r1", None, (Arrival("A", 20, 3, 2),))


async def some_transfers(stores: Stores) -> list[Answer]:
    """T is under way with all kinds of steps, `done` has arrived, `off` was cancelled."""
    hot = stores.hot
    await hot.execute(Opening([OpeningRow("A", N, 100, 5), OpeningRow("A", S, 1), OpeningRow("B", N, 9)]))
    await hot.execute(Lock("order", (Line("A", 7, N),), ttl_ms=None))
    told = [await hot.execute(MOVE), await hot.execute(SHIPMENT), await hot.execute(RECEIPT)]
    await hot.execute(Transfer("done", S, N, (Line("A", 1),)))
    await hot.execute(TransferShip("done", "s1"))
    await hot.execute(TransferReceive("done", "r1", None, (Arrival("A", 1),)))
    await hot.execute(Transfer("off", N, S, (Line("B", 1),)))
    await hot.execute(TransferCancel("off"))
    return told


@pytest.mark.parametrize("batches", [1, 100])
async def test_every_move_reaches_both_warehouses(stores: Stores, batches: int) -> None:
    if batches > 1:  # each event in a transaction of its own: nothing is folded before it is written
        async with working(stores):
            await some_transfers(stores)
            await until(lambda: fetch(stores, "SELECT 1 FROM event WHERE kind = 'transfer_cancel'"))
    else:
        await some_transfers(stores)
        await drain(stores)
    rows = await fetch(
        stores,
        "SELECT sku, warehouse, available, locked, damaged, in_transit FROM stock ORDER BY sku, warehouse",
    )
    assert rows == [
        ("A", N, 34, 27, 0, 0),
        ("A", S, 20, 0, 3, 15),
        ("B", N, 4, 5, 0, 0),
    ]
    ((shipped,),) = await fetch(
        stores,
        "SELECT count(*) FROM move WHERE warehouse = 'north' AND to_warehouse = 'south' AND quantity = 40",
    )
    assert shipped == 1
    assert await differences(stores) == []


async def test_counts_as_of_a_version_know_both_ends(stores: Stores) -> None:
    await some_transfers(stores)
    await drain(stores)
    ((version,),) = await fetch(stores, "SELECT version FROM move WHERE to_warehouse = 'south'")
    counts = await Audit(stores.engine, 0).stock_at("A", version)
    assert counts == {N: Counts(33, 27, 0, 0, 5), S: Counts(1, 0, 0, 40)}


async def test_a_rebuilt_store_remembers_transfers_and_their_ids(stores: Stores) -> None:
    told = await some_transfers(stores)
    await drain(stores)
    records = {key: await stores.client.hgetall(key) for key in await stores.client.keys("*:transfer:*")}
    ops = {key: await stores.client.get(key) for key in await stores.client.keys("*:op:*")}
    await stores.client.flushall()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    assert {key: await stores.client.hgetall(key) for key in records} == records
    assert {key: await stores.client.get(key) for key in await stores.client.keys("*:op:*")} == ops
    hot = stores.hot
    for again, first in zip(
        [await hot.execute(MOVE), await hot.execute(SHIPMENT), await hot.execute(RECEIPT)],
        told,
        strict=True,
    ):
        assert (again.outcome, again.transfer, again.position) == (
            Outcome.REPEATED,
            first.transfer,
            first.position,
        )
    rest = await hot.execute(TransferShip("T", "s2"))
    assert rest.transfer is not None
    assert rest.transfer.status == "shipped"
    await drain(stores)
    assert await differences(stores) == []


async def test_the_ledger_tells_of_a_transfer(stores: Stores) -> None:
    await some_transfers(stores)
    await drain(stores)
    ledger = Ledger(stores.engine)
    for transfer_id in ("T", "done", "off"):
        assert (
            await ledger.find_transfer(transfer_id) == (await stores.hot.read_transfer(transfer_id)).transfer
        )
    assert await ledger.find_transfer("none") is None


PLANTED = [
    ("a record in the hot store", "hot", "transfer T field n"),
    ("a transfer that is gone", "gone", "transfer T status"),
    ("a transfer that nobody has heard of", "made up", "transfer made-up status"),
    (
        "a record",
        "UPDATE transfer SET record = record || '{\"a\":\"west\"}' WHERE transfer_id = 'T'",
        "field a",
    ),
    (
        "units on the way",
        "UPDATE stock SET in_transit = 14 WHERE sku = 'A' AND warehouse = 'south'",
        "in_transit",
    ),
    (
        "what is still to ship",
        "UPDATE transfer SET record = jsonb_set(record, '{n,1,6}', '1') WHERE transfer_id = 'T'",
        "SKU B north locked",
    ),
    (
        "what is still to arrive",
        "UPDATE transfer SET record = jsonb_set(record, '{n,0,5}', '0') WHERE transfer_id = 'T'",
        "SKU A south in_transit: projection 15, open transfers 17",
    ),
    (
        "the other end of a move",
        "UPDATE move SET to_warehouse = 'west' WHERE to_warehouse = 'south'",
        "SKU A south in_transit",
    ),
]


@pytest.mark.parametrize(("name", "plant", "named"), PLANTED, ids=[row[0] for row in PLANTED])
async def test_verify_finds_what_is_planted(
    stores: Stores, name: str, plant: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reconcile.verify.IN_FLIGHT_SECONDS_MAX", 0.2)
    await some_transfers(stores)
    await drain(stores)
    assert await differences(stores) == []
    key = stores.keys.transfer("T")
    if plant == "hot":
        await stores.client.hset(key, "n", "[]")
    elif plant == "gone":
        await stores.client.delete(key)
    elif plant == "made up":
        await stores.client.copy(key, stores.keys.transfer("made-up"))
    else:
        await execute(stores, plant)
    found = await differences(stores)
    assert any(named in line for line in found), (name, found)


async def test_what_has_ended_leaves_the_hot_store(stores: Stores) -> None:
    await some_transfers(stores)
    await drain(stores)
    horizon = Horizon(stores.engine, 0, seconds=0, entries_max=1_000_000)
    assert not await forget.duty(stores.hot, horizon).run_once()
    keys = stores.keys
    for key in (keys.transfer("done"), keys.transfer("off"), keys.op("transfer_receive:done{r1")):
        assert await _gone(stores, key)
    for key in (keys.transfer("T"), keys.op("transfer_ship:T{s1"), keys.op("transfer_receive:T{r1")):
        assert not await _gone(stores, key)
    assert await differences(stores) == []
    again = await stores.hot.execute(Transfer("done", N, S, (Line("A", 2),)))
    assert again.outcome is Outcome.TRANSFER_REQUESTED  # the id is free again, for another transfer
    await drain(stores)
    assert await differences(stores) == []
    found = await Ledger(stores.engine).find_transfer("done")
    assert found is not None
    assert (found.status, found.source) == ("requested", N)
