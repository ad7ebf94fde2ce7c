"""Starts Redis for the fault run: does to its files what is asked first, and watches what reached the disk.

    python redis_life.py SERVER server.conf

`before-start` beside the configuration names what happens to the append-only file while Redis is dead: `delete`,
`chop BYTES` (its last bytes), or `power-cut` (each file is cut back to its length at its last fsync).
With FAULTS_WATCH_FSYNC set, Redis runs under ptrace, stopped at each fsync and fdatasync only (a seccomp filter
picks them), and the length of each file that was synced is kept in `synced`. It dies with its watcher.
With FAULTS_CLOCK it sees the time that the file of this name says, such as `+86400`.
Only the standard library: this runs by its path.
"""

import ctypes
import os
import platform
import shutil
import signal
import sys
from pathlib import Path

TRACEME, CONT, SYSCALL, SETOPTIONS = 0, 7, 24, 0x4200
SYSGOOD, FORK, VFORK, CLONE, SECCOMP, EXITKILL = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 7, 1 << 20
EVENT_SECCOMP = 7
NO_NEW_PRIVS, SET_SECCOMP, SET_PDEATHSIG, MODE_FILTER = 38, 22, 1, 2
ALLOW, TRACE = 0x7FFF0000, 0x7FF00000
WALL = 0x40000000
FSYNC_NUMBERS = {"x86_64": (74, 75), "aarch64": (82, 83)}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def can_watch() -> bool:
    """Whether this machine lets us see each fsync."""
    return sys.platform == "linux" and platform.machine() in FSYNC_NUMBERS


def fake_time() -> Path | None:
    """The library that shows a program another time, if this machine has it."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def main() -> None:
    server, conf = sys.argv[1:3]
    directory = Path(conf).parent
    prepare(directory)
    if "FAULTS_CLOCK" in os.environ:
        os.environ |= {
            "LD_PRELOAD": str(fake_time()),
            "FAKETIME_TIMESTAMP_FILE": os.environ["FAULTS_CLOCK"],
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    if os.environ.get("FAULTS_WATCH_FSYNC") and can_watch():
        sys.exit(watch([server, conf], directory))
    os.execv(server, [server, conf])  # noqa: S606 - it takes this process's place and number


# What happens while it is dead


def prepare(directory: Path) -> None:
    """Do what `before-start` asks, once."""
    order = directory / "before-start"
    if not order.exists():
        return
    what, *more = order.read_text().split()
    order.unlink()
    files = directory / "appendonlydir"
    if what == "delete":
        shutil.rmtree(files, ignore_errors=True)
    elif what == "chop":
        newest = max(files.glob("*.incr.aof"), key=lambda file: int(file.name.split(".")[-3]))
        os.truncate(newest, max(0, newest.stat().st_size - int(more[0])))
    elif what == "power-cut":
        cut(files, directory / "synced")


def cut(files: Path, synced: Path) -> None:
    """Cut each file back to what its last fsync covered."""
    lengths = {}
    for line in synced.read_text().splitlines():
        inode, length = line.split()
        lengths[int(inode)] = int(length)
    lost = 0
    for file in files.iterdir():
        known, there = lengths.get(file.stat().st_ino), file.stat().st_size
        if known is None and file.name.endswith(".incr.aof"):
            known = 0
        if known is not None and known < there:
            os.truncate(file, known)
            lost += there - known
    with (files.parent / "cuts").open("a") as told:
        told.write(f"{lost}\n")


# Watching


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filters", ctypes.POINTER(_Filter)))


def watch(argv: list[str], directory: Path) -> int:
    """Run `argv` and note what it syncs; return its exit code."""
    child = os.fork()
    if child == 0:
        _become(argv)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    os.waitpid(child, WALL)
    _ptrace(SETOPTIONS, child, SYSGOOD | FORK | VFORK | CLONE | SECCOMP | EXITKILL)
    notes = os.open(directory / "synced", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    for file in (directory / "appendonlydir").glob("*"):  # what an earlier life left is on the disk by now
        os.write(notes, b"%d %d\n" % (file.stat().st_ino, file.stat().st_size))
    _ptrace(CONT, child, 0)
    return _attend(child, notes)


def _become(argv: list[str]) -> None:
    """In the child: be traced, filter, and exec."""
    first, second = FSYNC_NUMBERS[platform.machine()]
    rules = (_Filter * 5)(
        _Filter(0x20, 0, 0, 0),  # load the number of the system call
        _Filter(0x15, 1, 0, first),
        _Filter(0x15, 0, 1, second),
        _Filter(0x06, 0, 0, TRACE),
        _Filter(0x06, 0, 0, ALLOW),
    )
    _libc.ptrace(TRACEME, 0, None, None)
    _libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    program = _Program(len(rules), rules)
    if _libc.prctl(SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        os._exit(97)
    os.execv(argv[0], argv)  # noqa: S606


def _attend(child: int, notes: int) -> int:
    """Let it run from stop to stop until it ends."""
    syncing: dict[int, bytes] = {}
    seen = {child}
    while True:
        pid, status = os.waitpid(-1, WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == child:
                return os.waitstatus_to_exitcode(status) & 0xFF
            continue
        number, event = os.WSTOPSIG(status), status >> 16
        if event == EVENT_SECCOMP:
            syncing[pid] = _length_of(pid)
            _ptrace(SYSCALL, pid, 0)  # to its end: only then is it on the disk
        elif number == signal.SIGTRAP | 0x80:
            os.write(notes, syncing.pop(pid, b""))
            _ptrace(CONT, pid, 0)
        elif event or number == signal.SIGTRAP or (number == signal.SIGSTOP and pid not in seen):
            _ptrace(CONT, pid, 0)
        else:
            _ptrace(CONT, pid, number)
        seen.add(pid)


def _length_of(pid: int) -> bytes:
    """`inode length` of the file that a stopped process is about to sync."""
    try:
        descriptor = int(Path(f"/proc/{pid}/syscall").read_text().split()[1], 16)
        file = Path(f"/proc/{pid}/fd/{descriptor}").stat()
    except (OSError, ValueError, IndexError):
        return b""
    return b"%d %d\n" % (file.st_ino, file.st_size)


def _ptrace(request: int, pid: int, data: int) -> None:
    _libc.ptrace(request, pid, None, data)


if __name__ == "__main__":
    main()
