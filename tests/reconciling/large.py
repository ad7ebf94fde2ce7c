"""A year of a large shop in the ledger, reconciled over HTTP: the time it takes, and the memory our processes need.

    python -m tests.reconciling.large --skus 1000000 --orders 1140000

The ledger is filled by SQL, as the writer would have left it: an opening for each SKU, and for each order a lock, a
confirmation and a shipment. The snapshot is of a time before the last tenth of the orders. Its counts are computed
here, some of them wrong on purpose. Exit code 1 if a limit is broken, or if other differences are found.
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app.bootstrap import open_stores
from app.settings import Settings
from tests import servers

ROOT = Path(__file__).parents[2]
OPENED = 1_000
STRIDE = 7_919
"""Orders go round the catalogue in steps of this prime."""
WRONG_EVERY = 9_973
SECONDS_MAX = 120.0
BYTES_MAX = 300 * 1_000_000
CHUNK = 200_000
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=20)

_EVENTS = """
INSERT INTO event (shard, epoch, n, schema, kind, recorded_at, occurred_at, op, lock_id, prev, tip)
SELECT 0, 0, $3::bigint + (k - $1::bigint) * 3 + step.n, 2, step.kind, at, at, step.op || k, 'order-' || k, '', ''
FROM generate_series($1::bigint, $2::bigint - 1) AS k
CROSS JOIN LATERAL (SELECT $4::timestamptz + k * $5::interval AS at) AS time
CROSS JOIN (VALUES (0, 'lock', 'lock:'), (1, 'confirm', 'key:'), (2, 'deduct', 'deduct:')) AS step (n, kind, op)
"""
_MOVES = """
INSERT INTO move (shard, epoch, n, line, sku, version, warehouse, source, target, quantity, available_after,
    locked_after, damaged_after, in_transit_after, buffer_after, recorded_at, occurred_at)
SELECT
    0, 0, $3::bigint + (k - $1::bigint) * 3 + step.n, 0,
    'SKU-' || lpad(((k * $6::bigint) % $7::bigint)::text, 7, '0'), 2 + 2 * (k / $7::bigint) + step.n / 2,
    'north', step.source::place, step.target::place, 1, 0, 0, 0, 0, 0, at, at
FROM generate_series($1::bigint, $2::bigint - 1) AS k
CROSS JOIN LATERAL (SELECT $4::timestamptz + k * $5::interval AS at) AS time
CROSS JOIN (VALUES (0, 'available', 'locked'), (2, 'locked', 'customer')) AS step (n, source, target)
"""
_LOCKS = """
INSERT INTO lock (shard, lock_id, opened_epoch, opened_n, changed_epoch, changed_n, changed_at, record)
SELECT 0, 'order-' || k, 0, $3::bigint + (k - $1::bigint) * 3, 0, $3::bigint + (k - $1::bigint) * 3 + 2,
    $4::timestamptz + k * $5::interval,
    jsonb_build_object('s', 'deducted', 'n', jsonb_build_array(jsonb_build_array(
        'SKU-' || lpad(((k * $6::bigint) % $7::bigint)::text, 7, '0'), 'north', 1, 1)))
FROM generate_series($1::bigint, $2::bigint - 1) AS k
"""
_OPENINGS = """
INSERT INTO move (shard, epoch, n, line, sku, version, warehouse, source, target, quantity, available_after,
    locked_after, damaged_after, in_transit_after, buffer_after, recorded_at, occurred_at)
SELECT 0, 0, 0, 0, 'SKU-' || lpad(i::text, 7, '0'), 1, 'north', 'adjustment', 'available', $2, $2, 0, 0, 0, 0, $3, $3
FROM generate_series(0, $1::bigint - 1) AS i
"""
_STOCK = """
INSERT INTO stock (shard, sku, warehouse, version, available, locked, damaged, in_transit, buffer)
SELECT 0, sku, 'north', max(version),
    sum(CASE target WHEN 'available' THEN quantity WHEN 'customer' THEN -quantity ELSE 0 END), 0, 0, 0, 0
