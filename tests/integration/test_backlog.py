"""The outbox is bounded, and a Postgres that is away, full, read-only or slow only makes it longer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from app.bootstrap import Stores
from app.domain.commands import Deduct, Line, Lock, Opening, OpeningRow, Unlock
from app.domain.outcomes import Outcome
from app.embedded.postgres import EmbeddedPostgres
from app.errors import NotReadyError, UnavailableError
from app.hotstore.backlog import OutboxRoom, Room
from app.hotstore.store import HotStore
from app.hotstore.words import NOBODY
from app.ledger import database
from app.settings import Settings
from app.worker.backlog import Judgement, Limits, judge
from tests import servers
from tests.integration.working import differences, fetch, persisted, until, working

LIMITS = Limits(
    entries_soft=100, entries_hard=1_000, bytes_soft=50_000, bytes_hard=100_000, disk_free_min=1_000
)
GB = 10**9
ROOMS = [
    (Room(1, 300, 0, None, None), 0, Judgement(333, "ok", "")),
    (Room(10, 1_000, 0, None, GB), 0, Judgement(1_000, "ok", "")),
    (Room(100, 10_000, 0, None, GB), 0, Judgement(1_000, "soft", "the number of entries")),
    (Room(1_000, 100_000, 0, None, GB), 0, Judgement(1_000, "hard", "the number of entries")),
    (Room(50, 60_000, 0, None, GB), 0, Judgement(83, "soft", "the size of the outbox")),
    (Room(2, 60_000, 0, None, GB), 0, Judgement(12, "soft", "the size of the outbox")),  # two of an import
    # Two entries are kept for each lock, which are no larger than others, nor than steps are.
    (Room(90, 90_000, 0, None, GB), 10, Judgement(90, "hard", "the size of the outbox")),
    (Room(90, 90_000, 10, None, GB), 0, Judgement(90, "hard", "the size of the outbox")),
    (Room(90, 9_000, 0, None, GB), 100, Judgement(800, "ok", "")),
    (Room(1, 300, 0, None, GB), 10**6, Judgement(166, "ok", "")),  # but for half of the room
    (Room(90, 9_000, 0, 500, GB), 0, Judgement(95, "ok", "")),
    (Room(90, 9_000, 0, 500, GB), 5, Judgement(85, "hard", "the hot store's memory")),
    (Room(90, 9_000, 0, None, 999), 0, Judgement(1, "hard", "the disk under the append-only file")),
    (Room(90, 9_000, 0, None, 1_999), 0, Judgement(1_000, "soft", "the disk under the append-only file")),
]


@pytest.mark.parametrize(("room", "open_locks", "judged"), ROOMS)
def test_what_the_room_allows(room: Room, open_locks: int, judged: Judgement) -> None:
    assert judge(room, LIMITS, open_locks) == judged


@pytest.mark.parametrize("open_locks", [0, 300_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("room", [Room(1, 4_200, 0, None, GB), Room(1_000, 430_000, 0, 2 * GB, GB)])
def test_open_locks_never_shut_an_outbox_that_is_empty(room: Room, open_locks: int) -> None:
    settings = Settings()
    limits = Limits(
        entries_soft=settings.outbox_soft,
        entries_hard=settings.outbox_max,
        bytes_soft=settings.outbox_bytes_soft,
        bytes_hard=settings.outbox_bytes_max,
        disk_free_min=settings.disk_free_bytes_min,
    )
    judged = judge(room, limits, open_locks)
    assert judged.level == "ok"
    assert judged.limit > 250_000


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, outbox_soft=5, outbox_max=1_000)


def duty_of(stores: Stores, name: str) -> Any:
    (found,) = [duty for duty in stores.duties() if duty.name == name]
    return found


async def words(stores: Stores) -> dict[str, Any]:
    return dict(json.loads(await stores.client.hget(stores.keys.meta, "worker") or "{}"))


async def test_a_full_outbox_refuses_new_obligations_only(stores: Stores) -> None:
    stores = with_settings(stores, outbox_max=10)
    backlog = duty_of(stores, "backlog")
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100)]))
    await stores.hot.execute(Lock("one", (Line("A", 1),)))
    await backlog.run_once()
    assert (await words(stores))["level"] == "ok"
    for i in range(7):
        assert (await stores.hot.execute(Lock(f"L{i}", (Line("A", 1),)))).outcome is Outcome.LOCKED
    assert (await stores.hot.execute(Lock("full", (Line("A", 1),)))).outcome is Outcome.BACKLOG_FULL
    assert (await stores.hot.execute(Deduct("one", "s"))).outcome is Outcome.DEDUCTED
    for i in range(7):
        assert (await stores.hot.execute(Unlock(f"L{i}"))).outcome is Outcome.UNLOCKED
    with capture_logs() as logs:
        await backlog.run_once()
    assert ((await words(stores))["level"], (await words(stores))["entries"]) == ("hard", 18)
    assert [(log["event"], log["log_level"]) for log in logs] == [("backlog.level", "error")]
    await stores.words.refresh()
    assert (
        "new locks are refused: the outbox holds 18 events and its limit is 10, because of: the number of entries"
        in stores.words.notes()
    )
    persist = duty_of(stores, "persist")
    while await persist.run_once():
        pass
    await backlog.run_once()
    assert (await words(stores))["level"] == "ok"
    assert (await stores.hot.execute(Lock("full", (Line("A", 1),)))).outcome is Outcome.LOCKED


async def test_that_no_worker_was_heard_of_is_told_once_it_is_known(stores: Stores) -> None:
    assert stores.words.notes() == []  # nobody asked yet
    await stores.words.refresh()
    assert stores.words.notes() == [NOBODY]
    await duty_of(stores, "backlog").run_once()
    await stores.words.refresh()
    assert stores.words.notes() == []


async def test_what_stands_still_is_told_whatever_the_worker_says(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in the hot store itself: a lock that is overdue, events that are not persisted, words that are old."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await duty_of(stores, "backlog").run_once()
    monkeypatch.setattr("app.hotstore.words.STANDS_STILL_SECONDS", 0)
    await stores.hot.execute(Lock("short", (Line("A", 1),), ttl_ms=1))
    with capture_logs() as logs:
        await stands_still(stores, "nothing expires: a lock should have expired")
        await stands_still(stores, "nothing is persisted: the ledger has not gone on")
        monkeypatch.setattr("app.hotstore.words.SILENT_SECONDS_MAX", 0)
        await stands_still(stores, "no worker has said anything")
    assert {log["what"] for log in logs if log["event"] == "worker.stands_still"} == {
        "expiry", "persisting", "the worker",
    }  # fmt: skip
    assert stores.words.overdue_seconds > 0
    assert stores.words.lag_seconds > 0
    monkeypatch.setattr("app.hotstore.words.SILENT_SECONDS_MAX", 10)
    with capture_logs() as logs:
        await duty_of(stores, "expire").run_once()
        persist = duty_of(stores, "persist")
        while await persist.run_once():
            pass
        await duty_of(stores, "backlog").run_once()
        await stores.words.refresh()
    assert stores.words.notes() == []
    assert (stores.words.overdue_seconds, stores.words.lag_seconds) == (0, 0)
    assert {log["what"] for log in logs if log["event"] == "worker.goes_on"} == {
        "expiry", "persisting", "the worker",
    }  # fmt: skip


async def stands_still(stores: Stores, note: str) -> None:
    async def is_told() -> bool:
        await stores.words.refresh()
        return any(one.startswith(note) for one in stores.words.notes())

    await until(is_told)


async def test_a_job_that_waits_for_long_is_told_with_its_reason(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.duty.WAITS_SECONDS", 0)
    why = "the hot store cannot be reached: NOPERM"

    class Refused:
        async def call(self, *_args: Any, **_options: Any) -> Any:
            raise NotReadyError(why)

    refused = HotStore(Refused(), stores.keys, stores.hot._library)
    duties = {duty.name: duty for duty in replace(stores, hot=refused).duties(speaks=stores.hot)}
    stop = asyncio.Event()
    running = [asyncio.create_task(duties[name].run(stop)) for name in ("expire", "forget")]

    async def told() -> bool:
        await duties["backlog"].run_once()
        await stores.words.refresh()
        notes = {f"nothing expires: {why}", f"the background job 'forget' waits: {why}"}
        return notes <= set(stores.words.notes())

    try:
        await until(told)
    finally:
        stop.set()
        await asyncio.gather(*running)


def with_settings(stores: Stores, **more: Any) -> Stores:
    return replace(stores, settings=stores.settings.model_copy(update=more))


async def test_a_disk_that_is_nearly_full_refuses_new_obligations(stores: Stores) -> None:
    room = await OutboxRoom(stores.client, stores.keys).measure()
    assert room.disk_free
    assert room.bytes > 0
    stores = with_settings(stores, disk_free_bytes_min=2**60)
    await duty_of(stores, "backlog").run_once()
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100)]))
    assert (await stores.hot.execute(Lock("L", (Line("A", 1),)))).outcome is Outcome.BACKLOG_FULL
    await stores.words.refresh()
    assert "the disk under the append-only file" in stores.words.notes()[0]


async def test_memory_that_is_nearly_full_refuses_before_the_server_does(stores: Stores) -> None:
    used = int((await stores.client.info("memory"))["used_memory"])
    await stores.client.config_set("maxmemory", used + 200_000)
    try:
        await duty_of(stores, "backlog").run_once()
        assert (await words(stores))["limit"] < 2_000
        assert (await words(stores))["limit"] > 1
    finally:
        await stores.client.config_set("maxmemory", 0)


# A Postgres in trouble


@contextlib.asynccontextmanager
async def stopped(stores: Stores, server: EmbeddedPostgres) -> AsyncIterator[None]:
    server.stop(immediate=True)
    try:
        yield
    finally:
        server.start()


def hang_up(stores: Stores, server: EmbeddedPostgres) -> None:
    """End every connection but the holder's, so that each new one has the new settings."""
    servers.execute(
        server.url_of(str(stores.engine.url.database)),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND application_name <> 'holder'",
    )


