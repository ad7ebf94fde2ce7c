"""The check that never ends: finds and files what is planted, closes what is gone, and raises no false alarm."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.bootstrap import Stores, tools
from app.domain.commands import Line, Lock, Opening, OpeningRow, Unlock
from app.errors import NotReadyError
from app.ledger.drift import BookFigures, DriftRows
from app.ledger.partitions import Partitions
from app.reconcile import verify
from app.reconcile.rounds import Rounds
from app.reconcile.verify import Difference, Slice
from app.settings import Settings
from app.telemetry import Metrics
from tests.integration.working import busy, drain, execute, fetch, some_traffic, until, working

OPEN = "SELECT what, place, left_name, left_figure, right_name, right_figure FROM drift WHERE gone_at IS NULL"


async def whole_round(rounds: Rounds) -> None:
    await rounds.run_once()
    while rounds._slices is not None:
        await rounds.run_once()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLED_TRIES", 3)
    monkeypatch.setattr(tools, "CATCH_UP_SECONDS", 0.2)


PLANTS = {
    "hot": ("SKU A", "north available", "hot store", "7", "projection", "2"),
    "UPDATE stock SET locked = locked + 1 WHERE sku = 'A' AND warehouse = 'south'": (
        "SKU A", "south locked", "projection", "4", "sum of moves", "3",
    ),
    "DELETE FROM move WHERE sku = 'A' AND target = 'customer'": (
        "SKU A", "north locked", "projection", "5", "sum of moves", "8",
    ),
    "lock": ("lock two", "field s", "hot store", "held", "projection", "confirmed"),
}  # fmt: skip


async def test_what_is_planted_is_filed_once_and_closed_when_it_is_gone(stores: Stores, quick: None) -> None:
    await some_traffic(stores)
    await drain(stores)
    rounds = stores.rounds()
    await whole_round(rounds)
    assert await fetch(stores, OPEN) == []
    await execute(stores, "CREATE TABLE kept_stock AS TABLE stock; CREATE TABLE kept_move AS TABLE move")
    for plant in PLANTS:
        if plant == "hot":
            await stores.client.hincrby(stores.keys.stock("A"), "north:a", 5)
        elif plant == "lock":
            await stores.client.hset(stores.keys.lock("two"), "s", "held")
        else:
            await execute(stores, plant)
    await whole_round(rounds)
    found = await fetch(stores, OPEN)
    assert set(PLANTS.values()) <= set(found)
    await whole_round(stores.rounds())  # as another process does after a restart
    assert await fetch(stores, OPEN) == found
    assert (await DriftRows(stores.engine, 0).figures()).drift == len(found)
    await stores.client.hincrby(stores.keys.stock("A"), "north:a", -5)
    await stores.client.hset(stores.keys.lock("two"), "s", "confirmed")
    await execute(stores, "DELETE FROM move; INSERT INTO move SELECT * FROM kept_move")
    await execute(stores, "DELETE FROM stock; INSERT INTO stock SELECT * FROM kept_stock")
    await execute(stores, "DROP TABLE kept_move; DROP TABLE kept_stock")
    await whole_round(rounds)
    assert await fetch(stores, OPEN) == []
    assert len(await fetch(stores, "SELECT 1 FROM drift WHERE gone_at > found_at")) == len(found)


DONE = "SELECT finished_at FROM daily_check WHERE finished_at IS NOT NULL"


class TestLive:
    @pytest.fixture
    def test_settings(self) -> Settings:
        return Settings(trim_margin_seconds=0, check_slice_seconds=0.005)

    @pytest.mark.tier
    async def test_traffic_raises_no_false_alarm(self, stores: Stores) -> None:
        rounds = 0
        async with working(stores), busy(stores, clients=3, pause_seconds=0.005):
            before = None
            while rounds < 2:
                at = await until(lambda: fetch(stores, DONE))
                rounds, before = rounds + (at != before), at
                await asyncio.sleep(0.02)
        assert await fetch(stores, "SELECT * FROM drift") == []


async def test_a_shut_gate_is_no_drift(stores: Stores) -> None:
    await some_traffic(stores)
    await drain(stores)
    await stores.client.function_flush()
    with pytest.raises(NotReadyError):
        await stores.rounds().run_once()
    assert await fetch(stores, "SELECT * FROM drift") == []


async def test_a_ledger_that_is_behind_is_no_drift(stores: Stores, quick: None) -> None:
    await some_traffic(stores)
    await drain(stores)
    await stores.hot.execute(Opening([OpeningRow("B", "north", 9)]))
    await stores.hot.execute(Unlock("two"))  # nobody carries them into the ledger
    await whole_round(stores.rounds())
    assert await fetch(stores, "SELECT * FROM drift") == []
    await stores.client.hincrby(stores.keys.stock("B"), "v", 1)
    await drain(stores)
    await whole_round(stores.rounds())
    assert ("SKU B", "version", "hot store", "3", "projection", "2") in await fetch(stores, OPEN)


async def test_a_slice_ends_where_its_skus_have_enough_moves(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reconcile.verify.SLICE_MOVES", 4)
    await stores.hot.execute(Opening([OpeningRow(sku, "north", 9) for sku in "ABCDEFG"]))
    for number in range(6):
        await stores.hot.execute(Lock(f"L{number}", (Line("C", 1),)))
    await drain(stores)
    slices = [part.looked_at async for part in stores.verify(lambda _what, _count: None).slices()]
    skus = [tuple(name.removeprefix("SKU ") for name in part) for part in slices if part and "SKU" in part[0]]
    assert skus == [("A", "B", "C"), ("D", "E", "F", "G")]


class Forged:
    """Finds a difference in every slice."""

    async def slices(self) -> AsyncIterator[Slice]:
        yield Slice(("SKU A",), (Difference("SKU A", "north available", "hot store", 1, "projection", 2),))


async def test_what_was_compared_while_the_epoch_changed_is_left_out(stores: Stores) -> None:
    epochs = iter("1223")

    async def epoch() -> str:
        return next(epochs)

    rounds = Rounds(Forged(), DriftRows(stores.engine, 0), epoch)  # type: ignore[arg-type]
    await rounds.run_once()
    assert await fetch(stores, "SELECT * FROM drift") == []
    await rounds.run_once()  # the end of the round
    assert rounds._slices is None


async def test_one_process_at_a_time(stores: Stores) -> None:
    await some_traffic(stores)
    await drain(stores)
    first, second = stores.rounds(), stores.rounds()
    second._holder = "elsewhere:1"
    await first.run_once()
    await whole_round(second)
    assert await fetch(stores, "SELECT finished_at FROM daily_check") == [(None,)]
    await execute(stores, "UPDATE daily_check SET until = now() - interval '1 second'")
    await whole_round(second)
    assert [at is not None for (at,) in await fetch(stores, "SELECT finished_at FROM daily_check")] == [True]


async def test_the_figures(stores: Stores) -> None:
    rows, metrics = DriftRows(stores.engine, 0), Metrics()
    await drain(stores)
    assert b"sellable_check_age_seconds NaN" in metrics.expose()
    await Partitions(stores.engine, months_ahead=2).make_ahead(datetime.now(UTC))
    drift, age, ahead, lost = await rows.figures()
    assert (drift, age, ahead, lost) == (0, None, 2, 0)
    await whole_round(stores.rounds())
    drift, age, ahead, lost = await rows.figures()
    assert age is not None
    assert 0 <= age < 60
    metrics.set_books(*BookFigures(3, 1.5, ahead, 7))
    told = metrics.expose().decode().splitlines()
    for line in ("drift_open 3.0", "check_age_seconds 1.5", "ledger_months_ahead 2.0", "lost_events 7.0"):
        assert f"sellable_{line}" in told
