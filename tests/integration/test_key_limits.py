"""What a key may hold: lines, units, time, locks and uploads; the same on the short way and in the application."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api.api_keys import read_api_keys
from app.api.auth import ApiKeys
from app.api.limits import LockCounts, count_problem
from app.api.problems import ProblemError
from app.api.uploads import UPLOADS_MAX, Uploads
from app.bootstrap import Stores
from app.domain.commands import Line, Lock, Opening, OpeningRow, Unlock
from app.ledger.lock_rows import LockRows
from tests import servers
from tests.hot import Api, served
from tests.integration.working import drain

LIMITED, FREE, ADMIN = "limited-0123456789", "unlimited-0123456789", "administrator-0123456789"
KEYS = (
    f"shop:{LIMITED}:read+checkout+warehouse lock_lines=2 lock_units=5 ttl_seconds=900,"
    f"free:{FREE}:checkout+warehouse unending=1,boss:{ADMIN}:admin lock_lines=1 ttl_seconds=1"
)
ONE = [{"sku": "A", "quantity": 1}]
THREE = [{"sku": sku, "quantity": 1} for sku in ("S10", "S11", "S12")]
SIX = [{"sku": "S100", "quantity": 6}]

LOCKS: list[tuple[str, dict[str, Any], int, str | None]] = [
    (LIMITED, {"lines": ONE}, 201, None),
    (LIMITED, {"lines": THREE[:2], "ttl_seconds": 900}, 201, None),
    (LIMITED, {"lines": THREE}, 403, "lock_lines"),
    (LIMITED, {"lines": SIX}, 403, "lock_units"),
    (LIMITED, {"lines": ONE, "ttl_seconds": 901}, 403, "ttl_seconds"),
    (LIMITED, {"lines": ONE, "ttl_seconds": None}, 403, "unending"),
    (FREE, {"lines": SIX, "ttl_seconds": None}, 201, None),
    (ADMIN, {"lines": THREE, "ttl_seconds": None}, 201, None),
]
STEPS: list[tuple[str, dict[str, Any], int, str | None]] = [
    ("extend", {"ttl_seconds": 901}, 403, "ttl_seconds"),
    ("extend", {"ttl_seconds": None}, 403, "unending"),
    ("extend", {"ttl_seconds": 900}, 200, None),
    ("replace", {"lines": THREE}, 403, "lock_lines"),
    ("replace", {"lines": SIX}, 403, "lock_units"),
    ("replace", {"lines": ONE, "ttl_seconds": None}, 403, "unending"),
    ("replace", {"lines": ONE}, 200, None),
    ("reopen", {"ttl_seconds": 901}, 403, "ttl_seconds"),
    ("reopen", {"ttl_seconds": None}, 403, "unending"),
]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with (
        servers.valkey(appendfsync="no") as server,
        served(server.url, ["protocol"], api_keys=KEYS) as (_loop, apis),
    ):
        yield apis[0]


def post(api: Api, path: str, body: dict[str, Any], secret: str, *, cold: bool = False) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    if cold:
        headers["Idempotency-Key"] = f"k{next(_numbers)}"
    content = json.dumps(body).encode()
    return httpx.post(f"http://127.0.0.1:{api.port}{path}", content=content, headers=headers)


_numbers = iter(range(1_000_000))


def test_the_locks_of_a_key_on_both_ways(api: Api) -> None:
    for cold in (False, True):
        for secret, content, status, limit in LOCKS:
            api.cold.clear()
            body = {"lock_id": f"L{next(_numbers)}", **content}
            reply = post(api, "/v1/locks", body, secret, cold=cold)
            told = (body, cold, reply.text)
            assert (reply.status_code, reply.json().get("limit")) == (status, limit), told
            assert bool(api.cold) == cold, told
            if limit:
                assert reply.json()["code"] == "forbidden"


def test_the_steps_of_a_key(api: Api) -> None:
    assert post(api, "/v1/locks", {"lock_id": "steps", "lines": ONE}, LIMITED).status_code == 201
    for step, body, status, limit in STEPS:
        reply = post(api, f"/v1/locks/steps/{step}", body, LIMITED, cold=True)
        assert (reply.status_code, reply.json().get("limit")) == (status, limit), (step, body, reply.text)


# Figures of the installation


async def test_a_key_that_holds_all_that_it_may_makes_no_more_locks(stores: Stores) -> None:
    text = f"a:{LIMITED}:checkout open_locks=2,b:{FREE}:checkout open_locks=3,boss:{ADMIN}:admin open_locks=1"
    keys = ApiKeys(read_api_keys(text))
    a, b = (keys.find(f"Bearer {secret}".encode()) for secret in (LIMITED, FREE))
    counts = LockCounts(keys, LockRows(stores.engine).at_limit)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 50)]))
    for number, who in enumerate(["a", "a", "b", "boss", "boss"]):
        await stores.hot.execute(Lock(f"L{number}", (Line("A", 1),)), who=who)
    await drain(stores)
    await counts.refresh()
    assert keys.holding_all == {"a"}
    problem = count_problem(keys, a)
    assert problem is not None
    assert (problem.status, problem.headers["RateLimit-Policy"]) == (429, '"open-locks";q=2')
    assert count_problem(keys, b) is None
    await stores.hot.execute(Unlock("L0"))
    await drain(stores)
    await counts.refresh()
    assert count_problem(keys, a) is None


def test_uploads_are_counted_by_key_and_in_all() -> None:
    key, other, third = read_api_keys(f"a:{LIMITED}:admin,b:{FREE}:admin uploads=2,c:{ADMIN}:admin").values()
    uploads = Uploads()
    assert UPLOADS_MAX == 2
    with uploads.one(key):
        with pytest.raises(ProblemError) as caught, uploads.one(key):
            pass
        assert (caught.value.problem.status, caught.value.who) == (429, "a")
        with uploads.one(other):
            with pytest.raises(ProblemError) as caught, uploads.one(third):
                pass
            assert caught.value.problem.code == "busy"
        with uploads.one(third):
            pass
    with uploads.one(None), uploads.one(None):  # without keys there is no limit but that of the process
        pass
