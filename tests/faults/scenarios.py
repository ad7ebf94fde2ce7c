"""The table of fault rows: what happens, how often, in which house, and what it must come to."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.faults import (
    BrokenRebuild,
    ClockMoved,
    DiskFull,
    Failover,
    Fault,
    Flush,
    Kill,
    KillAt,
    Lagging,
    MemoryFull,
    Network,
    Poison,
    PostgresAway,
    Rebuild,
    RedisFiles,
    Stop,
    Together,
)
from tests.faults.house import Plan
from tests.faults.load import CLIENTS

BELOW_REPLICA = frozenset({"memory", "disk"})
BELOW_LEDGER = BELOW_REPLICA | {"replica"}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row.

    `times` and `lasts_seconds`: (full, short). `may_lose` are the levels below whose promise the fault lies: what
    they lose is counted, and is no failure. `ready_seconds_max` counts from the strike, the heal or the first refusal.
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
    from_refusal: bool = False
    """What is not ready counts from the first refusal: the fault takes its time to begin."""
    clients: int = CLIENTS
    commands_per_second: float = 300.0
    gap_seconds: tuple[float, float] = (0.2, 0.8)
    levels: tuple[tuple[str, float], ...] = (("ledger", 0.1),)
    """How many of the commands ask for a level of their own."""
    excused: str = ""
    """`verify` may find differences that name this."""
    settle_seconds: float = 120.0
    recover_seconds: float = 60.0
    calm_seconds: float = 1.0
    """For so long the load goes on after the last fault."""
    about: str = ""
    in_short: bool = True


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
        faults=lambda: [RedisFiles("power-cut"), Lagging(RedisFiles("power-cut"), 0.7)],
        times=(50, 6),
        plan=Plan(watch_fsync=True),
        ready_seconds_max=5.0,
        about="its files are cut back to their last fsync; at every other cut the worker stood still before, so that "
        "the last commands were nowhere else",
    ),
    Scenario(
        name="power cut of Redis (appendfsync everysec: must lose)",
        faults=lambda: [Lagging(RedisFiles("power-cut"), 0.7)],
        times=(4, 2),
        plan=Plan(watch_fsync=True, appendfsync="everysec"),
        may_lose=frozenset({"memory"}),
        must_lose=True,
        levels=(),
        about="shows that the run can see a loss: answers say `memory`",
    ),
]

POSTGRES = [
    Scenario(
        name="immediate stop of Postgres",
        faults=lambda: [
            Kill("postgres", signal.SIGQUIT),
            KillAt("postgres", signal.SIGQUIT, WORKER_POINTS[1:4]),
            Kill("postgres"),
        ],
        times=(20, 3),
        ready_seconds_max=0.0,
        levels=(),
        about="every third is a kill -9; every third strikes around a commit of the worker",
    ),
    Scenario(
        name="Postgres away for minutes",
        faults=lambda: [PostgresAway()],
        times=(1, 1),
        lasts_seconds=(300.0, 8.0),
        plan=Plan(own_postgres=True),
        ready_seconds_max=0.0,
        levels=(),
        settle_seconds=120.0,
        about="five minutes (8 s when short), under load; locks go on",
    ),
    Scenario(
        name="Postgres and Redis die together",
        faults=lambda: [Together((Kill("redis"), Kill("postgres", signal.SIGQUIT)))],
        times=(5, 1),
        about="the gate stays shut until Postgres is back",
        in_short=False,
    ),
]

MEMORY = [
    Scenario(
        name="FLUSHALL with 100,000 SKUs",
        faults=lambda: [Flush()],
        times=(2, 1),
        plan=Plan(skus=100_000),
        may_lose=BELOW_LEDGER,
        ready_seconds_max=15.0,
        gap_seconds=(1.5, 2.5),
        levels=(("ledger", 0.4),),
        about="a rebuild from the ledger; what had not reached it is lost below the level ledger",
    ),
    Scenario(
        name="FLUSHALL and FUNCTION FLUSH, the worker behind",
        faults=lambda: [Lagging(Flush(functions_too=True), 0.4)],
        times=(5, 2),
        may_lose=BELOW_LEDGER,
        ready_seconds_max=15.0,
        gap_seconds=(1.5, 2.5),
        levels=(("ledger", 0.3),),
        about="the worker stands still for 0.4 s before, so that something is lost for sure",
    ),
    Scenario(
        name="deleted AOF",
        faults=lambda: [Lagging(RedisFiles("delete"), 0.3)],
        times=(5, 1),
        may_lose=BELOW_LEDGER,
        ready_seconds_max=15.0,
        gap_seconds=(1.0, 2.0),
        levels=(("ledger", 0.3),),
        in_short=False,
    ),
    Scenario(
        name="truncated AOF",
        faults=lambda: [
            RedisFiles("chop 20000"),
            RedisFiles("chop 300"),
            Lagging(RedisFiles("chop 20000"), 0.3),
        ],
        times=(9, 3),
        may_lose=BELOW_LEDGER,
        ready_seconds_max=15.0,
        gap_seconds=(1.0, 2.0),
        levels=(("ledger", 0.3),),
        about="the last 20,000 or 300 bytes are gone: Redis comes back behind the ledger, or without its last command",
    ),
]

RECOVERY_POINTS = _each(
    "worker", "open:before", "open:after", "rebuild_begin:before", "rebuild_begin:after", "rebuild_stock:after",
    "rebuild_load:before", "rebuild_load:after",
)  # fmt: skip
RECOVERIES = [
    Scenario(
        name="kill -9 of the worker while it opens the gate",
        faults=lambda: [KillAt("worker", signal.SIGKILL, RECOVERY_POINTS[:2], cause=Kill("redis"))],
        times=(8, 2),
        ready_seconds_max=15.0,
        gap_seconds=(1.0, 2.0),
        in_short=False,
        about="Redis is killed, and the worker before or after it opens the new epoch",
    ),
    Scenario(
        name="kill -9 of the worker while it rebuilds",
        faults=lambda: [KillAt("worker", signal.SIGKILL, RECOVERY_POINTS, cause=Flush())],
        times=(14, 7),
        may_lose=BELOW_LEDGER,
        ready_seconds_max=15.0,
        gap_seconds=(1.0, 2.0),
        in_short=False,
        about="FLUSHALL, and the worker dies before or after a step of the rebuild",
    ),
    Scenario(
        name="kill -9 of the worker while it replays what Redis missed",
        faults=lambda: [
            KillAt(
                "worker", signal.SIGKILL, _each("worker", f"replay:{when}"), cause=RedisFiles("chop 20000")
            )
            for when in ("before", "after")
        ],
        times=(6, 2),
        may_lose=BELOW_LEDGER,
        ready_seconds_max=15.0,
        gap_seconds=(1.0, 2.0),
        in_short=False,
        about="the AOF is truncated, and the worker dies before or after a step of the replay",
    ),
]

REBUILD_POINTS = _each(
    "rebuild", "shut:before", "shut:after", "commit:before", "commit:after", "rebuild_begin:before",
    "rebuild_begin:after", "rebuild_clear:after", "rebuild_stock:after", "rebuild_load:after", "open:before",
    "open:after",
)  # fmt: skip
_FULL_LOAD = {"clients": 32, "commands_per_second": 10_000.0, "gap_seconds": (0.5, 1.0), "from_refusal": True}
_TWO_OF_EACH = Plan(apis=2, workers=2)
COMMANDS = [
    Scenario(
        name="sellable rebuild under full load",
        faults=lambda: [Rebuild(), Rebuild(at_once=2)],
        times=(10, 3),
        plan=_TWO_OF_EACH,
        levels=(("ledger", 0.3),),
        ready_seconds_max=10.0,
        about="two API processes, two workers, 32 clients that never pause; every other time two rebuilds at once. The "
        "time without locks grows with what was made since the start",
        **_FULL_LOAD,
    ),
    Scenario(
        name="sellable rebuild under full load (appendfsync everysec)",
        faults=lambda: [Rebuild()],
        times=(5, 1),
        plan=Plan(apis=2, workers=2, appendfsync="everysec"),
        levels=(("ledger", 0.3),),
        ready_seconds_max=10.0,
        about="the same with answers that say `memory`",
        in_short=False,
        **_FULL_LOAD,
    ),
    Scenario(
        name="kill -9 of sellable rebuild",
        faults=lambda: [BrokenRebuild(), BrokenRebuild(REBUILD_POINTS)],
        times=(22, 4),
        plan=_TWO_OF_EACH,
        levels=(("ledger", 0.3),),
        ready_seconds_max=15.0,
        about="the same load; half of them at random instants of its work, half before or after one of its steps: the "
        "next worker goes on",
        **_FULL_LOAD,
    ),
]

STOPS = [
    Scenario(
        name="SIGSTOP of each part for 5 s",
        faults=lambda: [Stop("api"), Stop("worker"), Stop("redis"), Stop("postgres")],
        times=(8, 4),
        lasts_seconds=(5.0, 4.0),
        from_heal=True,
        ready_seconds_max=5.0,
        gap_seconds=(1.0, 2.0),
        about="API, worker, Redis, Postgres, one after the other",
    ),
]

_PAIRS = ("api-redis", "worker-redis", "api-postgres", "worker-postgres")
NETWORK = [
    Scenario(
        name=f"network {how}",
        faults=lambda how=how: [Network(pair, how) for pair in _PAIRS],
        times=(8, 4),
        lasts_seconds=(5.0, 2.5),
        plan=Plan(own_postgres=True, own_redis=True),
        from_heal=True,
        ready_seconds_max=10.0,
        gap_seconds=(1.0, 1.5),
        about=f"{about}, between API or worker and Redis or Postgres, one pair after the other",
        in_short=how in {"cut", "deaf"},
    )
    for how, about in (
        ("cut", "connections break, and new ones are refused"),
        ("slow", "0.3 s each way"),
        ("silent", "half-open: what is sent vanishes both ways"),
        ("deaf", "half-open: requests arrive, answers vanish"),
    )
]

_PAIR = Plan(replica=True, own_postgres=True)
FAILOVERS = [
    Scenario(
        name="failover to a replica that is behind, and back",
        faults=lambda: [Lagging(Failover(behind_seconds=0.7), 0.5), Failover(behind_seconds=0.7)],
        times=(6, 2),
        plan=_PAIR,
        may_lose=BELOW_REPLICA,
        ready_seconds_max=10.0,
        gap_seconds=(2.0, 3.0),
        levels=(("ledger", 0.2), ("replica", 0.2)),
        about="a proxy drops what the replica should get in the last 0.7 s, and every other time the ledger is behind "
        "too; then it is promoted, and the old primary is its replica until the next failover leads back",
    ),
    Scenario(
        name="failover from a dead primary, and back",
        faults=lambda: [Failover(old="kill")],
        times=(4, 2),
        plan=_PAIR,
        may_lose=BELOW_REPLICA,
        ready_seconds_max=10.0,
        gap_seconds=(2.0, 3.0),
        levels=(("ledger", 0.2), ("replica", 0.2)),
        in_short=False,
    ),
    Scenario(
        name="old primary stopped, and resumed after the failover",
        faults=lambda: [Failover(old="stop")],
        times=(4, 1),
        lasts_seconds=(3.0, 3.0),
        plan=_PAIR,
        may_lose=BELOW_REPLICA,
        ready_seconds_max=10.0,
        from_heal=True,
        gap_seconds=(2.0, 3.0),
        levels=(("ledger", 0.2), ("replica", 0.2)),
        about="the API's connections to it stay; it goes on as primary for 2 s before somebody tells it otherwise",
    ),
]

LIMITS = [
    Scenario(
        name="disk full under Redis",
        faults=lambda: [DiskFull("redis")],
        times=(3, 1),
        lasts_seconds=(4.0, 3.0),
        plan=Plan(tmpfs=("redis", 32)),
        from_heal=True,
        ready_seconds_max=15.0,
        about="a 32 MiB disk, filled to its last byte",
    ),
    Scenario(
        name="disk full under Postgres",
        faults=lambda: [DiskFull("postgres")],
        times=(2, 1),
        lasts_seconds=(8.0, 4.0),
        plan=Plan(tmpfs=("postgres", 256)),
        ready_seconds_max=0.0,
        levels=(),
        settle_seconds=60.0,
        about="a 256 MiB disk, filled to its last byte; locks go on",
        in_short=False,
    ),
    Scenario(
        name="maxmemory reached",
        faults=lambda: [MemoryFull()],
        times=(3, 1),
        lasts_seconds=(4.0, 3.0),
        from_heal=True,
        ready_seconds_max=1.0,
    ),
    Scenario(
        name="clock a day ahead, and back",
        faults=lambda: [ClockMoved(86_400)],
        times=(2, 1),
        lasts_seconds=(5.0, 4.0),
        plan=Plan(fake_clock=True),
        calm_seconds=10.0,
        ready_seconds_max=10.0,
        about="Redis sees another time; no lock may be released by it",
    ),
    Scenario(
        name="clock a day behind, and back",
        faults=lambda: [ClockMoved(-86_400)],
        times=(2, 1),
        lasts_seconds=(5.0, 4.0),
        plan=Plan(fake_clock=True),
        calm_seconds=10.0,
        ready_seconds_max=1.0,
        in_short=False,
    ),
    Scenario(
        name="a poison event",
        faults=lambda: [Poison()],
        times=(3, 1),
        lasts_seconds=(1.0, 1.0),
        ready_seconds_max=0.0,
        excused="POISON",
        about="its SKU may be quarantined; the others' events go on",
    ),
]

TABLE: list[Scenario] = [
    *KILLS,
    *POSTGRES,
    *MEMORY,
    *RECOVERIES,
    *COMMANDS,
    *STOPS,
    *NETWORK,
    *FAILOVERS,
    *LIMITS,
]
