"""The servers under test: our own processes and the rivals', on the embedded databases, each on its core."""

import asyncio
import contextlib
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import hiredis
import redis

from app.domain.commands import OpeningRow
from app.embedded import process
from app.embedded.directory import secret
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Program
from app.embedded.valkey import EmbeddedValkey
from app.hotstore.keys import Keys
from bench.functions import Functions, words_of
from bench.load import fresh_prefix
from bench.machine import Placement, on_cores

HERE = Path(__file__).parent.parent
START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.02
FILL_ROWS = 500
FILL_CALLS_IN_FLIGHT = 20
FORGET_KEYS = 5_000
DIRECT_CALLS = 1_000
ON_HAND = 900_000_000
"""So much of each SKU that no run sells out."""

# A rewrite of the append-only file in the middle of one contender's turn would be charged to it alone.
_VALKEY_CONFIG = {"auto-aof-rewrite-percentage": "0"}
_names = itertools.count(1)


class ServerFailedError(Exception):
    """A server of the bench did not start or ended; says what its log said last."""


@dataclass(frozen=True)
class Server:
    """A process that listens on `port` of 127.0.0.1."""

    name: str
    port: int
    pid: int


class Hall:
    """The servers of one family of cases: started as they are needed, all stopped at the end."""

    def __init__(self, place: Path, placement: Placement) -> None:
        self.place = place
        self.placement = placement
        self.logs = place / "logs"
        self.logs.mkdir(parents=True)
        self._postgres: EmbeddedPostgres | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def database(self) -> str:
        """An empty database of its own, as a URL; fsync is on, as in production."""
        if self._postgres is None:
            self._postgres = EmbeddedPostgres(self.place / "postgres", log=self.logs / "postgres.log")
            self._stack.callback(self._postgres.stop, immediate=True)
            with on_cores(self.placement.databases):
                self._postgres.start()
        name = f"bench_{next(_names)}"
        execute(self._postgres.url_of("postgres"), f"CREATE DATABASE {name}")
        return self._postgres.url_of(name)

    def store(self, appendfsync: str = "always") -> "Store":
        """A hot store with a ledger of its own: migrated, its gate open, no worker running."""
        place = self.place / f"redis-{next(_names)}"
        log = self.logs / f"{place.name}.log"
        valkey = EmbeddedValkey(place, port=0, appendfsync=appendfsync, config=_VALKEY_CONFIG, log=log)
        self._stack.callback(valkey.stop, immediate=True)
        with on_cores(self.placement.databases):
            valkey.start()
        store = Store(self, valkey, self.database())
        self._stack.callback(store.client.close)
        store.open()
        return store

    def serve(
        self, name: str, argv: Callable[[int], Sequence[str]], env: Mapping[str, str], *, probe: str
    ) -> Server:
        """Start an HTTP server on its core, and return when it answers `probe` with 200."""
        port = _free_port()
        child = self.start(name, argv(port), env, cores=self.placement.http)
        server = Server(name, port, child.pid)
        self.wait_for(child, lambda: _status(port, probe) == 200, name)
        return server

    def rival(self, app: str, env: Mapping[str, str], *, probe: str) -> Server:
        """Start a rival on uvicorn, with the faster of its loops and parsers and without logs."""

        def argv(port: int) -> Sequence[str]:
            options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"]
            return ["-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", *options]

        return self.serve(app.rpartition(":")[0].rpartition(".")[2], argv, env, probe=probe)

    def start(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], *, cores: tuple[int, ...]
    ) -> "subprocess.Popen[bytes]":
        """Start a Python process that dies with the bench; it is stopped with the hall at the latest."""
        program = Program(
            argv=[sys.executable, *argv],
            env={**_neutral_environment(), **env},
            log=self.logs / f"{name}-{next(_names)}.log",
            cwd=str(HERE),
            death_signal=signal.SIGKILL,
        )
        with on_cores(cores):
            child = process.spawn(program)
        self._stack.callback(process.halt, [child], process.GENTLE)
        return child

    def run(self, name: str, *argv: str, env: Mapping[str, str]) -> float:
        """Run a Python command to its end, and return the seconds it took; `ServerFailedError` unless it ends well."""
        started = time.perf_counter()
        child = self.start(name, argv, env, cores=self.placement.http)
        code = child.wait()
        if code != 0:
            raise ServerFailedError(f"{name} ended with code {code}: {self.last_words(name)}")
        return time.perf_counter() - started

    def wait_for(self, child: "subprocess.Popen[bytes]", ready: Callable[[], bool], name: str) -> None:
        """Wait until `ready`; `ServerFailedError` if the process ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not ready():
            if child.poll() is not None or time.monotonic() > deadline:
                raise ServerFailedError(f"{name} is not ready: {self.last_words(name)}")
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str) -> str:
        """The last line of the newest log of that name."""
        logs = sorted(self.logs.glob(f"{name}-*.log"), key=lambda log: log.stat().st_mtime)
        return process.last_line(logs[-1]) if logs else "it said nothing"


class Store:
    """A Valkey and a ledger, and our processes on them."""

    def __init__(self, hall: Hall, valkey: EmbeddedValkey, database_url: str) -> None:
        self._hall = hall
        self._keys = Keys()
        self._worker: subprocess.Popen[bytes] | None = None
        self.url = valkey.url
        self.port = valkey.port
        self.pid = valkey.pid or 0
        self.client = redis.Redis.from_url(valkey.url, decode_responses=True)
        password = secret(valkey.directory / "password")
        self.greeting: bytes = hiredis.pack_command(("AUTH", password))
        self.env = {"SELLABLE_REDIS_URL": valkey.url, "SELLABLE_DATABASE_URL": database_url}

    def open(self) -> None:
        """Migrate, and let a worker open the gate."""
        self._hall.run("migrate", "-m", "app", "migrate", env=self.env)
        self.start_worker()
        self.stop_worker()

    def start_worker(self, **settings: object) -> None:
        """Start the write-behind worker, and return when the gate is open."""
        env = {**self.env, **_as_environment(settings)}
        child = self._hall.start("worker", ["-m", "app", "worker"], env, cores=self._hall.placement.http)
        self._worker = child
        self._hall.wait_for(child, lambda: self.client.hget(self._keys.meta, "state") == "ready", "worker")

    def stop_worker(self) -> None:
        """Stop it: from now on the backlog grows."""
        if self._worker is not None:
            process.halt([self._worker], process.GENTLE)
            self._worker = None

    def api(self, **settings: object) -> Server:
        """Start one of our API processes with these settings (`near_cache_entries_max=0`)."""
        env = {**self.env, **_as_environment(settings)}
        return self._hall.serve(
            "api", lambda port: ["-m", "app", "serve", "--port", str(port)], env, probe="/readyz"
        )

    def functions(self) -> Functions:
        """Calls of our functions in the epoch that is open."""
        return Functions(str(self.client.hget(self._keys.meta, "epoch")))

    def fill(
        self,
        skus: Sequence[str],
        warehouses: Sequence[str] = ("north",),
        *,
        on_hand: int = ON_HAND,
        buffer: int | None = None,
    ) -> None:
        """Put stock of every SKU into every warehouse, past the API: this is not measured."""
        functions = self.functions()
        rows = (OpeningRow(sku, warehouse, on_hand, buffer) for sku in skus for warehouse in warehouses)
        while batch := [
            chunk for _ in range(FILL_CALLS_IN_FLIGHT) if (chunk := list(itertools.islice(rows, FILL_ROWS)))
        ]:
            pipe = self.client.pipeline(transaction=False)
            for chunk in batch:
                pipe.execute_command(*functions.opening(chunk))
            assert all(reply[0] in {"OPENED", "UNCHANGED"} for reply in pipe.execute())

    def lock_directly(self, skus: Sequence[str], count: int) -> str:
        """Make locks of one unit, many calls at once, straight through the function; return the last id."""
        functions = self.functions()
        requests = [functions.lock([sku]) for sku in skus]
        prefix, lock_id = fresh_prefix(), ""
        for first in range(0, count, DIRECT_CALLS):
            pipe = self.client.pipeline(transaction=False)
            for number in range(first, min(first + DIRECT_CALLS, count)):
                lock_id = f"{prefix}{number:012x}"
                pipe.execute_command(*words_of(requests[number % len(requests)], lock_id))
            refused = next((reply for reply in pipe.execute() if reply[0] != "LOCKED"), None)
            assert refused is None, f"a lock of the bench was refused: {refused}"
        return lock_id

    def mark_locked(self, skus: Sequence[str], warehouses: Sequence[str], count: int) -> None:
        """Write locked units that no lock holds: for measuring memory alone."""
        fields = {f"{warehouse}:l": count for warehouse in warehouses}
        for first in range(0, len(skus), DIRECT_CALLS):
            pipe = self.client.pipeline(transaction=False)
            for sku in skus[first : first + DIRECT_CALLS]:
                pipe.hset(self._keys.stock(sku), mapping=fields)
            pipe.execute()

    def forget_locks(self) -> None:
        """Drop all locks and events, so that no contender works in a fuller store. No worker can follow this."""
        pipe = self.client.pipeline(transaction=False)
        for count, key in enumerate(self.client.scan_iter(match="*lock:*", count=1000), start=1):
            pipe.unlink(key)
            if count % FORGET_KEYS == 0:
                pipe.execute()
        pipe.unlink(self._keys.due, "rival:outbox")
        pipe.execute()
        self.trim_outbox()

    def trim_outbox(self) -> None:
        """Drop all events but the last. No worker can follow this."""
        self.client.xtrim(self._keys.outbox, maxlen=1, approximate=False)

    def memory_bytes(self) -> int:
        """What the store's data takes now."""
        return int(self.client.info("memory")["used_memory"])

    def key_bytes(self, key: str) -> int:
        """What one key takes."""
        return int(self.client.memory_usage(key, samples=0) or 0)

    def positions(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The last event's position and the last persisted one's."""
        last, persisted = self.client.hmget(self._keys.meta, "last", "persisted")
        return position_of(last), position_of(persisted)


def position_of(text: str | None) -> tuple[int, int]:
    """`7-12` as (7, 12): positions compare by epoch, then by number."""
    epoch, _, number = (text or "0-0").partition("-")
    return int(epoch), int(number)


def skus(count: int) -> list[str]:
    """The codes of a catalogue."""
    return [f"SKU-{number:07d}" for number in range(count)]


def page_path(sku: str) -> str:
    """The path of a SKU's availability."""
    return f"/v1/availability/{sku}"


def execute(url: str, statement: str, *args: object) -> None:
    """Run one statement, or several without arguments, on a connection of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement, *args)
        finally:
            await connection.close()

    asyncio.run(run())


def _neutral_environment() -> dict[str, str]:
    """Ours, without settings that somebody left in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SELLABLE_", "PG"))}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(HERE)}


def _as_environment(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"SELLABLE_{name.upper()}": str(value) for name, value in settings.items()}


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def answer_of(port: int, path: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body that a GET gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.getheaders(), response.read()
    finally:
        connection.close()
