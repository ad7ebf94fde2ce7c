"""Folders for what cannot be in the data directory: a socket with a long path, programs out of reach."""

import hashlib
import os
import secrets
import shutil
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from app.embedded.process import User
from app.errors import ConfigurationError

# A socket's path has to fit in 104 bytes (108 on Linux), of which its own name takes up to 15.
SOCKET_DIRECTORY_BYTES_MAX = 88


class SocketDirectory:
    """Where a server's socket is, for its owner alone: in the server's `directory`, or where paths are shorter."""

    def __init__(self, directory: Path) -> None:
        self._inside = directory / "socket"
        self.path = self._inside

    def make(self, user: User | None = None) -> None:
        """Make it, for `user` if the server runs as one. Raises `ConfigurationError` if there is no place."""
        for place in (self._inside, *places_outside(self._inside, user)):
            if _can_be_named(place) and make_own(place, user) and _takes_sockets(place):
                self.path = place
                return
        raise ConfigurationError(
            f"{self._inside} cannot hold a socket (its path is too long, or its file system has none), and there is "
            "no folder for temporary files that can: use a data directory elsewhere, or set TMPDIR"
        )

    def remove(self) -> None:
        """Remove it if it is elsewhere; what is in the data directory stays."""
        if self.path != self._inside:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path = self._inside


def places_outside(directory: Path, user: User | None) -> list[Path]:
    """Return folders that could stand in for `directory`, best first; none is made yet.

    The first are the same in each run; the others are for when somebody else has made what has those names.
    """
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    parents = [Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - what is made in them is ours alone
    with suppress(FileNotFoundError):
        parents.insert(0, Path(tempfile.gettempdir()))
    reached = [parent for parent in parents if parent.is_dir() and (user is None or can_pass(user, parent))]
    names = (f"sellable-{os.geteuid()}-{digest}", f"sellable-{os.geteuid()}-{secrets.token_hex(8)}")
    return [parent / name for name in names for parent in reached]


def make_own(place: Path, user: User | None = None) -> bool:
    """Make a folder with mode 0700 that belongs to whoever runs the server; False if that cannot be.

    Nothing is followed and nothing of anybody else's is taken: the folder above may be everybody's.
    """
    try:
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_uid not in {os.geteuid(), user.uid if user else os.geteuid()}:
            return False
        os.fchmod(descriptor, 0o700)
        if user:
            os.fchown(descriptor, user.uid, user.gid)
    finally:
        os.close(descriptor)
    return True


def can_pass(user: User, directory: Path) -> bool:
    """Whether `user` can pass through `directory` and every folder above it."""
    directory = directory.resolve()
    return all(may(user, place, stat.S_IXOTH) for place in (directory, *directory.parents))


def may(user: User, path: Path, bits: int) -> bool:
    """Whether `user` has these rights on `path`, given as the bits for others; only classic modes count."""
    state = path.stat()
    if state.st_uid == user.uid:
        return state.st_mode >> 6 & bits == bits
    if state.st_gid == user.gid:
        return state.st_mode >> 3 & bits == bits
    return state.st_mode & bits == bits


def _takes_sockets(place: Path) -> bool:
    """Whether a socket can be made here: shared folders of virtual machines and some network drives have none."""
    probe = place / ".probe"
    with socket.socket(socket.AF_UNIX) as candidate, suppress(OSError):
        probe.unlink(missing_ok=True)
        candidate.bind(os.fsencode(probe))
        probe.unlink()
        return True
    return False


def _can_be_named(place: Path) -> bool:
    """Whether a socket's address can hold it; a comma would part two hosts in a URL of Postgres."""
    return len(os.fsencode(place)) <= SOCKET_DIRECTORY_BYTES_MAX and "," not in str(place)
