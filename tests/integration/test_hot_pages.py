"""Product pages over HTTP, while what they show changes, is forgotten, or is gone."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence

import pytest
import redis

from app.domain.warehouses import Warehouse
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import wire as redis_wire
from app.hotstore.keys import Keys
from tests import servers
from tests.hot import Api, Loop, Reply, Wire, ask, post, request, served
from tests.integration.conftest import open_gate
from tests.integration.test_hot_wire import silent

BOUND_SECONDS = 0.25
PAGE = request("GET", "/v1/availability/Z")


def order(name: str, sku: str = "Z") -> bytes:
    return post("/v1/locks", json.dumps({"lock_id": name, "lines": [{"sku": sku, "quantity": 1}]}))


def units_of(reply: Reply) -> int:
    assert reply.status == 200, reply
    return int(json.loads(reply.body)["sellable"])


def sellable(api: Api, page: bytes = PAGE) -> int:
    reply = ask(api.port, page)
    return units_of(reply)


def follows(api: Api, name: str, *pages: bytes) -> None:
    """Lock a unit; every page must show it within the bound (and a moment for a busy machine)."""
    before = sellable(api, pages[0])
    assert ask(api.port, order(name)).status == 201
    for page in pages:
        servers.until(lambda page=page: sellable(api, page) == before - 1, limit_seconds=2 * BOUND_SECONDS)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    with servers.valkey(appendfsync="no") as server:
        yield server


@pytest.mark.parametrize("entries_max", [0, 1, 2, 1000])
def test_a_page_follows_its_stock_however_small_the_cache(server: EmbeddedValkey, entries_max: int) -> None:
    """Also a page that was at hand, and has been forgotten since: no invalidation finds it any more."""
    others = [request("GET", f"/v1/availability/S{i}") for i in range(10)]
    written = [PAGE, request("GET", "/v1/availability/%5A"), request("GET", "/v1/availability/%5a")]
    with served(server.url, ["protocol"], near_cache_entries_max=entries_max) as (_, (api,)):
        for turn in range(3):
            for page in written * 2:
                sellable(api, page)
            for other in others:
                ask(api.port, other)
            follows(api, f"L{turn}", *written)


def test_a_page_at_hand_that_a_list_pushed_out(server: EmbeddedValkey) -> None:
    long = request("GET", "/v1/availability?" + "&".join(f"sku=S{i}" for i in range(20)))
    with served(server.url, ["protocol"], near_cache_entries_max=5) as (_, (api,)):
        for turn in range(3):
            for raw in (PAGE, PAGE, PAGE, long):
                assert ask(api.port, raw).status == 200
            follows(api, f"P{turn}", PAGE)


def test_a_request_that_was_met_before_is_answered_with_what_is_right_now(server: EmbeddedValkey) -> None:
    """The same bytes on one connection: at hand, changed, in a crowd, cut, and with more than was met behind them."""
    with served(server.url, ["protocol"]) as (_, (api,)), Wire(api.port) as wire:
        for turn in range(3):
            wire.send(PAGE)  # met
            for _ in range(4):
                wire.send(PAGE)
            assert {units_of(reply) for reply in wire.replies(5)} == {sellable(api)}
            follows(api, f"M{turn}", PAGE)
            for pieces in ([PAGE], [PAGE + PAGE[:-2], PAGE[-2:] + PAGE], [PAGE[:1], PAGE[1:]], [PAGE * 3]):
                for piece in pieces:
                    wire.send(piece)
                    time.sleep(0.02)  # each is a segment of its own
                count = b"".join(pieces).count(b"\r\n\r\n")
                assert [units_of(reply) for reply in wire.replies(count)] == [sellable(api)] * count


def test_the_date_goes_on(server: EmbeddedValkey) -> None:
    """An answer is kept whole, its date is not."""
    with served(server.url, ["protocol"]) as (_, (api,)):
        first = ask(api.port, PAGE).header("date")
        assert first
        servers.until(lambda: ask(api.port, PAGE).header("date") not in {first, None}, limit_seconds=5)


def test_a_flush_is_never_no_stock(server: EmbeddedValkey) -> None:
    """Old, then stale or not ready; at no moment unknown, and at no moment nothing to sell."""
    with served(server.url, ["protocol"]) as (_, (api,)), redis.Redis.from_url(server.url) as client:
        known = sellable(api)
        with Wire(api.port) as wire:
            wire.send(PAGE)
            wire.replies(1)
            client.flushall()
            flushed_at = time.monotonic()
            seen = set()
            while time.monotonic() < flushed_at + 1.0:
                sent_at = time.monotonic()
                wire.send(PAGE)
                (reply,) = wire.replies(1)
                if reply.status == 503:
                    seen.add("not ready")
                    continue
                told = json.loads(reply.body)
                assert (reply.status, told.get("sellable")) == (200, known), reply
                seen.add("stale" if told.get("stale") else "fresh")
                assert told.get("stale") or sent_at < flushed_at + BOUND_SECONDS
            assert "stale" in seen
            assert ask(api.port, order("F1")).status == 503
            assert ask(api.port, request("GET", "/v1/availability/nobody")).status == 503


def test_functions_that_are_gone_are_not_ready(server: EmbeddedValkey) -> None:
    with served(server.url, ["protocol"]) as (_, (api,)), redis.Redis.from_url(server.url) as client:
        sellable(api)
        client.function_flush()
        reply = ask(api.port, order("G1"))
        assert (reply.status, json.loads(reply.body)["code"]) == (503, "not_ready")
        assert api.line
        servers.until(lambda: api.line and not api.line.epoch)
        assert json.loads(ask(api.port, PAGE).body)["stale"] is True
        assert ask(api.port, order("G1")).status == 503


def test_an_epoch_that_just_changed_stops_no_lock(server: EmbeddedValkey) -> None:
    """Refused for the old epoch, nothing was changed: asked again at once, before the next beat."""

    def reopen(loop: Loop, epoch: int) -> None:
        async def run() -> None:
            client = redis_wire.connect(server.url)
            await open_gate(client, Keys("protocol"), epoch=epoch)
            await client.aclose()

        loop.run(run())

    with served(server.url, ["protocol"]) as (loop, (api,)):
        for epoch in range(2, 8):
            reopen(loop, epoch)
            left = 101_000 - (epoch - 1)
            assert ask(api.port, order(f"E{epoch}")).status == 201
            servers.until(lambda left=left: sellable(api) == left, limit_seconds=2 * BOUND_SECONDS)
            tag = ask(api.port, PAGE).header("etag")
            assert tag is not None
            assert tag.startswith(f'"{epoch}-')


def closes(loop: Loop, apis: Sequence[Api], *codes: str) -> None:
    """Let each process read a list in which these warehouses are closed."""

    async def follow() -> None:
        for api in apis:
            api.ranking.follow([Warehouse(code, closed=code in codes) for code in ("north", "south", "west")])

    loop.run(follow())


def test_what_is_in_a_closed_warehouse_is_not_sellable(server: EmbeddedValkey) -> None:
    """Each way to a page says so from the moment on when the list was read, also of pages that were at hand."""
    asked = [PAGE, request("GET", "/v1/availability/S7"), request("GET", "/v1/availability?sku=Z&sku=S7")]
    with served(server.url, ["protocol", "plain"]) as (loop, apis):

        def answers() -> list[tuple[bytes, str | None]]:
            hot, cold = ([ask(api.port, raw) for raw in asked] for api in apis)
            shown = [(reply.body, reply.header("etag")) for reply in hot]
            assert shown == [(reply.body, reply.header("etag")) for reply in cold]
            return shown

        opened = answers()
        apis[0].cold.clear()
        seen = {opened[0][1]}
        for codes, north, south in (
            (["north"], 0, 1_000),
            (["south", "north"], 0, 0),
            (["south"], 100_000, 0),
        ):
            closes(loop, apis, *codes)
            page = json.loads(answers()[0][0])
            assert page["warehouses"] == {"north": {"sellable": north}, "south": {"sellable": south}}
            assert (page["sellable"], page["in_stock"]) == (north + south, north + south > 0)
            tag = answers()[0][1]
            assert tag not in seen
            seen.add(tag)
            matching = request("GET", "/v1/availability/Z", headers=[("If-None-Match", str(tag))])
            assert [ask(api.port, matching).status for api in apis] == [304, 304]
        closes(loop, apis, "west")
        assert answers() == opened
        assert apis[0].cold == []


def test_a_last_known_answer_shows_what_is_closed_now(server: EmbeddedValkey) -> None:
    with served(server.url, ["protocol"], call_deadline_seconds=0.2) as (loop, (api,)):
        sellable(api)
        with silent(server):
            servers.until(lambda: b'"stale":true' in ask(api.port, PAGE).body)
            closes(loop, [api], "north")
            assert sellable(api) == 1_000
        servers.until(lambda: b'"stale":true' not in ask(api.port, PAGE).body)
        assert sellable(api) == 1_000
        with silent(server):  # the page that is remembered is that of a closed warehouse
            servers.until(lambda: b'"stale":true' in ask(api.port, PAGE).body)
            for raw in (PAGE, request("GET", "/v1/availability?sku=Z")):
                assert b'"stale":true' in ask(api.port, raw).body
            assert sellable(api) == 1_000


PAGES = (PAGE, request("GET", "/v1/availability/B"))
LISTS = (
    request("GET", "/v1/availability?sku=Z&sku=B"),
    request("GET", "/v1/availability/Z?warehouses=north"),
    post("/v1/availability", '{"skus":["B","Z"]}'),
)


def test_what_any_page_showed_is_the_last_known_answer_of_all(server: EmbeddedValkey) -> None:
    """Lists, and pages of some warehouses, know what the near cache knows."""
    with served(server.url, ["protocol"], call_deadline_seconds=0.2) as (_, (api,)):
        known = {page: sellable(api, page) for page in PAGES}
        with silent(server):
            servers.until(lambda: b'"stale":true' in ask(api.port, PAGE).body)
            listed, north, posted = (ask(api.port, one) for one in LISTS)
        assert [reply.status for reply in (listed, north, posted)] == [200] * 3
        assert {reply.header("cache-control") for reply in (listed, north, posted)} == {"no-store"}
        assert [item["sellable"] for item in json.loads(listed.body)["items"]] == list(known.values())
        assert all(item["stale"] for item in json.loads(posted.body)["items"])
        page = json.loads(north.body)
        assert (page["stale"], list(page["warehouses"])) == (True, ["north"])


def test_a_page_under_way_when_the_connection_breaks_is_the_last_known() -> None:
    with servers.valkey(appendfsync="no") as doomed, served(doomed.url, ["protocol"]) as (_, (api,)):
        known = sellable(api)
        with Wire(api.port) as wire:
            assert ask(api.port, order("K1")).status == 201  # so that the page has to be read anew
            with silent(doomed):
                wire.send(PAGE)
                servers.until(lambda: api.line is not None and api.line.in_flight > 0)
                assert doomed.pid
                os.kill(doomed.pid, signal.SIGKILL)
            (reply,) = wire.replies(1)
        assert reply.status == 200, reply
        told = json.loads(reply.body)
        assert (told["stale"], told["sellable"]) == (True, known)


def test_a_name_that_no_sku_can_have_is_not_asked_for(server: EmbeddedValkey) -> None:
    """Redis would remember it, for nobody."""
    with served(server.url, ["protocol"]) as (_, (api,)), redis.Redis.from_url(server.url) as client:
        before = client.info("stats")["tracking_total_keys"]
        for name in ("x" * 65, "x" * 10_000, "a{b", "a%22b"):
            assert ask(api.port, request("GET", f"/v1/availability/{name}")).status in {404, 422}
        assert client.info("stats")["tracking_total_keys"] == before


def test_a_browser_s_pages_go_the_short_way_and_its_writes_do_not(server: EmbeddedValkey) -> None:
    browser = ("Sec-Fetch-Site", "same-origin")
    with served(server.url, ["protocol"]) as (_, (api,)):
        api.cold.clear()
        for _ in range(3):
            assert ask(api.port, request("GET", "/v1/availability/Z", headers=[browser])).status == 200
        assert api.cold == []
        lock = json.dumps({"lock_id": "browsed", "lines": [{"sku": "Z", "quantity": 1}]})
        assert ask(api.port, post("/v1/locks", lock, browser)).status == 201
        assert api.cold == ["/v1/locks"]


def test_every_request_is_in_the_histogram(server: EmbeddedValkey) -> None:
    with served(server.url, ["protocol"]) as (_, (api,)):
        for n in range(7):
            sellable(api)
            assert ask(api.port, order(f"H{n}")).status == 201
        text = ask(api.port, request("GET", "/metrics")).body.decode()
        for route, count in (("/v1/availability/{sku}", 7), ("/v1/locks", 7)):
            assert f'sellable_http_request_seconds_count{{route="{route}"}} {count}.0' in text
            assert f'sellable_http_request_seconds_bucket{{le="+Inf",route="{route}"}} {count}.0' in text
        total = float(re.findall(r'request_seconds_sum\{route="/v1/locks"\} (\S+)', text)[0])
        assert total > 0
