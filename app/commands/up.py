"""`sellable up`: everything in one command, on the embedded servers unless others are named."""

import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.api.api_keys import SECRET_CHARS_MIN, keys_of
from app.commands.address import check_host, is_loopback, refuse_address, resolve
from app.commands.greeting import Greeting
from app.commands.progress import say, show
from app.commands.settings import refuse_unusable
from app.embedded import process
from app.embedded.directory import DirectoryLock, make_private, write_private
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Program
from app.embedded.roles import CLERK, OWNER, WRITER
from app.embedded.server import EmbeddedServer
from app.embedded.supervisor import Member, StopRequested, Supervisor, member_of
from app.embedded.valkey import EmbeddedValkey
from app.environment import for_own_process
from app.errors import ConfigurationError, UnavailableError
from app.settings import Settings, read_settings

READY_LIMIT_SECONDS = 120.0
MIGRATE_LIMIT_SECONDS = 600.0
DEMO_LIMIT_SECONDS = 600.0
DEMO = "demo"
PROBE_TIMEOUT_SECONDS = 1.0
BACKLOG = 2048
PORT_MAX = 65_535
# By its path, and never with the current directory to import from: that may hold another `app`.
_OWN_COMMAND = (sys.executable, "-P", str(Path(__file__).parents[1] / "__main__.py"))


def up(*, host: str, port: int, data_dir: Path, workers: int, demo: bool) -> None:
    """Start everything, and stop it all at Ctrl-C; raise `SellableError` if something cannot be started."""
    settings = read_settings()
    refuse_unusable(settings)
    has_keys = _check_keys(host, settings)
    os.umask(os.umask(0o022) | 0o022)  # what we make is never anybody's to write
    with _everything(data_dir.absolute(), host, port, settings) as service:
        service.run(workers=workers, demo=demo, has_keys=has_keys)


def _check_keys(host: str, settings: Settings) -> bool:
    """Refuse keys that cannot be read, and an address that needs others; return whether there are keys.

    Each API process does so again.
    """
    keys = keys_of(settings, secret_chars_min=1 if is_loopback(host) else SECRET_CHARS_MIN)
    check_host(host, has_keys=bool(keys))
    return bool(keys)


@contextlib.contextmanager
def _everything(data_dir: Path, host: str, port: int, settings: Settings) -> Iterator["_Service"]:
    """Hold the data directory and the port, and leave nothing running whatever happens."""
    with contextlib.ExitStack() as stack:
        lock = DirectoryLock(data_dir)
        stack.callback(lock.release)
        lock.acquire(whose="another `sellable up`")
        run_json = data_dir / "run.json"
        run_json.unlink(missing_ok=True)
        stack.callback(run_json.unlink, missing_ok=True)
        listener = stack.enter_context(_listen(host, port))
        logs = _fresh_logs(data_dir / "logs")
        external = _external(settings)
        servers = _servers(data_dir, logs, external)
        for server in servers.values():
            stack.callback(server.close)
        service = _Service(data_dir, logs, listener, servers, external)
        service.supervisor = stack.enter_context(Supervisor(lock, on_restart=service.write_run_json))
        yield service


