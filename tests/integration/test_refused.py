"""Stores that answer and refuse us: one sentence, said once while it lasts, and all goes on when they do it no more."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio
from structlog.testing import capture_logs

from app.bootstrap import Stores, open_api, open_ledger, open_stores
from app.commands.ledger import ledger
from app.commands.verify import verify
from app.domain.commands import Line, Lock, Opening, OpeningRow
from app.domain.outcomes import Outcome
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.errors import NotReadyError, RefusedError, UnavailableError
from app.hotstore import wire
from app.ledger import database
from app.recovery.findings import Finding
from app.settings import Settings
from tests import servers
from tests.integration.working import persisted, until, working

DRIVERS = re.compile(
    r"asyncpg|sqlalchemy|redis\.|hiredis|uvloop|Errno|<class|\b[A-Z]\w+(?:Error|Exception)\b"
)
"""What no sentence for a person names."""
Logs = list[Mapping[str, Any]]


def reasons(logs: Logs, event: str) -> list[tuple[str, str]]:
    return [(log.get("duty", ""), log["why"]) for log in logs if log["event"] == event]


def check_quiet(logs: Logs) -> None:
    """Each thing that waited said each of its reasons once, none with a traceback, none with a driver's name."""
    told = [(log["event"], log.get("duty"), log.get("why")) for log in logs]
    waits = [one for one in told if one[0].endswith(".waits")]
    assert waits
    assert len(waits) == len(set(waits)), waits
    assert not [log for log in logs if log.get("exc_info") or log["event"].endswith(".failed")], logs
    assert not [one for one in waits if DRIVERS.search(str(one[2]))], waits


# Postgres


@pytest.fixture
def as_plain(postgres_server: EmbeddedPostgres, migrated: str) -> Iterator[tuple[str, str]]:
    """A ledger of an ordinary user, as that user and as the superuser."""
    url = servers.fresh_database(postgres_server)
    name = url.partition("?")[0].rpartition("/")[2]
    servers.execute(
        url, f"CREATE ROLE plain LOGIN PASSWORD 'right'; ALTER DATABASE \"{name}\" OWNER TO plain"
    )
    yield f"postgresql://plain:right@/{name}?{url.partition('?')[2]}", url
    servers.drop_database(postgres_server, url)
    servers.execute(postgres_server.url_of("postgres"), "DROP ROLE IF EXISTS plain")


def kicked_out(statement: str) -> str:
    return statement + "; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'plain'"  # noqa: S608 - ours


POSTGRES = {
    "the user or the password of SELLABLE_DATABASE_URL is wrong": (
        kicked_out("ALTER ROLE plain PASSWORD 'other'"),
        "ALTER ROLE plain PASSWORD 'right'",
    ),
    "this user may not connect from here": (
        kicked_out("ALTER ROLE plain NOLOGIN"),
        "ALTER ROLE plain LOGIN",
    ),
    "this user lacks a right": (
        "REVOKE ALL ON position FROM plain",
        "GRANT ALL ON position TO plain",
    ),
    "a table of the ledger is missing": (
        "ALTER TABLE position RENAME TO away",
        "ALTER TABLE away RENAME TO position",
    ),
}


