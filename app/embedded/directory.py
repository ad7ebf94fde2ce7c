"""A directory that one owner holds at a time, and the small private files in it."""

import fcntl
import json
import os
import secrets
import signal
import tempfile
import time
from pathlib import Path

from app.embedded import process
from app.errors import ConfigurationError

ORPHAN_LIMIT_SECONDS = 15.0
OWNER_LIMIT_SECONDS = 1.0
"""How long a lock may be held by somebody who only looked whether it is."""


def make_private(directory: Path) -> None:
    """Make `directory` (and its parents) if it is missing, open to us alone.

    Raises `ConfigurationError` if that cannot be done or nothing can be written in it.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor, probe = tempfile.mkstemp(prefix=".probe-", dir=directory)
    except OSError as error:
        raise ConfigurationError(_why_not_written(directory, error)) from error
    os.close(descriptor)
    Path(probe).unlink()


def _why_not_written(directory: Path, error: OSError) -> str:
    """Say what is in the way, and what to do."""
    said = f"the data directory {directory} cannot be written: {error.strerror}"
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return f"{said}: it, or a part of its path, is no directory; name one with --data-dir"
    if isinstance(error, PermissionError):
        return f"{said}: name another with --data-dir, or run as its owner"
    return f"{said}: name another with --data-dir"


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path`, readable by us alone, all of it or nothing."""
    # mkstemp makes the file 0600.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def secret(path: Path) -> str:
    """The password kept at `path`, made up at the first call: letters and digits, 160 bits."""
    try:
        kept = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        kept = ""
    if not kept:
        kept = secrets.token_hex(20)
        write_private(path, kept + "\n")
    return kept


class DirectoryLock:
    """Two locks on one directory.

    `lock` is the owner's alone. `members.lock` is inherited by every process that the owner starts, so that
    it stays held while any of them lives: the next owner can tell that some outlived the last one.
    `members.json` says who they are, with their start times, since a number alone may be another's by now.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._owner = -1
        self._members = -1

    @property
    def fd(self) -> int:
        """The descriptor that every child has to inherit."""
        return self._members

    @property
    def held(self) -> bool:
        """Whether we hold it."""
        return self._owner >= 0

    def acquire(self, *, whose: str = "another process") -> None:
        """Take both locks, stopping what the last owner left running.

        Raises `ConfigurationError` if the directory has an owner already, or a process in it won't stop.
        """
        make_private(self.directory)
        try:
            self._acquire(whose)
        except OSError as error:
            self.release()
            raise ConfigurationError(_why_not_written(self.directory, error)) from error
        except BaseException:
            self.release()
            raise

    def _acquire(self, whose: str) -> None:
        self._owner = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        is_ours = _lock_within(self._owner, OWNER_LIMIT_SECONDS)
        # One that was deleted meanwhile is no lock any more: others make another.
        if not is_ours or not _is_same(self._owner, self.directory / "lock"):
            raise ConfigurationError(f"the data directory {self.directory} is in use by {whose} already")
        self._members = os.open(self.directory / "members.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(self._members) and not self._evict():
            left = ", ".join(str(pid) for pid in self._recorded()) or "unknown"
            raise ConfigurationError(
                f"the data directory {self.directory} is still used by processes of an earlier run "
                f"(process ids: {left}): stop them first"
            )

    def record(self, pids: dict[int, signal.Signals]) -> None:
        """Remember the members and the signal that each stops at, for the next owner."""
        known = [[pid, process.identity(pid), int(number)] for pid, number in pids.items()]
        write_private(self.directory / "members.json", json.dumps(known))

    def release(self) -> None:
        """Give both locks back; children that still live keep theirs."""
        for descriptor in (self._members, self._owner):
            if descriptor >= 0:
                os.close(descriptor)
        self._owner = self._members = -1

    def _evict(self) -> bool:
        """Stop what the last owner left; True once the members' lock is ours. Bound: 15 s."""
        start = time.monotonic()
        for pid, number in self._recorded().items():
            _signal(pid, number)
        killed = False
        while not _try_lock(self._members):
            waited = time.monotonic() - start
            if waited > ORPHAN_LIMIT_SECONDS:
                return False
            if waited > ORPHAN_LIMIT_SECONDS * 2 / 3 and not killed:
                killed = True
                for pid in self._recorded():
                    _signal(pid, signal.SIGKILL)
            time.sleep(process.POLL_SECONDS)
        return True

    def _recorded(self) -> dict[int, int]:
        """Members of the last owner that are alive, by process id, with the signal that each stops at."""
        try:
            known = json.loads((self.directory / "members.json").read_text(encoding="utf-8"))
            return {
                int(pid): int(number)
                for pid, born, number in known
                if born is not None and process.identity(int(pid)) == born
            }
        except (OSError, ValueError, TypeError):  # not there, or not as we wrote it
            return {}


def has_owner(directory: Path, *, unsure: bool = True) -> bool:
    """Whether a process holds the directory's `lock`; `unsure` where that cannot be found out."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return unsure
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return unsure
    finally:
        os.close(descriptor)
    return False


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock_within(descriptor: int, limit_seconds: float) -> bool:
    deadline = time.monotonic() + limit_seconds
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(process.POLL_SECONDS)
    return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
