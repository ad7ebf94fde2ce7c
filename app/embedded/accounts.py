"""Running as root: Postgres refuses to, so a service account takes its place, with little opened for it."""

import logging
import os
import pwd
import stat
from pathlib import Path

from app.embedded.process import User
from app.errors import ConfigurationError

_log = logging.getLogger(__name__)
_CANDIDATES = ("postgres", "nobody")


def service_user() -> User | None:
    """The account to run Postgres as when we are root; None when we are not, and run it as ourselves.

    Raises `ConfigurationError` if this machine has none.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ConfigurationError("Postgres cannot run as root, and there is no user `postgres` or `nobody` here")


def let_through(user: User, directory: Path) -> None:
    """Let `user` pass through `directory` and its ancestors: o+x where it is missing, and nothing more.

    What was changed is logged as a warning. Raises `ConfigurationError` if it cannot be changed.
    """
    directory = directory.resolve()
    for place in (*reversed(directory.parents), directory):
        if not may(user, place, stat.S_IXOTH):
            _open(user, place)


def _open(user: User, place: Path) -> None:
    try:
        place.chmod(stat.S_IMODE(place.stat().st_mode) | stat.S_IXOTH)
    except OSError as error:
        raise ConfigurationError(
            f"Postgres runs as the user {user.name}, which cannot pass through {place} ({error.strerror}): "
            "use a data directory elsewhere, or run as an ordinary user"
        ) from error
    _log.warning("Postgres runs as the user %s: made %s passable for others (chmod o+x)", user.name, place)


def may(user: User, path: Path, bits: int) -> bool:
    """Whether `user` has these rights on `path`, given as the bits for others; only classic modes count."""
    state = path.stat()
    if state.st_uid == user.uid:
        return state.st_mode >> 6 & bits == bits
    if state.st_gid == user.gid:
        return state.st_mode >> 3 & bits == bits
    return state.st_mode & bits == bits
