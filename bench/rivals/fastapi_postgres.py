"""Rival (e): the same FastAPI with a row lock in Postgres: asyncpg, a pool, one prepared statement a lock."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Response

from bench.rivals.bodies import LockBody, fingerprint_of, held, refused

CONNECTIONS_MAX = 32

SCHEMA = """
CREATE TABLE stock (
    sku text PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    available bigint NOT NULL CHECK (available >= 0),
    locked bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE lock (
    lock_id text PRIMARY KEY,
    fingerprint text NOT NULL,
    expires_at bigint NOT NULL,
    status text NOT NULL,
    lines text NOT NULL
);
CREATE TABLE event (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    lock_id text,
    sku text NOT NULL,
    quantity bigint NOT NULL,
    available bigint NOT NULL,
    locked bigint NOT NULL
)
"""

# One statement is one round trip and one commit: the row stays locked for no longer than the commit takes.
# Two requests with one lock_id at once meet in the primary key, and the later one changes nothing.
_LOCK = """
WITH taken AS (
    UPDATE stock SET available = available - $3, locked = locked + $3, version = version + 1
    WHERE sku = $2 AND available >= $3 AND NOT EXISTS (SELECT FROM lock WHERE lock_id = $1)
    RETURNING available, locked
), made AS (
    INSERT INTO lock SELECT $1, $4, $5, 'held', $6 FROM taken
), noted AS (
    INSERT INTO event (kind, lock_id, sku, quantity, available, locked)
    SELECT 'lock', $1, $2, $3, available, locked FROM taken
)
SELECT available FROM taken
"""
_KNOWN = "SELECT fingerprint, expires_at FROM lock WHERE lock_id = $1"


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    pool = await asyncpg.create_pool(
        os.environ["BENCH_DATABASE_URL"], min_size=CONNECTIONS_MAX, max_size=CONNECTIONS_MAX
    )
    app.state.pool = pool
    yield
    await pool.close()


app = FastAPI(lifespan=_life)


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """Answer the bench's question whether this runs."""
    return {"ready": True}


@app.post("/v1/locks")
async def create_lock(body: LockBody) -> Response:
    """Hold stock of one SKU: enough to compare with."""
    (line,) = body.lines
    wanted = body.wanted()
    print_ = fingerprint_of(wanted)
    expires_at_ms = body.expires_at_ms()
    pool: asyncpg.Pool = app.state.pool
    async with pool.acquire() as connection:
        try:
            args = (body.lock_id, line.sku, line.quantity, print_, expires_at_ms, wanted.decode())
            if await connection.fetchval(_LOCK, *args) is not None:
                return held(body, expires_at_ms, 201)
        except asyncpg.UniqueViolationError:
            pass
        known = await connection.fetchrow(_KNOWN, body.lock_id)
    if known is None:
        return refused("insufficient_stock", 409)
    if known["fingerprint"] != print_:
        return refused("lock_id_reused", 409)
    return held(body, known["expires_at"], 200)
