"""How long-running processes begin and end: their port, and the signals that end them with 0."""

import asyncio
import os
import signal
import socket

import pytest

from app.commands.address import bind
from app.commands.process import Stop, run_long
from app.errors import ConfigurationError


def test_a_port_is_taken_or_it_is_ours() -> None:
    (mine,) = bind("127.0.0.1", 0)
    with mine:
        port = mine.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):  # not before it can answer
            socket.create_connection(("127.0.0.1", port), timeout=5)
        mine.listen()
        with pytest.raises(ConfigurationError) as refused:
            bind("127.0.0.1", port)
    assert str(refused.value) == f"the port {port} of 127.0.0.1 cannot be listened on: Address already in use"


def test_an_address_of_another_machine() -> None:
    with pytest.raises(
        ConfigurationError, match=r"of 192\.0\.2\.1 cannot be listened on: Cannot assign requested"
    ):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_up_a_start(number: signal.Signals) -> None:
    closed = []

    async def main(_stop: Stop) -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            closed.append(True)
        return 3

    assert run_long(main) == 0
    assert closed == [True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_has_started(number: signal.Signals) -> None:
    told: list[signal.Signals] = []

    async def main(stop: Stop) -> int:
        stop.started(told.append)
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.event.wait(), 30)
        return 0

    assert run_long(main) == 0
    assert told == [number]


def test_what_fails_or_is_cancelled_otherwise_is_no_quiet_end() -> None:
    async def fails(_stop: Stop) -> int:
        raise ConfigurationError("no")

    async def cancelled(_stop: Stop) -> int:
        raise asyncio.CancelledError

    with pytest.raises(ConfigurationError):
        run_long(fails)
    with pytest.raises(asyncio.CancelledError):
        run_long(cancelled)
