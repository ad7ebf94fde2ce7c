"""Users with fewer rights: what they cannot read the worker states, what would break is refused, what lacks is said."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError
from structlog.testing import capture_logs

from app.api.hot.asgi import HotAsgi
from app.bootstrap import Stores, open_api, open_stores
from app.domain.commands import Opening, OpeningRow
from app.errors import ConfigurationError, NotReadyError
from app.hotstore import durability, rights
from app.hotstore.durability import Server
from app.hotstore.library import library
from app.hotstore.line import Line, LineCaller
from app.recovery import aof_rights
from app.recovery.aof_rights import replay_of
from app.settings import Settings
from tests.integration.working import until

NAME, PASSWORD = "limited", "of-the-limited"


async def set_user(stores: Stores, *rules: str) -> str:
    """Make the user anew, with these rules; return the URL to log in with."""
    await stores.client.execute_command("ACL", "DELUSER", NAME)
    await stores.client.execute_command("ACL", "SETUSER", NAME, "on", f">{PASSWORD}", *rules)
    return f"redis://{NAME}:{PASSWORD}@127.0.0.1:{urlsplit(stores.redis_url).port}/0"


def rules_of(commands: tuple[str, ...], *, without: str = "") -> list[str]:
    return ["~{s0}:*", "-@all", *(f"+{one}" for one in commands if one != without)]


def database_url_of(stores: Stores) -> str:
    return stores.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
async def api(stores: Stores) -> AsyncIterator[Stores]:
    """The stores as the API's user reaches them; `stores` are the worker's."""
    url = await set_user(stores, *rules_of(rights.of_api()))
    async with open_stores(url, database_url_of(stores), settings=stores.settings) as opened:
        yield opened


@pytest.fixture
def settings_of_the_server(stores: Stores) -> Iterator[None]:
    yield
    import redis  # noqa: PLC0415 - the loop may be over

    with redis.Redis.from_url(stores.redis_url) as client:
        client.config_set("appendfsync", "always")


async def publish(stores: Stores) -> None:
    (backlog,) = [duty for duty in stores.duties() if duty.name == "backlog"]
    await backlog.run_once()


async def level(stores: Stores) -> str:
    await stores.level.refresh()
    return stores.level.level


@pytest.mark.usefixtures("settings_of_the_server")
async def test_the_api_claims_what_the_worker_states_of_this_very_server(stores: Stores, api: Stores) -> None:
    assert await level(api) == "memory"  # nobody has stated anything yet
    await publish(stores)
    assert await level(api) == "disk"
    await stores.client.config_set("appendfsync", "everysec")
    await publish(stores)
    assert await level(api) == "memory"
    await stores.client.config_set("appendfsync", "always")
    await publish(stores)
    assert await level(api) == "disk"
    assert await stores.recovery().ensure_open(doubt=True)
    assert await level(api) == "memory"  # another epoch
    assert "errorstat_NOPERM" not in await stores.client.info("errorstats")


SERVER = Server("run", "3", 1_000_000)
STATEMENTS: list[tuple[str, Any]] = [
    ("disk", {}),
    ("disk", {"at_ms": SERVER.at_ms - durability.SECONDS_MAX * 1000}),
    ("memory", {"at_ms": SERVER.at_ms - durability.SECONDS_MAX * 1000 - 1}),
    ("memory", {"at_ms": SERVER.at_ms + durability.SECONDS_MAX * 1000 + 1}),  # a clock that was set back
    ("memory", {"at_ms": "now"}),
    ("memory", {"run_id": "another run of it, or another server"}),
    ("memory", {"epoch": "2"}),
    ("memory", {"level": "memory"}),
    ("memory", {"level": "replica"}),
]


@pytest.mark.parametrize(("wanted", "changed"), STATEMENTS)
def test_a_statement_counts_for_its_server_its_epoch_and_its_time(wanted: str, changed: Any) -> None:
    stated = durability.statement("disk", SERVER) | changed
    assert durability.level_stated(json.dumps({"durability": stated}), SERVER) == wanted


@pytest.mark.parametrize("status", [None, "", "{", "[]", "{}", '{"durability": 1}', '{"durability": {}}'])
def test_what_is_no_statement_claims_nothing(status: str | None) -> None:
    assert durability.level_stated(status, SERVER) == "memory"


# Redis 7.0 reads its append-only file as the user `default`

REPLAYS = [
    ("whole", "7.0.15", ["off", "resetpass", "~*", "+@all"], None),
    ("whole", "7.0.15", ["on", ">secret", "~*", "+@all"], None),
    ("lossy", "7.0.15", ["off"], None),
    ("lossy", "7.0.15", ["on", "~*", "-@all", "+multi", "+exec"], None),
    ("lossy", "7.0.15", ["on", "~elsewhere:*", "+@all"], None),
    ("lossy", "7.0.15", ["on", "~*", "+@all", "-xtrim"], None),
    ("whole", "7.2.4", ["off"], None),
    ("whole", "8.0.0", ["off"], None),
    ("unknown", "7.0.15", ["off", "~*", "+@all"], {aof_rights.LOOKS_UP_RIGHTS}),
]


@pytest.mark.parametrize(("wanted", "version", "rules", "lacks"), REPLAYS)
async def test_what_a_restart_would_bring_back(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, wanted: str, version: str, rules: list[str], lacks: Any
) -> None:
    await stores.client.execute_command("ACL", "DELUSER", NAME)
    await stores.client.execute_command("ACL", "SETUSER", NAME, *rules)
    monkeypatch.setattr("app.recovery.aof_rights.USER", NAME)
    assert await replay_of(stores.client, stores.keys, version=version, lacks=lacks) == wanted


async def test_a_server_that_would_forget_everything_is_refused(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_user(stores, "-@all")
    monkeypatch.setattr("app.recovery.aof_rights.USER", NAME)
    monkeypatch.setattr("app.recovery.aof_rights.REPLAYS_AS_NOBODY", (99, 0))
    for start in (stores.check, stores.migrate):
        with pytest.raises(
            ConfigurationError, match=r"would forget everything .*user default off resetpass ~\* \+@all"
        ):
            await start()
    await stores.level.refresh()
    assert stores.level.level == "memory"


async def test_where_nobody_can_tell_it_is_said_and_less_is_claimed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recovery.aof_rights.REPLAYS_AS_NOBODY", (99, 0))
    url = await set_user(stores, *rules_of(rights.of_worker(), without="acl|dryrun"))
    async with open_stores(url, database_url_of(stores), settings=stores.settings) as worker:
        with capture_logs() as logs:
            await worker.check()
            await worker.check_rights(rights.of_worker())
        assert worker.level.level == "memory"
    told = {log["event"]: log for log in logs if log["log_level"] == "error"}
    assert "cannot be found out" in told["hot_store.breaks_a_promise"]["what"]
    assert told["hot_store.user_lacks"]["rights"] == ["acl|dryrun"]
    assert "errorstat_NOPERM" not in await stores.client.info("errorstats")


# Rights that are missing


async def test_a_user_whose_functions_would_fail_half_way_is_refused(stores: Stores) -> None:
    url = await set_user(stores, *rules_of(rights.of_api(), without="hdel"))
    settings = Settings(redis_url=url, database_url=database_url_of(stores))
    with pytest.raises(ConfigurationError, match="may not run hdel, which the functions need"):
        async with open_api(settings):
            pass


async def test_a_line_that_is_refused_says_why(stores: Stores) -> None:
    url = await set_user(stores, *rules_of(rights.of_api(), without="client|tracking"))
    line = Line(url, stores.keys, library(), deadline_seconds=5, on_push=lambda _push: None)
    try:
        with capture_logs() as logs:
            line.start()
            await until(lambda: refusal(line))
        told = {log["event"]: log["log_level"] for log in logs}
        assert told == {"line.waits": "warning", "line.refused": "error"}
    finally:
        await line.close()


async def refusal(line: Line) -> bool:
    with pytest.raises(NotReadyError) as failed:
        await LineCaller(line).call("read_due", "{s0}:meta", [0], read=True)
    return "client|tracking" in str(failed.value)


async def test_the_worker_s_line_needs_no_tracking(stores: Stores) -> None:
    assert "client|tracking" not in rights.of_worker()
    url = await set_user(stores, *rules_of(rights.of_worker()))
    line = Line(url, stores.keys, library(), deadline_seconds=5)
    line.start()
    try:
        await line.opened()
    finally:
        await line.close()


# A user that can only read

WRITES = [
    "FCALL x 0", "HSET {s0}:meta epoch 9", "XADD {s0}:outbox * a b", "DEL {s0}:meta", "UNLINK {s0}:meta",
    "SET {s0}:x 1", "XTRIM {s0}:outbox MAXLEN 0", "HDEL {s0}:meta epoch", "ZADD {s0}:due 1 x", "EVAL x 0",
    "FUNCTION FLUSH", "CONFIG SET save x", "CONFIG GET save", "FLUSHALL", "ACL LIST", "GET elsewhere", "KEYS *",
    "MONITOR", "SHUTDOWN", "REPLICAOF NO ONE", "SCRIPT KILL", "CLIENT KILL TYPE normal", "WAIT 0 1",
]  # fmt: skip


async def test_pages_are_served_by_a_user_that_cannot_write(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 7), OpeningRow("A", "south", 5)]))
    await stores.warehouses.put("south", name=None, closed=True, rank=None, sets_rank=False)
    url = await set_user(stores, *rules_of(rights.of_pages()))
    settings = Settings(redis_url=url, database_url=database_url_of(stores))
    async with open_api(settings, pages_only=True) as served:
        transport = httpx.ASGITransport(HotAsgi(served.app, served.hot))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            assert (await http.get("/readyz")).status_code == 200
            for _ in range(2):  # the second from the near cache; also the first shows what is closed
                page = await http.get("/v1/availability/A")
                assert (page.status_code, page.json()["sellable"]) == (200, 7)
            assert (await http.get("/v1/availability?sku=A&sku=B")).json()["unknown"] == ["B"]
            assert (await http.post("/v1/availability", json={"skus": ["A"]})).status_code == 200
            body = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 1}]}
            for method, path in (
                ("POST", "/v1/locks"),
                ("POST", "/v1/locks/L/confirm"),
                ("GET", "/v1/stock/A"),
            ):
                assert (await http.request(method, path, json=body)).status_code == 404, path
            assert "/v1/locks" not in (await http.get("/openapi.json")).json()["paths"]
    assert "errorstat_NOPERM" not in await stores.client.info("errorstats")
    async with redis.asyncio.Redis.from_url(url) as client:
        for command in WRITES:
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command.split())


@pytest.fixture(autouse=True)
async def counters(stores: Stores) -> None:
    await stores.client.execute_command("CONFIG", "RESETSTAT")
