"""The API on real sockets, three ways: with the protocol class, through plain ASGI, and without the short way."""

import asyncio
import contextlib
import logging
import re
import socket
import threading
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import httptools
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.app import create_app
from app.api.hot.asgi import HotAsgi
from app.api.hot.build import build_hot
from app.api.hot.protocol import protocol_class
from app.domain.commands import OpeningRow
from app.domain.ranking import Ranking
from app.hotstore import wire
from app.hotstore.keys import Keys
from app.hotstore.line import Line, LineCaller
from app.ledger import database
from app.settings import Settings
from app.telemetry import Metrics
from tests.integration.api_client import NOWHERE, ROWS, PretendHealth, operations_on
from tests.integration.conftest import open_gate

T = TypeVar("T")
KINDS = ("protocol", "asgi", "plain")
REPLY_SECONDS = 20.0
PLENTY = [OpeningRow(sku, "north", 100_000) for sku in ("A/12", "Größe", "BANK CHARGES", "Z", "A#x", "A?x=1")]
PLENTY += [OpeningRow(f"S{i}", "north", i) for i in range(200)]
PLENTY.append(OpeningRow("Z", "south", 1_000))


class Loop:
    """An event loop of uvloop's, in a thread of its own, as the service has one."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self.errors: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _loop, context: self.errors.append(context))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass
class Api:
    """One process's API, served."""

    kind: str
    port: int
    server: uvicorn.Server
    serving: "asyncio.Task[None]"
    line: Line | None
    store: Any
    cold: list[str]
    """Paths that reached the application."""
    ranking: Ranking
    closing: list[Any] = field(default_factory=list)

    @property
    def connections(self) -> set[Any]:
        return self.server.server_state.connections


async def start(kind: str, redis_url: str, prefix: str, **more: Any) -> Api:
    """Serve the API in one of the three ways; `more` are settings. The gate of `prefix` is open already."""
    keep_alive = more.pop("timeout_keep_alive", 5)
    doors = {name: more.pop(name) for name in ("hosts", "connections_max") if name in more}
    admin: socket.socket | None = more.pop("admin", None)
    if admin is not None:
        doors["admin_port"] = more["admin_port"] = admin.getsockname()[1]
    settings = Settings(prefix=prefix, **more)
    metrics, closing, line = Metrics(), [], None
    ranking = Ranking(settings.order)
    client = wire.connect(redis_url)
    protocol: type[Any] = HttpToolsProtocol
    caller: Any = wire.FunctionCaller(client, deadline_seconds=settings.call_deadline_seconds)
    if kind != "plain":
        hot, line = build_hot(
            settings, redis_url, Keys(prefix), metrics, level=lambda: "disk", ranking=ranking
        )
        caller = LineCaller(line)
        line.start()
    engine = database.open_engine(NOWHERE)
    operations = operations_on(caller, settings, [""], engine, ranking)
    if kind != "plain":
        operations.availability.other_memory = hot.pages.last_known
    app: Any = create_app(operations, settings, PretendHealth(), metrics=metrics)
    cold: list[str] = []
    app = _noting(app, cold)
    if kind in {"protocol", "alone"}:
        protocol = protocol_class(hot, **doors)
    elif kind == "asgi":
        app = HotAsgi(app, hot)
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="off",
        access_log=False,
        log_config=None,
        ws="none",
        server_header=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(server._serve([listener, *([admin] if admin else [])]))
    while not server.started or (line is not None and not line.is_fresh):
        await asyncio.sleep(0.005)
    closing += [engine.dispose, line.close if line else client.aclose, client.aclose]
    return Api(kind, port, server, serving, line, operations, cold, ranking, closing)


