"""Planted differences under live traffic: each is found with its cause, and none is invented."""

import os
from collections.abc import AsyncIterator

import pytest

from app.bootstrap import Stores
from app.settings import Settings
from tests.integration.reconciling import done, send
from tests.integration.warehouse import House, house_on
from tests.reconciling.planted import WINDOW_SECONDS, Planter, Traffic, fill, hot_ms, make_even, take

SPARE = 40
"""SKUs that differences are planted on, beside those of the traffic."""


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, reconcile_window_seconds=WINDOW_SECONDS)


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with house_on(stores) as house:
        await house.caught_up()
        yield house


async def show(house: House, skus: int, *, runs: int) -> None:
    """Run the proof; a difference that is missed, invented, or has another cause fails it."""
    catalogue = [f"SKU-{number:06}" for number in range(skus)]
    # Half of the SKUs with differences are traded as well: there a cause must be found beside other moves.
    traded = [
        sku for number, sku in enumerate(catalogue) if number >= runs * SPARE or 15 <= number % SPARE < 30
    ]
    warehouse = await fill(house, catalogue)
    for run in range(runs):
        traffic = Traffic(house, warehouse, traded, f"run{run}")
        ours = catalogue[run * SPARE : (run + 1) * SPARE]
        planter = Planter(house, warehouse, ours, await hot_ms(house), f"run{run}")
        async with traffic.running():
            taken = await take(house, warehouse, traffic, planter, how_often=2)
            begun = await send(house, taken.csv, taken.at)
            assert begun.status_code == 202, begun.text
            told = await done(house, begun.json()["reconciliation_id"], by_worker=True)
            await make_even(house, warehouse, traffic, taken)
        found = {
            (one["sku"], one["state"]): (one["cause"], one["difference"]) for one in told["discrepancies"]
        }
        assert len(taken.planted) == 30
        assert found == {place: (str(one.cause), one.difference) for place, one in taken.planted.items()}, run
        print(
            f"run {run + 1}: {told['totals']['skus']:,} SKUs, 30 of 30 found, {traffic.commands:,} commands"
        )


@pytest.mark.tier
async def test_a_small_warehouse(house: House) -> None:
    await show(house, 3_000, runs=1)


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_a_large_warehouse_twenty_times(house: House) -> None:
    await show(house, int(os.environ.get("SKUS", "100000")), runs=20)
