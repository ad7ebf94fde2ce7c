"""(i): the same work in catalogues of different sizes: cost must not grow with them."""

import random

from bench.cases.locks import http_requests
from bench.client import Measured
from bench.run import Contender, Run
from bench.servers import Hall, page_path, skus

DRAWN_MAX = 100_000
"""How many SKUs of a catalogue are asked for at most, drawn from all of it: the requests have to fit into memory."""


def measure(run: Run) -> None:
    """Measure (i)."""
    if not run.wants("i"):
        return
    sizes = run.options.growth_catalogues
    with run.hall("growth") as hall:
        contenders: dict[str, Contender] = {}
        for size in sizes:
            contenders.update(_in_catalogue(run, hall, size, _label(size, sizes)))
        run.compare(contenders)
    for kind in ("locks", "reads"):
        for size in sizes:
            _note_point(
                run, f"i.{kind}.{_label(size, sizes)}", "locks" if kind == "locks" else "uncached reads", size
            )


def _label(size: int, sizes: tuple[int, ...]) -> str:
    return {max(sizes): "largest", min(sizes): "smallest"}.get(size, str(size))


def _in_catalogue(run: Run, hall: Hall, size: int, label: str) -> dict[str, Contender]:
    print(f"  filling {size:,} SKUs …", flush=True)
    store = hall.store()
    catalogue = skus(size)
    store.fill(catalogue)
    server = store.api(near_cache_entries_max=0)
    drawn = random.Random(size).sample(catalogue, min(size, DRAWN_MAX))
    paths = [page_path(sku) for sku in drawn]
    requests = http_requests([[sku] for sku in drawn])

    def read(connections: int, seconds: float) -> Measured:
        return run.load.read(server.port, paths, connections=connections, seconds=seconds)

    def lock(connections: int, seconds: float) -> Measured:
        return run.load.lock(server.port, requests, connections=connections, seconds=seconds)

    return {
        f"i.locks.{label}": Contender(f"locks, {size:,} SKUs", lock, ("201",), store.forget_locks),
        f"i.reads.{label}": Contender(f"uncached reads, {size:,} SKUs", read),
    }


def _note_point(run: Run, key: str, series: str, size: int) -> None:
    figure = run.results.figures[key]
    seen = Measured(
        tool="",
        requests=round(figure.median * 1000),
        seconds=1000.0,
        answers={},
        latency_ms={"p50": figure.p50_ms[0], "p99": figure.p99_ms[0]},
    )
    run.results.add_point("catalogue", series, size, seen)
