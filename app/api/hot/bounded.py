"""uvicorn's HTTP protocol with bounds: how long a request may take to come in, and how large it may be.

They hold before anybody is known, and for every request alike. What is beyond them is answered here, with a problem,
and the connection ends; what is still on its way is read and dropped for a moment, because a socket that is closed
with unread bytes takes the answer with it.
"""

import asyncio
from collections.abc import Sized
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api import problems
from app.api.hot.handlers import head_of
from app.api.hot.hosts import Hosts
from app.api.hot.waiting import Waiting
from app.api.problems import Problem
from app.api.request_ids import NAME, Headers, request_id_of
from app.api.security import REFUSALS, SecurityLog

HEAD_BYTES_MAX = 65_536
"""Of a head; and of everything in a chunked body that is neither content nor a chunk's length: trailers above all."""
FIELDS_MAX = 100
TARGET_BYTES_MAX = 32_768
PIECE_BYTES = 16_384
"""Given to the parser at once while a head is under way: so much beyond its limit may come in, and no more."""
CHUNK_BYTES = 16
"""What a chunk's length takes."""
UPLOAD_BYTES_MIN = 1_048_576
"""A longer body is an upload, which has time as long as it comes in."""

HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
SILENT_SECONDS = 10.0
UPLOAD_SECONDS = 900.0
REST_SECONDS = 5.0
"""What is left of a body gets so long once its request is answered."""
LINGER_SECONDS = 2.0
UNREAD_SECONDS = 60.0
"""So long a client may read nothing of an answer."""
IDLE_SECONDS = 5.0
"""A request that begins later after an answer has its time from its own beginning, less this."""
MOMENT_SECONDS = 0.001
"""What begins behind an answer begins so much later."""
LINGERING_MAX = 64
"""Connections beyond the bound that are told so with care; others are just closed."""
CONNECTIONS_MAX = 1_000_000
ROUTE_CHARS_MAX = 200
"""Of a target in a log."""

_CLOSE = b"connection: close\r\n"


class RefusedError(Exception):
    """Stops the parser."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Flow(FlowControl):
    """Reads no further while requests wait that were read already: else each answer let in hundreds more."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, unless something waits; the request before it is whole then, so nobody waits for this."""
        if not self._waiting:
            super().resume_reading()


