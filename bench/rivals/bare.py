"""Rival (a): an ASGI app that does nothing but send the bytes that our cached answer has."""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

_answer = json.loads(os.environ["BENCH_ANSWER"])
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(name.encode(), value.encode()) for name, value in _answer["headers"]],
}
_BODY = {"type": "http.response.body", "body": _answer["body"].encode()}


async def app(
    scope: Message, _receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer everything alike."""
    if scope["type"] == "http":
        await send(_START)
        await send(_BODY)
