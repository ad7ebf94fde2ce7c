"""The outermost layer: raw paths, request ids, metrics, logs, and an answer to what nobody expected."""

import logging
import time
from collections.abc import Sequence
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems
from app.api.admin import AdminDoor
from app.api.auth import address_of
from app.api.problems import Problem, ProblemError
from app.api.request_ids import NAME, request_id_of, traceparent_of
from app.api.security import REFUSALS, SecurityLog
from app.telemetry import Metrics

log = structlog.get_logger(__name__)
CLIENT_GONE = 499
"""Counted, never sent: the client left before its request was complete."""

Lines = Sequence[tuple[bytes, bytes]]

_PAGE: Lines = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of a page, where it does not say otherwise itself: nothing is loaded, nobody frames it, nobody learns of it."""


class Edge:
    """Lets routes match the path as it was sent, so that `%2F` stays inside its segment, and watches requests."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, security: SecurityLog, door: AdminDoor) -> None:
        self._app = app
        self._metrics = metrics
        self._security = security
        self._door = door
        self._access_is_logged = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = raw_path(scope)
        request_id, trace = request_id_of(scope["headers"]), traceparent_of(scope["headers"])
        started, watched = time.perf_counter(), _Watched(send, request_id)
        with structlog.contextvars.bound_contextvars(
            request_id=request_id, **({"traceparent": trace} if trace else {})
        ):
            try:
                await self._serve(scope, receive, watched)
            except ClientDisconnect:
                watched.status = CLIENT_GONE
            except Exception:
                log.exception("a request failed", method=scope["method"], route=_route(scope))
                await watched.fail(problems.internal_error())
            finally:
                self._note(scope, watched, time.perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, watched: "_Watched") -> None:
        try:
            self._door.check(scope)
        except ProblemError as error:
            await watched.fail(error.problem)
        else:
            await self._app(scope, receive, watched.send)

    def _note(self, scope: Scope, watched: "_Watched", seconds: float) -> None:
        route, method, status = _route(scope), scope["method"], watched.status
        self._metrics.count_request(method, route, status=status, seconds=seconds)
        if status in REFUSALS:
            self._security.refused(
                status,
                method,
                route,
                key=scope.get("state", {}).get("who", ""),
                address=address_of(scope),
                request_id=watched.request_id,
                headers=scope["headers"],
            )
        if self._access_is_logged:
            latency_ms = round(seconds * 1000, 3)
            log.debug("request", method=method, route=route, status=status, latency_ms=latency_ms)


class _Watched:
    """Remembers the status that was sent, 500 until then; and adds what every answer says."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._started = False
        self.request_id = request_id
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
            headers = [*message.get("headers", ()), (NAME, self.request_id.encode())]
            if any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers):
                given = {name for name, _ in headers}
                headers += (line for line in _PAGE if line[0] not in given)
            message = {**message, "headers": headers}
        await self._send(message)

    async def fail(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer has begun: then cut it off, so that nobody takes it for complete."""
        if self._started:
            raise ConnectionAbortedError("the answer failed halfway")
        body, more = problem.body(), problem.all_headers()
        headers = [(b"content-type", problems.MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def raw_path(scope: Scope) -> str:
    """Return the path still percent-encoded; a server that tells no raw path gets it encoded again."""
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if raw else quote(scope["path"])


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))
