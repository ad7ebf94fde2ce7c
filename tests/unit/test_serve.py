"""How an API process ends: it says so first, and goes on for a while."""

import signal
from typing import Any

import pytest
import uvicorn

from app.commands.serve import DrainingServer


@pytest.fixture
def left() -> list[str]:
    return []


def server_with(drain_seconds: float, left: list[str]) -> DrainingServer:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        """Nobody calls it."""

    config = uvicorn.Config(app, log_config=None)
    return DrainingServer(config, drain_seconds=drain_seconds, leave=lambda: left.append("left"))


async def test_it_says_that_it_ends_and_goes_on_until_a_second_signal(left: list[str]) -> None:
    server = server_with(300, left)
    assert not await server.on_tick(1)
    assert left == []
    server.handle_exit(signal.SIGTERM, None)
    assert not await server.on_tick(2)
    assert not await server.on_tick(3)
    assert left == ["left"]
    server.handle_exit(signal.SIGTERM, None)
    assert await server.on_tick(4)


async def test_where_nothing_has_to_know_it_ends_at_once(left: list[str]) -> None:
    server = server_with(0, left)
    server.handle_exit(signal.SIGTERM, None)
    assert await server.on_tick(1)
