"""Hands what the hot handlers counted over to the metrics."""

from app.api.hot.handlers import HotCounts
from app.hotstore.near_cache import CacheCounts
from app.telemetry import Metrics


def hand_over(metrics: Metrics, counts: HotCounts, cache: CacheCounts) -> None:
    """Add what was counted since the last time, and begin anew."""
    requests, counts.requests = counts.requests, {}
    for (method, route, status), count in requests.items():
        metrics.add_requests(method, route, status=status, count=count)
    outcomes, counts.outcomes = counts.outcomes, {}
    for (command, outcome), count in outcomes.items():
        metrics.add_outcomes(command, outcome, count)
    for event in ("hits", "misses", "invalidations"):
        metrics.add_near_cache(event, getattr(cache, event))
        setattr(cache, event, 0)