FROM move GROUP BY sku
"""


async def fill(url: str, skus: int, orders: int) -> None:
    """Fill the ledger; without its primary key on moves, whose openings share one event."""
    pg = await asyncpg.connect(url)
    months = {(START + STEP * k).strftime("%Y-%m") for k in range(0, orders, 1_000)}
    months.add((START + STEP * orders).strftime("%Y-%m"))
    for month in sorted(months):
        first = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
        last = (first + timedelta(days=32)).replace(day=1)
        for table in ("event", "move"):
            name = f"{table}_{month.replace('-', '_')}"
            await pg.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} "
                f"FOR VALUES FROM ('{first.isoformat()}') TO ('{last.isoformat()}')"
            )
    await pg.execute("ALTER TABLE move DROP CONSTRAINT move_pkey")
    await pg.execute("INSERT INTO event (shard, epoch, n, schema, kind, recorded_at, occurred_at, prev, tip) "
                     "VALUES (0, 0, 0, 2, 'opening', $1, $1, '', '')", START)  # fmt: skip
    await pg.execute(_OPENINGS, skus, OPENED, START)
    for first_order in range(0, orders, CHUNK):
        until = min(first_order + CHUNK, orders)
        times = (first_order, until, 1 + first_order * 3, START + STEP, STEP)
        await pg.execute(_EVENTS, *times)
        await pg.execute(_MOVES, *times, STRIDE, skus)
        await pg.execute(_LOCKS, *times, STRIDE, skus)
        print(f"  {until:,} of {orders:,} orders", flush=True)
    await pg.execute(_STOCK)
    await pg.execute("ANALYZE")
    await pg.execute("CHECKPOINT")
    await pg.close()


def snapshot(file: Path, skus: int, orders: int) -> tuple[int, int]:
    """Write the snapshot of the time before the last tenth of the orders; return how many shipped, and wrong counts."""
    shipped = orders - orders // 10
    counts = array("l", [OPENED]) * skus
    for k in range(shipped):
        counts[k * STRIDE % skus] -= 1
    wrong = 0
    with file.open("w") as target:
        target.write("sku,on_hand\n")
        for i, count in enumerate(counts):
            off = 137 if i % WRONG_EVERY == 0 else 0
            wrong += bool(off)
            target.write(f"SKU-{i:07},{count + off}\n")
        target.write(f"#rows={skus}\n")
    return shipped, wrong


@contextlib.contextmanager
def started(*words: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One of our processes."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *words], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


async def chunks(file: Path) -> AsyncIterator[bytes]:
    """The file, streamed."""
    with file.open("rb") as source:
        while chunk := source.read(65_536):
            yield chunk


async def measure(url: str, file: Path, as_of: datetime, pids: tuple[int, ...]) -> dict[str, Any]:
    """Send the snapshot, wait until it is compared, and return the figures."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/readyz")).status_code == 200:
                    break
            await asyncio.sleep(0.1)
        begun_at = time.monotonic()
        query = {"warehouse": "north", "as_of": as_of.isoformat().replace("+00:00", "Z")}
        headers = {"content-type": "text/csv"}
        answer = await http.post("/v1/reconciliations", params=query, content=chunks(file), headers=headers)
        assert answer.status_code == 202, answer.text
        taken_seconds = time.monotonic() - begun_at
        path = f"/v1/reconciliations/{answer.json()['reconciliation_id']}"
        while (told := (await http.get(path)).json())["status"] == "running":
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - begun_at
    peaks = [peak_bytes(pid) for pid in pids]
    return {"told": told, "taken_seconds": taken_seconds, "seconds": seconds, "peaks": peaks}


async def prepare(redis_url: str, url: str) -> None:
    """Migrate, and open an empty hot store that the ledger knows: reconciling reads the ledger alone."""
    async with open_stores(redis_url, url, settings=Settings()) as stores:
        await stores.migrate()
        await stores.recovery().ensure_open()
        (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
        while await persist.run_once():
            pass


def run(skus: int, orders: int) -> int:
    """Fill, measure and judge."""
    with servers.valkey() as redis, servers.postgres() as postgres, tempfile.TemporaryDirectory() as place:
        url = servers.fresh_database(postgres)
        asyncio.run(prepare(redis.url, url))
        print(f"filling {skus:,} SKUs and {orders:,} orders …", flush=True)
        asyncio.run(fill(url, skus, orders))
        file = Path(place) / "north.csv"
        shipped, wrong = snapshot(file, skus, orders)
        environment = {**os.environ, "SELLABLE_REDIS_URL": redis.url, "SELLABLE_DATABASE_URL": url}
        port = 20_000 + os.getpid() % 20_000
        log = Path(place)
        with (
            started("worker", environment=environment, log=log / "worker.log") as worker,
            started("serve", "--port", str(port), environment=environment, log=log / "serve.log") as serve,
        ):
            pids = (serve.pid, worker.pid)
            as_of = START + STEP * shipped
            figures = asyncio.run(measure(f"http://127.0.0.1:{port}", file, as_of, pids))
    return judge(figures, skus, wrong)


def judge(figures: dict[str, Any], skus: int, wrong: int) -> int:
    """Print the figures; 1 if one is beyond its limit."""
    totals = figures["told"]["totals"]
    api, worker = figures["peaks"]
    print(
        f"reconciled {totals['skus']:,} SKUs in {figures['seconds']:.1f} s ({figures['taken_seconds']:.1f} s taking in)"
    )
    print(
        f"peak memory: API {api / 1e6:.0f} MB + worker {worker / 1e6:.0f} MB = {(api + worker) / 1e6:.0f} MB"
    )
    print(f"differences: {totals['discrepancies']:,}, planted {wrong:,}; {totals['by_cause']}")
    right = totals["skus"] == skus and totals["discrepancies"] == wrong == totals["units_more"] // 137
    within = figures["seconds"] <= SECONDS_MAX and api + worker <= BYTES_MAX
    return 0 if right and within else 1


def main() -> None:
    """Read the options, and exit with what it came to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--skus", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, default=1_140_000)
    options = parser.parse_args()
    sys.exit(run(options.skus, options.orders))


if __name__ == "__main__":
    main()