@contextlib.asynccontextmanager
async def read_only(stores: Stores, server: EmbeddedPostgres) -> AsyncIterator[None]:
    name = stores.engine.url.database
    servers.execute(
        server.url_of("postgres"), f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
    )
    hang_up(stores, server)
    try:
        yield
    finally:
        servers.execute(
            server.url_of("postgres"), f'ALTER DATABASE "{name}" RESET default_transaction_read_only'
        )
        hang_up(stores, server)


@contextlib.asynccontextmanager
async def full(stores: Stores, server: EmbeddedPostgres) -> AsyncIterator[None]:
    """What a full disk makes Postgres say, each time it is to write an event."""
    await fetch(
        stores,
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END $$",
    )
    await fetch(
        stores, "CREATE TRIGGER no_space BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION no_space()"
    )
    try:
        yield
    finally:
        async with database.driver_transaction(stores.engine) as pg:
            await pg.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")  # in the order of those who read it
            await pg.execute("DROP TRIGGER no_space ON event; DROP FUNCTION no_space")


@contextlib.asynccontextmanager
async def locked_up(stores: Stores, server: EmbeddedPostgres) -> AsyncIterator[None]:
    """Slow without end: somebody holds what the worker needs, and its statements are cancelled."""
    url = stores.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    holder = await asyncpg.connect(url, server_settings={"application_name": "holder"})
    await holder.execute("BEGIN; LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
    name = stores.engine.url.database
    servers.execute(server.url_of("postgres"), f"ALTER DATABASE \"{name}\" SET lock_timeout = '100ms'")
    hang_up(stores, server)
    try:
        yield
    finally:
        await holder.close()
        servers.execute(server.url_of("postgres"), f'ALTER DATABASE "{name}" RESET lock_timeout')
        hang_up(stores, server)


@pytest.mark.parametrize("trouble", [stopped, read_only, full, locked_up])
async def test_nothing_is_lost_while_postgres_cannot(
    stores: Stores, postgres_server: EmbeddedPostgres, trouble: Any
) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 1_000)]))

    async def waits() -> bool:
        await stores.words.refresh()
        return any("nothing is persisted:" in note for note in stores.words.notes())

    async def at_ease() -> bool:
        await stores.words.refresh()
        return stores.words.notes() == []

    with capture_logs() as logs:
        async with working(stores):
            await until(lambda: persisted(stores))
            async with trouble(stores, postgres_server):
                for i in range(20):
                    assert (
                        await stores.hot.execute(Lock(f"L{i}", (Line("A", 1),)))
                    ).outcome is Outcome.LOCKED
                await until(waits)
            await until(lambda: persisted(stores))
            await until(at_ease)
    assert not [log for log in logs if log["event"] == "duty.failed"]
    assert await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'lock'") == [(20,)]
    assert await fetch(stores, "SELECT count(*) FROM quarantine") == [(0,)]
    assert await differences(stores) == []


