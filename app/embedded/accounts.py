"""Running as root: Postgres refuses to, so a service account takes its place, without more rights than it has."""

import os
import pwd
import shutil
import stat
from pathlib import Path

from app.embedded.places import can_pass, make_own, may, places_outside
from app.embedded.process import User
from app.errors import ConfigurationError

_CANDIDATES = ("postgres", "nobody")
_PROGRAMS = ("initdb", "postgres")


def service_user(data: Path) -> User | None:
    """The account to run Postgres as when we are root; None when we are not, and run it as ourselves.

    It is the owner of `data`, if an ordinary user made it. Raises `ConfigurationError` if this machine has none.
    """
    if os.geteuid() != 0:
        return None
    if owner := ordinary_owner(data):
        return owner
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ConfigurationError("Postgres cannot run as root, and there is no user `postgres` or `nobody` here")


def ordinary_owner(path: Path) -> User | None:
    """As root: the ordinary user whose `path` is, who shall have what is made in it, too; else None."""
    owner = _owner(path) if os.geteuid() == 0 else None
    return owner if owner is not None and owner.uid != 0 else None


def check_name() -> None:
    """Raise `ConfigurationError` if we have no name on this machine, which `initdb` asks for."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ConfigurationError(
            f"the user id {os.geteuid()} has no name on this machine, and Postgres needs one to make its data: "
            "run as a user of /etc/passwd, or set SELLABLE_DATABASE_URL"
        ) from None


def _owner(path: Path) -> User | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    try:
        name = pwd.getpwuid(state.st_uid).pw_name
    except KeyError:
        name = str(state.st_uid)
    return User(name=name, uid=state.st_uid, gid=state.st_gid)


def give(data: Path, user: User) -> None:
    """As root: make `data` and what is in it the user's, if it is root's because root has copied it."""
    owner = _owner(data)
    if owner is not None and owner.uid == 0:
        for path in (data, *data.rglob("*")):
            os.chown(path, user.uid, user.gid, follow_symlinks=False)


class Programs:
    """The programs of Postgres, where the service account can run them.

    `binaries` is the folder with them, `directory` the server's. If the account cannot reach them (an installation
    in root's home, or one made with a umask of 077), it is lent a copy elsewhere: no folder is opened for it.
    """

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._installed = binaries
        self._key = directory / "programs"
        self._lent: Path | None = None
        self.folder = binaries

    def make_reachable(self, user: User) -> None:
        """Lend a copy if one is needed. Raises `ConfigurationError` if there is no place for it."""
        if self._can_be_run_by(user):
            return
        for place in places_outside(self._key, user):
            if _runs_programs(place.parent) and make_own(place):
                self.folder = _copy(self._installed, place)
                self._lent = place
                return
        raise ConfigurationError(
            f"Postgres runs as the user {user.name}, which cannot reach {self._installed}, and there is no "
            "folder for temporary files to copy it to: run as an ordinary user, or install elsewhere"
        )

    def take_back(self) -> None:
        """Remove the copy."""
        if self._lent is not None:
            shutil.rmtree(self._lent, ignore_errors=True)
        self._lent, self.folder = None, self._installed

    def _can_be_run_by(self, user: User) -> bool:
        bits = stat.S_IROTH | stat.S_IXOTH
        return can_pass(user, self._installed) and all(
            may(user, self._installed / name, bits) for name in _PROGRAMS
        )


def _runs_programs(folder: Path) -> bool:
    return not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)


def _copy(binaries: Path, place: Path) -> Path:
    """Copy what a server needs, in the same arrangement, since each part finds the others by it."""
    installation = binaries.parent
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    copied = place / package.name / installation.name
    shutil.rmtree(place / package.name, ignore_errors=True)
    shutil.rmtree(place / libraries.name, ignore_errors=True)
    (copied / binaries.name).mkdir(parents=True)
    for name in _PROGRAMS:
        shutil.copyfile(binaries / name, copied / binaries.name / name)
    for source, target in (
        (installation / "lib" / "postgresql", copied / "lib" / "postgresql"),
        (installation / "share", copied / "share"),
        (libraries, place / libraries.name),
    ):
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile)
    _open_to_all(place)
    return copied / binaries.name


def _open_to_all(place: Path) -> None:
    """Let everybody read and run what is below `place`, whatever the umask is: it holds programs only."""
    place.chmod(0o711)
    for path in place.rglob("*"):
        path.chmod(0o755)
