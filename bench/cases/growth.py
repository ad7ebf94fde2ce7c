"""(i): the same work in catalogues of different sizes: cost must not grow with them."""

import random

from bench.cases.locks import http_requests
from bench.client import Measured
from bench.run import Contender, Run
from bench.servers import Hall, page_path, skus

DRAWN = 100_000
"""Requests prepared for a catalogue of any size, for SKUs drawn from all of it: so the client's cost is the same."""


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
    for kind, series in (("locks", "locks"), ("reads", "uncached reads")):
        for size in sizes:
            run.results.add_figure_point("catalogue", series, size, f"i.{kind}.{_label(size, sizes)}")


def _label(size: int, sizes: tuple[int, ...]) -> str:
    return {max(sizes): "largest", min(sizes): "smallest"}.get(size, str(size))


def _in_catalogue(run: Run, hall: Hall, size: int, label: str) -> dict[str, Contender]:
    print(f"  filling {size:,} SKUs …", flush=True)
    store = hall.store()
    catalogue = skus(size)
    store.fill(catalogue)
    server = store.api(near_cache_entries_max=0)
    drawn = random.Random(size).choices(catalogue, k=DRAWN)
    paths = [page_path(sku) for sku in drawn]
    requests = http_requests([[sku] for sku in drawn])

    def read(connections: int, seconds: float) -> Measured:
        return run.load.read(server.port, paths, connections=connections, seconds=seconds)

    def lock(connections: int, seconds: float) -> Measured:
        return run.load.lock(server.port, requests, connections=connections, seconds=seconds)

    pids = {"http": server.pid, "redis": store.pid}
    return {
        f"i.locks.{label}": Contender(f"locks, {size:,} SKUs", lock, ("201",), store.forget_locks, pids),
        f"i.reads.{label}": Contender(f"uncached reads, {size:,} SKUs", read, pids=pids),
    }
