"""Runs a history on a service that is up, waits for the ledger, and checks it."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from app.bootstrap import open_stores
from app.domain.commands import Opening, OpeningRow
from tests.histories.check import Checker, Row, Verdict
from tests.histories.traffic import SKUS, WAREHOUSES, Call, run_traffic

OPENING = [
    OpeningRow(sku, warehouse, 400, 5 if n % 3 == 0 else 0)
    for n, sku in enumerate(SKUS)
    for warehouse in WAREHOUSES
]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What clients saw, what the ledger has, what `verify` finds afterwards, and how long the traffic took."""

    calls: list[Call]
    rows: list[Row]
    differences: list[str]
    seconds: float

    def verdict(self) -> Verdict:
        return Checker(self.calls, self.rows, OPENING).run()


async def record(data_dir: Path, *, commands: int, clients: int, seed: int) -> Recorded:
    """Run traffic on a service with nothing in it, and wait until the ledger has it all."""
    service = json.loads((data_dir / "run.json").read_text())
    where = urlsplit(service["api"])
    async with open_stores(service["redis"], service["database"]) as stores:
        await stores.warehouses.add({row.warehouse for row in OPENING})
        await stores.hot.execute(Opening(OPENING))
        began = time.monotonic()
        history = await run_traffic(
            where.hostname or "", where.port or 0, commands=commands, clients=clients, seed=seed
        )
        seconds = time.monotonic() - began
        rows = await _ledger(service["database"], stores)
        found = [str(one) async for one in stores.verify(lambda _what, _done: None).differences()]
    return Recorded(history.calls, rows, found, seconds)


async def _ledger(database_url: str, stores) -> list[Row]:
    connection = await asyncpg.connect(database_url)
    try:
        last = ""
        while True:  # until nothing changes any more: the last locks expire two seconds after the traffic
            now = str(await stores.client.hget(stores.keys.meta, "last"))
            done = await connection.fetchval("SELECT epoch || '-' || n FROM position")
            if now == done == last and not await stores.hot.read_due(1):
                break
            last = now
            await asyncio.sleep(2.5)
        events = await connection.fetch(
            "SELECT epoch, n, kind, (extract(epoch FROM recorded_at) * 1000)::bigint AS at, op, lock_id FROM event"
            " ORDER BY epoch, n"
        )
        moves = await connection.fetch(
            "SELECT epoch, n, sku, warehouse, source, target, quantity FROM move ORDER BY epoch, n, line"
        )
    finally:
        await connection.close()
    by_event: dict[tuple[int, int], list[tuple]] = {}
    for move in moves:
        by_event.setdefault((move["epoch"], move["n"]), []).append(tuple(move)[2:])
    return [
        Row(
            f"{e['epoch']}-{e['n']}",
            e["kind"],
            e["at"],
            e["op"],
            e["lock_id"],
            by_event.get((e["epoch"], e["n"]), []),
        )
        for e in events
    ]
