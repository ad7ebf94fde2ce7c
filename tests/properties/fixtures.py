"""Fixtures of the proofs, for test modules that say `pytest_plugins = ["tests.properties.fixtures"]`."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from app.hotstore.store import HotStore
from app.hotstore.wire import FunctionCaller, connect
from tests.properties import rig


@pytest.fixture(scope="session")
def proof_server() -> Iterator[rig.Server]:
    with rig.running() as server:
        yield server


@pytest.fixture(scope="session")
def proof_shard(proof_server: rig.Server) -> Iterator[rig.Shard]:
    with rig.Wire(proof_server) as wire:
        yield rig.Shard(wire, rig.library_under_test())


@pytest.fixture
def shard(proof_shard: rig.Shard) -> rig.Shard:
    """An empty shard, its gate open, its clock moved only by the test."""
    proof_shard.reset()
    return proof_shard


@pytest_asyncio.fixture
async def client(proof_server: rig.Server) -> AsyncIterator[Redis]:
    client = connect(proof_server.url)
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def store(shard: rig.Shard, client: Redis) -> HotStore:
    """The hot store as the service uses it, on the same empty shard."""
    return HotStore(FunctionCaller(client, deadline_seconds=10), shard.keys, shard.library)
