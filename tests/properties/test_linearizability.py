"""What concurrent callers see could have happened one after the other."""

import asyncio
import copy
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from app.domain.answers import Answer
from app.domain.commands import Command, Deduct, Line, Lock, Opening, OpeningRow, Unlock
from app.domain.model import Model
from app.domain.outcomes import Outcome
from app.hotstore.store import HotStore
from app.hotstore.wire import FunctionCaller, connect
from tests.properties.linearizability import NOW, Call, find_order
from tests.properties.rig import Server, Shard

pytest_plugins = ["tests.properties.fixtures"]

CLIENTS = 4
CALLS_EACH = 4
HISTORIES = 40
FIVE = OpeningRow("A", "north", 5)


@pytest_asyncio.fixture
async def clients(proof_server: Server) -> AsyncIterator[list[Redis]]:
    """Callers with a connection each."""
    clients = [connect(proof_server.url, connections_max=1) for _ in range(CLIENTS)]
    yield clients
    for client in clients:
        await client.aclose()


def begin() -> Model:
    model = Model()
    model.apply(Opening((FIVE,)), NOW)
    return model


def command_of(rng: random.Random) -> Command:
    lock_id, units = f"L{rng.randrange(4)}", rng.choice((1, 2, 3))
    return rng.choice(
        (
            Lock(lock_id, (Line("A", units),), ttl_ms=None),
            Unlock(lock_id),
            Unlock(lock_id, f"k{rng.randrange(3)}", (Line("A", 1),)),
            Deduct(lock_id, f"s{rng.randrange(2)}", rng.choice((None, (Line("A", 1),)))),
        )
    )


async def record(stores: list[HotStore], rng: random.Random) -> list[Call]:
    tick = itertools.count()
    history: list[Call] = []

    async def caller(store: HotStore, commands: list[Command]) -> None:
        for command in commands:
            sent = next(tick)
            answer = await store.execute(command)
            history.append(Call(command, answer, sent, next(tick)))

    plans = [[command_of(rng) for _ in range(CALLS_EACH)] for _ in stores]
    await asyncio.gather(*(caller(store, plan) for store, plan in zip(stores, plans, strict=True)))
    return history


async def test_concurrent_calls_have_an_order(shard: Shard, clients: list[Redis]) -> None:
    rng = random.Random()
    overlaps = 0
    for _ in range(HISTORIES):
        shard.reset()
        stores = [
            HotStore(FunctionCaller(client, deadline_seconds=10), shard.keys, shard.library)
            for client in clients
        ]
        await stores[0].execute(Opening([FIVE]))
        history = await record(stores, rng)
        overlaps += sum(a.sent < b.sent < a.answered for a in history for b in history)
        assert find_order(history, begin()), "\n".join(map(str, history))
    assert overlaps > HISTORIES, "the calls did not run side by side"


async def test_a_unit_sold_twice_has_no_order(shard: Shard, store: HotStore) -> None:
    """Planted: two answers that cannot both be true."""
    del shard
    await store.execute(Opening([FIVE]))
    first = Lock("L1", (Line("A", 3),), ttl_ms=None)
    second = Lock("L2", (Line("A", 3),), ttl_ms=None)
    answer = await store.execute(first)
    assert answer.lock is not None
    oversold = replace(answer, lock=answer.lock._replace(lock_id="L2"))
    history = [Call(first, answer, 0, 2), Call(second, oversold, 1, 3)]
    assert find_order(history, begin()) is None


@pytest.mark.parametrize(("sent", "possible"), [(1, True), (3, False)])
def test_an_answer_from_the_past_has_no_order(sent: int, *, possible: bool) -> None:
    """A refusal is right while the unlock runs, and wrong for who asked after it was answered."""
    model = begin()
    model.apply(Lock("L1", (Line("A", 5),), ttl_ms=None), NOW)
    late = Lock("L2", (Line("A", 1),), ttl_ms=None)
    refused = _after(model, late)
    assert refused.outcome is Outcome.INSUFFICIENT_STOCK
    unlock = Unlock("L1")
    history = [Call(unlock, _after(model, unlock), 0, 2), Call(late, refused, sent, sent + 1)]
    assert (find_order(history, model) is not None) is possible


def _after(model: Model, command: Command) -> Answer:
    """The answer the model would give, leaving it as it was."""
    return copy.deepcopy(model).apply(command, NOW)
