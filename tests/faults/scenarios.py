"""The table of fault rows: what happens, how often, in which house, and what it must come to."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.faults import ROLES, Fault, Flush, Kill, KillAt, Network, PostgresAway, RedisFiles, Stop
from tests.faults.house import Plan

MEMORY_ONLY = frozenset({"memory", "disk"})


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row.

    `times` and `lasts_seconds`: (full, short). `may_lose` are the levels below whose promise the fault lies: what
    they lose is counted, and is no failure. `ready_seconds_max` counts from the strike, or from the heal.
    """

    name: str
    faults: Callable[[], list[Fault]]
    times: tuple[int, int]
    lasts_seconds: tuple[float, float] = (0.0, 0.0)
    plan: Plan = field(default_factory=Plan)
    may_lose: frozenset[str] = frozenset()
    must_lose: bool = False
    ready_seconds_max: float | None = None
    from_heal: bool = False
    gap_seconds: tuple[float, float] = (0.2, 0.8)
    ledger_share: float = 0.1
    settle_seconds: float = 60.0
    recover_seconds: float = 60.0
    about: str = ""


def _each(role: str, *points: str) -> tuple[tuple[str, str], ...]:
    return tuple((role, point) for point in points)


WORKER_POINTS = _each(
    "worker", "xread:after", "commit:before", "commit:after", "trim:before", "trim:after", "expire:before",
    "expire:after",
)  # fmt: skip
API_POINTS = _each(
    "serve",
    *(
        f"{function}:{when}"
        for function in ("lock", "unlock", "deduct", "confirm", "return", "replace")
        for when in ("before", "after")
    ),
)

KILLS = [
    Scenario(
        name="kill -9 of an API process (of two)",
        faults=lambda: [Kill("api"), KillAt("api", signal.SIGKILL, API_POINTS)],
        times=(50, 6),
        plan=Plan(apis=2),
        about="half of them at random instants, half before or after a call to Redis",
    ),
    Scenario(
        name="kill -9 of the worker",
        faults=lambda: [Kill("worker"), KillAt("worker", signal.SIGKILL, WORKER_POINTS)],
        times=(50, 8),
        ready_seconds_max=0.0,
        about="half of them at random instants, half around read, commit, trim and expiry",
    ),
    Scenario(
        name="kill -9 of Redis",
        faults=lambda: [Kill("redis"), KillAt("redis", signal.SIGKILL, WORKER_POINTS + API_POINTS)],
        times=(50, 6),
        ready_seconds_max=5.0,
        about="half of them at random instants, half around a call of the API or the worker",
    ),
    Scenario(
        name="power cut of Redis (appendfsync always)",
        faults=lambda: [RedisFiles("power-cut"), RedisFiles("power-cut", lag_seconds=0.7)],
        times=(50, 6),
        plan=Plan(watch_fsync=True),
        ready_seconds_max=5.0,
        about="its files are cut back to their last fsync; at every other cut the worker stood still before, so that "
        "the last commands were nowhere else",
    ),
    Scenario(
        name="power cut of Redis (appendfsync everysec: must lose)",
        faults=lambda: [RedisFiles("power-cut", lag_seconds=0.7)],
        times=(4, 2),
        plan=Plan(watch_fsync=True, appendfsync="everysec"),
        may_lose=frozenset({"memory"}),
        must_lose=True,
        ledger_share=0.0,
        about="shows that the run can see a loss: answers say `memory`",
    ),
]

TABLE: list[Scenario] = KILLS
__all__ = ["MEMORY_ONLY", "ROLES", "TABLE", "Flush", "Network", "PostgresAway", "Scenario", "Stop"]
