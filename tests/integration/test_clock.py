"""A jump of the clock: nothing expires until it is over, and afterwards everything does as promised."""

import time

from app.bootstrap import Stores
from app.domain.commands import Extend, Line, Lock, Opening, OpeningRow, Replace
from app.domain.outcomes import Outcome
from app.worker.clock import PAUSE_SECONDS_MAX, ClockWatch
from app.worker.expire import Sweeper
from tests.integration.working import differences, drain

DAY_SECONDS = 86_400


class World:
    """Clocks that a test sets."""

    def __init__(self) -> None:
        self.hot, self.ledger, self.steady = 1_000_000.0, 1_000_000.0, 50.0

    def watch(self) -> ClockWatch:
        async def hot() -> float:
            return self.hot

        async def ledger() -> float:
            return self.ledger

        return ClockWatch(hot, ledger, jump_seconds_max=60, steady_seconds=lambda: self.steady)

    def on(self, seconds: float, *, hot: float | None = None) -> None:
        """Time goes on; the hot store's clock differently, if that is said."""
        self.steady += seconds
        self.ledger += seconds
        self.hot += seconds if hot is None else hot


async def test_expiry_pauses_while_the_clocks_disagree() -> None:
    for jump in (DAY_SECONDS, -DAY_SECONDS):
        world = World()
        watch = world.watch()
        assert await watch.agrees()
        world.on(5, hot=5 + jump)
        assert not await watch.agrees()
        world.on(PAUSE_SECONDS_MAX - 1)
        assert not await watch.agrees()
        world.on(5, hot=5 - jump)
        assert await watch.agrees()


async def test_after_a_quarter_of_an_hour_the_new_time_is_right() -> None:
    world = World()
    watch = world.watch()
    assert await watch.agrees()
    world.on(1, hot=DAY_SECONDS)
    assert not await watch.agrees()
    world.on(PAUSE_SECONDS_MAX)
    assert await watch.agrees()


async def test_at_the_start_postgres_clock_decides() -> None:
    world = World()
    world.hot += DAY_SECONDS
    assert not await world.watch().agrees()


async def test_small_corrections_are_followed() -> None:
    world = World()
    watch = world.watch()
    for _ in range(100):
        world.on(10, hot=12)
        assert await watch.agrees()


async def test_a_jump_releases_no_lock(stores: Stores) -> None:
    """The server's clock is a day ahead of the worker's: the lock is overdue by the one, and stays held."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await stores.hot.execute(Lock("held", (Line("A", 1),), ttl_ms=50))
    world = World()
    sweeper = Sweeper(stores.hot, world.watch(), interval_seconds=0.1)
    while not await stores.hot.read_due(10):
        pass
    world.hot = world.ledger = time.time() + 1
    world.hot += DAY_SECONDS
    assert await sweeper.run_once() is False
    assert (await stores.hot.read_lock("held")).lock.status == "held"
    world.hot -= DAY_SECONDS
    await sweeper.run_once()
    assert (await stores.hot.read_lock("held")).lock.status == "expired"


async def test_a_jump_after_the_look_releases_no_lock(stores: Stores) -> None:
    """The clock was right when the sweeper looked at it, and a day ahead when it asked for what is due."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    await stores.hot.execute(Lock("held", (Line("A", 1),), ttl_ms=60_000))
    world = World()
    world.hot = world.ledger = time.time()
    sweeper = Sweeper(stores.hot, world.watch(), interval_seconds=0.1)
    await stores.client.hset(stores.keys.meta, "at", str(int((time.time() + DAY_SECONDS) * 1000)))
    assert await stores.hot.read_due(10) == ["held"]
    await sweeper.run_once()
    assert (await stores.hot.read_lock("held")).lock.status == "held"


