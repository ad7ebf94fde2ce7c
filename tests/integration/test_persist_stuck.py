"""What could stop the write-behind duty for good, or let it throw away too much: each ends, and it goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import Line, Lock, Opening, OpeningRow
from app.domain.events import Position
from app.errors import NewerSchemaError, UnavailableError
from app.hotstore import outbox, wire
from app.ledger import database, writer
from app.ledger.quarantine import QuarantiningWriter
from app.ledger.queries import sql
from app.ledger.writer import Writer
from app.recovery.findings import Finding
from app.worker import persist
from app.worker.persist import Persist
from tests.integration.test_quarantine import plant_text
from tests.integration.test_worker import differences, drain, execute, fetch
from tests.proxy import proxied
from tests.recovery import copy_of_memory, put_back_memory

STALL = """
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN NEW; END $$;
CREATE TRIGGER stall BEFORE INSERT ON move FOR EACH ROW WHEN (NEW.sku = 'S2-5') EXECUTE FUNCTION stall()
"""
END_COPIES = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND pid <> pg_backend_pid()
"""


def persisting(stores: Stores, *, margin: float = 60, batch: int = 100, **more: Any) -> Persist:
    given = {"client": stores.client, "writer": QuarantiningWriter(stores.engine, 0)} | more
    return Persist(
        given["client"],
        stores.keys,
        stores.hot,
        given["writer"],
        batch_events_max=batch,
        trim_margin_seconds=margin,
    )


async def ends(work: "asyncio.Task[bool]", seconds: float = 10) -> None:
    done, _ = await asyncio.wait([work], timeout=seconds)
    work.cancel()
    assert done, "it waits for ever"


async def locks(stores: Stores, *names: str) -> None:
    for name in names:
        await stores.hot.execute(Lock(name, (Line("A", 1),)))


async def position(stores: Stores) -> tuple[int, int]:
    ((epoch, n),) = await fetch(stores, "SELECT epoch, n FROM position")
    return epoch, n


# Postgres


