"""Redis stops answering for seconds: pages are stale, locks unknown, memory flat; and it recovers by itself."""

import resource
import time
from pathlib import Path

import pytest

from tests import servers
from tests.hot import Reply, Wire, ask, served
from tests.integration.test_hot_wire import HOT, MISSING, lock, lock_id, silent


def memory_bytes() -> int:
    """What this process uses now; 0 where /proc does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


@pytest.mark.tier
def test_redis_says_nothing_for_five_seconds() -> None:
    with (
        servers.valkey() as server,
        served(server.url, ["protocol"], call_deadline_seconds=1.0) as (_, (api,)),
    ):
        assert ask(api.port, HOT).status == 200
        ask(api.port, lock("before"))
        seen: list[tuple[str, float, Reply]] = []

        def timed(kind: str, raw: bytes) -> Reply:
            began = time.monotonic()
            reply = ask(api.port, raw)
            seen.append((kind, time.monotonic() - began, reply))
            return reply

        names = [lock_id() for _ in range(50)]
        used_before = memory_bytes()
        with silent(server):
            ends = time.monotonic() + 5.0
            servers.until(lambda: b'"stale":true' in ask(api.port, HOT).body, limit_seconds=1.0)
            waiting = [Wire(api.port) for _ in names]
            for name, client in zip(names, waiting, strict=True):
                client.send(lock(name, "Z"))
            unknown = [client.replies(1)[0] for client in waiting]
            assert {(reply.status, b"outcome_unknown" in reply.body) for reply in unknown} == {(503, True)}
            assert {reply.header("retry-after") for reply in unknown} == {"1"}
            while time.monotonic() < ends:
                for _ in range(100):
                    stale = timed("cached", HOT)
                    assert (stale.status, stale.header("etag"), stale.header("cache-control")) == (
                        200,
                        None,
                        "no-store",
                    )
                    assert b'"stale":true' in stale.body
                assert timed("uncached", MISSING).status == 503
                assert timed("lock", lock(lock_id())).status == 503
            assert api.line
            assert api.line.in_flight < 1_000
        used = memory_bytes() - used_before
        assert used < 50_000_000
        assert max(seconds for kind, seconds, _ in seen if kind == "cached") < 1.0
        assert max(seconds for kind, seconds, _ in seen if kind != "cached") < 4.0
        servers.until(lambda: b'"stale"' not in ask(api.port, HOT).body, limit_seconds=10)
        for name, client in zip(names, waiting, strict=True):
            client.send(lock(name, "Z"))  # the same id: the original answer, or it is made now
            assert client.replies(1)[0].status in {200, 201}
            client.socket.close()
        assert ask(api.port, MISSING).status == 404
        assert ask(api.port, lock(lock_id())).status == 201
