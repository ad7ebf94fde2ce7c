"""The outermost layer: raw paths, metrics, the access log, and an answer to what nobody expected."""

import logging
import time
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems
from app.telemetry import Metrics

log = structlog.get_logger(__name__)
CLIENT_GONE = 499
"""Counted, never sent: the client left before its request was complete."""


class Edge:
    """Lets routes match the path as it was sent, so that `%2F` stays inside its segment, and watches requests."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._access_is_logged = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = raw_path(scope)
        started, watched = time.perf_counter(), _Watched(send)
        try:
            await self._app(scope, receive, watched.send)
        except ClientDisconnect:
            watched.status = CLIENT_GONE
        except Exception:
            log.exception("a request failed", method=scope["method"], route=_route(scope))
            await watched.fail()
        finally:
            self._note(scope, watched.status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        self._metrics.count_request(scope["method"], route, status=status, seconds=seconds)
        if self._access_is_logged:
            latency_ms = round(seconds * 1000, 3)
            log.debug("request", method=scope["method"], route=route, status=status, latency_ms=latency_ms)


class _Watched:
    """Remembers the status that was sent; 500 until then."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
        await self._send(message)

    async def fail(self) -> None:
        """Answer 500, unless an answer has begun: then cut it off, so that nobody takes it for complete."""
        if self._started:
            raise ConnectionAbortedError("the answer failed halfway")
        problem = problems.internal_error()
        body, kind = problem.body(), problems.MEDIA_TYPE.encode()
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def raw_path(scope: Scope) -> str:
    """Return the path still percent-encoded; a server that tells no raw path gets it encoded again."""
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if raw else quote(scope["path"])


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))
