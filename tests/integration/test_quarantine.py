"""Poison: events that Postgres refuses for what they say. Only what they are about stands still."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.bootstrap import Stores
from app.commands.quarantine import quarantine
from app.domain.chain import tip_after
from app.domain.commands import (
    Adjust,
    Booking,
    Compensate,
    Confirm,
    Deduct,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Replace,
    Transfer,
    TransferShip,
    Unlock,
)
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import SCHEMA, Place
from app.errors import NewerSchemaError, SellableError
from app.ledger.check import LedgerCheck
from app.recovery.findings import Finding
from tests.integration.test_recovery_findings import told
from tests.integration.working import differences, drain, fetch, persisted, until, working
from tests.recovery import commands_on, copy_of_memory, put_back_memory

Moves = list[list[Any]]
POISONS: dict[str, dict[str, Any]] = {
    "a number no column has": {"quantity": 2**70},
    "a character no text has": {"reason": "a\0b"},
    "a place nobody knows": {"target": "z"},
}


async def plant(stores: Stores, *moves: Any, **event: Any) -> str:
    """An event as no function of ours would write it, behind all others; the SKUs' counts stay as they are."""
    client, keys = stores.client, stores.keys
    tip, epoch, at = await client.hmget(keys.meta, ["tip", "epoch", "at"])
    fields: dict[str, Any] = {
        "schema": SCHEMA, "kind": "adjust", "recorded_at": int(at), "op": None, "fingerprint": None, "who": "planted",
        "reason": None, "occurred_at": None, "lock_id": None, "lock": None, "moves": list(moves),
    }  # fmt: skip
    body = json.dumps(list((fields | event).values()), separators=(",", ":"))
    position = await client.xadd(keys.outbox, {"p": tip, "e": body}, id=f"{epoch}-*")
    tip = tip_after(tip.encode(), body.encode())
    await client.hset(keys.meta, mapping={"tip": tip, "last": position})
    return str(position)


async def plant_text(stores: Stores, body: bytes) -> str:
    """A text that may be no event at all, behind all others."""
    client, keys = stores.client, stores.keys
    tip, epoch = await client.hmget(keys.meta, ["tip", "epoch"])
    position = await client.xadd(keys.outbox, {"p": tip, "e": body}, id=f"{epoch}-*")
    tip = hashlib.sha1(tip.encode() + body, usedforsecurity=False).hexdigest()[:16]
    await client.hset(keys.meta, mapping={"tip": tip, "last": position})
    return str(position)


async def move_of(stores: Stores, sku: str, **poison: Any) -> list[Any]:
    """The next move of a SKU in north: 5 units more, as the hot store would count them; then poisoned."""
    key = stores.keys.stock(sku)
    version = int(await stores.client.hincrby(key, "v", 1))
    available = int(await stores.client.hincrby(key, "north:a", 5))
    locked = int(await stores.client.hget(key, "north:l") or 0)
    good = {
        "source": "j",
        "target": "a",
        "quantity": 5,
        "after": [available, locked, 0, 0, 0],
        "reason": None,
    }
    move = good | poison
    return [
        sku,
        version,
        "north",
        move["source"],
        move["target"],
        move["quantity"],
        move["after"],
        move["reason"],
    ]


async def parked(stores: Stores) -> dict[str, int]:
    return {one.subject: one.parts for one in await stores.quarantine().parked()}


