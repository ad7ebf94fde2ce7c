"""Become another program that dies with its parent: run as a script, in place of the program itself.

    python -I -S launch.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM [ARGUMENT…]

A step of its own, because between fork and exec a process with threads may do almost nothing safely.
UID and GID are `-` to stay who we are. The process id does not change: the program takes this one's place.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, uid: str, gid: str, argv: list[str]) -> None:
    """Reset signals, change the user, ask for the parent-death signal, and exec `argv`."""
    # Python ignores SIGPIPE, and an ignored signal stays ignored across exec.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    if uid != "-":
        os.setgroups([int(gid)])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        # After setuid, which clears it.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone already")
    os.execv(argv[0], argv)  # noqa: S606  (the point of this script)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
