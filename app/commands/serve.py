"""`sellable serve`: one API process."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn

from app.api.api_keys import read_api_keys
from app.commands.address import check_host
from app.commands.process import run_long, settle_garbage
from app.settings import Settings, read_settings
from app.telemetry import configure_logging

GRACE_SECONDS = 5

OpenApi = Callable[[Settings], AbstractAsyncContextManager[Any]]


async def _serve(config: dict[str, Any], fd: int | None, settings: Settings, open_api: OpenApi) -> int:
    async with open_api(settings) as api:
        server = uvicorn.Server(uvicorn.Config(api.app, http=api.protocol, **config))
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