@pytest.mark.tier
@pytest.mark.parametrize(
    "sentences",
    [
        pytest.param([*POSTGRES][:1], id="password"),
        pytest.param([*POSTGRES][1:], id="all else", marks=pytest.mark.tier),
    ],
)
async def test_a_postgres_that_refuses_us(
    sentences: list[str],
    redis_server: EmbeddedValkey,
    as_plain: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, superuser = as_plain
    servers.flush(redis_server)
    monkeypatch.setenv("SELLABLE_REDIS_URL", redis_server.url)
    monkeypatch.setenv("SELLABLE_DATABASE_URL", plain)
    async with open_stores(settings=Settings()) as stores:
        await stores.migrate()
        await stores.recovery().ensure_open()
        await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
        async with working(stores):
            await until(lambda: persisted(stores))
            for number, sentence in enumerate(sentences):
                begin, end = POSTGRES[sentence]
                with capture_logs() as logs:
                    servers.execute(superuser, begin)
                    lock = await stores.hot.execute(Lock(f"L{number}", (Line("A", 1),)))
                    assert lock.outcome is Outcome.LOCKED, "locks go on"
                    await until(partial(says, logs, "persist", sentence))
                    await until(partial(in_words, stores, sentence))
                    if "ROLE" in begin:
                        with pytest.raises(RefusedError, match=sentence) as refused:
                            await verify(as_json=False, data_dir=tmp_path, open_stores=open_stores)
                        assert not DRIVERS.search(str(refused.value))
                    servers.execute(superuser, end)
                    await until(partial(goes_on, logs, "persist"))
                    await until(lambda: persisted(stores))
                check_quiet(logs)


async def says(logs: Logs, duty: str, sentence: str) -> bool:
    return any(one == duty and sentence in why for one, why in reasons(logs, "duty.waits"))


async def goes_on(logs: Logs, duty: str) -> bool:
    return any(log["event"] == "duty.goes_on" and log["duty"] == duty for log in logs)


async def in_words(stores: Stores, sentence: str) -> bool:
    """Whether `/readyz` has it among its notes, without a driver's name."""
    await stores.words.refresh()
    notes = " ".join(stores.words.notes())
    assert not DRIVERS.search(notes), notes
    return f"nothing is persisted: Postgres refuses us: {sentence}" in notes


async def test_a_database_that_is_not_there(
    redis_server: EmbeddedValkey, shared_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _, after = shared_database_url.partition("?")
    monkeypatch.setenv("SELLABLE_REDIS_URL", redis_server.url)
    monkeypatch.setenv("SELLABLE_DATABASE_URL", f"{before}x?{after}")
    for command in (
        lambda: verify(as_json=False, data_dir=tmp_path, open_stores=open_stores),
        lambda: ledger(as_json=False, data_dir=tmp_path, open_ledger=open_ledger),
    ):
        with pytest.raises(RefusedError, match="Postgres refuses us: there is no such database: database "):
            await command()


async def test_the_watch_on_a_ledger_says_once_that_it_is_refused(stores: Stores) -> None:
    """It asks again and again; whoever waits for it gets the reason."""
    wrong = stores.engine.url.set(password="wrong")
    engine = database.open_engine(wrong.set(drivername="postgresql").render_as_string(hide_password=False))
    settings = Settings(durability_wait_seconds=1.0)
    async with open_stores(
        stores.redis_url,
        engine.url.set(drivername="postgresql").render_as_string(hide_password=False),
        settings=settings,
    ) as refused:
        operations = refused.operations()
        await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
        with capture_logs() as logs:
            assert (
                await operations.locks.create(Lock("L", (Line("A", 1),)), "ledger")
            ).durability != "ledger"
            with pytest.raises(UnavailableError, match="the user or the password of SELLABLE_DATABASE_URL"):
                await operations.past.durabilities.wait_for_ledger("1-1")
        check_quiet(logs)
        mine = Settings(redis_url=stores.redis_url, database_url=_url(refused))
        async with (
            open_api(mine) as api,
            httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://test") as http,
        ):

            async def notes() -> str:
                return " ".join((await http.get("/readyz")).json().get("notes", []))

            said = "this process cannot ask the ledger: Postgres refuses us: the user or the password"
            await until(lambda: says_so(notes, said))
    await engine.dispose()


async def says_so(ask: Callable[[], Awaitable[str]], sentence: str) -> bool:
    return sentence in await ask()


# Redis


@asynccontextmanager
async def user(redis_server: EmbeddedValkey) -> AsyncIterator[tuple[redis.asyncio.Redis, str]]:
    """An administrator, and the URL of a user `shop` that may do everything with our keys."""
    async with wire.connect(redis_server.url) as admin:
        await acl(admin, "reset", "on", ">right", "~{s0}:*", "&*", "+@all")
        try:
            yield admin, f"redis://shop:right@127.0.0.1:{redis_server.port}/0"
        finally:
            await admin.execute_command("ACL", "DELUSER", "shop")


async def acl(admin: redis.asyncio.Redis, *rules: str) -> None:
    await admin.execute_command("ACL", "SETUSER", "shop", *rules)


async def expelled(admin: redis.asyncio.Redis, *rules: str) -> None:
    await acl(admin, *rules)
    await admin.execute_command("CLIENT", "KILL", "USER", "shop")


REDIS = {
    "Redis refuses us: the user or the password of SELLABLE_REDIS_URL is wrong, or the user is off": (
        lambda admin: expelled(admin, "resetpass", ">other"),
        lambda admin: acl(admin, ">right"),
    ),
    "Redis refuses us: the user of SELLABLE_REDIS_URL may not use our keys: its key pattern must be ~{s0}:*": (
        lambda admin: acl(admin, "resetkeys", "~{other-s0}:*"),
        lambda admin: acl(admin, "~{s0}:*"),
    ),
    "Redis refuses us: the user of SELLABLE_REDIS_URL may not run xread": (
        lambda admin: acl(admin, "-xread"),
        lambda admin: acl(admin, "+xread"),
    ),
}  # fmt: skip


async def test_a_redis_that_refuses_us(stores: Stores, redis_server: EmbeddedValkey) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    async with (
        user(redis_server) as (admin, url),
        open_stores(url, _url(stores), settings=Settings()) as shop,
        working(shop),
    ):
        for sentence, (begin, end) in REDIS.items():
            with capture_logs() as logs:
                await begin(admin)
                await until(partial(says, logs, "persist", sentence))
                if "xread" not in sentence:
                    with pytest.raises(UnavailableError, match=re.escape(sentence)):
                        await shop.check()
                    with pytest.raises(NotReadyError, match=re.escape(sentence)):
                        await shop.hot.read_due(0)
                await end(admin)
                await until(partial(goes_on, logs, "persist"))
            check_quiet(logs)


async def test_a_rebuild_that_redis_refuses_leaves_a_gate_that_is_opened_again(
    stores: Stores, redis_server: EmbeddedValkey
) -> None:
    """It had noted an epoch by then: every process left the memory, and nobody opened it for a new one."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    async with (
        user(redis_server) as (admin, url),
        open_stores(url, _url(stores), settings=Settings()) as shop,
    ):
        await acl(admin, "-xread")
        with pytest.raises(redis.exceptions.ResponseError):
            await shop.recovery().ensure_open(force_rebuild=True)
        await acl(admin, "+xread")
        noted = await newest_epoch(shop)
        shop.hot.leave(noted)
        assert await shop.recovery().ensure_open() is Finding.SAME
        assert (await shop.hot.execute(Lock("L", (Line("A", 1),)))).outcome is Outcome.LOCKED


async def newest_epoch(stores: Stores) -> int:
    async with database.driver_transaction(stores.engine) as pg:
        return int(await pg.fetchval("SELECT max(epoch) FROM epoch"))


def _url(stores: Stores) -> str:
    return stores.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
