"""Rivals (b) and (d): FastAPI and redis-py, with a pool, hiredis and a registered script."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from fastapi import FastAPI, Request, Response
from redis.asyncio import BlockingConnectionPool, Redis

from bench.rivals.bodies import JSON, LockBody, fingerprint_of, held, refused

CONNECTIONS_MAX = 64
_pool = BlockingConnectionPool.from_url(os.environ["BENCH_REDIS_URL"], max_connections=CONNECTIONS_MAX)
_redis: Redis = Redis(connection_pool=_pool)
_lock = _redis.register_script(Path(__file__).with_name("lock.lua").read_text(encoding="utf-8"))


@asynccontextmanager
async def _life(_app: FastAPI) -> AsyncIterator[None]:
    await _redis.script_load(_lock.script)
    yield
    await _redis.aclose()


app = FastAPI(lifespan=_life)


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """Answer the bench's question whether this runs."""
    return {"ready": True}


@app.get("/v1/availability/{sku}")
async def read_availability(sku: str, request: Request) -> Response:
    """Return the same answer as ours, from the same hash."""
    fields = await _redis.hgetall(f"{{s0}}:stock:{sku}")
    if not fields:
        return refused("unknown_sku", 404)
    version = int(fields.pop(b"v"))
    tag = f'"1-{version}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    counts = {name.decode(): int(count) for name, count in fields.items()}
    warehouses = {
        name[:-2]: {"sellable": max(0, count - counts.get(f"{name[:-2]}:b", 0))}
        for name, count in counts.items()
        if name.endswith(":a")
    }
    sellable = sum(place["sellable"] for place in warehouses.values())
    page = {
        "sku": sku,
        "sellable": sellable,
        "in_stock": sellable > 0,
        "version": version,
        "warehouses": warehouses,
    }
    return Response(msgspec.json.encode(page), media_type=JSON, headers=headers)


@app.post("/v1/locks")
async def create_lock(body: LockBody) -> Response:
    """Hold stock, all lines or none."""
    wanted = body.wanted()
    expires_at_ms = body.expires_at_ms()
    keys = [f"rival:lock:{body.lock_id}", "rival:outbox", *(f"rival:stock:{line.sku}" for line in body.lines)]
    quantities = [line.quantity for line in body.lines]
    args = [body.lock_id, fingerprint_of(wanted), expires_at_ms, wanted, *quantities]
    outcome, *_ = await _lock(keys=keys, args=args)
    match outcome:
        case b"locked":
            return held(body, expires_at_ms, 201)
        case b"repeated":
            return held(body, expires_at_ms, 200)
        case b"reused":
            return refused("lock_id_reused", 409)
        case _:
            return refused("insufficient_stock", 409)
