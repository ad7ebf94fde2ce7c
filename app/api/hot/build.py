"""Puts the short way together: line, near cache and handlers."""

from collections.abc import Callable
from functools import partial

from app.api.api_keys import keys_of
from app.api.auth import ApiKeys
from app.api.hot.checkout import Checkout
from app.api.hot.handlers import HotCounts
from app.api.hot.metrics import hand_over
from app.api.hot.pages import PageBytes, Pages
from app.api.hot.routes import HotRoutes, PageRoutes
from app.domain.ranking import Ranking
from app.domain.words import Durability
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.line import Line
from app.hotstore.near_cache import NearCache
from app.hotstore.ring import Ring
from app.settings import Settings
from app.telemetry import Metrics


def build_hot(
    settings: Settings,
    redis_url: str,
    redis_keys: Keys,
    metrics: Metrics,
    *,
    level: Callable[[], Durability],
    ring: Ring | None = None,
    on_shut: Callable[[], None] = lambda: None,
    keys: ApiKeys | None = None,
    pages_only: bool = False,
    ranking: Ranking | None = None,
    is_open: Callable[[str], bool] = lambda _code: True,
) -> tuple[HotRoutes, Line]:
    """Return the hot routes and the line that they use, which is not started yet.

    `on_shut` is called when it may be another server, or another epoch, from now on. `keys` are those of the
    settings, where others use them, too. `is_open` says whether a code surely names a warehouse that takes promises.
    """
    keys = keys or ApiKeys(keys_of(settings))
    counts, ranking = HotCounts(), ranking or Ranking(settings.order)
    pages = Pages(
        keys,
        counts,
        cache_control=settings.cache_control,
        stale_seconds_max=settings.stale_seconds_max,
        ranking=ranking,
    )
    cache: NearCache[PageBytes] = NearCache(
        redis_keys, pages.render, entries_max=settings.near_cache_entries_max
    )

    def shut() -> None:
        on_shut()
        cache.on_shut()

    line = Line(
        redis_url,
        redis_keys,
        library(),
        deadline_seconds=settings.call_deadline_seconds,
        on_push=cache.on_push,
        on_shut=shut,
    )
    pages.cache, cache.line = cache, line
    ranking.on_closed.append(cache.on_shut)
    checkout = Checkout(
        keys,
        counts,
        line,
        redis_keys,
        library(),
        ranking=ranking,
        is_open=is_open,
        ttl_seconds=settings.lock_ttl_seconds,
        durability=settings.durability,
        level=level,
        ring=ring,
    )
    metrics.collectors.append(partial(hand_over, counts=counts, cache=cache.counts))
    return (PageRoutes if pages_only else HotRoutes)(pages, checkout, keys), line
