"""(h): how fast a backlog reaches the ledger, and how far behind the ledger is while locks go on.

The whole system runs here, so nothing is pinned: four of our parties and the load share the cores as the
kernel thinks best.
"""

import threading
import time
from collections import deque
from typing import Self

from bench.cases.locks import SPREAD, Requests, http_requests, orders
from bench.client import percentiles
from bench.load import Load
from bench.machine import placement
from bench.run import Run
from bench.servers import Server, Store, skus

SAMPLE_SECONDS = 0.004
LOOK_SECONDS = 0.02
"""How often a backlog of seconds is looked at: whoever looks takes a share of the two cores."""
SHARE_OF_MAXIMUM = 0.7
SCHEDULE_KEPT = 0.98
DRAIN_SECONDS_MAX = 300.0


def measure(run: Run) -> None:
    """Measure (h)."""
    if not run.wants("h"):
        return
    free = placement("free")
    with run.hall("write-behind", free) as hall:
        store = hall.store()
        store.fill(skus(SPREAD))
        server = store.api()
        requests = http_requests(orders(skus(SPREAD), 1))
        load = Load(free.load)
        _drain_what_is_there(store)
        for number in range(1, run.options.rounds + 1):
            _backlog_round(run, load, store, server, requests)
            produced, drained = (run.results.figures[key].values[-1] for key in ("h.produced", "h.drained"))
            print(f"  round {number}  produced {produced:,.0f}/s, drained {drained:,.0f}/s", flush=True)
        _lag(run, load, store, server, requests)


def _drain_what_is_there(store: Store) -> None:
    store.start_worker()
    _wait_until_persisted(store, store.positions()[0])
    store.stop_worker()


def _backlog_round(run: Run, load: Load, store: Store, server: Server, requests: Requests) -> None:
    """Locks without a worker, then a worker without locks."""
    options = run.options
    produced = load.lock(
        server.port, requests, connections=options.connections, seconds=options.backlog_seconds
    )
    run.results.add_load("h.produced", "locks over HTTP, no worker, nothing pinned", produced, "201")
    tip, behind = store.positions()
    if (missing := options.backlog_events_min - (tip[1] - behind[1])) > 0:  # enough batches to time
        store.lock_directly(skus(SPREAD), missing)
        tip, _ = store.positions()
    store.start_worker()
    began_at, seconds = _drain(store, behind, tip)
    store.stop_worker()
    rate = (tip[1] - began_at[1]) / seconds
    run.results.add("h.drained", "events drained from a backlog", rate, unit="events/s")


def _drain(store: Store, behind: tuple[int, int], tip: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """From the first batch on, so that the worker's start isn't counted: where that was, and the seconds from there."""
    began_at = behind
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while (began_at := store.positions()[1]) <= behind and time.monotonic() < deadline:
        time.sleep(SAMPLE_SECONDS)
    started = time.perf_counter()
    _wait_until_persisted(store, tip)
    return began_at, max(time.perf_counter() - started, 1e-6)


def _wait_until_persisted(store: Store, tip: tuple[int, int]) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while store.positions()[1] < tip:
        assert time.monotonic() < deadline, "the worker does not catch up"
        time.sleep(LOOK_SECONDS)


def _lag(run: Run, load: Load, store: Store, server: Server, requests: Requests) -> None:
    """First the most that locks reach beside the worker, then 70 % of it on a schedule, with the lag watched."""
    options = run.options
    store.start_worker()
    # By the client that keeps the schedule: it takes its share of the two cores as well.
    most = load.lock(
        server.port,
        requests,
        connections=options.connections,
        seconds=min(options.lag_seconds, 20.0),
        own_client=True,
    )
    run.results.add_load("h.most", "locks over HTTP beside the worker", most, "201")
    _wait_until_persisted(store, store.positions()[0])
    wanted = most.rate * SHARE_OF_MAXIMUM
    with LagWatch(store) as watch:
        paced = load.lock(
            server.port,
            requests,
            connections=options.connections,
            seconds=options.lag_seconds,
            rate=wanted,
        )
    store.stop_worker()
    share = f"{SHARE_OF_MAXIMUM:.0%} of that, for {options.lag_seconds:g} s"
    run.results.add_load("h.paced", f"locks over HTTP at {share}", paced, "201")
    if paced.rate < wanted * SCHEDULE_KEPT:
        run.results.figures["h.paced"].notes.append(f"the schedule of {wanted:,.0f}/s was not kept")
    lags = percentiles(watch.lags)
    for name in ("p50", "p99", "max"):
        text = f"lag of the ledger meanwhile, {name} of {len(watch.lags)} samples"
        run.results.add(f"h.lag.{name}", text, lags.get(name, float("inf")), unit="ms")


class LagWatch:
    """Notes the outbox's tip and when it was seen, and how long until the ledger has it, every 4 ms."""

    def __init__(self, store: Store) -> None:
        self.lags: list[float] = []
        self._store = store
        self._waiting: deque[tuple[tuple[int, int], float]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lag")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            asked_at = time.perf_counter()
            tip, persisted = self._store.positions()
            if not self._waiting or self._waiting[-1][0] != tip:
                self._waiting.append((tip, asked_at))
            now = time.perf_counter()
            while self._waiting and self._waiting[0][0] <= persisted:
                self.lags.append(now - self._waiting.popleft()[1])
        # What still waits has waited this long at least: leaving it out would hide the worst.
        now = time.perf_counter()
        self.lags.extend(now - seen_at for _, seen_at in self._waiting)
