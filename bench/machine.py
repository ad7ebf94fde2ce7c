"""The machine under the bench: what it is, and which core runs what."""

import contextlib
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "uvicorn",
    "uvloop",
    "httptools",
    "hiredis",
    "redis",
    "fastapi",
    "pydantic",
    "msgspec",
    "asyncpg",
)


@dataclass(frozen=True)
class Placement:
    """Which cores run the HTTP server under test, the databases, and the load. Empty: the kernel decides."""

    name: str
    http: tuple[int, ...]
    databases: tuple[int, ...]
    load: tuple[int, ...]

    def explain(self) -> str:
        """One sentence for the report."""
        if not self.http:
            return "nothing is pinned: this system has one core, or none that can be named"
        return (
            f"HTTP server on core {_listed(self.http)}, Redis and Postgres on {_listed(self.databases)}, "
            f"load on {_listed(self.load)}; the same for every rival"
        )


def placement(name: str) -> Placement:
    """`shared`: the load shares its core with the databases; `apart`: with the HTTP server; `free`: no pins.

    Two cores have to carry three parties, so one core carries two of them. In `shared` the HTTP server has
    its core to itself, as wherever the load comes from other machines.
    """
    cores = usable_cores()
    if name == "free" or len(cores) < 2:
        return Placement("free", (), (), ())
    first, second = cores[:1], cores[1:2]
    return Placement(name, first, second, second if name == "shared" else first)


def usable_cores() -> tuple[int, ...]:
    """The cores this process may use; empty where the system can't say (macOS)."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


@contextlib.contextmanager
def on_cores(cores: tuple[int, ...]) -> Iterator[None]:
    """Within, whatever is started stays on `cores` for its life: children inherit the mask from their birth."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """The CPU time a process has taken so far; 0 where the system doesn't tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    # The name, in parentheses, may hold anything; utime and stime are the 14th and 15th field.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_children() -> float:
    """The CPU time of all children that ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def describe(place: Path) -> dict[str, Any]:
    """What a reader needs to judge the figures; `place` is where the databases write."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(usable_cores()) or os.cpu_count(),
        "memory_gib": _memory_gib(),
        "data_on": _filesystem(place),
        "load_average_at_start": _load_average(),
        "python": sys.version.split()[0],
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "commit": _commit(),
        "wrk": shutil.which("wrk") is not None,
    }


def _listed(cores: tuple[int, ...]) -> str:
    return ",".join(map(str, cores))


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _load_average() -> float:
    return round(os.getloadavg()[0], 2)


def _filesystem(place: Path) -> str:
    """The kind of file system: an fsync on tmpfs costs nothing, and says so here."""
    best, kind = "", "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, mount, this_kind, *_ = line.split()
            if place.resolve().is_relative_to(mount) and len(mount) >= len(best):
                best, kind = mount, this_kind
    return kind


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    here = Path(__file__).parent
    asked = subprocess.run(
        [git, "-C", str(here), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()
