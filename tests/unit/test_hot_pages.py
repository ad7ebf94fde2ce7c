"""Product pages at hand: what is answered at once must be what an invalidation still reaches."""

import asyncio
from typing import Any

import pytest

from app.api.auth import ApiKeys
from app.api.hot.handlers import HotCounts, HotRequest
from app.api.hot.pages import PageBytes, Pages
from app.domain.ranking import Ranking
from app.hotstore.keys import Keys
from app.hotstore.near_cache import NearCache


class FakeLine:
    """A line that is always fresh, and answers at once."""

    epoch = "1"
    is_fresh = True
    heard_at = 0.0
    tracking: Any = "OK"

    def call(self, command: tuple[Any, ...], on_reply: Any) -> None:
        on_reply(self.tracking if command[0] == "CLIENT" else {"v": "1", "main:a": "5"})


def pages_of(entries_max: int, line: FakeLine) -> Pages:
    pages = Pages(ApiKeys({}), HotCounts(), cache_control="no-cache", stale_seconds_max=60, ranking=Ranking())
    cache: NearCache[PageBytes] = NearCache(Keys(), pages.render, entries_max=entries_max)
    pages.cache, cache.line = cache, line  # type: ignore[assignment]
    return pages


async def ask(pages: Pages, sku: str) -> bytes:
    target, answered = f"/v1/availability/{sku}".encode(), asyncio.get_running_loop().create_future()
    pages.one(
        HotRequest(b"GET", target, []),
        lambda _status, _head, body: answered.set_result(body),
        lambda: answered.set_result(b"declined"),
    )
    return await answered


async def test_a_page_is_at_hand_after_it_was_asked_for() -> None:
    pages = pages_of(10, FakeLine())
    body = await ask(pages, "A")
    assert pages.ready(b"/v1/availability/A").body == body


async def test_a_page_that_was_pushed_out_is_not_at_hand_any_more() -> None:
    pages = pages_of(1, FakeLine())
    await ask(pages, "A")
    await ask(pages, "B")
    assert pages.ready(b"/v1/availability/A") is None


async def test_a_page_that_was_read_again_replaces_the_old_one() -> None:
    pages = pages_of(10, FakeLine())
    await ask(pages, "A")
    old = pages.cache.get("A")
    pages.cache.on_push(["invalidate", [Keys().stock("A")]])
    assert pages.ready(b"/v1/availability/A") is None
    await asyncio.sleep(0.01)  # the pause between two reads of a busy SKU
    await ask(pages, "A")
    assert pages.cache.get("A") is not old
    pages.cache.on_push(["invalidate", [Keys().stock("A")]])
    assert pages.ready(b"/v1/availability/A") is None


@pytest.mark.parametrize(("entries_max", "tracking"), [(0, "OK"), (10, Exception("NOPERM"))])
async def test_what_is_not_tracked_is_never_at_hand(entries_max: int, tracking: Any) -> None:
    line = FakeLine()
    line.tracking = tracking
    pages = pages_of(entries_max, line)
    assert await ask(pages, "A") != b"declined"
    assert pages.ready(b"/v1/availability/A") is None
