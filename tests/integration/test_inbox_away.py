"""The inbox while Postgres is away: what can be booked is, the rest is refused by a 503, and nothing counts twice."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.commands.inbox import inbox
from app.embedded.postgres import EmbeddedPostgres
from app.errors import UnavailableError
from app.settings import Settings
from tests.integration.test_inbox import ago, counts, event, send, until_nothing_waits, waiting
from tests.integration.warehouse import House, problem

LONG_AGO = 200_000
"""Seconds: beyond the horizon."""


@pytest.fixture
def test_settings() -> Settings:
    return Settings(
        trim_margin_seconds=0, inbox_wait_seconds=2, durability_wait_seconds=0.2, horizon_entries_max=1_000
    )


@contextmanager
def away(server: EmbeddedPostgres) -> Iterator[None]:
    """Postgres is killed, and comes back at the end."""
    server.stop(immediate=True)
    try:
        yield
    finally:
        server.start()


async def post(house: House, *events: Any) -> httpx.Response:
    return await house.http.post("/v1/warehouse-events", json={"source": "wms", "events": list(events)})


async def back(house: House) -> None:
    """Wait until the ledger answers again, and has every event."""
    async with asyncio.timeout(30):
        while True:
            try:
                await waiting(house)
                break
            except UnavailableError:
                await asyncio.sleep(0.05)
    await house.caught_up()


async def refused(house: House, *events: Any) -> None:
    answer = await post(house, *events)
    problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_what_needs_no_ledger_is_booked_once(house: House, postgres_server: EmbeddedPostgres) -> None:
    """New ones, repeats, those of a sequence in their turn, and those of an order that nobody can look up."""
    before = event("e0", sequence=1)
    assert await send(house, before) == [("applied", "")]
    known = [before, event("e1", sequence=2), event("e2", purchase_order_id="P"), event("e3", "shipped")]
    with away(postgres_server):
        told = [status for status, _ in await send(house, *known)]
        assert told == ["duplicate", "applied", "applied", "applied"]
        assert [status for status, _ in await send(house, *known)] == ["duplicate"] * 4
        other = await send(house, before | {"quantity": 9})
        assert other == [("rejected", "event_id: was used with other content")]
    await back(house)
    assert [status for status, _ in await send(house, *known)] == ["duplicate"] * 4
    assert await counts(house) == (10 + 3 + 3 + 3 - 3, 0, 0)
    assert await house.differences() == []


async def test_what_only_the_ledger_knows_is_refused(house: House, postgres_server: EmbeddedPostgres) -> None:
    """Beyond the horizon; nothing of such a call is booked, and all of it is afterwards, once."""
    old, new = event("old", occurred_at=ago(LONG_AGO)), event("new")
    assert await send(house, old) == [("applied", "")]
    await house.caught_up()
    await house.stores.client.delete(house.stores.keys.op("event:wms{old"))
    older = event("older", occurred_at=ago(LONG_AGO))
    with away(postgres_server):
        await refused(house, new, old)
        await refused(house, older)
        assert await counts(house) == (13, 0, 0)
    await back(house)
    assert [status for status, _ in await send(house, new, old, older)] == ["applied", "duplicate", "applied"]
    assert await counts(house) == (19, 0, 0)
    assert await house.differences() == []


async def test_what_was_forgotten_before_its_time(house: House, postgres_server: EmbeddedPostgres) -> None:
    """More events came than are remembered: a process that was never told so knows it all the same."""
    told = event("e0", occurred_at=ago(3_600))
    more = [event(f"m{i}", sku=f"M{i % 20}") for i in range(1_100)]
    assert set(await send(house, told, *more)) == {("applied", "")}
    await house.caught_up()
    (forget,) = [duty for duty in house.stores.duties() if duty.name == "forget"]
    await forget.run_once()
    assert not await house.stores.client.exists(house.stores.keys.op("event:wms{e0"))
    with away(postgres_server):
        await refused(house, told)
    await back(house)
    assert await send(house, told) == [("duplicate", "")]
    assert await counts(house) == (13, 0, 0)
    assert await house.differences() == []


KEPT = {
    "its turn": event("k", sequence=3),
    "its lock": event("k", "shipped", lock_id="L"),
    "its transfer": event("k", "transfer_shipped", transfer_id="T"),
    "a person": event("k", quantity=100_001),
    "what is damaged": event("k", "adjusted", quantity=-1, condition="damaged"),
    "a count": event("k", "counted", on_hand=4),
}


async def test_what_has_to_be_kept_is_refused(house: House, postgres_server: EmbeddedPostgres) -> None:
    """What would wait cannot be made durable: 503 says so. What was booked beside it is a duplicate afterwards."""
    beside = [event(f"beside{i}", quantity=1) for i in range(len(KEPT))]  # before the count among those
    kept = [one | {"event_id": f"k{i}", "occurred_at": ago()} for i, one in enumerate(KEPT.values())]
    with away(postgres_server):
        for one, good in zip(kept, beside, strict=True):
            await refused(house, good, one)
            await refused(house, one, one)
        assert await counts(house) == (10 + len(kept), 0, 0)
    await back(house)
    assert await waiting(house) == []
    told = [status for status, _ in await send(house, *kept, *beside)]
    assert told[: len(kept)] == ["parked", "parked", "parked", "quarantined", "parked", "applied"]
    assert set(told[len(kept) :]) == {"duplicate"}
    assert await counts(house) == (4, 0, 0)
    assert len(await waiting(house)) == 5
    assert await house.differences() == []


async def test_an_event_that_takes_its_turn_without_being_kept(
    house: House, postgres_server: EmbeddedPostgres
) -> None:
    """Its place in the sequence was given up before the 503; told again, it is still kept; those behind it went on."""
    unknown = event("e1", "shipped", lock_id="L", sequence=1)
    with away(postgres_server):
        await refused(house, unknown)
        assert await send(house, event("e2", sequence=2)) == [("applied", "")]
    await back(house)
    assert [status for status, _ in await send(house, unknown)] == ["parked"]
    await until_nothing_waits(house)
    assert await counts(house) == (10, 0, 0)
    assert [status for status, _ in await send(house, unknown)] == ["duplicate"]
    assert await house.differences() == []


async def test_what_waits_is_booked_once_when_postgres_is_back(
    house: House, postgres_server: EmbeddedPostgres
) -> None:
    """Parked before; its turn comes, and it is told again, while nobody can note what became of it."""
    third, second, first = (event(f"e{i}", sequence=i) for i in (3, 2, 1))
    assert [status for status, _ in await send(house, third, second)] == ["parked"] * 2
    with away(postgres_server):
        assert await send(house, first, second) == [("applied", "")] * 2
        assert await counts(house) == (16, 0, 0)
    await back(house)
    await until_nothing_waits(house)
    assert await counts(house) == (19, 0, 0)
    assert [status for status, _ in await send(house, third, second, first)] == ["duplicate"] * 3
    assert await house.differences() == []


async def test_a_person_cannot_decide_meanwhile(
    house: House, postgres_server: EmbeddedPostgres, held_dir: Path
) -> None:
    assert [status for status, _ in await send(house, event("q", quantity=100_001))] == ["quarantined"]
    (held_dir / "run.json").write_text('{"redis": "redis://x", "database": "postgresql://x"}')

    class Opened:
        async def __aenter__(self) -> Any:
            return house.operations

        async def __aexit__(self, *_: object) -> None: ...

    async def run(action: str) -> int:
        return await inbox(
            action=action, data_dir=held_dir, open_operations=lambda *_: Opened(), source="wms", event_id="q"
        )

    with away(postgres_server):
        for action in ("list", "retry", "drop"):
            with pytest.raises(UnavailableError):
                await run(action)
        assert await counts(house) == (10, 0, 0)
    await back(house)
    assert await run("retry") == 0
    assert await counts(house) == (100_011, 0, 0)
    assert await house.differences() == []
