"""What the functions refuse or still carry at their limits: of a count, of the outbox, of a list."""

from typing import Any

import pytest

from app.domain.commands import (
    Adjust,
    Booking,
    Command,
    Confirm,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Remember,
    Reopen,
    Replace,
    Return,
    Transfer,
    TransferCancel,
    TransferShip,
    Unlock,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.words import COUNT_MAX, Place
from app.hotstore.replies import Stock
from tests.integration.function_cases import (
    GONE,
    IN,
    LOCK,
    MOVE,
    TEN,
    N,
    O,
    S,
    arrive,
    back,
    counts_of,
    everything,
    prepare,
)
from tests.properties.pair import Advance
from tests.properties.rig import Shard

pytest_plugins = ["tests.properties.fixtures"]


@pytest.mark.parametrize(
    ("command", "function"),
    [
        (Receive, "receive"),
        (Return, "return"),
        (Adjust, "adjust"),
        (Opening, "opening"),
        (Exchange, "exchange"),
    ],
)
def test_a_count_never_leaves_what_lua_prints_exactly(shard: Shard, command: Any, function: str) -> None:
    del function
    shard.do(TEN)
    shard.wire.call("HSET", shard.keys.stock("A"), f"{N}:a", COUNT_MAX, f"{N}:l", COUNT_MAX + 1)
    before = everything(shard)
    line = Booking("A", Place.CUSTOMER, Place.AVAILABLE, 1)
    if command is Exchange:
        shard.do(Opening((OpeningRow("B", N, 1),)))
        before = everything(shard)
        swap = Exchange("x", N, (line,), Lock("new", (Line("B", 1),)))
        assert shard.do(swap).outcome is O.QUANTITY_TOO_LARGE
        assert everything(shard) == before
        return
    ask = Opening((OpeningRow("A", N, 5),)) if command is Opening else command("x", N, (line,))
    assert shard.do(ask).outcome is O.QUANTITY_TOO_LARGE
    assert everything(shard) == before


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        (Lock("L2", (Line("A", 1, N),)), O.BACKLOG_FULL),
        (Lock("L2", (Line("A", 99, N),)), O.BACKLOG_FULL),
        (Replace("L", "k", (Line("A", 5, N),)), O.BACKLOG_FULL),
        (Replace("L", "k", (Line("A", 99, N),)), O.BACKLOG_FULL),
        (Replace("L", "k", (Line("A", 3, N),)), O.REPLACED),
        (Confirm("over"), O.BACKLOG_FULL),
        (Reopen("over"), O.BACKLOG_FULL),
        (Remember("to come"), O.BACKLOG_FULL),
        (Confirm("L"), O.CONFIRMED),
        (Extend("L", "", 9), O.EXTENDED),
        (Unlock("L"), O.UNLOCKED),
        (Deduct("L", "s"), O.DEDUCTED),
        (Receive("r", N, (IN,)), O.RECEIVED),
        (Adjust("a", N, (GONE,)), O.ADJUSTED),
        (LOCK, O.REPEATED),
        (Transfer("T2", N, S, (Line("A", 1),)), O.BACKLOG_FULL),
        (MOVE, O.ID_REUSED),
        (Exchange("x", N, (back(1),), Lock("L2", (Line("A", 1, N),))), O.BACKLOG_FULL),
        (Exchange("x", N, (back(1),), LOCK), O.ID_REUSED),
        (TransferShip("T", "s"), O.TRANSFER_SHIPPED),
        (TransferCancel("T"), O.TRANSFER_CANCELLED),
    ],
)
def test_with_a_full_outbox_only_new_obligations_are_refused(
    shard: Shard, command: Command, outcome: Outcome
) -> None:
    over = Lock("over", (Line("A", 1, N),), ttl_ms=1)
    small = Transfer("T", N, S, (Line("A", 1),))
    prepare(shard, (TEN, LOCK, over, Advance(1), Expire("over"), small))
    shard.wire.call("HSET", shard.keys.meta, "outbox_max", 6)
    assert shard.do(command).outcome is outcome
    if outcome is O.BACKLOG_FULL:
        assert shard.wire.call("XLEN", shard.keys.outbox) == 6
        assert counts_of(shard, "A", N) == Counts(5, 5)


def test_a_transfer_never_brings_more_than_lua_prints_exactly(shard: Shard) -> None:
    for given, when, field in (
        (TEN, TransferShip("T", "s"), "t"),
        (TransferShip("T", "s"), arrive("r", 1), "a"),
    ):
        prepare(shard, (given, MOVE))
        shard.wire.call("HSET", shard.keys.stock("A"), f"{S}:{field}", COUNT_MAX)
        before = everything(shard)
        assert shard.do(when).outcome is O.QUANTITY_TOO_LARGE
        assert everything(shard) == before
        shard.wire.call("HSET", shard.keys.stock("A"), f"{S}:{field}", 0)


def test_a_sku_in_thousands_of_warehouses_is_written_whole(shard: Shard) -> None:
    """Nothing after the event may fail, not even a list that is too long to hand over at once."""
    names = [f"w{n}" for n in range(2500)]
    for start in (0, 1250):
        assert shard.do(Opening(tuple(OpeningRow("A", w, 2, 1) for w in names[start : start + 1250])))
    assert shard.do(Lock("L", tuple(Line("A", 1, w) for w in names))).outcome is O.LOCKED
    warehouses = Stock("A", shard.wire.call("HGETALL", shard.keys.stock("A"))).warehouses
    assert set(warehouses.values()) == {Counts(1, 1, 0, 0, 1)}
    assert len(warehouses) == 2500


def test_the_books_carry_units_beyond_32_bits(shard: Shard) -> None:
    big = Booking("A", Place.SUPPLIER, Place.AVAILABLE, 9_999_999_999)
    for number in range(3):
        assert shard.do(Receive(f"r{number}", N, (big,))).outcome is O.RECEIVED
    assert shard.do(Lock("L", (Line("A", 9_999_999_999, N),) * 2)).outcome is O.LOCKED
    assert counts_of(shard, "A", N) == Counts(9_999_999_999, 19_999_999_998)


def test_lines_times_warehouses_that_are_asked_for_are_bounded(shard: Shard) -> None:
    """Nobody has any of it: with a few warehouses that is said, with more of them looking would take too long."""
    lines = tuple(Line(f"S{n}", 1) for n in range(2_000))
    for warehouses, outcome in ((10, O.INSUFFICIENT_STOCK), (11, O.TOO_MANY_CHOICES)):
        asked = tuple(f"w{n}" for n in range(warehouses))
        assert shard.do(Lock("L", lines, asked)).outcome is outcome
