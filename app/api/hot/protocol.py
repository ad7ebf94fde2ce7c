"""uvicorn's HTTP protocol with a short way for hot requests.

llhttp parses every byte, but for header blocks that it has parsed before (`known_heads`). When method and target name
a hot handler, and no earlier request on this connection is unanswered, the handler's answer is written straight to
the transport: no scope, no task, no cycle. Everything else, and everything a handler declines, goes on to
uvicorn's own way, and the application behind it.
"""

import asyncio
from asyncio import TimerHandle
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.api.hot.bounded import FIELDS_MAX, TARGET_BYTES_MAX, BoundedProtocol, Trailers
from app.api.hot.cycles import Cycle, HotCycle, PageCycle
from app.api.hot.handlers import (
    BODY_BYTES_MAX,
    CLOSER_LOOK_HEADERS,
    COLD_HEADERS,
    Handler,
    HotRequest,
)
from app.api.hot.hosts import Hosts
from app.api.hot.known_heads import Headers, KnownHeads, Whole, is_safe
from app.api.hot.pages import PageBytes, plain_sku
from app.api.hot.routes import HotRoutes
from app.api.hot.waiting import Waiting
from app.api.request_ids import NAME, request_id_of
from app.api.security import SecurityLog

UNKNOWN_BODY_BYTES_MAX = 16_384
"""A longer body is not collected before its key was looked at."""
_CLOSE = b"connection: close\r\n"
_COLD, _LENGTH, _CLOSER, _HOST = range(4)
_KINDS = {
    **dict.fromkeys(COLD_HEADERS, _COLD),
    **dict.fromkeys(CLOSER_LOOK_HEADERS, _CLOSER),
    b"content-length": _LENGTH,
    b"host": _HOST,
}
"""The headers that are more than noted."""