async def faults(stores: Stores) -> list[str]:
    check = LedgerCheck(stores.engine, 0, now=datetime.now(UTC))
    return [str(fault) async for fault in check.faults() if not fault.what.startswith("table")]


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_one_poisonous_move_stops_its_sku_and_nothing_else(
    stores: Stores, poison: dict[str, Any]
) -> None:
    await stores.hot.execute(Opening([OpeningRow(f"S{i}", "north", 100) for i in range(40)]))
    for i in range(20):
        await stores.hot.execute(Lock(f"before-{i}", (Line(f"S{i}", 1),)))
    where = await plant(stores, await move_of(stores, "S0"), await move_of(stores, "S1", **poison))
    for i in range(20):
        await stores.hot.execute(Lock(f"after-{i}", (Line("S1", 1), Line(f"S{i + 2}", 1))))
    with capture_logs() as logs:
        await drain(stores)
    assert await parked(stores) == {"S1": 21}
    told = [(log["subject"], log["log_level"]) for log in logs if log["event"] == "ledger.quarantined"]
    assert told == [("S1", "error")]
    rows = await fetch(stores, "SELECT sku, available FROM stock WHERE sku IN ('S0', 'S1', 'S2') ORDER BY 1")
    assert rows == [("S0", 104), ("S1", 99), ("S2", 98)]
    assert await fetch(stores, "SELECT count(*) FROM event") == [(1 + 1 + 20 + 1 + 20,)]
    raw = (await fetch(stores, "SELECT body FROM quarantined_event ORDER BY epoch, n"))[0][0]
    assert (await stores.quarantine().parked())[0].first_position == where
    assert json.loads(raw)[10][1][0] == "S1"
    assert await differences(stores) == ["SKU S1 moves parked: in quarantine 21, to be expected 0"]


async def test_beside_what_is_parked_batches_are_written_as_they_were_folded(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100), OpeningRow("B", "north", 100)]))
    await plant(stores, await move_of(stores, "A", reason="a\0b"))
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]

    async def lock_both(name: str) -> list[str]:
        await stores.hot.execute(Lock(name, (Line("A", 1), Line("B", 1))))
        with capture_logs() as logs:
            while await persist.run_once():
                pass
        return [log["why"] for log in logs if log["event"] == "persist.batch_refused"]

    assert len(await lock_both("found")) >= 1
    await lock_both("known")
    assert [await lock_both(f"later-{i}") for i in range(3)] == [[], [], []]
    assert await parked(stores) == {"A": 6}
    assert await fetch(stores, "SELECT sku, locked FROM stock ORDER BY sku") == [("A", 0), ("B", 5)]


async def test_events_whose_own_columns_are_refused_keep_their_moves(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await plant(stores, await move_of(stores, "A"), who="a\0b")
    await plant(stores, recorded_at=10**18)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 20)]))
    await drain(stores)
    assert await parked(stores) == {}
    assert await faults(stores) == []
    assert await fetch(stores, "SELECT who FROM event WHERE kind = 'adjust' ORDER BY n") == [(None,), (None,)]
    assert await fetch(stores, "SELECT count(*), bool_and(ended_as = 'kept raw') FROM quarantine") == [
        (2, True)
    ]
    assert await differences(stores) == []


