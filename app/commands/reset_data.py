"""`sellable reset-data`: delete what `sellable up` has kept in a data directory, and nothing else."""

import contextlib
import shutil
import sys
from pathlib import Path

from app.commands.progress import say
from app.embedded.directory import DirectoryLock
from app.errors import ConfigurationError, SellableError

SERVERS = ("postgres", "redis")
SMALL_FILES = ("run.json", "filled", "members.json", "members.lock", "lock")
"""The locks last: until then nobody can start on what is half deleted."""


def reset_data(*, data_dir: Path, yes: bool) -> None:
    """Delete the data in `data_dir` after a question on the terminal, or with `yes` without one.

    Raises `ConfigurationError` if it holds none or is in use, and `SellableError` if the answer is no.
    """
    directory = data_dir.absolute()
    _check_ours(directory)
    lock = DirectoryLock(directory)
    lock.acquire(whose="a running `sellable up`")
    try:
        if not yes:
            _ask(directory)
        _delete(directory)
    finally:
        lock.release()
    with contextlib.suppress(OSError):
        directory.rmdir()
    left = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    kept = f"; it also holds, and keeps: {', '.join(left)}" if left else ""
    print(f"deleted the data in {directory}{kept}")


def _check_ours(directory: Path) -> None:
    """Refuse what `up` has not made: its two locks, and a server with a lock and a password of its own."""
    servers = [directory / name for name in SERVERS if _is_server(directory / name)]
    if not servers or not all((directory / name).is_file() for name in ("lock", "members.lock")):
        raise ConfigurationError(f"{directory} is no data directory of `sellable up`: nothing was deleted")


def _is_server(folder: Path) -> bool:
    return not folder.is_symlink() and all((folder / name).is_file() for name in ("lock", "password"))


def _ask(directory: Path) -> None:
    if not sys.stdin.isatty():
        raise SellableError(
            f"{directory} is deleted only after a question on a terminal, or with --yes (make reset-data CONFIRM=yes)"
        )
    say(f"This deletes every count, lock and event of {directory}. There is no way back. Type yes to go on:")
    if sys.stdin.readline().strip() != "yes":
        raise SellableError("nothing was deleted")


def _delete(directory: Path) -> None:
    for name in SERVERS:
        if _is_server(directory / name):
            shutil.rmtree(directory / name)
    logs = directory / "logs"
    if not logs.is_symlink():
        for log in (*logs.glob("*.log"), *logs.glob("*.log.old")):
            log.unlink()
        with contextlib.suppress(OSError):
            logs.rmdir()
    for name in SMALL_FILES:
        (directory / name).unlink(missing_ok=True)
