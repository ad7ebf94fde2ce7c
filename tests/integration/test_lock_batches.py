"""Locks that share a call: each gets what it would have got alone, and leaves what it would have left."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hiredis import ReplyError

from app.domain.chain import tip_after
from app.domain.commands import Line, Lock, Opening, OpeningRow
from app.domain.ranking import Ranking
from app.hotstore.line import Line as RedisLine
from app.hotstore.lock_batches import LOCKS_PER_CALL_MAX, LockBatches
from tests.integration.function_cases import everything
from tests.integration.test_connection import eventually
from tests.properties.rig import Server, Shard

pytest_plugins = ["tests.properties.fixtures"]

SKUS = ("A", "B", "C")
WAREHOUSES = ("north", "south")
STOCK = Opening(tuple(OpeningRow(sku, warehouse, 6, 1) for sku in SKUS for warehouse in WAREHOUSES))
UNRANKED = Ranking()


def some_orders(rng: random.Random) -> list[Lock]:
    """Few ids and few units: repeats, reused ids, shortages and locks."""

    def line() -> Line:
        return Line(rng.choice((*SKUS, "unheard of")), rng.randint(1, 4), rng.choice(("", "", "south")))

    return [
        Lock(
            f"L{rng.randint(1, 9)}",
            tuple(line() for _ in range(rng.choice((1, 1, 2)))),
            ttl_ms=rng.choice((None, 100)),
        )
        for _ in range(rng.randint(1, 12))
    ]


def left_behind(shard: Shard) -> dict[str, Any]:
    """Every key, and the events in one chain; without the tips, which follow from the time of the opening."""
    found = everything(shard)
    outbox, meta = found.pop(shard.keys.outbox), found.pop(shard.keys.meta)
    tip = ""
    for _, (_, prev, _, body) in outbox:
        assert prev == tip
        tip = tip_after(prev.encode(), body.encode())
    meta = dict(zip(meta[::2], meta[1::2], strict=True))
    assert meta.pop("tip") == tip
    meta.pop("epochs", None)  # has the tip of the opening
    return {**found, "meta": meta, "events": [body for _, (_, _, _, body) in outbox[1:]]}


def test_each_is_answered_as_if_it_were_alone(shard: Shard) -> None:
    for seed in range(60):
        orders = some_orders(random.Random(seed))
        seen: list[Any] = []
        for together in (False, True):
            shard.reset()
            shard.do(STOCK)
            args = [order.arguments(UNRANKED) for order in orders]
            if together:
                answers = shard.fcall("locks", "1", "who", *(argument for one in args for argument in one))
            else:
                answers = [shard.fcall("lock", "1", "who", *one) for one in args]
            seen.append((answers, left_behind(shard)))
        assert seen[0] == seen[1], f"seed {seed}"


def test_nothing_is_done_when_one_cannot_be_read(shard: Shard) -> None:
    shard.do(STOCK)
    before = everything(shard)
    good = Lock("good", (Line("A", 1),)).arguments(UNRANKED)
    bad = [*good[:-2], "nan", ""]
    assert shard.fcall("locks", "1", "who", *good, *bad)[0] == "INVALID_ARGUMENT"
    assert shard.fcall("locks", "2", "who", *good, *good)[0] == "STALE_EPOCH"
    assert everything(shard) == before


@pytest_asyncio.fixture
async def line(proof_server: Server, shard: Shard) -> AsyncIterator[RedisLine]:
    line = RedisLine(proof_server.url, shard.keys, shard.library, deadline_seconds=10)
    line.start()
    await eventually(lambda: line.epoch)
    yield line
    await line.close()


class Asked:
    """A line that remembers which functions were called, and when it was told to send them at once."""

    def __init__(self, line: RedisLine) -> None:
        self.functions: list[str] = []
        self._line = line

    def call(self, command: tuple[Any, ...], on_reply: Any) -> None:
        self.functions.append(command[1].rpartition("_")[0])
        self._line.call(command, on_reply)

    def flush(self) -> None:
        self.functions.append("flush")
        self._line.flush()


async def test_those_of_one_turn_share_a_call(shard: Shard, line: RedisLine) -> None:
    shard.do(STOCK)
    asked: Any = Asked(line)
    answers: dict[Any, Any] = {}
    batches = LockBatches(asked, shard.keys, shard.library)
    for n in range(LOCKS_PER_CALL_MAX + 1):
        args = Lock(f"L{n}", (Line("A", 1),)).arguments(UNRANKED)
        batches.call(line.epoch, "", args, lambda reply, n=n: answers.__setitem__(n, reply))
    await eventually(lambda: len(answers) == LOCKS_PER_CALL_MAX + 1)
    assert asked.functions == ["locks", "flush", "lock"]
    assert {n: answer[:2] for n, answer in answers.items()} == {
        n: ["LOCKED", f"L{n}"] for n in range(LOCKS_PER_CALL_MAX + 1)
    }


async def test_who_is_kept_apart_and_a_long_order_goes_alone(shard: Shard, line: RedisLine) -> None:
    shard.do(STOCK)
    asked: Any = Asked(line)
    answers: dict[Any, Any] = {}
    batches = LockBatches(asked, shard.keys, shard.library)
    long = tuple(Line(f"no {n}", 1) for n in range(60))
    for name, who, lines in (("a", "x", None), ("b", "y", None), ("c", "x", long)):
        args = Lock(name, lines or (Line("A", 1),)).arguments(UNRANKED)
        batches.call(line.epoch, who, args, lambda reply, name=name: answers.__setitem__(name, reply[0]))
    await eventually(lambda: len(answers) == 3)
    assert asked.functions == ["lock", "lock", "lock"]
    assert answers == {"a": "LOCKED", "b": "LOCKED", "c": "INSUFFICIENT_STOCK"}


def crowd(shard: Shard) -> list[Lock]:
    """Orders of SKUs that are known in very many warehouses: three of them are more than one call should read."""
    fields = [item for n in range(1_500) for item in (f"w{n}:a", 1)]
    for n in range(4):
        shard.wire.call("HSET", shard.keys.stock(f"crowded {n}"), "v", 1, *fields)
    return [Lock(f"L{n}", (Line(f"crowded {n}", 1),), ttl_ms=None) for n in range(4)]


def test_an_order_that_a_call_has_no_room_for_is_asked_for_alone(shard: Shard) -> None:
    args = [argument for order in crowd(shard) for argument in order.arguments(UNRANKED)]
    answers = [answer[:2] for answer in shard.fcall("locks", "1", "who", *args)]
    assert answers == [["LOCKED", "L0"], ["LOCKED", "L1"], ["LOCKED", "L2"], ["ASK_ALONE", "L3"]]


async def test_an_order_that_found_no_room_is_answered_all_the_same(shard: Shard, line: RedisLine) -> None:
    asked: Any = Asked(line)
    answers: dict[str, Any] = {}
    batches = LockBatches(asked, shard.keys, shard.library)
    for order in crowd(shard):
        name = order.lock_id
        batches.call(
            line.epoch,
            "",
            order.arguments(UNRANKED),
            lambda reply, name=name: answers.__setitem__(name, reply[0]),
        )
    await eventually(lambda: len(answers) == 4)
    assert asked.functions == ["locks", "lock"]
    assert set(answers.values()) == {"LOCKED"}


def test_those_around_one_that_breaks_are_done_and_written_whole(shard: Shard) -> None:
    shard.do(STOCK)
    shard.wire.call("SET", shard.keys.stock("broken"), "no hash")
    orders = [Lock(f"L{n}", (Line(sku, 1),), ttl_ms=1000) for n, sku in enumerate(("A", "B", "broken", "C"))]
    args = [argument for order in orders for argument in order.arguments(UNRANKED)]
    first, second, broken, fourth = shard.fcall("locks", "1", "who", *args)
    assert isinstance(broken, ReplyError)
    assert str(broken).startswith("WRONGTYPE")
    assert [answer[:2] for answer in (first, second, fourth)] == [["LOCKED", f"L{n}"] for n in (0, 1, 3)]
    shard.wire.call("DEL", shard.keys.stock("broken"))
    left = left_behind(shard)
    assert len(left["events"]) == 4  # the opening, and three locks
    assert left["meta"]["last"] == shard.wire.call("XREVRANGE", shard.keys.outbox, "+", "-", "COUNT", 1)[0][0]
    assert sorted(shard.wire.call("ZRANGE", shard.keys.due, 0, -1)) == ["L0", "L1", "L3"]


def test_those_of_one_call_fill_the_outbox_one_by_one(shard: Shard) -> None:
    shard.reset(outbox_max=4)
    shard.do(STOCK)  # the opening of the epoch, and this
    args = [argument for n in range(4) for argument in Lock(f"L{n}", (Line("A", 1),)).arguments(UNRANKED)]
    answers = [answer[0] for answer in shard.fcall("locks", "1", "who", *args)]
    assert answers == ["LOCKED", "LOCKED", "BACKLOG_FULL", "BACKLOG_FULL"]


def test_refusals_leave_nothing_behind(shard: Shard) -> None:
    shard.do(STOCK)
    shard.wire.call("HSET", shard.keys.meta, "at", 0)  # so that the time of now would be seen
    before = everything(shard)
    args = [
        argument for name in ("L1", "L2") for argument in Lock(name, (Line("A", 99),)).arguments(UNRANKED)
    ]
    assert [answer[0] for answer in shard.fcall("locks", "1", "who", *args)] == ["INSUFFICIENT_STOCK"] * 2
    assert everything(shard) == before


@pytest.mark.parametrize("broken", range(3))
async def test_one_that_breaks_the_call_breaks_no_other(shard: Shard, line: RedisLine, broken: int) -> None:
    shard.do(STOCK)
    shard.wire.call("SET", shard.keys.stock("broken"), "no hash")
    answers: dict[int, Any] = {}
    batches = LockBatches(line, shard.keys, shard.library)
    for n in range(3):
        args = Lock(f"L{n}", (Line("broken" if n == broken else "A", 1),)).arguments(UNRANKED)
        batches.call(line.epoch, "", args, lambda reply, n=n: answers.__setitem__(n, reply))
    await eventually(lambda: len(answers) == 3)
    failed = answers.pop(broken)
    assert isinstance(failed, Exception)
    assert "WRONGTYPE" in str(failed)
    assert {n: answer[:2] for n, answer in answers.items()} == {n: ["LOCKED", f"L{n}"] for n in answers}