def _noting(app: Any, paths: list[str]) -> Any:
    async def noting(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        await app(scope, receive, send)

    return noting


async def stop(api: Api) -> None:
    api.server.should_exit = True
    await api.serving
    for close in api.closing:
        await close()


@contextlib.contextmanager
def served(redis_url: str, kinds: Sequence[str] = KINDS, **more: Any) -> Iterator[tuple[Loop, list[Api]]]:
    """The API in each of `kinds`, each on a shard of its own with ROWS on the shelves."""
    loop = Loop()
    apis: list[Api] = []
    failures = _Failures(logging.ERROR)
    logging.getLogger().addHandler(failures)

    async def begin() -> None:
        client = wire.connect(redis_url)
        await client.flushall()
        await client.execute_command("FUNCTION", "FLUSH")
        for kind in kinds:
            await open_gate(client, Keys(kind))
            apis.append(await start(kind, redis_url, kind, **more))
            await apis[-1].store.openings.book([*ROWS, *PLENTY])
        await client.aclose()

    async def end() -> None:
        await asyncio.gather(*(stop(api) for api in apis))

    try:
        loop.run(begin())
        yield loop, apis
        assert not loop.errors, loop.errors
        assert not failures.told, failures.told
    finally:
        logging.getLogger().removeHandler(failures)
        loop.run(end())
        loop.close()


class _Failures(logging.Handler):
    """Keeps what is logged as an error: uvicorn tells so what nobody caught."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


# A client that sends bytes as they are


@dataclass
class Reply:
    """One answer, as a client sees it."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers if given == name), None)

    @property
    def essence(self) -> tuple[int, list[tuple[str, str]], str]:
        """Everything that two ways must have in common: all but the date, the request's id, and when a lock ends."""
        headers = sorted(
            (name, value) for name, value in self.headers if name not in {"date", "x-request-id"}
        )
        return self.status, headers, _TIMES.sub('"<time>"', self.body.decode())


_TIMES = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"')


class Replies:
    """Takes a stream of bytes apart into answers. `heads` says which of them answer HEAD."""

    def __init__(self) -> None:
        self.done: list[Reply] = []
        self._reply = Reply()
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._reply = Reply()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers.append((name.decode().lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._reply.body += body

    def on_message_complete(self) -> None:
        if self._reply.status != 100:
            self.done.append(self._reply)


class Wire:
    """A client's connection, blocking."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=REPLY_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = Replies()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def socket(self) -> socket.socket:
        return self._socket

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendall(piece)

    def replies(self, count: int) -> list[Reply]:
        """Wait for so many answers; fewer if the server closes."""
        while len(self._replies.done) < count:
            data = self._socket.recv(65_536)
            if not data:
                break
            self._replies.feed(data)
        found, self._replies.done = self._replies.done[:count], self._replies.done[count:]
        return found

    def rest(self) -> bytes:
        """Everything until the server closes."""
        whole = b""
        with contextlib.suppress(ConnectionResetError):
            while data := self._socket.recv(65_536):
                whole += data
        return whole

    def is_closed(self) -> bool:
        """Whether the server closes, rather than waits."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def request(
    method: str,
    target: str | bytes,
    body: bytes | None = None,
    headers: Sequence[tuple[str, str | bytes]] = (),
) -> bytes:
    """The bytes of a request; a body brings its Content-Length."""
    raw = target.encode() if isinstance(target, str) else target
    lines = [method.encode() + b" " + raw + b" HTTP/1.1", b"Host: shop"]
    for name, value in headers:
        lines.append(name.encode() + b": " + (value.encode() if isinstance(value, str) else value))
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


JSON = ("Content-Type", "application/json")


def post(target: str, body: bytes | str | None, *headers: tuple[str, str | bytes]) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    return request("POST", target, raw, [JSON, *headers])


def ask(port: int, raw: bytes) -> Reply:
    """One request on a connection of its own."""
    with Wire(port) as client:
        head = raw.startswith(b"HEAD ")
        client.send(raw if not head else raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        if not head:
            return client.replies(1)[0]
        return head_reply(client.rest())


def split_replies(raw: bytes, methods: Sequence[str] = ()) -> list[Reply]:
    """All answers in a stream; `methods` says which requests they answer (an answer to HEAD has no body)."""
    replies: list[Reply] = []
    while raw:
        head, mark, raw = raw.partition(b"\r\n\r\n")
        assert mark, f"half an answer: {head!r}"
        reply = head_reply(head + mark)
        method = methods[len(replies)] if len(replies) < len(methods) else "GET"
        length = (
            0 if method == "HEAD" or reply.status in {100, 304} else int(reply.header("content-length") or 0)
        )
        assert len(raw) >= length, f"half a body: {raw!r}"
        reply.body, raw = raw[:length], raw[length:]
        replies.append(reply)
    return replies


def head_reply(raw: bytes) -> Reply:
    """The answer to a HEAD: whatever follows the header is shown as its body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    return Reply(int(status.split()[1]), headers, body)
