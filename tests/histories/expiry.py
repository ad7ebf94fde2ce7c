"""`python -m tests.histories.expiry --data-dir DIR [--locks 1000] [--kill-worker]`: locks that nobody confirms.

Creates locks with a TTL of 2 s, waits until none is left, and tells how long after its creation the last one
was released, by the hot store's own clock. With --kill-worker the worker dies in between and is started again.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from app.bootstrap import Stores, open_stores
from app.domain.commands import Opening, OpeningRow
from tests.histories.client import Client, Reply

SKU = "EXPIRES"
TTL_SECONDS = 2
CLIENTS = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--locks", type=int, default=1_000)
    parser.add_argument("--kill-worker", action="store_true")
    given = parser.parse_args()
    return asyncio.run(run(given.data_dir, locks=given.locks, kill_worker=given.kill_worker))


async def run(data_dir: Path, *, locks: int, kill_worker: bool) -> int:
    """Print what was seen; return 1 unless each lock was released once and the books agree."""
    service = json.loads((data_dir / "run.json").read_text())
    prefix = f"expiry-{time.time_ns()}"
    async with open_stores(service["redis"], service["database"]) as stores:
        await stores.warehouses.add(["main"])
        await stores.hot.execute(Opening([OpeningRow(SKU, "main", locks * 10)]))
        await _create(service["api"], prefix, locks)
        returned = await _kill_worker(data_dir) if kill_worker else None
        times = await _released(stores, service["database"], prefix, locks)
        found = [str(one) async for one in stores.verify(lambda _what, _done: None).differences()]
    took = [released - created for created, released in times]
    print(f"{locks} locks with a TTL of {TTL_SECONDS} s: {len(times)} released")
    print(f"the last was released {max(took):.2f} s after its creation")
    if returned:
        late = max(released - max(created + TTL_SECONDS, returned) for created, released in times)
        print(
            f"the worker was killed; no lock was released later than {late:.2f} s after it was due and it was back"
        )
    print(f"{len(found)} differences", *found[:5])
    return 0 if len(times) == locks and not found else 1


async def _create(api: str, prefix: str, locks: int) -> None:
    where = urlsplit(api)
    numbers = iter(range(locks))

    async def shopper() -> None:
        client = Client(where.hostname or "", where.port or 0)
        for number in numbers:
            lines = [{"sku": SKU, "quantity": 1}]
            reply = await client.post(
                "/v1/locks", {"lock_id": f"{prefix}-{number}", "lines": lines, "ttl_seconds": TTL_SECONDS}
            )
            assert reply == Reply(201, getattr(reply, "body", None)), reply
        await client.close()

    await asyncio.gather(*(shopper() for _ in range(CLIENTS)))


async def _kill_worker(data_dir: Path) -> float:
    """Kill the worker, wait for the new one, and return when that was there, in seconds since 1970."""
    (pid,) = json.loads((data_dir / "run.json").read_text())["pids"]["worker"]
    os.kill(pid, signal.SIGKILL)
    while True:
        pids: Any = json.loads((data_dir / "run.json").read_text())["pids"]["worker"]
        if pids and pids != [pid]:
            return time.time()
        await asyncio.sleep(0.01)


async def _released(stores: Stores, database_url: str, prefix: str, locks: int) -> list[tuple[float, float]]:
    """(created, released) of each lock, in seconds since 1970, once all are persisted; each exactly once."""
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(60):
            while True:
                rows = await connection.fetch(
                    "SELECT extract(epoch FROM l.recorded_at)::float8, extract(epoch FROM x.recorded_at)::float8"
                    " FROM event l JOIN event x USING (lock_id)"
                    " WHERE l.kind = 'lock' AND x.kind = 'expire' AND l.lock_id LIKE $1",
                    f"{prefix}-%",
                )
                if len(rows) >= locks and not await stores.hot.read_due(1):
                    return [tuple(row) for row in rows]
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
