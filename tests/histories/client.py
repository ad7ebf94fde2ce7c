"""A small HTTP client for one connection, which can lose a reply on purpose."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any


class Client:
    """One keep-alive connection; `None` instead of a reply means that nobody knows what happened."""

    def __init__(self, host: str, port: int, *, answer_seconds_max: float = 30.0) -> None:
        self._where = (host, port)
        self._answer_seconds_max = answer_seconds_max
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any, *, key: str = "", lose_reply: bool = False) -> Reply | None:
        """Send, and read the answer; with `lose_reply`, hang up before it comes."""
        content = json.dumps(body).encode()
        head = (
            f"POST {quote(path)} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\n" + (f"idempotency-key: {key}\r\n" if key else "") + "\r\n"
        )
        return await self._ask(head.encode() + content, lose_reply=lose_reply)

    async def get(self, path: str) -> Reply | None:
        """Ask for a page; `path` is encoded already."""
        return await self._ask(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    async def _ask(self, request: bytes, *, lose_reply: bool = False) -> Reply | None:
        try:
            reader, writer = await self._connected()
            writer.write(request)
            await writer.drain()
            if lose_reply:
                await self.close()
                return None
            return await asyncio.wait_for(_read(reader), self._answer_seconds_max)
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
            await self.close()
            return None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        return self._streams

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0])
    body = await reader.readexactly(length)
    return Reply(int(head.split(" ", 2)[1]), json.loads(body))