class HotProtocol(BoundedProtocol):
    """One connection. `hot` is set by `protocol_class`."""

    hot: HotRoutes
    heads: KnownHeads

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_cold = False
        self._is_plain = True
        self._page: PageBytes | None = None
        self._may_learn = False
        self._method = b""
        self._idle_timer: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes: a whole request that was met before, or whose header block was, goes past the parser."""
        if not self._is_between:
            if not self._is_refused:
                self._begun = 1
                self.feed(data)
            return
        page = self.hot.ready_page_for(data)
        if page is not None and self._is_at_rest():
            self._unset_keepalive_if_required()
            self._answer_page(page)
            return
        whole = self.heads.read(data)
        if whole is not None and self._is_at_rest() and self._take_whole(whole, data):
            return
        self._begun = 0
        self.feed(data)
        if self._may_learn and self._is_between and self._begun == 1:
            self.heads.learn(data, self.parser.get_method(), self.url, self.headers, self._length)

    def _is_at_rest(self) -> bool:
        """Whether nothing else is going on here."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            return False
        return not self.flow.write_paused and self.limit_concurrency is None

    def _take_whole(self, whole: Whole, data: bytes) -> bool:
        """Answer a request that needs no parser; `data` are its bytes."""
        method, target, known, body = whole
        is_plain_page = method == b"GET" and known.is_plain and not body
        if is_plain_page and self._take_plain_page(target, known.headers, data):
            return True
        if len(target) > TARGET_BYTES_MAX or not is_safe(target) or self.transport.is_closing():
            return False
        handler = self.hot.match(method, target)
        if handler is None:
            return False
        self._unset_keepalive_if_required()
        request = HotRequest(method, target, known.headers, is_plain=known.is_plain, address=self.address)
        hot_cycle = HotCycle(self, handler, request, keep_alive=True)
        hot_cycle.body, hot_cycle.more_body = body, False
        self.cycle = cast("RequestResponseCycle", hot_cycle)
        hot_cycle.run()
        return True

    def _take_plain_page(self, target: bytes, headers: Headers, data: bytes) -> bool:
        """Answer a plain GET of a page, at once or when it was read; False if it needs a closer look."""
        page = self.hot.ready_page(target)
        if page is not None:
            self.hot.pages.remember_request(data, target)
            self._unset_keepalive_if_required()
            self._answer_page(page)
            return True
        sku = plain_sku(target)
        if sku is None or self.transport.is_closing() or not self.hot.pages.may_fetch(sku):
            return False
        self._unset_keepalive_if_required()
        cycle = PageCycle(self, sku, target, headers)
        self.cycle = cast("RequestResponseCycle", cycle)
        self.hot.pages.cache.fetch(sku, cycle.arrived)
        return True

    # What llhttp tells

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made only if it turns out to be cold."""
        self._is_between = self._may_learn = False
        self._begun += 1
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._is_partial = True
        self._is_plain = True
        self._is_cold = False
        self._length = self._hosts = self._fed = self._content = self._chunks = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, and whether it takes the request off the short way."""
        name = name.lower()
        kind = _KINDS.get(name)
        if kind is not None:
            if kind == _HOST:
                self._hosts += 1
                self._host = value
            elif kind == _LENGTH:
                self._length = int(value)
            elif kind == _CLOSER:
                self._is_plain = False
            else:
                self._is_cold = True
                if name == b"expect" and value.lower() == b"100-continue":
                    self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        hosts = self.hosts
        if (
            self._hosts != 1
            or self._is_cold
            or self._fed
            or len(self.headers) > FIELDS_MAX
            or (hosts is not None and (self._host not in hosts.known or self.url[:1] != b"/"))
        ):
            self.check_head()
        self._is_partial = False
        if self._is_plain and self._take_page():
            return
        handler = self._hot_handler()
        if handler is None:
            self._make_scope()
            super().on_headers_complete()
            self.headers = Trailers(len(self.headers))  # the application has the list of before
            return
        request = HotRequest(
            self._method, self.url, self.headers, is_plain=self._is_plain, address=self.address
        )
        self._may_learn = self.parser.should_keep_alive()
        self.cycle = cast(
            "RequestResponseCycle", HotCycle(self, handler, request, keep_alive=self._may_learn)
        )

    def _take_page(self) -> bool:
        """Whether this is a plain GET of a page that is at hand: the commonest request gets the shortest way."""
        cycle, parser = self.cycle, self.parser
        if self._is_cold or self._length or (cycle is not None and not cycle.response_complete):
            return False
        page = self.hot.ready_page(self.url)
        if page is None or parser.get_method() != b"GET" or parser.get_http_version() != "1.1":
            return False
        if not parser.should_keep_alive() or self.flow.write_paused or self.limit_concurrency is not None:
            return False
        self._page = page
        self._may_learn = True
        return True

    def _hot_handler(self) -> Handler | None:
        if (
            self._is_cold
            or len(self.url) > TARGET_BYTES_MAX
            or self._length > BODY_BYTES_MAX
            or self.flow.write_paused
        ):
            return None
        if self._length > UNKNOWN_BODY_BYTES_MAX and not self.hot.is_known(self.headers):
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # answers go out in order: this one waits its turn behind the application's
        if self.limit_concurrency is not None or self.parser.get_http_version() != "1.1":
            return None
        self._method = self.parser.get_method()
        return self.hot.match(self._method, self.url)

    def on_body(self, body: bytes) -> None:
        """Collect a body; a hot one is bounded by its Content-Length."""
        cycle: Any = self.cycle
        if type(cycle) is HotCycle:
            if cycle.body:
                if type(cycle.body) is bytes:
                    cycle.body = bytearray(cycle.body)
                cycle.body += body
            else:
                cycle.body = body
        else:
            self._content += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Run a hot request; it is whole."""
        self._is_between = True
        if self._page is not None:
            self._answer_page(self._page)
            return
        cycle: Any = self.cycle
        if type(cycle) is HotCycle:
            if cycle.more_body:
                cycle.more_body = False
                cycle.run()
        else:
            super().on_message_complete()

    def _answer_page(self, page: PageBytes) -> None:
        """Write a page that is at hand."""
        self._page = None
        self.cycle = None  # type: ignore[assignment]  # as before the first request: nothing is unanswered
        if self.transport.is_closing():
            return
        self.transport.write(self._wire_of(page))
        self.hot.count_ready_page()
        self._rest()

    def _wire_of(self, page: PageBytes) -> bytes:
        """Return the whole answer; it is put together once a second, for the date."""
        if page.wire_of is not self.server_state.default_headers:
            page.wire = b"".join((STATUS_LINE[200], self.default_lines(), page.head, b"\r\n", page.body))
            page.wire_of = self.server_state.default_headers
        return page.wire

    # What a cycle decides

    def hot_page(self, cycle: PageCycle, page: PageBytes) -> None:
        """Write a page that was read, and go on as after any other answer."""
        if cycle.disconnected or self.transport.is_closing():
            return
        self.transport.write(self._wire_of(page))
        self._go_on()

    def hot_answer(self, cycle: Cycle, status: int, head: bytes, body: bytes) -> None:
        """Write a hot answer, and go on as after any other."""
        transport = self.transport
        if cycle.disconnected or transport.is_closing():
            return
        defaults = self.default_lines()
        end = b"\r\n" if cycle.keep_alive else _CLOSE + b"\r\n"
        request = cycle.the_request()
        if status >= 400:
            end = self._name_refusal(request, status) + end
        if request.method == b"HEAD":
            body = b""
        transport.write(b"".join((STATUS_LINE[status], defaults, head, end, body)))
        if not cycle.keep_alive:
            transport.close()
        self._go_on()

    def _name_refusal(self, request: HotRequest, status: int) -> bytes:
        """Return the line that says what the request is called in logs, and write into one if it belongs there."""
        request_id = request_id_of(request.headers)
        self.note_refusal(
            status, request.target, request_id, request.headers, method=request.method, key=request.who
        )
        return b"%b: %b\r\n" % (NAME, request_id.encode())

    def _go_on(self) -> None:
        if self.pipeline:
            self.on_response_complete()
            return
        self.flow.resume_reading()
        self._rest()

    def _rest(self) -> None:
        """Wait for the next request, but not for ever."""
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def hot_decline(self, cycle: Cycle) -> None:
        """Hand a whole request to the application, as uvicorn would have."""
        if cycle.disconnected or self.transport.is_closing():
            return
        request = cycle.the_request()
        scope = self._scope_of(request)
        cold = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=cycle.keep_alive,
            on_response=self.on_response_complete,
        )
        cold.body = bytearray(request.body)
        cold.more_body = False
        cold.message_event.set()
        cycle.response_complete = True  # as far as the short way goes
        if cast("Any", self.cycle) is cycle:
            self.cycle = cold
        self._start_asgi_task(cold, self.app)

    # Scopes, for the application

    def _make_scope(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expect
        self.scope["headers"] = headers

    def _scope_of(self, request: HotRequest) -> Any:
        parsed = httptools.parse_url(request.target)
        path = parsed.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": list(request.headers),
            "state": {**self.app_state, "is_counted": request.is_counted},
            "method": request.method.decode("ascii"),
            "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode("ascii") + parsed.path,
            "query_string": parsed.query or b"",
        }

    # Between requests

    def _check_idle(self) -> None:
        """Close a connection that was idle for long enough; one timer serves many hot requests."""
        self._idle_timer = None
        is_waiting = self.cycle is not None and not self.cycle.response_complete
        if self.transport.is_closing() or is_waiting or self._is_partial:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self.timeout_keep_alive_task is None and left <= 0.001:
            self.transport.close()
        elif self.timeout_keep_alive_task is None:
            self._idle_timer = self.loop.call_later(left, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and leave no timer behind."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().connection_lost(exc)


def protocol_class(
    hot: HotRoutes,
    *,
    hosts: Hosts | None = None,
    connections_max: int | None = None,
    security: SecurityLog | None = None,
    admin_port: int = 0,
) -> type[HotProtocol]:
    """Return the protocol class to give to uvicorn as `http`; `hosts`: by which names alone it may be called.

    At `admin_port` the application answers everything.
    """
    members: dict[str, Any] = {
        "hot": hot,
        "heads": KnownHeads(),
        "default_head": (None, b""),
        "waiting": Waiting(),
        "hosts": hosts,
        "security": security or SecurityLog(),
        "admin_port": admin_port,
    }
    if connections_max is not None:
        members["connections_max"] = connections_max
    return type("HotProtocol", (HotProtocol,), members)
