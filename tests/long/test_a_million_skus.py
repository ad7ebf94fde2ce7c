"""A catalogue of a million SKUs in two warehouses: rebuilt in seconds, compared in constant memory.

Run by `make proof`; `pytest -m long -s tests/long` prints the figures.
"""

import asyncio
import resource
import sys
import time

import pytest

from app.bootstrap import Stores
from app.embedded.valkey import EmbeddedValkey
from app.errors import SellableError
from app.recovery.findings import Finding
from tests.integration.working import differences, execute, until, working
from tests.servers import flush

SKUS = 1_000_000
REBUILT_SECONDS_MAX = 30
RSS_GROWTH_MB_MAX = 100

CATALOGUE = """
    CREATE TABLE IF NOT EXISTS event_2026_01 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE IF NOT EXISTS move_2026_01 PARTITION OF move FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    INSERT INTO event (shard, epoch, n, schema, kind, recorded_at, occurred_at, prev, tip)
    VALUES (0, 1, 0, 2, 'opening', '2026-01-02', '2026-01-02', '', 'abc');
    INSERT INTO move (
        shard, epoch, n, line, sku, version, warehouse, source, target, quantity, available_after, locked_after,
        damaged_after, in_transit_after, buffer_after, recorded_at, occurred_at)
    SELECT 0, 1, i, w, 'SKU-' || i, 1 + w, (ARRAY['north', 'south'])[1 + w], 'adjustment', 'available', mod(i, 500),
        mod(i, 500), 0, 0, 0, 0, '2026-01-02', '2026-01-02'
    FROM generate_series(1, %d) AS i CROSS JOIN generate_series(0, 1) AS w;
    INSERT INTO stock (shard, sku, warehouse, version, available, locked, damaged, in_transit, buffer)
    SELECT 0, sku, warehouse, version, available_after, 0, 0, 0, 0 FROM move;
    INSERT INTO position (shard, epoch, n, tip, recorded_at) VALUES (0, 1, 0, 'abc', '2026-01-02')
    ON CONFLICT (shard) DO UPDATE SET epoch = 1, n = 0, tip = 'abc', recorded_at = '2026-01-02';
    ANALYZE stock; ANALYZE move;
"""


BACK_SECONDS_MAX = {"flushed": 15, "restarted": 5}


def rss_mb_max() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_million_skus(stores: Stores, redis_server, database_url: str) -> None:
    await execute(stores, CATALOGUE % SKUS)
    flush(redis_server)
    before_mb, started = rss_mb_max(), time.monotonic()
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    rebuilt_seconds, rebuilt_mb = time.monotonic() - started, rss_mb_max()
    assert await stores.client.dbsize() == SKUS + 2  # meta and outbox
    started = time.monotonic()
    assert await asyncio.wait_for(differences(stores), 500) == []
    verified_seconds, verified_mb = time.monotonic() - started, rss_mb_max()
    print(
        f"\n{SKUS:,} SKUs: rebuilt in {rebuilt_seconds:.1f} s, compared in {verified_seconds:.1f} s; "
        f"peak RSS {before_mb:.0f} -> {rebuilt_mb:.0f} -> {verified_mb:.0f} MB"
    )
    assert rebuilt_seconds < REBUILT_SECONDS_MAX
    assert verified_mb - before_mb < RSS_GROWTH_MB_MAX


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_hundred_thousand_skus_are_soon_back(stores: Stores, redis_server) -> None:
    """With a worker at work, as in real life: how long nothing is sold after a flush, and after a restart."""
    await execute(stores, CATALOGUE % 100_000)
    flush(redis_server)
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    seconds: dict[str, float] = {}
    async with working(stores):
        for fault in ("flushed", "restarted"):
            started = time.monotonic()
            if fault == "flushed":
                flush(redis_server)
            else:
                await asyncio.to_thread(restart, redis_server)
            await until(lambda: is_open(stores), limit_seconds=60)
            seconds[fault] = time.monotonic() - started
    print("\n100,000 SKUs: " + ", ".join(f"{fault}: back after {s:.1f} s" for fault, s in seconds.items()))
    assert all(seconds[fault] < most for fault, most in BACK_SECONDS_MAX.items())


def restart(server: EmbeddedValkey) -> None:
    """Kill it, and start it on its own data."""
    server.stop(immediate=True)
    server.start()


async def is_open(stores: Stores) -> bool:
    """Whether stock can be read again."""
    try:
        (stock,) = (await stores.hot.read_stock(["SKU-7"]))[1]
    except SellableError:
        return False
    return stock is not None
