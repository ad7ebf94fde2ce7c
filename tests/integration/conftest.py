"""An empty hot store for each test, with the gate open; and the whole service on both stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from app.bootstrap import Stores
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import wire
from app.hotstore.gate import Gate
from app.hotstore.keys import Keys
from app.hotstore.library import library
from tests.integration.api_client import World, world_on
from tests.integration.warehouse import House, house_on


@pytest.fixture(scope="session")
def valkey_url(redis_server: EmbeddedValkey) -> str:
    return redis_server.url


async def open_gate(client: redis.asyncio.Redis, keys: Keys, *, epoch: int = 1) -> None:
    """Load the functions and open a shard, as recovery would."""
    gate = Gate(client, keys, library())
    await gate.load_library()
    claims = await gate.claims()
    await gate.open(fence=epoch, epoch=epoch, tip=claims.tip, run_id=claims.run_id, outbox_max=0)


@asynccontextmanager
async def opened(url: str, *prefixes: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the store, emptied, whose gates are open at epoch 1: of '' or of each prefix."""
    client = wire.connect(url)
    await client.flushall()
    await client.execute_command("FUNCTION", "FLUSH")
    for prefix in prefixes or ("",):
        await open_gate(client, Keys(prefix))
    yield client
    await client.aclose()


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    """The whole service: A has 10 in north and 5 in south, B none in north, and the ledger knows."""
    async with house_on(stores) as house:
        await house.caught_up()
        yield house


@pytest.fixture
async def hot_client(valkey_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """An empty store for one test."""
    async with opened(valkey_url) as client:
        yield client


@pytest.fixture
async def remembering(hot_client: redis.asyncio.Redis, emptied_database_url: str) -> AsyncIterator[World]:
    """The application with a ledger, which has what a test puts into it."""
    async with world_on(hot_client, database_url=emptied_database_url) as world:
        yield world