async def test_a_document_that_is_refused_waits_and_its_moves_do_not(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await stores.hot.execute(Lock("L", (Line("A", 2),)))
    await stores.client.hset(stores.keys.lock("L"), "v", 2)
    await plant(stores, lock_id="L", lock={"v": 2, "q": "a\0b"}, kind="extend")
    await stores.hot.execute(Confirm("L"))
    await stores.hot.execute(Deduct("L", "s"))
    await drain(stores)
    assert await parked(stores) == {"lock L": 3}
    assert await fetch(stores, "SELECT available, locked FROM stock") == [(8, 0)]
    assert [line.partition(":")[0] for line in await differences(stores)] == [
        "lock L documents parked",
        "SKU A north locked",  # of open locks the ledger knows no more than that
    ]


@pytest.mark.tier
async def test_poison_in_each_batch_does_not_slow_the_others_down_more_and_more(stores: Stores) -> None:
    """One in each batch of 50: whatever came before, no more is parked than is about its SKU."""
    stores = stores_with(stores, batch_events_max=50)
    await stores.hot.execute(Opening([OpeningRow(f"S{i}", "north", 1_000) for i in range(100)]))
    shares = []
    for batch in range(5):
        await plant(stores, await move_of(stores, f"S{batch}", quantity=2**70))
        for i in range(49):
            await stores.hot.execute(Lock(f"{batch}-{i}", (Line(f"S{8 + i}", 1), Line(f"S{i % 5}", 1))))
        await drain(stores)
        booked = "SELECT count(*) FROM move WHERE NOT (sku = ANY ('{S0,S1,S2,S3,S4}'))"
        shares.append((await fetch(stores, booked))[0][0])
    assert [later - before for before, later in itertools.pairwise(shares)] == [49] * 4
    assert set(await parked(stores)) == {f"S{i}" for i in range(5)}


def stores_with(stores: Stores, **settings: Any) -> Stores:
    from dataclasses import replace  # noqa: PLC0415

    return replace(stores, settings=stores.settings.model_copy(update=settings))


async def refuse_the_sku(stores: Stores) -> str:
    """A SKU that the ledger refuses until somebody mends it there."""
    await stores.hot.execute(
        Opening([OpeningRow("A", "north", 10), OpeningRow("A", "south", 3), OpeningRow("B", "north", 10)])
    )
    await drain(stores)
    await fetch(
        stores, "ALTER TABLE stock ADD CONSTRAINT mended CHECK (sku <> 'A' OR available <> 8) NOT VALID"
    )
    where = (await stores.hot.execute(Lock("L", (Line("A", 2, "north"), Line("B", 1))))).position
    await stores.hot.execute(Deduct("L", "s1", (Line("A", 1, "north"),)))
    await drain(stores)
    assert await parked(stores) == {"A": 2}
    return where


async def mend(stores: Stores) -> None:
    await fetch(stores, "ALTER TABLE stock DROP CONSTRAINT IF EXISTS mended")


async def test_retry_books_what_was_parked_in_order_once_it_can(stores: Stores) -> None:
    try:
        where = await refuse_the_sku(stores)
        (again,) = await stores.quarantine().retry()
        assert (again.booked, again.left and again.left.parts) == (0, 2)
        assert (await stores.quarantine().parked())[0].first_position == where
    finally:
        await mend(stores)
    (again,) = await stores.quarantine().retry("A")
    assert (again.booked, again.left) == (2, None)
    with pytest.raises(SellableError, match="nothing is parked of 'A'"):
        await stores.quarantine().retry("A")
    await stores.hot.execute(Deduct("L", "s2"))
    await drain(stores)
    assert await parked(stores) == {}
    assert await differences(stores) == []
    assert await faults(stores) == []


async def test_drop_leaves_an_event_that_books_the_difference(
    stores: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLABLE_REDIS_URL", stores.redis_url)
    url = stores.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("SELLABLE_DATABASE_URL", url)

    async def run(action: str, **more: Any) -> int:
        from app.bootstrap import open_stores  # noqa: PLC0415

        return await quarantine(action=action, data_dir=Path("nowhere"), open_stores=open_stores, **more)

    try:
        await refuse_the_sku(stores)
        assert await run("list", as_json=True) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["items"][0]["parts"] == 2
        assert await run("retry") == 3
        with pytest.raises(SellableError, match="reason"):
            await run("drop", subject="A", reason=" ")
        with pytest.raises(SellableError, match="no move of SKU B"):
            await run("drop", subject="B", reason="why not")
        await stores.hot.execute(Lock("M", (Line("A", 1, "north"),)))
        await drain(stores)
        async with working(stores):
            assert await run("drop", subject="A", reason='the "label" was wrong') == 0
    finally:
        await mend(stores)
    assert "3 moves dropped" in capsys.readouterr().out
    await stores.hot.execute(Deduct("L", "s2"))
    await drain(stores)
    assert await parked(stores) == {}
    assert await differences(stores) == []
    rows = await fetch(stores, "SELECT reason, count(*) FROM event WHERE kind = 'compensate' GROUP BY 1")
    assert rows == [('the "label" was wrong', 1)]
    assert await faults(stores) == []
    ended = "SELECT ended_as, reason, count(*) FROM quarantine GROUP BY 1, 2"
    assert await fetch(stores, ended) == [("dropped", 'the "label" was wrong', 3)]


async def test_a_drop_that_is_refused_as_well_waits_behind_the_others(stores: Stores) -> None:
    try:
        await refuse_the_sku(stores)
        assert (await stores.hot.execute(Compensate("A", "drop:1", "why not"))).outcome == "COMPENSATED"
        await drain(stores)
        assert await parked(stores) == {"A": 2 + 2 * 4}
    finally:
        await mend(stores)
    (again,) = await stores.quarantine().retry()
    assert (again.booked, again.left) == (10, None)
    assert await differences(stores) == []


async def test_a_newer_format_is_left_to_a_newer_worker(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    before = Position.parse(await stores.hot.read_last())
    await plant(stores, schema=SCHEMA + 1)
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
    assert await persist.run_once()  # what comes before it is booked
    with pytest.raises(NewerSchemaError):
        await persist.run_once()
    assert await fetch(stores, "SELECT epoch, n FROM position") == [tuple(before)]
    assert await fetch(stores, "SELECT count(*) FROM quarantine") == [(0,)]
    leased = "SELECT n FROM position WHERE shard = 0 FOR UPDATE NOWAIT"
    assert await fetch(stores, leased) == [(before.n,)]


@pytest.mark.tier
async def test_a_worker_goes_on_past_poison_under_load(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow(f"S{i}", "north", 1_000) for i in range(10)]))
    async with working(stores):
        for n in range(5):
            await asyncio.gather(
                *(stores.hot.execute(Lock(f"{n}-{i}", (Line(f"S{i % 10}", 1),))) for i in range(40))
            )
            await plant(stores, await move_of(stores, "S3", quantity=2**70))
        await until(lambda: persisted(stores))
    assert set(await parked(stores)) == {"S3"}
    assert [line.partition(":")[0] for line in await differences(stores)] == ["SKU S3 moves parked"]


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_a_rebuild_does_not_forget_what_is_parked(stores: Stores, poison: dict[str, Any]) -> None:
    """What waits in quarantine happened: it must not be for sale again because the hot store was lost."""
    await stores.hot.execute(
        Opening([OpeningRow(sku, place, 10) for sku in ("S0", "S1") for place in ("north", "south")])
    )
    await plant(stores, await move_of(stores, "S1", **poison))
    await stores.hot.execute(
        Lock("L", (Line("S1", 15, "north"), Line("S1", 2, "south"), Line("S0", 3, "south")))
    )
    await drain(stores)
    assert await parked(stores) == {"S1": 3}
    before = {sku: await stores.client.hgetall(stores.keys.stock(sku)) for sku in ("S0", "S1")}
    await stores.client.flushall()
    stores.hot.epoch = ""
    await stores.recovery().ensure_open()
    assert {sku: await stores.client.hgetall(stores.keys.stock(sku)) for sku in ("S0", "S1")} == before
    assert (
        await stores.hot.execute(Lock("M", (Line("S1", 1, "north"),)))
    ).outcome is Outcome.INSUFFICIENT_STOCK


UNREADABLE: dict[str, bytes] = {
    "no JSON": b'[3,"adjust",1,"adj',
    "no event": b'{"kind":"adjust"}',
    "no letters": b'[3,"adjust",1,"\xff\xfe",null,null,null,null,null,null,[]]',
    "no schema": b"",
    "too deep": b"[3," + b"[" * 100_000,
}


@pytest.mark.tier
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_event_that_cannot_be_read_is_kept_and_the_rest_goes_on(
    stores: Stores, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """It moved 5 units of A, which it does not say. B and C never stand still; A does from its next move on."""
    await stores.hot.execute(Opening([OpeningRow(sku, "north", 10) for sku in "ABC"]))
    await stores.hot.execute(Lock("before", (Line("A", 1), Line("B", 1))))
    await move_of(stores, "A")
    where = await plant_text(stores, body)
    with capture_logs() as logs:
        await stores.hot.execute(Lock("one", (Line("B", 1),)))
        await drain(stores)
        assert await parked(stores) == {where: 1}
        await stores.hot.execute(Lock("two", (Line("A", 1), Line("C", 1))))
        await drain(stores)
    assert await parked(stores) == {where: 1, "A": 1}
    told = [(log["part"], log["subject"]) for log in logs if log["event"] == "ledger.quarantined"]
    assert told == [("event", where), ("move", "A")]
    assert await fetch(stores, "SELECT body FROM quarantined_event ORDER BY epoch, n LIMIT 1") == [(body,)]
    rows = await fetch(stores, "SELECT sku, available FROM stock ORDER BY 1")
    assert rows == [("A", 9), ("B", 8), ("C", 9)]
    assert [line.partition(":")[0] for line in await differences(stores)] == [
        f"event {where} events parked",
        "SKU A moves parked",
    ]
    assert await faults(stores) == []
    assert {one.left.parts for one in await stores.quarantine().retry() if one.left} == {1}  # it stays
    async with working(stores):
        assert await stores.quarantine().drop("A", "nobody knows", "a person") == (1, await last(stores))
    assert await differences(stores) == [f"event {where} events parked: in quarantine 1, to be expected 0"]
    assert await by_command(stores, subject=where, reason="seen by a person") == 0
    assert "its text is kept" in capsys.readouterr().out
    await stores.hot.execute(Lock("three", (Line("A", 1),)))
    await drain(stores)
    assert await parked(stores) == {}
    assert await differences(stores) == []
    assert await faults(stores) == []


async def last(stores: Stores) -> str:
    return str(await stores.client.hget(stores.keys.meta, "last"))


async def by_command(stores: Stores, **more: Any) -> int:
    """`sellable quarantine drop`."""

    with commands_on(stores) as opened:
        return await quarantine(action="drop", data_dir=Path("nowhere"), open_stores=opened, **more)


@pytest.mark.tier
async def test_an_unreadable_event_was_the_last_of_its_sku(stores: Stores) -> None:
    """Nothing of the SKU is parked: `verify` tells of it, and it can be dropped all the same."""
    await stores.hot.execute(Opening([OpeningRow(sku, "north", 10) for sku in "AB"]))
    await drain(stores)
    await move_of(stores, "A")
    where = await plant_text(stores, b"[3,")
    await drain(stores)
    assert [line.partition(":")[0] for line in await differences(stores)] == [
        f"event {where} events parked",
        "SKU A version",
    ]
    async with working(stores):
        assert (await stores.quarantine().drop("A", "nobody knows", "a person"))[0] == 0
    assert await stores.quarantine().drop_event(Position.parse(where), "seen")
    assert await differences(stores) == []
    assert await faults(stores) == []


async def test_what_an_unreadable_event_names_is_parked_at_once(stores: Stores) -> None:
    """A quantity that is a text: JSON, and no event; but whose SKU and lock it is about can be read."""
    await stores.hot.execute(Opening([OpeningRow(sku, "north", 10) for sku in "AB"]))
    await stores.hot.execute(Lock("L", (Line("A", 1),)))
    where = await plant(
        stores, await move_of(stores, "A", quantity="five"), lock_id="L", lock={"v": 2, "s": "held"}
    )
    await drain(stores)
    assert await parked(stores) == {where: 1, "A": 1, "lock L": 1}
    await stores.hot.execute(Deduct("L", "s1"))
    await drain(stores)
    assert await parked(stores) == {where: 1, "A": 2, "lock L": 2}
    async with working(stores):
        assert (await stores.quarantine().drop("A", "a text", "a person"))[0] == 2


async def test_a_gap_that_nothing_explains_stops_its_sku(stores: Stores) -> None:
    """The chain of events has none, so it is the SKU's record in the hot store that somebody has changed."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10), OpeningRow("B", "north", 10)]))
    await move_of(stores, "A")
    await stores.hot.execute(Lock("L", (Line("A", 1), Line("B", 2))))
    with capture_logs() as logs:
        await drain(stores)
    assert await parked(stores) == {"A": 1}
    (told,) = [log for log in logs if log["event"] == "ledger.quarantined"]
    assert (told["log_level"], told["subject"]) == ("error", "A")
    assert "at version 1 in the ledger; its next move has 3" in told["error"]
    async with working(stores):
        assert (await stores.quarantine().drop("A", "nobody knows", "a person"))[0] == 1
    assert await differences(stores) == []
    assert await faults(stores) == []


async def make_anew(stores: Stores) -> None:
    """A SKU's record is lost in the hot store, and one of its warehouses imported again."""
    await stores.hot.execute(
        Opening(
            [
                OpeningRow("A", "north", 100),
                OpeningRow("A", "south", 5),
                OpeningRow("A", "west", 7),
                OpeningRow("B", "north", 100),
            ]
        )
    )
    for i in range(5):
        await stores.hot.execute(Lock(f"gone-{i}", (Line("A", 1),)))
        await stores.hot.execute(Unlock(f"gone-{i}"))
    await drain(stores)
    await stores.client.delete(stores.keys.stock("A"))
    await stores.hot.execute(Opening([OpeningRow("A", "north", 90)]))


async def test_a_sku_that_was_made_anew_stops_no_other(stores: Stores) -> None:
    """Its versions begin again, and are behind what the ledger has."""
    await make_anew(stores)
    for i in range(3):
        await stores.hot.execute(Lock(f"L{i}", (Line("A", 1), Line("B", 1))))
    async with working(stores):
        await until(lambda: fetch(stores, "SELECT 1 FROM stock WHERE sku = 'B' AND locked = 3"))
        assert await parked(stores) == {"A": 4}
        assert await fetch(stores, "SELECT max(epoch) FROM epoch") == [(1,)]  # no gate was shut for it
        assert await by_command(stores, subject="A", reason="its record was lost") == 0
    assert await parked(stores) == {}
    assert await differences(stores) == []
    assert await faults(stores) == []
    rows = await fetch(stores, "SELECT warehouse, available, locked FROM stock WHERE sku = 'A' ORDER BY 1")
    assert rows == [("north", 87, 3), ("south", 0, 0), ("west", 0, 0)]
    await stores.hot.execute(Deduct("L1", "s1"))
    await drain(stores)
    assert await parked(stores) == {}
    assert await differences(stores) == []


@pytest.mark.tier
async def test_a_sku_that_was_made_anew_comes_back_as_it_is_sold(stores: Stores) -> None:
    """A rebuild in between keeps what waits, and the drop goes on from there."""
    await make_anew(stores)
    await stores.hot.execute(Lock("L", (Line("A", 1),)))
    await drain(stores)
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.SAME
    (stock,) = (await stores.hot.read_stock(["A"]))[1]
    assert stock.warehouses["north"].available == 89
    await stores.hot.execute(Lock("M", (Line("A", 1),)))
    async with working(stores):
        assert await by_command(stores, subject="A", reason="its record was lost") == 0
    assert await differences(stores) == []
    assert await faults(stores) == []


async def test_a_drop_whose_versions_do_not_come_next_stops_nobody(stores: Stores) -> None:
    """As an API of before says it, which does not ask the ledger how far it is."""
    await make_anew(stores)
    assert (await stores.hot.execute(Compensate("A", "drop:1", "why not"))).outcome == "COMPENSATED"
    await stores.hot.execute(Lock("L", (Line("B", 1),)))
    await drain(stores)
    assert await parked(stores) == {"A": 1 + 4}
    assert await fetch(stores, "SELECT locked FROM stock WHERE sku = 'B'") == [(1,)]
    async with working(stores):
        assert await by_command(stores, subject="A", reason="its record was lost") == 0
    assert await differences(stores) == []
    assert await faults(stores) == []


# What waits in quarantine, and a hot store that was lost


async def memory(stores: Stores) -> dict[str, Any]:
    """Every record of stock, locks, transfers and ids, and what is due."""
    found: dict[str, Any] = {}
    for key in await stores.client.keys("*"):
        match key.split(":")[1]:
            case "stock" | "lock" | "transfer":
                found[key] = await stores.client.hgetall(key)
            case "op":
                found[key] = await stores.client.get(key)
            case "due":
                found[key] = await stores.client.zrange(key, 0, -1, withscores=True)
    return found


async def refuse_documents(stores: Stores, *names: str) -> None:
    """Locks and transfers of these ids are refused until somebody mends the ledger."""
    for table, column in (("lock", "lock_id"), ("transfer", "transfer_id")):
        listed = ", ".join(f"'{name}'" for name in names)
        await fetch(
            stores, f"ALTER TABLE {table} ADD CONSTRAINT mended CHECK ({column} NOT IN ({listed})) NOT VALID"
        )


async def accept_documents(stores: Stores) -> None:
    for table in ("lock", "transfer"):
        await fetch(stores, f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS mended")


async def park_documents(stores: Stores) -> None:
    """Locks and transfers whose beginning, or whose later steps, wait in quarantine."""
    hot = stores.hot
    await hot.execute(Opening([OpeningRow("A", "north", 100), OpeningRow("A", "south", 1)]))
    await hot.execute(Lock("known", (Line("A", 2),), ttl_ms=900_000))
    await hot.execute(Transfer("T known", "north", "south", (Line("A", 4),)))
    await drain(stores)
    await refuse_documents(stores, "known", "new", "short", "T known", "T new")
    await hot.execute(Replace("known", "key-1", (Line("A", 3),)))
    await hot.execute(Confirm("known"))
    await hot.execute(Deduct("known", "s1", (Line("A", 1),)))
    await hot.execute(Lock("new", (Line("A", 5),), ttl_ms=900_000))
    await hot.execute(Extend("new", "key-2", 1_800_000))
    await hot.execute(Lock("short", (Line("A", 1),)))
    await hot.execute(Unlock("short"))
    await hot.execute(TransferShip("T known", "s1", None, (Line("A", 3),)))
    await hot.execute(Transfer("T new", "north", "south", (Line("A", 2),)))
    await drain(stores)
    assert set(await parked(stores)) == {
        "lock known", "lock new", "lock short", "transfer T known", "transfer T new",
    }  # fmt: skip


async def repeat_documents(stores: Stores) -> None:
    """Nothing of it happens twice, and each goes on."""
    hot = stores.hot
    for again in (
        await hot.execute(Deduct("known", "s1", (Line("A", 1),))),
        await hot.execute(Lock("new", (Line("A", 5),), ttl_ms=900_000)),
        await hot.execute(Lock("short", (Line("A", 1),))),
        await hot.execute(TransferShip("T known", "s1", None, (Line("A", 3),))),
        await hot.execute(Transfer("T new", "north", "south", (Line("A", 2),))),
    ):
        assert again.outcome is Outcome.REPEATED
    assert (await hot.execute(Deduct("known", "s2"))).outcome is Outcome.DEDUCTED
    assert (await hot.execute(Confirm("new"))).outcome is Outcome.CONFIRMED


async def lose_all(stores: Stores) -> None:
    await stores.client.flushall()
    stores.hot.epoch = ""


async def lose_the_tail(stores: Stores) -> None:
    """As a truncated append-only file: the memory of before, and the ledger has more."""
    await put_back_memory(stores, stores.client.copied)  # type: ignore[attr-defined]


@pytest.mark.tier
@pytest.mark.parametrize("lose", [lose_all, lose_the_tail])
async def test_locks_and_transfers_that_wait_come_back_as_they_were(
    stores: Stores, lose: Callable[[Stores], Awaitable[None]]
) -> None:
    stores.client.copied = await copy_of_memory(stores)  # type: ignore[attr-defined]
    try:
        await park_documents(stores)
        before = await memory(stores)
        await lose(stores)
        await stores.recovery().ensure_open()
        assert await memory(stores) == before
        await repeat_documents(stores)
        await drain(stores)
    finally:
        await accept_documents(stores)
    await stores.quarantine().retry()
    assert await parked(stores) == {}
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]


async def test_a_tail_that_was_lost_of_a_sku_that_waits_is_replayed_too(stores: Stores) -> None:
    """The ledger has booked none of it, and the hot store has lost it: it must not be for sale again."""
    await stores.hot.execute(Opening([OpeningRow("S1", "north", 10)]))
    await drain(stores)
    copy = await copy_of_memory(stores)
    await plant(stores, await move_of(stores, "S1", reason="a\0b"))
    await stores.hot.execute(Lock("L", (Line("S1", 14),)))
    await drain(stores)
    before = await memory(stores)
    await put_back_memory(stores, copy)
    assert await stores.recovery().ensure_open() is Finding.BEHIND
    assert await memory(stores) == before


async def test_ids_of_events_that_are_kept_raw_only_are_not_forgotten(stores: Stores) -> None:
    """Its caller could not be stored: the event is in the ledger without its id."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    booking = Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 5, "found")
    adjust = Adjust("adjustment", "north", (booking,))
    ids = {"op": adjust.op, "fingerprint": adjust.fingerprint}
    await plant(stores, await move_of(stores, "A"), who="a\0b", **ids)
    await drain(stores)
    assert await fetch(stores, "SELECT op FROM event WHERE kind = 'adjust'") == [(None,)]
    await lose_all(stores)
    await stores.recovery().ensure_open()
    assert (await stores.hot.execute(adjust)).outcome is Outcome.REPEATED
    assert (await stores.hot.read_stock(["A"]))[1][0].warehouses["north"].available == 15


async def test_what_cannot_be_set_again_is_listed(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    """A lock whose beginning nobody can read, what came of it then, and units that nobody knows of."""
    await stores.hot.execute(Opening([OpeningRow(sku, "north", 10) for sku in "AB"]))
    await drain(stores)
    first = await plant(stores, lock_id="L", lock={"v": 1, "s": "held", "f": "f", "n": "[]"}, who=7)
    await stores.client.hset(stores.keys.lock("L"), mapping={"v": 1, "s": "held", "f": "f", "n": "[]"})
    await stores.hot.execute(Confirm("L"))
    await move_of(stores, "B")
    second = await plant_text(stores, b"[3,")
    await drain(stores)
    await lose_all(stores)
    for _ in range(2):  # listed once, however often
        await stores.recovery().ensure_open(force_rebuild=True)
    assert (await stores.hot.read_lock("L")).outcome is Outcome.UNKNOWN_LOCK
    rows = await fetch(
        stores, "SELECT epoch || '-' || n, event ->> 1, lock_id, finding FROM lost_event ORDER BY n"
    )
    confirmed = "1-3"
    assert rows == [
        (first, "unreadable", None, "unrestorable"),
        (confirmed, "confirm", "L", "unrestorable"),
        (second, "unreadable", None, "unrestorable"),
    ]
    assert "confirm of lock L" in await told(stores, capsys, as_json=False)
    again = await stores.hot.execute(Lock("M", (Line("B", 1),)))
    assert again.outcome is Outcome.LOCKED
    await drain(stores)  # the worker goes on
    assert await faults(stores) == []


async def test_a_branch_with_an_event_that_cannot_be_read_is_kept_and_rebuilt(stores: Stores) -> None:
    """What it touched is not known: the whole memory is set after the ledger."""
    await stores.hot.execute(Opening([OpeningRow(sku, "north", 10) for sku in "AB"]))
    await drain(stores)
    at_fork = await copy_of_memory(stores)
    await move_of(stores, "A")
    await plant_text(stores, b"[3,\0")
    branch = await copy_of_memory(stores)
    await put_back_memory(stores, at_fork)
    await stores.recovery().ensure_open()
    await stores.hot.execute(Lock("other", (Line("B", 2),)))
    await drain(stores)
    await put_back_memory(stores, branch)
    assert await stores.recovery().ensure_open() is Finding.FORK
    await drain(stores)
    assert await differences(stores) == []
    assert await fetch(stores, "SELECT event ->> 1, finding FROM lost_event") == [("unreadable", "fork")]