async def test_a_clock_that_was_ahead_is_set_back(stores: Stores) -> None:
    """As after a jump that is over: the shard's clock is a day ahead, and a lock was made meanwhile."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    before = await stores.hot.execute(Lock("before", (Line("A", 1),), ttl_ms=60_000))
    await stores.client.hset(stores.keys.meta, "at", str(int((time.time() + DAY_SECONDS) * 1000)))
    meanwhile = await stores.hot.execute(Lock("meanwhile", (Line("A", 1),), ttl_ms=900_000))
    await stores.hot.execute(Lock("for ever", (Line("A", 1),), ttl_ms=None))
    assert meanwhile.lock.expires_at > (time.time() + DAY_SECONDS) * 1000
    (keeper,) = [duty for duty in stores.duties() if duty.name == "clock"]
    await drain(stores)
    await keeper.run_once()  # sets the clock back
    assert (await stores.hot.read_stock(["A"]))[0] == "2"
    await drain(stores)
    await keeper.run_once()  # mends the lock
    after = (await stores.hot.read_lock("meanwhile")).lock
    assert abs(after.expires_at - (time.time() + 900) * 1000) < 60_000
    assert (await stores.hot.read_lock("before")).lock.expires_at == before.lock.expires_at
    assert await stores.hot.read_due(10) == []
    new = await stores.hot.execute(Lock("new", (Line("A", 1),), ttl_ms=1))
    assert new.lock.expires_at < (time.time() + 60) * 1000
    await drain(stores)
    for _ in range(3):
        await keeper.run_once()  # nothing more to do
    await drain(stores)
    assert (await stores.hot.read_stock(["A"]))[0] == "2"
    assert (await stores.hot.read_lock("meanwhile")).lock.expires_at == after.expires_at
    assert await differences(stores) == []


async def test_what_else_happens_to_a_lock_does_not_change_what_it_was_promised(stores: Stores) -> None:
    """Replaced while the clock was ahead, or after it: a lock is held as long as the promise of its expiry says."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 90)]))
    for lock_id in ("made before", "extended meanwhile"):
        await stores.hot.execute(Lock(lock_id, (Line("A", 1),), ttl_ms=60_000))
    before = (await stores.hot.read_lock("made before")).lock.expires_at
    await stores.client.hset(stores.keys.meta, "at", str(int((time.time() + DAY_SECONDS) * 1000)))
    for lock_id in ("made meanwhile", "extended since"):
        await stores.hot.execute(Lock(lock_id, (Line("A", 1),), ttl_ms=600_000))
    await stores.hot.execute(Replace("made before", "key-1", (Line("A", 2),)))
    await stores.hot.execute(Extend("extended meanwhile", "key-2", 600_000))
    (keeper,) = [duty for duty in stores.duties() if duty.name == "clock"]
    await drain(stores)
    await keeper.run_once()  # sets the clock back
    await stores.hot.execute(Replace("made meanwhile", "key-3", (Line("A", 2),)))
    await drain(stores)
    await stores.hot.execute(Extend("extended since", "key-4", 3_600_000))  # the ledger does not know it yet
    for _ in range(2):
        await keeper.run_once()
        await drain(stores)

    async def seconds_left(lock_id: str) -> float:
        return (await stores.hot.read_lock(lock_id)).lock.expires_at / 1000 - time.time()

    assert (await stores.hot.read_lock("made before")).lock.expires_at == before
    assert 500 < await seconds_left("made meanwhile") <= 600
    assert 500 < await seconds_left("extended meanwhile") <= 600
    assert 3_500 < await seconds_left("extended since") <= 3_600
    assert await differences(stores) == []


async def test_a_server_that_is_behind_is_left_to_a_person(stores: Stores) -> None:
    """Its own clock went back a day: nothing here may make it go on."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    (keeper,) = [duty for duty in stores.duties() if duty.name == "clock"]
    timekeeper = keeper.run_once.__self__

    async def shard_seconds() -> float:
        return time.time() + DAY_SECONDS

    timekeeper._shard_seconds = shard_seconds
    timekeeper._ledger_seconds = shard_seconds  # Postgres says that the shard's clock is right
    await keeper.run_once()
    assert (await stores.hot.read_stock(["A"]))[0] == "1"
    assert (await stores.hot.execute(Lock("x", (Line("A", 1),)))).outcome is Outcome.LOCKED
