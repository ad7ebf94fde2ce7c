"""The order of a recovery: shut the gate, persist what the outbox holds, compare, repair, open; and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import Line, Lock, Opening, OpeningRow
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore.gate import Gate
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.snapshot_rows import SnapshotRows
from app.ledger.writer import Writer
from app.recovery import recovery as module
from app.recovery.findings import Finding
from app.recovery.recovery import Recovery
from tests.integration.working import differences, drain, fetch, some_traffic, until, working

Recover = Callable[[Stores], Awaitable[Finding | None]]


async def after_a_restart(stores: Stores) -> Finding | None:
    await stores.client.function_flush()
    return await stores.recovery().ensure_open()


async def on_doubt(stores: Stores) -> Finding | None:
    """As the worker does at a broken chain, and to set the clock back."""
    return await stores.recovery().ensure_open(doubt=True)


async def by_command(stores: Stores) -> Finding | None:
    return await stores.recovery().ensure_open(force_rebuild=True)


WAYS = [after_a_restart, on_doubt, by_command]


async def locks_of(stores: Stores) -> set[str]:
    """Those that both stores know."""
    await drain(stores)
    assert await differences(stores) == []
    return {name for (name,) in await fetch(stores, "SELECT lock_id FROM lock")}


@pytest.mark.parametrize("recover", WAYS)
async def test_nobody_writes_from_the_first_question_to_the_last(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, recover: Recover
) -> None:
    """What is compared stands still: an order that comes between two questions is refused, not lost."""
    await some_traffic(stores)
    answered: list[str] = []
    tip = RecoveryRows.tip

    async def meanwhile(self: RecoveryRows) -> Any:
        name = f"meanwhile-{len(answered)}"
        try:
            answered.append((await stores.hot.execute(Lock(name, (Line("B", 1),)))).outcome)
        except NotReadyError:
            answered.append("refused")
        return await tip(self)

    monkeypatch.setattr(RecoveryRows, "tip", meanwhile)
    assert await recover(stores) is Finding.SAME
    monkeypatch.undo()
    assert len(answered) >= 2
    assert set(answered) == {"refused"}
    assert await locks_of(stores) == {"one", "two", "three"}


@pytest.mark.parametrize("recover", WAYS)
async def test_what_the_outbox_holds_is_booked_first(stores: Stores, recover: Recover) -> None:
    await some_traffic(stores)
    assert await fetch(stores, "SELECT n FROM position") in ([], [(0,)])
    assert await recover(stores) is Finding.SAME
    assert (await fetch(stores, "SELECT epoch, n FROM position"))[0] == (1, 9)


@pytest.mark.parametrize("recover", [after_a_restart, on_doubt])
async def test_stores_that_agree_are_opened_without_loading(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, recover: Recover
) -> None:
    await some_traffic(stores)
    monkeypatch.setattr(SnapshotRows, "stock_lines", None)
    assert await recover(stores) is Finding.SAME
    assert await stores.gate.is_open()


async def test_a_rebuild_that_is_asked_for_loads_though_the_last_events_agree(stores: Stores) -> None:
    """A count that somebody changed by hand shows in no event."""
    await some_traffic(stores)
    await drain(stores)
    await stores.client.hincrby(stores.keys.stock("A"), "north:a", 7)
    await stores.client.hset(stores.keys.stock("never heard of"), mapping={"v": 1, "north:a": 5})
    assert await by_command(stores) is Finding.SAME
    counted, unknown = (await stores.hot.read_stock(["A", "never heard of"]))[1]
    assert (counted and counted.warehouses["north"].available, unknown) == (2, None)


# A long outbox


async def test_a_rest_is_left_to_the_worker_only_by_a_memory_that_continues_the_ledger(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS_MAX", -1.0)
    await some_traffic(stores)
    assert await after_a_restart(stores) is Finding.AHEAD
    await stores.hot.execute(Lock("four", (Line("B", 1),)))
    await stores.client.hset(stores.keys.meta, "tip", "0123456789abcdef")  # damaged: it has to be made anew
    assert await after_a_restart(stores) is Finding.DIFFERENT
    assert await locks_of(stores) == {"one", "two", "three", "four"}
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]


async def test_a_rebuild_leaves_nothing_to_the_worker(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS_MAX", -1.0)
    monkeypatch.setattr(module, "DRAIN_CHUNK", 2)
    await some_traffic(stores)
    assert await by_command(stores) is Finding.SAME
    assert await locks_of(stores) == {"one", "two", "three"}


async def test_an_outbox_whose_memory_was_deleted_is_booked_before_the_rebuild(stores: Stores) -> None:
    await some_traffic(stores)
    await stores.client.delete(stores.keys.meta)
    assert await stores.recovery().ensure_open() is Finding.EMPTY
    assert await locks_of(stores) == {"one", "two", "three"}


# Broken off, overtaken, side by side


class BrokenOffError(Exception):
    """Stands for the death of the process."""


STEPS = [
    (Gate, "claims"), (Gate, "shut"), (RecoveryRows, "add_epoch"), (Writer, "position"), (RecoveryRows, "tip"),
    (Gate, "rebuild_begin"), (Gate, "clear"), (Gate, "load_stock"), (Gate, "load"), (Gate, "open"),
]  # fmt: skip


async def test_a_rebuild_that_breaks_off_anywhere_is_gone_on_with(stores: Stores) -> None:
    """The next worker finds what it is at, and nothing is lost. Each call of each step, before and after it."""
    await stores.hot.execute(Opening([OpeningRow("B", "north", 10_000)]))
    acknowledged: set[str] = set()
    for owner, step in STEPS:
        for nth in range(1, 20):
            lock_id = f"{owner.__name__}.{step} {nth}"
            await stores.hot.execute(Lock(lock_id, (Line("B", 1),), ttl_ms=None))
            acknowledged.add(lock_id)
            if not await _break_off(stores, owner, step, nth):
                break
            await stores.recovery().ensure_open()
            assert await stores.gate.is_open(), lock_id
    assert await locks_of(stores) == acknowledged
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]


async def _break_off(stores: Stores, owner: type, step: str, nth: int) -> bool:
    """Rebuild, and end before (odd) or after (even) a call of a step; return whether it came so far."""
    calls, call = 0, getattr(owner, step)

    async def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (nth + 1) // 2 and nth % 2:
            raise BrokenOffError
        result = await call(self, *args, **kwargs)
        if calls == (nth + 1) // 2:
            raise BrokenOffError
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, step, breaking)
        try:
            await by_command(stores)
        except BrokenOffError:
            return True
    return False


async def test_a_recovery_that_was_overtaken_lists_and_changes_nothing(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still after its comparison; meanwhile another one rebuilt, and orders came in."""
    await some_traffic(stores)
    compare = Recovery._compare

    async def overtaken(self: Recovery, *args: Any) -> Finding:
        monkeypatch.setattr(Recovery, "_compare", compare)
        assert await by_command(stores) is Finding.SAME
        await stores.hot.execute(Lock("meanwhile", (Line("B", 1),)))
        return Finding.DIFFERENT

    monkeypatch.setattr(Recovery, "_compare", overtaken)
    assert await on_doubt(stores) is None
    assert await stores.gate.is_open()
    assert await locks_of(stores) == {"one", "two", "three", "meanwhile"}
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]


