"""How much a run measures."""

from dataclasses import dataclass, replace

FAMILIES = {
    "a": "reads: bare ASGI",
    "b": "reads: FastAPI + redis-py",
    "c": "reads: ours",
    "d": "locks: FastAPI + redis-py + Lua",
    "e": "locks: FastAPI + Postgres row lock",
    "f": "locks: the function alone",
    "g": "locks: ours",
    "h": "write-behind",
    "i": "growth of the catalogue",
    "j": "memory",
    "k": "import",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The sizes of a run."""

    only: frozenset[str] = frozenset(FAMILIES)
    rounds: int = 5
    seconds: float = 4.0
    connections: int = 64
    placement: str = "shared"
    sweep: tuple[int, ...] = (1, 4, 16, 64, 256)
    sweep_seconds: float = 2.0
    read_catalogues: tuple[int, ...] = (1, 1_000, 100_000)
    growth_catalogues: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    backlog_seconds: float = 10.0
    backlog_events_min: int = 100_000
    lag_seconds: float = 60.0
    memory_count: int = 100_000
    import_rows: int = 200_000


def quick(options: Options) -> Options:
    """The same in little: shows that everything works, not how fast it is."""
    return replace(
        options,
        rounds=1,
        seconds=1.0,
        sweep=(1, 64),
        sweep_seconds=1.0,
        read_catalogues=(1, 1_000, 5_000),
        growth_catalogues=(1_000, 20_000),
        backlog_seconds=1.0,
        backlog_events_min=20_000,
        lag_seconds=3.0,
        memory_count=10_000,
        import_rows=50_000,
    )
