"""The data of an older version: schema 0009 and a hot store, as that version left them after a short life.

`older_data.json` has every row and every key that it wrote: stock in four warehouses, a lock in each state, a transfer
under way, purchase orders, a stock-take, events of a warehouse, and codes that it took without a question.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.command import upgrade
from sqlalchemy import Connection

from app.bootstrap import Stores, open_stores
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import wire
from app.ledger import database, migrate
from app.settings import Settings
from tests import servers
from tests.integration.test_codes import settled
from tests.integration.warehouse import House, house_on, problem

OLDER: dict[str, Any] = json.loads((Path(__file__).parent / "older_data.json").read_text())
WRITTEN_AT = datetime(2026, 11, 29, 18, 30, tzinfo=UTC)
_GENERATED = frozenset({("lock", "status"), ("transfer", "status")})
pytestmark = [
    pytest.mark.tier,
    pytest.mark.skipif(
        datetime.now(UTC) < WRITTEN_AT, reason="this machine's clock is before that of the data"
    ),
]


async def restore_ledger(url: str) -> None:
    engine = database.open_engine(url)

    def run(connection: Connection) -> None:
        upgrade(migrate._config(connection), OLDER["schema"])

    async with database.transaction(engine) as connection:
        await connection.run_sync(run)
    await engine.dispose()
    pg = await asyncpg.connect(url)
    for table in ("event", "move"):
        span = "FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')"
        await pg.execute(f"CREATE TABLE IF NOT EXISTS {table}_2026_11 PARTITION OF {table} FOR VALUES {span}")
        rights = f"UPDATE, DELETE, TRUNCATE ON {table}_2026_11 FROM PUBLIC, CURRENT_USER"
        await pg.execute(f"REVOKE {rights}")
    for table, rows in OLDER["postgres"].items():
        names = ", ".join(f'"{name}"' for name in rows[0] if (table, name) not in _GENERATED)
        await pg.executemany(
            f'INSERT INTO "{table}" ({names}) SELECT {names} FROM jsonb_populate_record(NULL::"{table}", $1::jsonb)',  # noqa: S608 - ours
            [(json.dumps(row),) for row in rows],
        )
    await pg.close()


async def restore_hot_store(url: str) -> None:
    client = wire.connect(url)
    for key, (kind, value, ttl_ms) in OLDER["redis"].items():
        if kind == "hash":
            await client.hset(key, mapping=value)
        elif kind == "string":
            await client.set(key, value, px=ttl_ms if ttl_ms > 0 else None)
        else:
            for entry_id, fields in value:
                await client.xadd(key, fields, id=entry_id)
    await client.aclose()


@asynccontextmanager
async def older(redis_server: EmbeddedValkey, postgres_server: EmbeddedPostgres) -> AsyncIterator[Stores]:
    url = servers.fresh_database(postgres_server)
    servers.flush(redis_server)
    await restore_ledger(url)
    try:
        async with open_stores(redis_server.url, url, settings=Settings()) as stores:
            yield stores
    finally:
        servers.drop_database(postgres_server, url)


UNITS = {
    # SKU and warehouse: on hand, locked, damaged, in transit
    ("TEE-XL", "north"): (17, 4, 0, 0), ("TEE-XL", "south"): (5, 1, 0, 2), ("MUG", "north"): (16, 2, 1, 0),
    ("MUG", "Hall 2"): (3, 0, 0, 0), ("00125", "south"): (5, 1, 0, 0), ("mug", "Cellar"): (2, 0, 0, 0),
}  # fmt: skip
STATES = {
    "held": "held",
    "paid": "partly_deducted",
    "part": "partly_deducted",
    "gone": "deducted",
    "released": "released",
}


@pytest.mark.parametrize("is_hot", [True, False], ids=["with its hot store", "without"])
async def test_it_starts_and_its_scripts_work(
    redis_server: EmbeddedValkey, postgres_server: EmbeddedPostgres, *, is_hot: bool
) -> None:
    async with older(redis_server, postgres_server) as stores:
        if is_hot:
            await restore_hot_store(redis_server.url)
        await stores.migrate()
        servers.execute(stores.database_url, "UPDATE inbox SET until = now(), next_at = now()")
        async with house_on(stores, rows=()) as house:
            await house.ready()
            assert await settled(house) == []  # what waited for its turn was booked
            await look(house)
            await go_on(house)
            await after_an_older_worker(house)
            assert await house.differences() == []


async def look(house: House) -> None:
    """All that it left is there, and its codes are known."""
    for (sku, warehouse), units in UNITS.items():
        counts = await house.counts(sku, warehouse)
        names = ("on_hand", "locked", "damaged", "in_transit")
        assert tuple(counts[name] for name in names) == units, (sku, warehouse)
    listed = (await house.http.get("/v1/warehouses")).json()["items"]
    assert {one["code"]: one["units"]["skus"] for one in listed} == {
        "Cellar": 1, "Hall 2": 1, "attic": 0, "north": 2, "south": 2,
    }  # fmt: skip
    for lock_id, status in STATES.items():
        assert (await house.http.get(f"/v1/locks/{lock_id}")).json()["status"] == status, lock_id
    assert await house.differences() == []


async def go_on(house: House) -> None:
    """What its shop and its warehouse send next is answered as ever, repeats too; a typo is refused."""
    http = house.http

    async def send(path: str, status: int, **body: Any) -> Any:
        answer = await http.post(path, json=body)
        assert answer.status_code == status, (path, answer.text)
        return answer.json()

    tees = [{"sku": "TEE-XL", "quantity": 3}, {"sku": "MUG", "quantity": 1}]
    again = await send("/v1/locks", 200, lock_id="held", lines=tees, ttl_seconds=None)
    assert again["current_status"] == "held"
    await send("/v1/locks/held/confirm", 200)
    await send("/v1/locks/held/deduct", 200, shipment_id="h1")
    await send(
        "/v1/locks/part/deduct",
        200,
        shipment_id="p1",
        lines=[{"sku": "MUG", "quantity": 2, "warehouse": "north"}],
    )
    await send("/v1/locks/part/unlock", 200)
    await send("/v1/locks/released/reopen", 200, ttl_seconds=900)
    await send("/v1/transfers/way/receive", 200, receipt_id="w2", lines=[{"sku": "TEE-XL", "quantity": 1}])
    await send("/v1/transfers/way/receive", 200, receipt_id="w3", lines=[{"sku": "TEE-XL", "quantity": 2}])
    receipt = {"receipt_id": "r1", "lines": [{"sku": "MUG", "quantity": 4, "damaged": 1}]}
    await send("/v1/purchase-orders/PO2/receipts", 200, **receipt)
    await send(
        "/v1/purchase-orders/PO/receipts", 201, receipt_id="r2", lines=[{"sku": "NEW-1", "quantity": 10}]
    )
    line = {"sku": "MUG", "quantity": 1, "condition": "sellable"}
    await send("/v1/returns", 200, return_id="back", warehouse="north", lock_id="gone", lines=[line])
    tee = [{"sku": "tee-xl", "quantity": 1, "reason": "found"}]
    answer = await http.post(
        "/v1/adjustments", json={"adjustment_id": "t", "warehouse": "north", "lines": tee}
    )
    assert problem(answer, 422, "unknown_sku")["near"] == ["TEE-XL"]
    answer = await http.get("/v1/availability/MUG?warehouses=North")
    assert problem(answer, 422, "unknown_warehouse")["near"] == ["north"]
    assert (await house.counts("TEE-XL", "south"))["on_hand"] == 7
    assert (await house.counts("NEW-1", "attic"))["on_hand"] == 10


async def after_an_older_worker(house: House) -> None:
    """What it booked after the migration is in no list: the worker of this version lists it."""
    await house.caught_up()
    url = house.stores.database_url
    servers.execute(url, "DELETE FROM sku_key WHERE sku IN ('NEW-1', 'TEE-XL')")
    servers.execute(url, "DELETE FROM warehouse WHERE code IN ('attic', 'Cellar')")
    (codes,) = [duty for duty in house.stores.duties() if duty.name == "codes"]
    assert await codes.run_once() is False
    await house.operations.codes.warehouses.refresh()
    assert await house.operations.codes.warehouses.unknown_among(["attic", "Cellar"]) == []
    (unknown,) = await house.operations.codes.known_skus.unknown_among(["new-1"])
    assert unknown.near == ["NEW-1"]