class _Service:
    """One run of `up`, from the first server to the wait for Ctrl-C."""

    supervisor: Supervisor

    def __init__(
        self,
        data_dir: Path,
        logs: Path,
        listener: socket.socket,
        servers: dict[str, EmbeddedServer],
        external: dict[str, str],
    ) -> None:
        self._logs = logs
        self._listener = listener
        self._servers = servers
        self._external = external
        self._url = _url_of(listener)
        self._run_json = data_dir / "run.json"
        self._filled = data_dir / "filled"
        self._complete = False

    def run(self, *, workers: int, demo: bool, has_keys: bool) -> None:
        """Start everything, say so, and keep it running until a signal comes."""
        with contextlib.suppress(StopRequested):
            self._start(workers)
            self._complete = True
            self.write_run_json()
            has_demo = self._fill(demo=demo)
            greeting = Greeting(self._url, self._run_json.parent, has_keys=has_keys, external=self._external)
            _tell(greeting.text(has_demo=has_demo))
            self.supervisor.watch()
        _tell("Stopping …")

    def write_run_json(self) -> None:
        """Say where everything is: not before all of it is ready."""
        if self._complete:
            write_private(self._run_json, json.dumps(self._whereabouts(), indent=2) + "\n")

    def _start(self, workers: int) -> None:
        self.supervisor.prepare(*self._servers.values())
        self.supervisor.start(*(member_of(server) for server in self._servers.values()))
        self._make_roles()
        self._migrate()
        worker = self._own("worker", "worker", ledger_role=WRITER)
        self.supervisor.start(Member(name="worker", role="worker", program=worker))
        fd = self._listener.fileno()
        serve = ("serve", "--fd", str(fd))
        names = ["api"] if workers == 1 else [f"api-{number}" for number in range(1, workers + 1)]
        self.supervisor.start(
            *(
                Member(name=name, role="api", program=self._own(name, *serve, ledger_role=CLERK, fds=(fd,)))
                for name in names
            )
        )
        self._wait_until_ready()

    def _own(self, log: str, *arguments: str, ledger_role: str, fds: tuple[int, ...] = ()) -> Program:
        """One of our own commands, told by its environment where everything is; of our own ledger it is this user."""
        environment = {
            **for_own_process(),
            "SELLABLE_API_URL": self._url,
            "SELLABLE_REDIS_URL": self._url_of("redis"),
            "SELLABLE_DATABASE_URL": self._ledger_url(ledger_role),
        }
        argv = [*_OWN_COMMAND, *arguments]
        return Program(argv=argv, env=environment, log=self._logs / f"{log}.log", fds=fds)

    def _url_of(self, role: str) -> str:
        return self._external[role] if role in self._external else self._servers[role].url

    def _ledger_url(self, role: str) -> str:
        """The ledger's URL for a process of ours; users of a Postgres of somebody else's are theirs to choose."""
        server = self._servers.get("postgres")
        return server.url_as(role) if isinstance(server, EmbeddedPostgres) else self._external["postgres"]

    def _make_roles(self) -> None:
        server = self._servers.get("postgres")
        if isinstance(server, EmbeddedPostgres):
            server.make_roles()

    def _migrate(self) -> None:
        self._once("migrate", ledger_role=OWNER, limit_seconds=MIGRATE_LIMIT_SECONDS)

    def _fill(self, *, demo: bool) -> bool:
        """Fill a new data directory, never servers of somebody else's; whether the demo catalogue is there."""
        if self._filled.exists():
            with_what = self._filled.read_text(encoding="utf-8").strip()
            return with_what == DEMO or (demo and not with_what)  # older versions wrote nothing into it
        if demo and not self._external:
            _tell("Filling the demo catalogue …")
            try:
                self._once("demo", ledger_role=WRITER, limit_seconds=DEMO_LIMIT_SECONDS)
            except UnavailableError as error:
                say(f"sellable: {error}; the service runs without it")
                return False
        filled = demo and not self._external
        write_private(self._filled, f"{DEMO if filled else 'nothing'}\n")
        return filled

    def _once(self, command: str, *, ledger_role: str, limit_seconds: float) -> None:
        program = self._own(command, command, ledger_role=ledger_role)
        with tempfile.TemporaryFile(dir=self._logs) as errors:
            code = self.supervisor.run(command, program, limit_seconds=limit_seconds, stderr=errors.fileno())
            errors.seek(0)
            said = errors.read()
        with process.open_log(program.log) as log:
            log.write(said)
        if code != 0:
            reason = process.last_line(program.log) or "it said nothing"
            raise UnavailableError(
                f"`sellable {command}` ended with code {code}: {reason} (log: {program.log})"
            )

    def _wait_until_ready(self) -> None:
        patience = process.Patience(READY_LIMIT_SECONDS)
        probe = _Probe(_where(self._listener), "/readyz")

        def ready() -> bool:
            if probe.status() == 200:
                return True
            self.supervisor.refuse_failing()
            if patience.is_over:
                limit = f"{READY_LIMIT_SECONDS:.0f} s"
                raise UnavailableError(
                    f"the API was not ready after {limit}: {probe.answer} (logs: {self._logs})"
                )
            return False

        with contextlib.closing(probe):
            self.supervisor.wait_until(ready)

    def _whereabouts(self) -> dict[str, Any]:
        def only(role: str) -> int | None:
            return next(iter(self.supervisor.pids(role)), None)

        return {
            "api": self._url,
            "redis": self._url_of("redis"),
            "database": self._url_of("postgres"),
            "pids": {
                "supervisor": os.getpid(),
                "api": self.supervisor.pids("api"),
                "worker": self.supervisor.pids("worker"),
                "redis": only("redis"),
                "postgres": only("postgres"),
            },
        }


