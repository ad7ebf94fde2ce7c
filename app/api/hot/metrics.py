"""Hands what the hot handlers counted over to the metrics."""

from collections import Counter, defaultdict

from app.api.hot.handlers import HotCounts
from app.hotstore.near_cache import CacheCounts
from app.telemetry import Latency, Metrics


def hand_over(metrics: Metrics, counts: HotCounts, cache: CacheCounts) -> None:
    """Add what was counted since the last time, and begin anew."""
    requests, counts.requests = counts.requests, {}
    latencies, counts.latencies = counts.latencies, defaultdict(Latency)
    answered: Counter[str] = Counter()
    for (method, route, status), count in requests.items():
        metrics.add_requests(method, route, status=status, count=count)
        answered[route] += count
    for route, count in answered.items():
        latency = latencies[route]
        latency.observe_at_once(max(0, count - sum(latency.counts)))
        metrics.add_latency(route, latency)
    outcomes, counts.outcomes = counts.outcomes, {}
    for (command, outcome), count in outcomes.items():
        metrics.add_outcomes(command, outcome, count)
    for event in ("hits", "misses", "invalidations"):
        metrics.add_near_cache(event, getattr(cache, event))
        setattr(cache, event, 0)
