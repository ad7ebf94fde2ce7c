"""Orders that leave much to choose: the functions and the model take the same, and refuse the same."""

import random
import re
from collections import Counter

import pytest

from app.domain import sourcing
from app.domain.commands import Confirm, Expire, Line, Lock, Opening, OpeningRow, Reopen, Replace, Unlock
from app.domain.outcomes import Outcome
from app.hotstore.library import Library
from tests.properties.pair import Advance, Pair, Step
from tests.properties.rig import Shard, Wire

pytest_plugins = ["tests.properties.fixtures"]

SMALL = {"EXACT_MAX": 3, "CHOICES_MAX": 22, "CANDIDATES_MAX": 6, "PICKING_MAX": 30, "SOURCED_MAX": 6}
"""Limits that a random order meets; the true ones are met by the bench."""
SKUS = [f"S{n}" for n in range(6)]
WAREHOUSES = [f"w{n}" for n in range(7)]
ROUNDS, ORDERS = 60, 16


def with_limits(own: Library, limits: dict[str, int]) -> Library:
    """The functions with other limits, under another name."""
    code = own.code.replace(own.suffix[1:], "c" * 8)
    for name, value in limits.items():
        code, found = re.subn(rf"(local {name} =) \d+", rf"\1 {value}", code)
        assert found == 1, name
    return Library(f"sellable_{'c' * 8}", "_" + "c" * 8, code)


@pytest.fixture
def limited(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> Shard:
    for name, value in SMALL.items():
        assert getattr(sourcing, name) > value
        monkeypatch.setattr(sourcing, name, value)
    return Shard(shard.wire, with_limits(shard.library, SMALL))


@pytest.fixture(autouse=True)
def unloaded(shard: Shard) -> None:
    """Another test's server has one library."""
    _delete(shard.wire)


def _delete(wire: Wire) -> None:
    wire.call_many([("FUNCTION", "DELETE", f"sellable_{'c' * 8}")])


def some_lines(chance: random.Random) -> tuple[Line, ...]:
    return tuple(
        Line(sku, chance.randint(1, 7), "" if chance.random() < 0.85 else chance.choice(WAREHOUSES))
        for sku in chance.sample(SKUS, chance.randint(1, 5))
    )


def some_ranked(chance: random.Random) -> tuple[str, ...]:
    return tuple(chance.choices(WAREHOUSES, k=chance.randint(2, 5))) if chance.random() < 0.3 else ()


def steps_of(chance: random.Random, numbers: range) -> list[Step]:
    steps: list[Step] = []
    for n in numbers:
        steps.append(Lock(f"L{n}", some_lines(chance), some_ranked(chance), ttl_ms=5))
        if chance.random() < 0.3:
            steps.append(Replace(f"L{n}", f"k{n}", some_lines(chance), some_ranked(chance)))
        steps += [Advance(5), Expire(f"L{n}")] if chance.random() < 0.2 else [Unlock(f"L{n}")]
        if chance.random() < 0.3:
            steps += [chance.choice((Confirm(f"L{n}"), Reopen(f"L{n}", ttl_ms=5))), Unlock(f"L{n}")]
    return steps


def test_the_functions_and_the_model_choose_and_refuse_the_same(
    limited: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Counter[Outcome] = Counter()
    expect = Pair._expect

    def counted(self, step):
        wanted = expect(self, step)
        told[wanted.answer.outcome] += 1
        return wanted

    monkeypatch.setattr(Pair, "_expect", counted)
    try:
        for seed in range(ROUNDS):
            chance = random.Random(seed)
            closed = tuple(chance.sample(WAREHOUSES, chance.choice((0, 0, 2, 6))))
            pair = Pair(limited, order=tuple(chance.sample(WAREHOUSES, 2)), closed=closed)
            rows = [
                OpeningRow(sku, warehouse, chance.choice((0, 1, 2, 5, 9)))
                for sku in SKUS
                for warehouse in chance.sample(WAREHOUSES, chance.randint(3, len(WAREHOUSES)))
            ]
            pair.run([Opening(tuple(rows))])
            pair.run(steps_of(chance, range(ORDERS)))
    finally:
        _delete(limited.wire)
    wanted = {
        Outcome.LOCKED,
        Outcome.REPLACED,
        Outcome.REOPENED,
        Outcome.TOO_MANY_CHOICES,
        Outcome.INSUFFICIENT_STOCK,
    }
    assert min(told[outcome] for outcome in wanted) > 20, told


@pytest.mark.parametrize("name", SMALL)
def test_each_limit_is_one_of_the_functions_and_of_the_model(shard: Shard, name: str) -> None:
    found = re.search(rf"local {name} = (\d+)", shard.library.code)
    assert found
    assert int(found[1]) == getattr(sourcing, name)