STATES = {"53100": True, "25006": True, "57P01": True, "57014": True, "40P01": True, "58030": True, "22003": False,
          "23514": False, "42601": False}  # fmt: skip


@pytest.mark.parametrize(("state", "away"), STATES.items())
async def test_which_refusals_are_waited_for(stores: Stores, state: str, away: bool) -> None:
    raised = f"DO $$ BEGIN RAISE 'planted' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is asked
        async with database.driver_transaction(stores.engine) as pg:
            await pg.execute(raised)
    assert isinstance(caught.value, UnavailableError) is away
    with pytest.raises(Exception) as caught:  # noqa: PT011
        async with database.transaction(stores.engine) as connection:
            await connection.exec_driver_sql(raised)
    assert isinstance(caught.value, UnavailableError) is away


@pytest.mark.tier
async def test_a_batch_that_takes_too_long_is_tried_in_smaller_ones(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ledger.database.TRANSACTION_SECONDS_MAX", 0.2)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 1_000)]))
    for i in range(30):
        await stores.hot.execute(Lock(f"L{i}", (Line("A", 1),)))
    await fetch(
        stores,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$",
    )
    await fetch(stores, "CREATE TRIGGER slow BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION slow()")
    persist = duty_of(with_settings(stores, batch_events_max=32), "persist")

    async def gets_through() -> bool:
        with contextlib.suppress(TimeoutError, UnavailableError):
            await persist.run_once()
        return await fetch(stores, "SELECT count(*) FROM event") == [(32,)]

    try:
        await until(gets_through)
    finally:
        await fetch(stores, "DROP TRIGGER slow ON event")
        await fetch(stores, "DROP FUNCTION slow")
    await asyncio.sleep(0)
    assert await differences(stores) == []