@pytest.mark.tier
@pytest.mark.parametrize("how", ["at the deadline", "by the server"])
async def test_a_copy_whose_connection_ends(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """asyncpg waits there until more may be written, and is told of nothing else."""
    for i in range(40):
        await stores.hot.execute(Opening([OpeningRow(f"S{i}-{j}", "north", 5) for j in range(500)]))
    duty = persisting(stores, batch=1)
    while await duty.run_once():  # the months are made
        if (await position(stores))[1] > 1:
            break
    await execute(stores, STALL)
    if how == "at the deadline":
        monkeypatch.setattr(database, "TRANSACTION_SECONDS_MAX", 1.0)
    running = asyncio.create_task(persisting(stores, batch=5000).run_once())
    while how == "by the server" and not await fetch(
        stores, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    ):
        await asyncio.sleep(0.02)
    if how == "by the server":
        await asyncio.sleep(0.3)  # until it has sent as much as it may
        await fetch(stores, END_COPIES)
    await ends(running)
    with pytest.raises(UnavailableError):
        await running
    monkeypatch.undo()
    await fetch(stores, END_COPIES)
    await execute(stores, "DROP TRIGGER stall ON move; DROP FUNCTION stall")
    await drain(stores)
    assert await differences(stores) == []


async def test_a_worker_that_froze_in_the_middle_of_a_copy(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time-out of the server's ends it, and it has the position."""
    monkeypatch.setattr(writer, "FROZEN_SECONDS", 0.5)
    monkeypatch.setattr(persist, "REFUSED_SECONDS", 0.2)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await Writer(stores.engine, 0).position()
    has_lease, thaw = asyncio.Event(), asyncio.Event()

    async def nothing_more() -> AsyncIterator[bytes]:
        yield b""
        has_lease.set()
        await thaw.wait()

    async def freeze() -> None:
        async with database.driver_transaction(stores.engine) as pg:
            await pg.fetchrow(sql("lease_position"), 0)
            await pg.copy_to_table("shortage", source=nothing_more())

    frozen = asyncio.create_task(freeze())
    await has_lease.wait()
    duty = persisting(stores)
    assert not await duty.run_once()
    async with asyncio.timeout(20):
        while not await duty.run_once():
            await asyncio.sleep(0.05)
    thaw.set()
    with contextlib.suppress(Exception):
        await frozen
    assert await position(stores) == (1, 1)


async def test_a_ledger_that_went_back_while_nothing_came(stores: Stores) -> None:
    """What it has no more is not trimmed, but written again."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await drain(stores)
    ((tip,),) = await fetch(stores, "SELECT tip FROM position")
    before = await fetch(
        stores, "SELECT version, available, locked, supplier, customer, adjustment, summed FROM stock"
    )
    await locks(stores, "L1", "L2")
    duty = persisting(stores, margin=0.5)
    while await duty.run_once():
        pass
    assert await position(stores) == (1, 3)
    version, available, locked, *outside, summed = before[0]
    await execute(
        stores,
        f"""
        DELETE FROM event WHERE n > 1; DELETE FROM move WHERE n > 1; DELETE FROM lock;
        UPDATE position SET n = 1, tip = '{tip}';
        UPDATE stock SET version = {version}, available = {available}, locked = {locked}, supplier = {outside[0]},
            customer = {outside[1]}, adjustment = {outside[2]}, summed = {summed};
        """,  # noqa: S608 - figures of ours
    )
    async with asyncio.timeout(20):
        while await position(stores) != (1, 3):
            await duty.run_once()
            await asyncio.sleep(0.02)
    assert await differences(stores) == []


# The hot store


async def test_an_answer_that_got_lost_is_not_waited_for(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist, "READ_SECONDS_MAX", 0.5)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    target = stores.client.connection_pool.connection_kwargs
    async with proxied(target["host"], target["port"]) as proxy:
        client = wire.connect(f"redis://:{target.get('password') or ''}@127.0.0.1:{proxy.port}")
        duty = persisting(stores, client=client)
        while await duty.run_once():
            pass
        proxy.to_client.drops = True
        running = asyncio.create_task(duty.run_once())
        await ends(running)
        with pytest.raises(TimeoutError):
            await running
        stop = asyncio.Event()
        waiting = asyncio.create_task(duty.duty().run(stop))
        async with asyncio.timeout(10):
            while not duty.trouble:
                await asyncio.sleep(0.02)
        assert (
            duty.trouble == "no answer came in time"
        )  # an error without words is one that is told all the same
        stop.set()
        await waiting
        proxy.to_client.drops = False
        await locks(stores, "L1")
        async with asyncio.timeout(10):
            while await position(stores) != (1, 2):
                await duty.run_once()
        await client.aclose()


async def test_a_batch_on_its_way_is_over_before_a_restarted_memory_is_compared(stores: Stores) -> None:
    """It would come in between: what the ledger got then, the memory that was opened would not know."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100)]))
    await drain(stores)
    at_crash = await copy_of_memory(stores)
    await locks(stores, "L1", "L2", "L3")
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(QuarantiningWriter):
        async def _book(self, pg: Any, *given: Any) -> None:
            begun.set()
            await go_on.wait()
            await super()._book(pg, *given)

    writing = asyncio.create_task(persisting(stores, writer=Slow(stores.engine, 0)).run_once())
    await begun.wait()
    await put_back_memory(stores, at_crash)  # killed, and started again without its tail
    recovering = asyncio.create_task(stores.recovery().ensure_open())
    await asyncio.sleep(0.3)
    assert not recovering.done()
    go_on.set()
    await asyncio.wait([writing])
    assert await recovering is Finding.BEHIND
    await locks(stores, "after")
    await drain(stores)
    assert await fetch(stores, "SELECT * FROM lost_event") == []
    assert await differences(stores) == []
    assert (await stores.hot.read_lock("after")).lock is not None


# Its own bounds


async def test_batches_are_bounded_by_their_moves_too(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist, "MOVES_MAX", 100)
    monkeypatch.setattr(persist, "FOLD_EVENTS", 1)
    for i in range(12):
        await stores.hot.execute(Opening([OpeningRow(f"S{i}-{j}", "north", 5) for j in range(40)]))
    written = []

    class Noting(QuarantiningWriter):
        async def write_batch(self, batch: Any, **given: Any) -> Position | None:
            written.append(len(batch.fold.moves))
            return await super().write_batch(batch, **given)

    duty = persisting(stores, batch=5000, writer=Noting(stores.engine, 0))
    while await duty.run_once():
        pass
    assert sum(written) == 480
    assert max(written) <= 100 + 40
    assert await differences(stores) == []


async def test_the_outbox_is_trimmed_however_many_batches_a_margin_has(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist, "MARKS_MAX", 5)
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10_000)]))
    duty = persisting(stores, margin=0.2)
    async with asyncio.timeout(30):
        while True:
            await locks(stores, f"L{(await position(stores))[1] if duty._at else 0}")
            await duty.run_once()
            first = await outbox.read_first(stores.client, stores.keys)
            if first is not None and first.position.n > 3:
                break
    assert len(duty._marks) <= 5 + 1


async def test_a_newer_event_first_in_line_is_told_and_not_passed_over(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100)]))
    duty = persisting(stores)
    await duty.run_once()
    await locks(stores, *(f"L{n}" for n in range(persist.FOLD_EVENTS)))
    await plant_text(stores, b'[99,"new"]')
    told = []
    for _ in range(10):
        try:
            await duty.run_once()
        except NewerSchemaError:
            told.append(await position(stores))
    assert set(told) == {(1, 1 + persist.FOLD_EVENTS)}