@asynccontextmanager
async def full_load(stores: Stores, acknowledged: set[str], clients: int = 16) -> AsyncIterator[None]:
    """Clients that take a refusal for one: what is acknowledged, and nothing else, has to be there afterwards."""
    running = True

    async def go_on(client: int) -> None:
        n = 0
        while running:
            n += 1
            lock_id = f"{client}-{n}"
            try:
                await stores.hot.execute(Lock(lock_id, (Line("B", 1),), ttl_ms=None))
                acknowledged.add(lock_id)
            except (NotReadyError, OutcomeUnknownError):
                await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(go_on(client)) for client in range(clients)]
    try:
        yield
    finally:
        running = False
        await asyncio.gather(*tasks)


async def test_rebuilds_under_load_with_two_workers_lose_nothing(stores: Stores) -> None:
    """Two at once: one has the lease, the other is told so."""
    await stores.hot.execute(Opening([OpeningRow("B", "north", 1_000_000)]))
    acknowledged: set[str] = set()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(working(stores))
        await stack.enter_async_context(working(stores))
        await stack.enter_async_context(full_load(stores, acknowledged))
        for _ in range(3):
            known = len(acknowledged)
            first, second = stores.recovery(), stores.recovery()
            first._holder, second._holder = "first", "second"
            told = await asyncio.gather(*(one.ensure_open(force_rebuild=True) for one in (first, second)))
            assert sorted(map(str, told)) == ["None", "same"]
            await until(lambda known=known: _grown(acknowledged, known))
    assert await locks_of(stores) == acknowledged
    assert await fetch(stores, "SELECT count(*) FROM event WHERE kind = 'lock'") == [(len(acknowledged),)]
    assert await fetch(stores, "SELECT count(*) FROM lost_event") == [(0,)]


async def _grown(acknowledged: set[str], known: int) -> bool:
    return len(acknowledged) > known + 50
