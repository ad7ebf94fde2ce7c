"""Requests under way on the short way: each knows what it asks for, and tells its connection what comes of it."""

from time import perf_counter
from typing import Protocol

import structlog

from app.api.hot.handlers import Handler, HotRequest
from app.api.hot.known_heads import Headers
from app.api.hot.pages import PageBytes
from app.api.hot.routes import HotRoutes
from app.hotstore.near_cache import Entry

_log = structlog.get_logger()


class HotConnection(Protocol):
    """What a request needs of its connection, which is a `HotProtocol`."""

    hot: HotRoutes

    def hot_answer(self, cycle: "Cycle", status: int, head: bytes, body: bytes) -> None:
        """Write an answer."""

    def hot_page(self, cycle: "PageCycle", page: PageBytes) -> None:
        """Write a page that was read."""

    def hot_decline(self, cycle: "Cycle") -> None:
        """Hand the request to the application."""


class _NoEvent:
    """Nobody waits for a hot request's messages."""

    def set(self) -> None:
        """Do nothing."""


_NO_EVENT = _NoEvent()


class Cycle:
    """A request under way on the short way; uvicorn's protocol sees in it what it needs of a cycle."""

    __slots__ = ("disconnected", "keep_alive", "protocol", "response_complete")
    message_event = _NO_EVENT

    def __init__(self, protocol: HotConnection, *, keep_alive: bool) -> None:
        self.protocol = protocol
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False

    def the_request(self) -> HotRequest:
        """Return the request as a handler gets it."""
        raise NotImplementedError

    def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Write the answer, unless the client has gone."""
        if self.response_complete:
            return
        self.response_complete = True
        self.protocol.hot_answer(self, status, head, body)

    def decline(self) -> None:
        """Let the application answer."""
        if not self.response_complete:
            self.protocol.hot_decline(self)


class HotCycle(Cycle):
    """A request for a handler."""

    __slots__ = ("body", "handler", "more_body", "request")

    def __init__(
        self, protocol: HotConnection, handler: Handler, request: HotRequest, *, keep_alive: bool
    ) -> None:
        super().__init__(protocol, keep_alive=keep_alive)
        self.handler = handler
        self.request = request
        self.body: bytes | bytearray = b""
        self.more_body = True

    def the_request(self) -> HotRequest:
        """Return the request as the handler got it."""
        return self.request

    def run(self) -> None:
        """Let the handler answer, now or later."""
        self.request.body = bytes(self.body)
        try:
            self.handler(self.request, self.respond, self.decline)
        except Exception:  # noqa: BLE001 - whatever it is, it is no bad request
            _log.exception("hot.handler_failed")
            self.decline()  # nothing was sent yet; the application knows how to fail


class PageCycle(Cycle):
    """A plain GET of a page that has to be read first; it becomes a request only if that turns out badly."""

    __slots__ = ("_began", "_headers", "_sku", "_target")
    more_body = False

    def __init__(self, protocol: HotConnection, sku: str, target: bytes, headers: Headers) -> None:
        super().__init__(protocol, keep_alive=True)
        self._sku = sku
        self._target = target
        self._headers = headers
        self._began = perf_counter()

    def the_request(self) -> HotRequest:
        """Return the request as a handler would have got it."""
        return HotRequest(b"GET", self._target, self._headers, is_plain=True)

    def arrived(self, entry: Entry[PageBytes] | None) -> None:
        """Answer with what was read."""
        pages = self.protocol.hot.pages
        page = pages.accept(entry, self._target, self._began) if self.keep_alive else None
        if page is None:
            pages.answer(self.the_request(), self._sku, entry, self._began, self.respond, self.decline)
            return
        self.response_complete = True
        self.protocol.hot_page(self, page)