class Trailers(list[tuple[bytes, bytes]]):
    """Takes the fields behind a body, and keeps none: nothing that comes there may change what a request means."""

    def __init__(self, fields: int) -> None:
        super().__init__()
        self._fields = fields
        self._size = 0

    def append(self, field: tuple[bytes, bytes]) -> None:
        """Count a field together with those of the head."""
        self._fields += 1
        self._size += len(field[0]) + len(field[1]) + 4
        if self._fields > FIELDS_MAX or self._size > HEAD_BYTES_MAX:
            raise RefusedError(_head_too_large())


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The class of a process has its own `waiting`, and may have other bounds."""

    waiting: Waiting
    hosts: Hosts | None = None
    """By which names the service may be called; None: by any."""
    connections_max = CONNECTIONS_MAX
    admin_port = 0
    """Where the application alone answers: it knows what is served there, the short way does not. 0: nowhere."""
    security: SecurityLog
    default_head: tuple[Any, bytes] = (None, b"")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""  # uvicorn has neither before a request begins
        self.headers: list[tuple[bytes, bytes]] = []
        self.address = ""
        # uvicorn sets these with the first byte; what is refused before that has none.
        self.url = b""
        self.headers = []
        self._is_between = True
        self._is_partial = False
        self._is_refused = False
        self._begun = 0
        self._length = 0
        self._hosts = 0
        self._host = b""
        self._fed = 0
        self._content = 0
        self._chunks = 0
        self._idle_since = 0.0
        self._begun_at = 0.0
        self._unread_since = 0.0
        self._running: RequestResponseCycle | None = None

    # Life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless too many are open."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self.address = str(self.client[0]) if self.client else ""
        if self.admin_port and self.server and self.server[1] == self.admin_port:
            self.limit_concurrency = CONNECTIONS_MAX  # with a limit, whatever it is, there is no short way
        now = self._begun_at = self.loop.time()
        self._idle_since = now - MOMENT_SECONDS  # the first request has its time from now on
        if len(self.connections) > self.connections_max:
            self._turn_away()
        else:
            self.waiting.add(self, now + HEAD_SECONDS, self.loop)

    def _turn_away(self) -> None:
        if len(self.connections) > self.connections_max + LINGERING_MAX:
            self.transport.abort()
            return
        detail = f"this process serves {self.connections_max:,} connections; those that are open are served"
        self.refuse(Problem("too_many_connections", detail))

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.waiting.remove(self)
        running = self._running
        # uvicorn tells only the last one that was read.
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        super().pause_writing()
        self._unread_since = self.loop.time()
        self.waiting.add(self, self._unread_since + UNREAD_SECONDS, self.loop)

    def on_response_complete(self) -> None:
        """Go on with the next request; what is left of the one that was answered does not keep us for ever."""
        now = self._idle_since = self.loop.time()
        super().on_response_complete()
        if not self._is_between and not self._is_partial and not self._is_refused:
            self.waiting.add(self, now + REST_SECONDS, self.loop)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # Size

    def feed(self, data: bytes) -> None:
        """Give bytes to the parser, and watch over a request that is not whole yet."""
        self._unset_keepalive_if_required()
        if len(data) <= PIECE_BYTES:
            self._parse(data)
            if not self._is_between or not self._begun:
                self._note_unfinished(len(data))
            return
        rest = memoryview(data)
        while rest and not self._is_refused and not self.transport.is_closing():
            # Content whose length is known may come as fast as it likes.
            is_counted = self._is_between or self._is_partial or not self._length
            piece = rest[:PIECE_BYTES] if is_counted else rest
            rest = rest[len(piece) :]
            self._parse(piece)
            if not self._is_between or not self._begun:
                self._note_unfinished(len(piece))

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # nothing is offered; the request was answered as it stands
        except httptools.HttpParserError as error:
            why = error.__context__
            problem = (
                why.problem if isinstance(why, RefusedError) else malformed("it cannot be read as HTTP/1.1")
            )
            self.refuse(problem)

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self.url += url
        if len(self.url) > TARGET_BYTES_MAX:
            raise RefusedError(Problem("uri_too_long", f"a target may have {TARGET_BYTES_MAX:,} bytes"))

    def on_chunk_header(self) -> None:
        """Count the chunks of a body."""
        self._chunks += 1

    def check_head(self) -> None:
        """Raise `RefusedError` for a head that may not be; it is whole now. `hosts` knows those that are right."""
        if len(self.headers) > FIELDS_MAX:
            raise RefusedError(_head_too_large())
        # Only now and then: a head that came in one piece cannot be that large.
        if self._fed > HEAD_BYTES_MAX - 2 * PIECE_BYTES:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url) + 14
            if size > HEAD_BYTES_MAX:
                raise RefusedError(_head_too_large())
        if self._hosts > 1:
            raise RefusedError(malformed("it has two Host fields"))
        version = self.parser.get_http_version()
        if not self._hosts and version == "1.1":
            raise RefusedError(malformed("it has no Host field"))
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if version != "1.1" and codings:
            raise RefusedError(malformed("HTTP/1.0 has no Transfer-Encoding"))
        if codings not in ([], [b"chunked"]):
            raise RefusedError(malformed("no Transfer-Encoding is taken but chunked"))
        if self.hosts is not None and (problem := self.hosts.problem_of(self._host, self.url, self.headers)):
            raise RefusedError(problem)

    def _note_unfinished(self, size: int) -> None:
        """Note that a request is not whole, or has not even begun, after `size` more bytes."""
        if self._is_refused or self.transport.is_closing():
            return
        now = self.loop.time()
        if self._begun_at <= self._idle_since:
            self._begun_at = max(self._idle_since, now - IDLE_SECONDS) + MOMENT_SECONDS
        if self._is_between:
            self.waiting.add(self, self._begun_at + HEAD_SECONDS, self.loop)
            return
        self._fed += size
        if self._is_partial:
            if self._fed > HEAD_BYTES_MAX:
                self.refuse(_head_too_large())
            else:
                self.waiting.add(self, self._begun_at + HEAD_SECONDS, self.loop)
            return
        beside = 0 if self._length else self._fed - self._content - self._chunks * CHUNK_BYTES
        if beside > HEAD_BYTES_MAX + PIECE_BYTES:
            self.refuse(_head_too_large())
        else:
            self.waiting.add(self, self._body_due(now), self.loop)

    def _body_due(self, now: float) -> float:
        if self.cycle.response_complete:
            return self._idle_since + REST_SECONDS
        if max(self._length, self._content) > UPLOAD_BYTES_MIN:
            return min(now + SILENT_SECONDS, self._begun_at + UPLOAD_SECONDS)
        return self._begun_at + BODY_SECONDS

    # Time

    def overdue(self, now: float) -> float | None:
        """End the connection if it has waited for long enough; see `Waiting`."""
        if self.transport.is_closing():
            return None
        if self._is_refused:
            self.transport.abort()
            return None
        if self.flow.write_paused:
            return self._unread_overdue(now)
        if self._is_between:
            self._end_if_silent(now)
            return None
        return self._unfinished_overdue(now)

    def _unread_overdue(self, now: float) -> float | None:
        if now - self._unread_since < UNREAD_SECONDS:
            return self._unread_since + UNREAD_SECONDS
        self.transport.abort()
        return None

    def _end_if_silent(self, now: float) -> None:
        """End a connection on which no request has begun; behind an answer it is the keep-alive timer that does so."""
        is_first = self._begun_at > self._idle_since
        if is_first and self._is_answered() and now >= self._begun_at + HEAD_SECONDS:
            self.transport.close()

    def _unfinished_overdue(self, now: float) -> float | None:
        if self._is_partial:
            if not self._is_answered():
                return now + HEAD_SECONDS  # the one before it comes first
            self.refuse(_too_slow("head", HEAD_SECONDS))
        elif self._is_answered():
            self.transport.close()
            return None
        elif self.flow.read_paused:
            return now + SILENT_SECONDS  # it is we who are slow
        else:
            self.refuse(_too_slow("body", BODY_SECONDS))
        return now + LINGER_SECONDS

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    # Refusals

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser does not take, with a problem instead of plain text."""
        self.refuse(malformed(msg))

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem, and end the connection. Nothing more is parsed."""
        if self._is_refused or self.transport.is_closing():
            return
        is_of_next = self._is_between or self._is_partial
        self._is_refused, self._is_between = True, False
        self._unset_keepalive_if_required()
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            if is_of_next:  # the answer before it comes first, and ends the connection
                cycle.keep_alive = False
                self.waiting.add(self, self.loop.time() + UPLOAD_SECONDS, self.loop)
                return
            if self.pipeline or getattr(cycle, "response_started", False):
                self.transport.close()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.write_problem(problem)
        self._linger()

    def write_problem(self, problem: Problem) -> None:
        """Write the last answer of this connection."""
        body, request_id = problem.body(), request_id_of(self.headers or ())
        more = [(name.lower().encode(), value.encode()) for name, value in problem.all_headers().items()]
        head = head_of(problems.MEDIA_TYPE.encode(), len(body), *more, (NAME, request_id.encode()))
        self.note_refusal(problem.status, self.url or b"", request_id, self.headers or ())
        self.transport.write(
            b"".join((STATUS_LINE[problem.status], self.default_lines(), head, _CLOSE, b"\r\n", body))
        )

    def note_refusal(
        self,
        status: int,
        target: bytes,
        request_id: str,
        headers: Headers,
        *,
        method: bytes = b"",
        key: str = "",
    ) -> None:
        """Write into the security log what belongs there."""
        if status in REFUSALS:
            route = target.partition(b"?")[0][:ROUTE_CHARS_MAX].decode("latin-1")
            self.security.refused(
                status,
                method.decode("latin-1"),
                route,
                key=key,
                address=self.address,
                request_id=request_id,
                headers=headers,
            )

    def _linger(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.waiting.add(self, self.loop.time() + LINGER_SECONDS, self.loop)
        else:  # TLS
            self.transport.close()

    def default_lines(self) -> bytes:
        """Return the server's own header lines; they are made anew once a second, with the date."""
        defaults = self.server_state.default_headers
        cached = self.default_head
        if cached[0] is not defaults:
            head = b"".join(b"%b: %b\r\n" % line for line in defaults)
            cached = type(self).default_head = (defaults, head)
        return cached[1]


def malformed(why: str) -> Problem:
    """Return the problem of a request that is not HTTP as it must be."""
    return Problem("malformed_request", why)


def _head_too_large() -> Problem:
    return Problem("head_too_large", f"a head may have {FIELDS_MAX} fields, {HEAD_BYTES_MAX:,} bytes in all")


def _too_slow(what: str, seconds: float) -> Problem:
    return Problem("request_timeout", f"the {what} was not there after {seconds:.0f} s")