def _tell(text: str) -> None:
    show(text, sys.stdout)


def _listen(host: str, port: int) -> socket.socket:
    """The socket that all API processes share: ours, so that it stays open while one is started again."""
    if not 0 <= port <= PORT_MAX:  # the resolver would take the rest of a division
        raise ConfigurationError(f"there is no port {port}: it is a number up to {PORT_MAX}")
    family, _, _, _, address = resolve(host, port)[0]
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise refuse_address(host, port, error) from error


def _url_of(listener: socket.socket) -> str:
    host, port = _where(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _where(listener: socket.socket) -> tuple[str, int]:
    """Host and port to connect to; one that means "every address" becomes loopback."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104


class _Probe:
    """A GET that never waits: ask `status` again and again; after each answer comes a new request.

    One connection waits in the listener's queue however long the API takes to come: many would fill it.
    """

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self._address = address
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        self._connection: socket.socket | None = None
        self._received = b""
        self.answer = "no answer"

    def status(self) -> int:
        """The status of an answer that is complete by now; 0: none yet."""
        try:
            if not self._ended():
                return 0
        except OSError as error:
            self.answer = str(error)
            self.close()
            return 0
        head, _, body = self._received.partition(b"\r\n\r\n")
        words = head.split(None, 2)
        self.close()
        if len(words) < 2 or not words[1].isdigit():
            return 0
        self.answer = f"{words[1].decode()} {body[:200].decode('utf-8', 'replace')}"
        return int(words[1])

    def close(self) -> None:
        """Forget the request that is under way."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._received = b""

    def _ended(self) -> bool:
        if self._connection is None:
            self._connection = socket.create_connection(self._address, timeout=PROBE_TIMEOUT_SECONDS)
            self._connection.sendall(self._request)
            self._connection.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        try:
            more = self._connection.recv(65_536)
        except BlockingIOError:
            return False
        self._received += more
        return not more


def _external(settings: Settings) -> dict[str, str]:
    """The URLs of the servers that the settings name: they are somebody else's to run."""
    urls = {"redis": settings.redis_url.strip(), "postgres": settings.database_url.strip()}
    return {role: url for role, url in urls.items() if url}


def _servers(data_dir: Path, logs: Path, external: dict[str, str]) -> dict[str, EmbeddedServer]:
    """The embedded servers to start, in this order: those that are nobody else's."""
    servers: dict[str, EmbeddedServer] = {}
    if "postgres" not in external:
        servers["postgres"] = EmbeddedPostgres(data_dir / "postgres", log=logs / "postgres.log")
    if "redis" not in external:
        servers["redis"] = EmbeddedValkey(data_dir / "redis", log=logs / "redis.log")
    return servers


def _fresh_logs(logs: Path) -> Path:
    """The folder for logs, with the last run's moved to `.old`: so at most two runs are kept."""
    make_private(logs)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.old"))
    return logs
