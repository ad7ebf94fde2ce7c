"""Child processes: started so that they die with us, known by more than a number, stopped step by step."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_LAUNCH = str(Path(__file__).with_name("launch.py"))
POLL_SECONDS = 0.02

_FATAL = re.compile(r"\b(?:FATAL|PANIC|initdb: error):\s+(.*\S)")

Ladder = tuple[tuple[signal.Signals, float], ...]
"""Signals to stop a process with, each with the seconds that it gets before the next."""

GENTLE: Ladder = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))


AWAKE_SECONDS_MAX = 1.0


class Patience:
    """A limit on waiting, to be looked at again and again.

    The time between two looks counts as a second at most: who was stopped meanwhile (SIGSTOP, Ctrl-Z) has not waited.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin anew."""
        self._waited = 0.0
        self._looked_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the limit has passed; this is a look."""
        now = time.monotonic()
        self._waited += min(now - self._looked_at, AWAKE_SECONDS_MAX)
        self._looked_at = now
        return self._waited > self._seconds


@dataclass(frozen=True)
class User:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: `argv[0]` is an absolute path; output goes to the end of `log`; `fds` stay open in it.

    `env` is the whole environment (None: ours). `death_signal` is what it gets when we die (Linux only).
    """

    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    user: User | None = None
    fds: tuple[int, ...] = ()
    stop: Ladder = GENTLE
    death_signal: signal.Signals = signal.SIGKILL
    stdin: bytes = field(default=b"", repr=False)


def spawn(
    program: Program, *, extra_fds: Iterable[int] = (), stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Start `program` in a session of its own, so that Ctrl-C reaches only us and we choose the order.

    Call it from the main thread: on Linux the death signal is tied to the thread that started the child.
    """
    user = program.user
    ids = [str(user.uid), str(user.gid)] if user else ["-", "-"]
    launcher = [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), str(int(program.death_signal)), *ids]
    with open_log(program.log) as log:
        return subprocess.Popen(
            [*launcher, *program.argv],
            stdin=subprocess.PIPE if program.stdin else subprocess.DEVNULL,
            stdout=log,
            stderr=log if stderr is None else stderr,
            env=None if program.env is None else dict(program.env),
            cwd=program.cwd,
            pass_fds=(*program.fds, *extra_fds),
            start_new_session=True,
        )


def open_log(path: Path) -> BinaryIO:
    """The log at `path`, to write at its end; readable by us alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def run_to_end(program: Program, *, limit_seconds: float) -> int:
    """Run `program` until it exits, and return its exit code; killed, and `TimeoutError`, after the limit."""
    child = spawn(program)
    try:
        child.communicate(program.stdin or None, timeout=limit_seconds)
    except subprocess.TimeoutExpired as late:
        raise TimeoutError(f"{Path(program.argv[0]).name} did not end within {limit_seconds:.0f} s") from late
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    return child.returncode


def halt(
    children: Sequence[subprocess.Popen[bytes]],
    ladder: Ladder,
    *,
    sleep: Callable[[float], None] = time.sleep,
    is_over: Callable[[signal.Signals], bool] = lambda _number: False,
) -> None:
    """Stop all `children` together, climbing the ladder until none is left; `is_over`: wait no longer on a rung."""
    for number, seconds in ladder:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)
        deadline = time.monotonic() + seconds
        while any(child.poll() is None for child in children) and time.monotonic() < deadline:
            if is_over(number):
                break
            sleep(POLL_SECONDS)


def identity(pid: int) -> str | None:
    """What tells this process from a later one of the same number: its start time. None: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _identity_by_ps(pid)
    except OSError:
        return None
    # The name, in parentheses, may hold anything; what follows are fields 3 (state), 4, … 22 (start time).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _identity_by_ps(pid: int) -> str | None:
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def reason(log: Path, *, since: int = 0) -> str:
    """Why a program ended: what Postgres calls fatal, else the last line that it wrote; empty if there is none.

    Postgres explains itself after the fatal line: a hint, a context, that it is shut down.
    """
    fatal = _FATAL.findall(text_since(log, since))
    return fatal[-1] if fatal else last_line(log, since=since)


def last_line(log: Path, *, since: int = 0) -> str:
    """The last line of a log that says something, looking at bytes from `since`; empty if there is none."""
    lines = [line.strip() for line in text_since(log, since).splitlines()]
    return next((line for line in reversed(lines) if line), "")


def text_since(log: Path, offset: int) -> str:
    """What was written to `log` from byte `offset` on, its last 64 KiB at most."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(offset, end - 65_536))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def size(path: Path) -> int:
    """Bytes in the file at `path`; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
