"""The hot handlers as plain ASGI, for any other server and for tests: the same answers, a longer way."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.hot.handlers import BODY_BYTES_MAX, COLD_HEADERS, Handler, HotRequest
from app.api.hot.routes import HotRoutes

Answer = tuple[int, bytes, bytes]


class HotAsgi:
    """Serves hot requests from their handlers, and all others through `app`."""

    def __init__(self, app: ASGIApp, hot: HotRoutes) -> None:
        self._app = app
        self._hot = hot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        handler = self._handler_of(scope)
        if handler is None:
            await self._app(scope, receive, send)
            return
        body, receive_again = await _read(receive)
        answer = None
        if body is not None:
            request = HotRequest(scope["method"].encode(), _target(scope), list(scope["headers"]), body)
            answer = await _ask(handler, request)
        if answer is None:
            await self._app(scope, receive_again, send)
            return
        await _send(send, *answer, head_only=scope["method"] == "HEAD")

    def _handler_of(self, scope: Scope) -> Handler | None:
        if scope["type"] != "http" or any(name in COLD_HEADERS for name, _ in scope["headers"]):
            return None
        return self._hot.match(scope["method"].encode(), _target(scope))


def _target(scope: Scope) -> bytes:
    path: bytes = scope["raw_path"].partition(b"?")[0]
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


async def _read(receive: Receive) -> tuple[bytes | None, Receive]:
    """Return the body (None if it is too long to be hot), and a `receive` that begins with what was read."""
    messages: list[Message] = []
    size = 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body") or size > BODY_BYTES_MAX:
            break
    whole = message["type"] == "http.request" and not message.get("more_body") and size <= BODY_BYTES_MAX
    body = b"".join(one.get("body", b"") for one in messages) if whole else None
    return body, _replay(messages, receive)


def _replay(messages: list[Message], receive: Receive) -> Callable[[], Awaitable[Message]]:
    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


async def _ask(handler: Handler, request: HotRequest) -> Answer | None:
    """Return the handler's answer, None if it declines."""
    answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

    def settle(answer: Answer | None) -> None:
        if not answered.done():
            answered.set_result(answer)

    handler(request, lambda status, head, body: settle((status, head, body)), lambda: settle(None))
    return await answered


async def _send(send: Send, status: int, head: bytes, body: bytes, *, head_only: bool) -> None:
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n") if line]
    headers = [(name, value) for name, value in lines]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else body})
