"""`sellable serve`: one API process."""

import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any

import uvicorn

from app.api.api_keys import read_api_keys
from app.commands.address import check_host
from app.commands.process import run_long, settle_garbage
from app.settings import Settings, read_settings
from app.telemetry import configure_logging

GRACE_SECONDS = 5

OpenApi = Callable[[Settings], AbstractAsyncContextManager[Any]]


class DrainingServer(uvicorn.Server):
    """Asked to stop, it says so in /readyz and goes on for `drain_seconds`; a second signal ends that at once.

    So a balancer that asks /readyz sends nothing more by the time that nobody listens.
    """

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float, leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._leave = leave
        self._ends_at: float | None = None

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop now."""
        if not await super().on_tick(counter):
            return False
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._drain_seconds
            self._leave()
        return time.monotonic() >= self._ends_at

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.should_exit:
            self._ends_at = 0.0
        super().handle_exit(sig, frame)


async def _serve(config: dict[str, Any], fd: int | None, settings: Settings, open_api: OpenApi) -> int:
    # Who hands a socket down keeps it open: others take what comes in, and no balancer has to know.
    drain_seconds = settings.drain_seconds if fd is None else 0
    async with open_api(settings) as api:
        server = DrainingServer(
            uvicorn.Config(api.app, http=api.protocol, **config), drain_seconds=drain_seconds, leave=api.leave
        )
        settle_garbage()
        # Opened here: uvicorn takes an inherited socket for a Unix one, and Nagle's algorithm would stay on.
        await server.serve([socket.socket(fileno=fd)] if fd is not None else None)
    return 0 if server.started else 1


def serve(host: str, port: int, fd: int | None, *, open_api: OpenApi) -> int:
    """Serve until SIGTERM; return 1 if the start failed. `fd` is a listening socket that was handed down."""
    configure_logging()
    settings = read_settings()
    check_host(host, has_keys=bool(read_api_keys(settings.api_keys.get_secret_value())))
    config: dict[str, Any] = {
        "host": host,
        "port": port,
        "lifespan": "off",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    return run_long(_serve(config, fd, settings, open_api))
