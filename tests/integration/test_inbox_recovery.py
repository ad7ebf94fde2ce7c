"""Events of the inbox outlive both stores: each is there once, a repeat is a duplicate, and the sequence goes on."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import Line, Lock
from app.embedded.valkey import EmbeddedValkey
from app.recovery.findings import Finding
from app.settings import Settings
from tests.integration.test_inbox import ago, event, send, until_nothing_waits, waiting
from tests.integration.test_recovery_findings import memory_of
from tests.integration.warehouse import House, house_on
from tests.integration.working import drain, fetch, until
from tests.recovery import (
    copy_of_ledger,
    copy_of_memory,
    put_back_ledger,
    put_back_memory,
    restart_without_tail,
)

OCCURRED_AT = [ago(60 - n) for n in range(12)]


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, inbox_wait_seconds=600)


def numbered(sequence: int, kind: str = "received", **more: Any) -> dict[str, Any]:
    return event(f"e{sequence}", kind, sequence=sequence, occurred_at=OCCURRED_AT[sequence], **more)


FIRST = [
    numbered(1),
    numbered(2, "adjusted", quantity=-2, reason="broken"),
    numbered(4, "shipped", lock_id="L", shipment_id="s1", quantity=1),  # waits for the third
]
SECOND = [
    numbered(3, "returned", quantity=1, condition="damaged", lock_id="L"),
    numbered(5, "counted", on_hand=9),
    numbered(8),  # waits for the sixth
    event("unnumbered", quantity=2, occurred_at=OCCURRED_AT[9]),
]
APPLIED = [("applied", "")]


async def before(house: House) -> None:
    await house.stores.hot.execute(Lock("L", (Line("A", 2, "north"),), ttl_ms=None))
    assert [status for status, _ in await send(house, *FIRST)] == ["applied", "applied", "parked"]
    await house.caught_up()


async def after(house: House) -> None:
    third, fifth, *rest = [status for status, _ in await send(house, *SECOND)]
    assert [third, *rest] == ["applied", "parked", "applied"]
    assert fifth in {"parked", "applied"}  # the fourth, which waited for the third, may be faster
    await until_only(house, "e8")
    await house.caught_up()


async def until_only(house: House, *ids: str) -> None:
    async def only() -> bool:
        return [one for one, _ in await waiting(house)] == list(ids)

    await until(only)


async def repeats_and_goes_on(house: House, counts: dict[str, int]) -> None:
    """Whatever is told again was told; the sixth and seventh let the eighth go on."""
    again = [status for status, _ in await send(house, *FIRST, *SECOND)]
    assert again == ["duplicate"] * 5 + ["parked", "duplicate"]
    assert await house.counts("A") == counts
    assert await send(house, numbered(6), numbered(7)) == [("applied", "")] * 2
    await until_nothing_waits(house)
    late = event("late", quantity=4, occurred_at=OCCURRED_AT[4])  # the count of the fifth has it already
    assert await send(house, late) == APPLIED
    assert (await house.counts("A"))["on_hand"] == counts["on_hand"] + 9
    assert await house.differences() == []
    twice = "SELECT op FROM event WHERE op LIKE 'event:%' GROUP BY op HAVING count(*) > 1"
    assert await fetch(house.stores, twice) == []
    ids = "SELECT count(DISTINCT op) FROM event WHERE op LIKE 'event:%'"
    assert await fetch(house.stores, ids) == [(len(FIRST + SECOND) + 3,)]
    assert await fetch(house.stores, "SELECT number FROM inbox_sequence") == [(8,)]


async def test_a_lost_suffix_with_events_of_the_inbox_is_replayed(stores: Stores) -> None:
    async with house_on(stores) as house:
        await before(house)
        copy = await copy_of_memory(stores)
        await after(house)
        whole, counts = await memory_of(stores), await house.counts("A")
    await put_back_memory(stores, copy)
    assert await stores.recovery().ensure_open() is Finding.BEHIND
    assert await memory_of(stores) == whole
    async with house_on(stores, ()) as house:
        await repeats_and_goes_on(house, counts)


@pytest.mark.tier
async def test_a_truncated_file_with_events_of_the_inbox_is_replayed(
    stores: Stores, redis_server: EmbeddedValkey
) -> None:
    async with house_on(stores) as house:
        await before(house)
        await after(house)
        whole, counts = await memory_of(stores), await house.counts("A")
    await restart_without_tail(stores, redis_server, cut=4_000)
    assert await stores.recovery().ensure_open() is Finding.BEHIND
    assert await memory_of(stores) == whole
    async with house_on(stores, ()) as house:
        await repeats_and_goes_on(house, counts)


async def stays(stores: Stores) -> None:
    """The hot store is as it was."""


async def is_lost(stores: Stores) -> None:
    """What was carried over is enough to rebuild from."""
    await drain(stores)
    await stores.client.flushall()
    stores.hot.epoch = ""
    assert await stores.recovery().ensure_open() is Finding.EMPTY


@pytest.mark.tier
@pytest.mark.parametrize("then", [stays, is_lost])
async def test_events_of_the_inbox_are_carried_over(
    stores: Stores, then: Callable[[Stores], Awaitable[None]]
) -> None:
    """Postgres came from an older copy: it has lost which events wait, and they are told again."""
    async with house_on(stores) as house:
        await before(house)
        await copy_of_ledger(stores)
        await after(house)
        await stores.hot.execute(Lock("last", (Line("A", 1, "south"),)))
        await house.caught_up()
        counts = await house.counts("A")
    await put_back_ledger(stores)
    await stores.client.function_flush()
    assert await stores.recovery().ensure_open() is Finding.CARRY_OVER
    await then(stores)
    async with house_on(stores, ()) as house:
        await repeats_and_goes_on(house, counts)
