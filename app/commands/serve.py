"""`sellable serve`: one API process."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any

import uvicorn

from app.api.api_keys import SECRET_CHARS_MIN, keys_of
from app.commands.address import bound, check_listener, listens_here_only
from app.commands.process import run_long, settle_garbage
from app.settings import Settings, read_settings
from app.telemetry import configure_logging

GRACE_SECONDS = 5

OpenApi = Callable[..., AbstractAsyncContextManager[Any]]


async def _serve(
    listeners: list[socket.socket], settings: Settings, open_api: OpenApi, chars_min: int
) -> int:
    config: dict[str, Any] = {
        "lifespan": "off",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,  # who calls is the other end of the connection, whatever a header says
        "ws": "none",
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    async with open_api(settings, secret_chars_min=chars_min) as api:
        server = uvicorn.Server(uvicorn.Config(api.app, http=api.protocol, **config))
        settle_garbage()
        await server.serve(listeners)
    return 0 if server.started else 1


def serve(host: str, port: int, fd: int | None, *, open_api: OpenApi) -> int:
    """Serve until SIGTERM; return 1 if the start failed. `fd` is a listening socket that was handed down."""
    configure_logging()
    settings = read_settings()
    with ExitStack() as stack:
        # Opened here, also one that was handed down: uvicorn takes an inherited socket for a Unix one, and Nagle's
        # algorithm would stay on. And what it is bound to is what counts, whatever `host` says.
        listeners = bound(host, port) if fd is None else [socket.socket(fileno=fd)]
        for listener in listeners:
            stack.enter_context(listener)
        chars_min = 1 if all(map(listens_here_only, listeners)) else SECRET_CHARS_MIN
        keys = keys_of(settings, secret_chars_min=chars_min)
        for listener in listeners:
            check_listener(listener, has_keys=bool(keys))
        return run_long(_serve(listeners, settings, open_api, chars_min))
