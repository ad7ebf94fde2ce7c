"""A TCP proxy that delays, holds, drops, cuts and splits what goes through it: a bad network, on purpose."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

READ_BYTES = 65_536


def whole(data: bytes) -> Iterable[bytes]:
    """Pass on what came as it came."""
    return (data,)


def bytewise(data: bytes) -> Iterable[bytes]:
    """One byte at a time."""
    return (data[i : i + 1] for i in range(len(data)))


class Way:
    """One direction, for all connections. Change its attributes while bytes flow."""

    def __init__(self) -> None:
        self.delay_seconds = 0.0
        self.split: Callable[[bytes], Iterable[bytes]] = whole
        self.drops = False
        """Bytes vanish, as behind a firewall that has forgotten the connection."""
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Let nothing through until `release`; what was held goes on in one piece."""
        self._open.clear()

    def release(self) -> None:
        """Let everything through again."""
        self._open.set()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        pending: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)

        async def take() -> None:
            with contextlib.suppress(OSError):  # a reset is an end too
                while data := await reader.read(READ_BYTES):
                    if not self.drops:
                        await pending.put((loop.time() + self.delay_seconds, data))
            await pending.put((0.0, b""))

        async def give() -> None:
            ended = False
            while not ended:
                due, data = await pending.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                await self._open.wait()
                ended = not data
                while not ended and not pending.empty() and not self.delay_seconds:
                    more = pending.get_nowait()[1]
                    data, ended = data + more, not more
                for piece in self.split(data) if not self.drops else ():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)

        taking = asyncio.create_task(take())
        try:
            await give()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


class Proxy:
    """Listens on a port of 127.0.0.1 and passes everything on to `host:port`; a host with a `/` is a unix socket.

    `listens_on` may be set to another host, or to the path of a unix socket, before it starts.
    `target` may be changed: what connects from then on goes elsewhere.
    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.target = (host, port)
        self._tls = tls
        self.listens_on = "127.0.0.1"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.to_server = Way()
        self.to_client = Way()
        self.refuses = False
        """New connections are closed at once."""
        self.connections = 0
        self.port = 0

    async def start(self) -> None:
        if "/" in self.listens_on:
            self._server = await asyncio.start_unix_server(self._serve, self.listens_on)
            return
        self._server = await asyncio.start_server(self._serve, self.listens_on, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection, in the middle of whatever goes on."""
        for writer in list(self._writers):
            writer.transport.abort()

    def inject(self, data: bytes) -> None:
        """Send bytes to every client that the server never sent."""
        for writer in self._writers:
            if getattr(writer, "is_client", False):
                writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.connections += 1
        writer.is_client = True  # type: ignore[attr-defined]
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            if not self.refuses:
                upstream_reader, upstream = await self._connect()
                self._writers.add(upstream)
                await self._relay(reader, writer, upstream_reader, upstream)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in filter(None, (writer, upstream)):
                self._writers.discard(one)
                one.transport.abort()
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.target
        if "/" in host:
            return await asyncio.open_unix_connection(host)
        return await asyncio.open_connection(host, port)

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.create_task(self.to_server.pump(reader, upstream)),
            asyncio.create_task(self.to_client.pump(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*ways, return_exceptions=True)


@asynccontextmanager
async def proxied(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(host, port, tls=tls)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
