"""Who holds the recovery lease: a name that tells of another process on this machine whether it still runs.

A worker that was killed while it recovered leaves its lease behind. Its successor on the same machine need not wait
until that is over. Of a process elsewhere nothing is known, so its lease is waited for.
"""

import os
import socket
from pathlib import Path

_GONE = frozenset({"Z", "X"})


def name_of_this() -> str:
    """Return machine, process and start: no two processes ever have the same, and none has it again."""
    pid = os.getpid()
    return f"{_machine()} {pid} {_started(pid) or 0}"


def is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine that has ended; False if nobody can say."""
    machine, _, process = holder.partition(" ")
    pid, _, started = process.partition(" ")
    if machine != _machine() or not pid.isdigit() or not started.isdigit() or started == "0":
        return False
    return _started(int(pid)) != int(started)


def _machine() -> str:
    """Host, boot and namespace of process numbers: the same number means the same process only within them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> int | None:
    """Return when a process was started, in ticks since boot; None if there is none, or it only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in _GONE else int(fields[19])
