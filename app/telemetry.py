"""Logs and metrics: JSON lines on stderr, and figures for Prometheus without labels that grow."""

from __future__ import annotations

import logging
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

METRICS_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that a label may name; callers can invent any number of others."""
_LATENCY_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log of this process, ours and the libraries', as JSON lines to `stream` (stderr).

    To be called once, at the start. Raises `ValueError` for an unknown level.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=["app.waits"]),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_json_formatter(shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def _json_formatter(shared: list[Any]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


class Latency:
    """How many requests took how long: one count a bucket, the last one for what took longer than any."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_LATENCY_SECONDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Note one request."""
        self.counts[bisect_left(_LATENCY_SECONDS, seconds)] += 1
        self.seconds += seconds

    def observe_at_once(self, count: int) -> None:
        """Note requests that waited for nothing."""
        self.counts[0] += count

    def add(self, other: Latency) -> None:
        """Take over what another has noted."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


class Latencies(Collector):
    """The histogram `sellable_http_request_seconds`, by route: what is counted elsewhere can be added to it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_route: dict[str, Latency] = {}
        registry.register(self)

    def of(self, route: str) -> Latency:
        """Return a route's own."""
        return self._by_route.setdefault(route, Latency())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Tell it as Prometheus reads it: each bucket counts those below it, too."""
        family = HistogramMetricFamily(
            "sellable_http_request_seconds",
            "Time from a request's head to the end of its answer, in seconds.",
            labels=("route",),
        )
        bounds = [*map(str, _LATENCY_SECONDS), "+Inf"]
        for route, latency in self._by_route.items():
            family.add_metric(
                [route], list(zip(bounds, accumulate(latency.counts), strict=True)), latency.seconds
            )
        yield family


GAUGES = {
    "sellable_hot_store_fsyncs": "Whether the hot store fsyncs before it answers: level disk, else memory.",
    "sellable_hot_store_replicas": "Replicas of the hot store that follow now.",
    "sellable_worker_silent_seconds": "Time since a worker was heard of; +Inf: never, or nobody can be asked.",
    "sellable_expiry_overdue_seconds": "How long ago the first of the locks that are overdue should have expired.",
    "sellable_persist_lag_seconds": "For how long there have been events that are not persisted yet.",
    "sellable_outbox_events": "Entries in the outbox, as the worker last said.",
    "sellable_outbox_bytes": "Memory of the outbox.",
    "sellable_outbox_limit_events": "At so many entries new obligations are refused.",
    "sellable_outbox_level": "0: ok, 1: beyond a soft limit, 2: new obligations are refused.",
    "sellable_ledger_waits": "1 while nothing can be persisted.",
    "sellable_quarantined": "SKUs and documents in quarantine.",
    "sellable_mismatches": "Documents on which reporters disagree, by SKU: cases for a person.",
}
"""How things stand, by name; none has a label."""


class Metrics:
    """The figures of one process. Labels are route templates, methods, statuses and outcomes: a bounded set."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = Counter(
            "sellable_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._latency = Latencies(self.registry)
        self._outcomes = Counter(
            "sellable_outcomes",
            "What commands came to.",
            ("command", "outcome"),
            registry=self.registry,
        )
        self._wrong_keys = Counter(
            "sellable_wrong_keys", "Requests with a key that is not known.", registry=self.registry
        )
        self._near_cache = Counter(
            "sellable_near_cache",
            "What the near cache of product pages did.",
            ("event",),
            registry=self.registry,
        )
        self._gauges = {name: Gauge(name, text, registry=self.registry) for name, text in GAUGES.items()}
        self._gate_open = Gauge(
            "sellable_gate_open",
            "1 while the hot store's memory was checked and commands are taken.",
            registry=self.registry,
        )
        self._epoch = Gauge(
            "sellable_epoch", "The epoch that is open; 0 while none is.", registry=self.registry
        )
        self._unpersisted = Gauge(
            "sellable_acknowledged_unpersisted",
            "Commands that this process acknowledged and that are not known to be in the ledger.",
            registry=self.registry,
        )
        self._reconciliations = {
            name: Gauge(f"sellable_reconciliation_{name}", what, ("warehouse",), registry=self.registry)
            for name, what in (
                ("age_seconds", "How old the last snapshot is that was compared; +Inf: there is none."),
                ("skus_differing", "SKUs that differed in the last reconciliation."),
                ("units_more", "Units that the warehouse had more."),
                ("units_less", "Units that the warehouse had less."),
                ("alarm", "1: too many SKUs differ, or the last snapshot is too old."),
            )
        }
        self._books = {
            name: Gauge(f"sellable_{name}", what, registry=self.registry)
            for name, what in (
                ("drift_open", "Figures of hot store, projection and moves that should be one and are not."),
                ("check_age_seconds", "Time since a check of them all came through, in seconds."),
                ("ledger_months_ahead", "For how many months after this one the ledger has room."),
                (
                    "lost_events",
                    "Events that were acknowledged and have no effect any more: `sellable lost list`.",
                ),
            )
        }
        for gauge in self._books.values():
            gauge.set(float("nan"))
        self.collectors: list[Callable[[Metrics], None]] = []
        """Called before the figures are told: they bring what was counted elsewhere."""

    def count_request(self, method: str, route: str, *, status: int, seconds: float) -> None:
        """Note one answered request; `route` is the template, such as /v1/locks/{lock_id}."""
        named = method if method in METHODS else "other"
        self._requests.labels(named, route, str(status)).inc()
        self._latency.of(route).observe(seconds)

    def count_wrong_key(self) -> None:
        """Note a request whose key is none of ours."""
        self._wrong_keys.inc()

    def count_outcome(self, command: str, outcome: str) -> None:
        """Note what one command came to."""
        self._outcomes.labels(command, outcome).inc()

    def add_requests(self, method: str, route: str, *, status: int, count: int) -> None:
        """Note requests that were counted elsewhere; so is their time: see `add_latency`."""
        self._requests.labels(method, route, str(status)).inc(count)

    def add_latency(self, route: str, observed: Latency) -> None:
        """Note how long requests took that were counted elsewhere."""
        self._latency.of(route).add(observed)

    def add_outcomes(self, command: str, outcome: str, count: int) -> None:
        """Note outcomes that were counted elsewhere."""
        self._outcomes.labels(command, outcome).inc(count)

    def add_near_cache(self, event: str, count: int) -> None:
        """Note hits, misses or invalidations of the near cache."""
        self._near_cache.labels(event).inc(count)

    def set_gauge(self, name: str, value: float) -> None:
        """Say how something of `GAUGES` stands now."""
        self._gauges[name].set(value)

    def set_gate(self, *, epoch: str, unpersisted: int) -> None:
        """Note which epoch is open ('' for none), and how much is not known to be in the ledger."""
        self._gate_open.set(bool(epoch))
        self._epoch.set(int(epoch or 0))
        self._unpersisted.set(unpersisted)

    def tell_reconciliation(self, warehouse: str, figures: Mapping[str, float]) -> None:
        """Note how a warehouse stands: some of age_seconds, skus_differing, units_more, units_less, alarm."""
        for name, value in figures.items():
            self._reconciliations[name].labels(warehouse).set(value)

    def set_books(
        self, drift_open: int, check_age_seconds: float | None, months_ahead: int, lost_events: int
    ) -> None:
        """Note what the ledger says of itself; None for a check that never came through."""
        self._books["drift_open"].set(drift_open)
        self._books["check_age_seconds"].set(float("nan") if check_age_seconds is None else check_age_seconds)
        self._books["ledger_months_ahead"].set(months_ahead)
        self._books["lost_events"].set(lost_events)

    def expose(self) -> bytes:
        """Return the figures as Prometheus reads them."""
        for collect in self.collectors:
            collect(self)
        return generate_latest(self.registry)
