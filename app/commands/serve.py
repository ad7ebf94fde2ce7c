"""`sellable serve`: one API process."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Any

import structlog
import uvicorn

from app.api.api_keys import SECRET_CHARS_MIN, keys_of
from app.commands.address import bind, check_listener, listens_here_only, refuse_address
from app.commands.process import Stop, run_long, settle_garbage
from app.settings import read_settings
from app.telemetry import configure_logging

_log = structlog.get_logger()

GRACE_SECONDS = 5
BACKLOG = 2048

OpenApi = Callable[..., AbstractAsyncContextManager[Any]]


class DrainingServer(uvicorn.Server):
    """Asked to stop, it says so in /readyz and goes on for `drain_seconds`; a second signal ends that at once.

    So a balancer that asks /readyz sends nothing more by the time that nothing listens any more.
    """

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float, leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._leave = leave
        self._ends_at: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again at the end, and the process would not end with 0."""
        yield

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


def serve(host: str, port: int, fd: int | None, *, open_api: OpenApi, pages: bool = False) -> int:
    """Serve until SIGTERM, and return 0; 1 if the start failed. `fd` is a listening socket that was handed down.

    With `pages` it serves product pages only. `ConfigurationError` if the port is taken.
    """
    configure_logging()
    settings = read_settings()
    config: dict[str, Any] = {
        "lifespan": "off",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "headers": [("X-Content-Type-Options", "nosniff")],
        "proxy_headers": False,  # who calls is the other end of the connection, whatever a header says
        "ws": "none",
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "backlog": BACKLOG,
    }
    # Ours alone: uvicorn takes an inherited socket for a Unix one, and Nagle's algorithm would stay on.
    sockets = bind(host, port) if fd is None else [socket.socket(fileno=fd)]
    sockets += _admin_sockets(settings.admin_port, host, sockets, is_handed_down=fd is not None)
    # Who hands a socket down keeps it open: others take what comes in, and no balancer has to know.
    drain_seconds = settings.drain_seconds if fd is None else 0
    with ExitStack() as stack:
        for one in sockets:
            stack.enter_context(one)
        # What a socket is bound to is what counts, whatever `host` says.
        chars_min = 1 if all(map(listens_here_only, sockets)) else SECRET_CHARS_MIN
        keys = keys_of(settings, secret_chars_min=chars_min)
        for one in sockets:
            check_listener(one, has_keys=bool(keys))

        async def run(stop: Stop) -> int:
            async with open_api(settings, secret_chars_min=chars_min, pages_only=pages) as api:
                served = uvicorn.Config(api.app, http=api.protocol, **config)
                server = DrainingServer(served, drain_seconds=drain_seconds, leave=api.leave)
                stop.started(lambda number: server.handle_exit(number, None))
                settle_garbage()
                _log.info("serve.listens", at=[_place(one) for one in sockets])
                await server.serve(sockets)
            return 0 if server.started else 1

        try:
            return run_long(run)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:  # two that were bound at the same time
                raise refuse_address(host, port, error) from error
            raise


def _admin_sockets(
    port: int, host: str, sockets: list[socket.socket], *, is_handed_down: bool
) -> list[socket.socket]:
    """Return those of SELLABLE_ADMIN_PORT, at the same addresses; who shares a socket shares this port, too."""
    if not port:
        return []
    if not is_handed_down:
        return bind(host, port)
    return [one for listener in sockets for one in bind(listener.getsockname()[0], port, shared=True)]


def _place(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
