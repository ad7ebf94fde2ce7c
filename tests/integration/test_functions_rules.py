"""Rules of the functions that no random history meets, or whose breaking shows in nothing that is compared there."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Compensate,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Fact,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Replace,
    Transfer,
    TransferReceive,
    TransferShip,
    Unlock,
    Void,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.words import Place
from app.hotstore.library import Library
from app.hotstore.records import Record, arguments
from tests.integration.function_cases import TEN, N, O, S, counts_of, everything
from tests.properties.rig import START_MS, Shard

pytest_plugins = ["tests.properties.fixtures"]

BACK = Booking("A", Place.CUSTOMER, Place.AVAILABLE, 1)


def with_limits(own: Library, limits: dict[str, int]) -> Library:
    """The functions with other limits, under another name: a limit is met with few commands."""
    code = own.code.replace(own.suffix[1:], "d" * 8)
    for name, value in limits.items():
        code, found = re.subn(rf"(local {name} =) \d+", rf"\1 {value}", code)
        assert found == 1, name
    return Library(f"sellable_{'d' * 8}", "_" + "d" * 8, code)


@pytest.fixture
def limited(shard: Shard, request: pytest.FixtureRequest) -> Iterator[Shard]:
    library = with_limits(shard.library, request.param)
    other = Shard(shard.wire, library)
    other.reset()
    yield other
    shard.wire.call("FUNCTION", "DELETE", library.name)


# What the ledger dropped of a SKU


def compensate(shard: Shard, op: str, version: int, *warehouses: str) -> Any:
    return shard.finish(
        shard.store.execute(Compensate("A", op, "why", version=version, warehouses=warehouses))
    )


def last_moves(shard: Shard) -> list[Any]:
    ((_, (_, _, _, body)),) = shard.wire.call("XREVRANGE", shard.keys.outbox, "+", "-", "COUNT", 1)
    return list(json.loads(body)[10])


@pytest.mark.parametrize(("known", "first"), [(7, 8), (1, 2), (0, 2)])
def test_a_compensation_goes_on_behind_the_ledger(shard: Shard, known: int, first: int) -> None:
    """A record that was made anew has a lower version than the ledger has booked."""
    shard.do(TEN)
    assert compensate(shard, "drop:1", known).outcome is O.COMPENSATED
    assert [move[1] for move in last_moves(shard)] == list(range(first, first + 4))
    assert shard.wire.call("HGET", shard.keys.stock("A"), "v") == str(first + 3)


def test_a_compensation_says_what_is_where_the_ledger_has_the_sku(shard: Shard) -> None:
    """Nothing is there any more, and the ledger has to be told so."""
    shard.do(TEN)
    compensate(shard, "drop:1", 1, S, N)
    assert [(move[2], move[3], move[6]) for move in last_moves(shard)] == [
        (warehouse, state, counts)
        for warehouse, counts in ((N, [10, 0, 0, 0, 0]), (S, [0, 0, 0, 0, 0]))
        for state in "aldt"
    ]


def test_a_compensation_is_booked_once(shard: Shard) -> None:
    shard.do(TEN)
    first = compensate(shard, "drop:1", 1)
    before = everything(shard)
    again = compensate(shard, "drop:1", 1)
    assert (again.outcome, again.position) == (O.REPEATED, first.position)
    assert everything(shard) == before


# Ids that mean another thing by now


def test_a_repeated_exchange_does_not_tell_of_a_later_lock_of_its_id(shard: Shard) -> None:
    shard.do(TEN)
    exchange = Exchange("X", N, (BACK,), Lock("L", (Line("A", 1),)))
    first = shard.do(exchange)
    shard.do(Unlock("L"))
    assert shard.do(exchange).current_status == "released"
    assert shard.finish(shard.store.forget("L", [])).outcome is O.FORGOTTEN
    shard.do(Lock("L", (Line("A", 2),)))
    shard.do(Confirm("L"))
    again = shard.do(exchange)
    assert (again.outcome, again.lock, again.current_status) == (O.REPEATED, first.lock, "held")


def test_an_expiry_that_was_changed_meanwhile_is_left_alone(shard: Shard) -> None:
    shard.do(TEN)
    shard.do(Lock("L", (Line("A", 1),), ttl_ms=100))
    before = everything(shard)
    missed = shard.finish(shard.store.execute(Extend("L", ttl_ms=500, expires_at=START_MS + 99)))
    assert missed.outcome is O.UNCHANGED
    assert everything(shard) == before
    met = shard.finish(shard.store.execute(Extend("L", ttl_ms=500, expires_at=START_MS + 100)))
    assert (met.outcome, met.lock and met.lock.expires_at) == (O.EXTENDED, START_MS + 500)


def test_a_remembered_lock_is_not_overwritten_by_what_the_ledger_remembers(shard: Shard) -> None:
    shard.do(TEN)
    shard.do(Lock("L", (Line("A", 1),)))
    before = everything(shard)
    fields = ["s", "released", "v", "9", "f", "x", "p", "1-1", "n", '[["A","north",9,0]]']
    assert shard.fcall("recall", "1", "who", "L", *fields)[0] == "UNCHANGED"
    assert everything(shard) == before
    assert shard.fcall("recall", "1", "who", "M", *fields)[0] == "LOADED"


def test_what_is_forgotten_does_not_become_known_again(shard: Shard) -> None:
    for until, known in ((70, 70), (50, 70), (71, 71)):
        assert shard.finish(shard.store.forgetting(until)).outcome is O.FORGOTTEN
        assert shard.finish(shard.store.read_forgotten()) == known


# Counts


def test_a_count_that_agrees_is_named_in_its_event(shard: Shard) -> None:
    """It leaves no move; the ledger has to know what was counted, and whether damaged units were."""
    shard.do(Opening((OpeningRow("A", N, 10), OpeningRow("B", N, 3), OpeningRow("C", N, 3))))
    agrees = Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 0)
    damaged_too = (replace(agrees, sku="B"), Booking("B", Place.ADJUSTMENT, Place.DAMAGED, 0))
    more = replace(agrees, sku="C", quantity=1)
    assert shard.do(Count("T", N, (agrees, *damaged_too, more), START_MS)).outcome is O.ADJUSTED
    ((_, (_, _, _, body)),) = shard.wire.call("XREVRANGE", shard.keys.outbox, "+", "-", "COUNT", 1)
    event = json.loads(body)
    assert [move[0] for move in event[10]] == ["C"]
    assert event[11] == ["count", N, {"s": "", "n": [], "skus": {"A": 0, "B": 1}}]


def test_damaged_units_that_came_before_a_count_are_in_it(shard: Shard) -> None:
    shard.do(TEN)
    shard.do(Transfer("T", N, S, (Line("A", 3),)))
    shard.do(TransferShip("T", "s"))
    counted = Booking("A", Place.ADJUSTMENT, Place.DAMAGED, 2)
    shard.do(Count("C", S, (counted,), START_MS))
    shard.do(TransferReceive("T", "r", START_MS - 1, (Arrival("A", 1, 2),)))
    assert counts_of(shard, "A", S) == Counts(0, 0, 2, 0)


# What a repair sets


def test_what_arrived_before_it_left_covers_one_shipment(shard: Shard) -> None:
    """Four arrive whose shipment is reported later: that is the first shipment, and no other one as well."""
    shard.do(Opening((OpeningRow("A", "N", 10), OpeningRow("A", "S", 0))))
    shard.do(Transfer("T", "N", "S", (Line("A", 8),)))
    came = Fact("wms", "e1", "transfer_received", START_MS, "S", "A", 4, document_id="T", told_id="r")
    assert shard.do(came).outcome is Outcome.BOOKED
    for number, locked, on_the_way in ((1, 4, 0), (2, 0, 4)):
        left = Fact(
            "wms",
            f"s{number}",
            "transfer_shipped",
            START_MS,
            "N",
            "A",
            4,
            document_id="T",
            told_id=f"s{number}",
        )
        shard.do(left)
        assert counts_of(shard, "A", "N").locked == locked
        assert counts_of(shard, "A", "S").in_transit == on_the_way


@pytest.mark.parametrize(("status", "is_due"), [("held", True), ("confirmed", False), ("expired", False)])
@pytest.mark.parametrize("function", ["mend", "rebuild_load"])
def test_only_held_locks_are_due_after_a_repair(
    shard: Shard, function: str, status: str, is_due: bool
) -> None:
    """Also where an earlier record of it was held, and whatever expiry the record still says."""
    shard.do(TEN)
    shard.do(Lock("L", (Line("A", 1),), ttl_ms=100))
    record = Record(
        "lock", "L", {"s": status, "v": 2, "p": "1-2", "x": "4000000000500", "n": "[]"}, fresh=True
    )
    shard.fcall("shut", "1")
    if function == "mend":
        assert shard.fcall("mend", "1", *arguments([record]))[0] == "LOADED"
    else:
        shard.fcall("rebuild_begin", "1", "", str(START_MS), "")
        assert shard.fcall("rebuild_load", "1", json.dumps(arguments([record])))[0] == "LOADED"
    due = shard.wire.call("ZRANGE", shard.keys.due, 0, -1, "WITHSCORES")
    assert due == (["L", "4000000000500"] if is_due else [])


# Closed warehouses


def test_a_lock_keeps_what_it_has_in_a_warehouse_that_was_closed(shard: Shard) -> None:
    """It may have the same again, and less of it, but not more."""
    shard.do(TEN)
    shard.do(Lock("L", (Line("A", 4),)))
    shard.close(N)
    for key, units, outcome in (
        ("k1", 5, O.INSUFFICIENT_STOCK),
        ("k2", 4, O.REPLACED),
        ("k3", 3, O.REPLACED),
    ):
        for warehouse in ("", N):
            assert (
                shard.do(Replace("L", f"{key}{warehouse}", (Line("A", units, warehouse),))).outcome is outcome
            )
    assert counts_of(shard, "A", N) == Counts(7, 3)


# Bounded work


def count_since(shard: Shard, since: str) -> Outcome:
    lines = (Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 0),)
    command = Count(f"T{since}", N, lines, START_MS, since=since)
    return Outcome(shard.finish(shard.store.execute(command)).outcome)


@pytest.mark.parametrize("limited", [{"EVENTS_MAX": 6, "CHUNK": 2}], indirect=True)
def test_a_count_does_not_look_through_more_events_than_it_may(limited: Shard) -> None:
    """What it cannot look through may have been there before it: it is counted again."""
    limited.do(TEN)
    for n in range(9):
        limited.do(Lock(f"L{n}", (Line("A", 1),)))
    assert count_since(limited, "1-5") is O.ADJUSTED  # five events
    assert count_since(limited, "1-4") is O.MOVED_SINCE  # seven, with that count's own


@pytest.mark.parametrize("limited", [{"BYTES_MAX": 1000}, {"DECODED_MAX": 300}], indirect=True)
def test_a_count_does_not_read_more_than_it_may(limited: Shard) -> None:
    limited.do(Opening((OpeningRow("A", N, 10), OpeningRow("B", N, 1000))))
    for n in range(8):
        if limited.library.code.count("DECODED_MAX = 300"):
            line = Booking("B", Place.AVAILABLE, Place.ADJUSTMENT, 1, "found")
            limited.do(Adjust(f"a{n}", N, (line,)))
        else:
            limited.do(Lock(f"L{n}", (Line("B", 1),)))
    assert count_since(limited, "1-8") is O.ADJUSTED
    assert count_since(limited, "1-2") is O.MOVED_SINCE


@pytest.mark.parametrize("limited", [{"READ_FIELDS_MAX": 8}], indirect=True)
def test_skus_in_many_warehouses_are_read_in_several_calls(limited: Shard) -> None:
    rows = [OpeningRow(f"S{n}", warehouse, n + 1) for n in range(5) for warehouse in (N, S)]
    limited.do(Opening(tuple(rows)))
    asked = [*(f"S{n}" for n in range(5)), "unheard of"]
    assert len(limited.fcall("read_stock", *asked)) == 2 + 2
    epoch, found = limited.finish(limited.store.read_stock(asked))
    assert epoch == "1"
    assert [stock and stock.warehouses[N].available for stock in found] == [1, 2, 3, 4, 5, None]


@pytest.mark.parametrize("limited", [{"DUE_BYTES_MAX": 50}], indirect=True)
def test_large_locks_expire_a_few_at_a_time(limited: Shard) -> None:
    limited.do(TEN)
    for n in range(5):
        limited.do(Lock(f"L{n}", (Line("A", 1),), ttl_ms=n + 1))
    limited.set_clock(START_MS + 10)
    due = limited.finish(limited.store.read_due(10))
    assert due == ["L0", "L1", "L2"]
    for lock_id in due:
        assert limited.do(Expire(lock_id)).outcome is O.EXPIRED
    assert limited.finish(limited.store.read_due(10)) == ["L3", "L4"]
    assert limited.finish(limited.store.read_due(1)) == ["L3"]


# What is kept of many places at once


def assumed_of(shard: Shard) -> list[Any]:
    """What of A has left by the lock's shipments at a time that was assumed, without that time."""
    sums = json.loads(shard.wire.call("HGET", shard.keys.document("deduct:L"), "A"))
    return [row[:4] for row in sums[2]]


def test_each_of_several_shipments_keeps_the_time_that_was_assumed(shard: Shard) -> None:
    shard.do(TEN)
    shard.do(Lock("L", (Line("A", 3, N),)))
    shard.do(Deduct("L", "first", (Line("A", 1),)))
    shard.do(Deduct("L", "second", (Line("A", 2),)))
    assert assumed_of(shard) == [["", N, 1, 1], ["", N, 1, 2]]
    assert shard.do(Void("L", "first", (Line("A", 1, N),))).outcome is O.VOIDED
    assert assumed_of(shard) == [["", N, 1, 2]]


def test_a_shipment_from_two_warehouses_is_kept_beside_one_from_the_second(shard: Shard) -> None:
    shard.do(Opening((OpeningRow("A", N, 10), OpeningRow("A", S, 10))))
    shard.do(Lock("L", (Line("A", 3, S), Line("A", 3, N))))
    shard.do(Deduct("L", "first", (Line("A", 1, N),)))
    shard.do(Deduct("L", "rest"))
    claims, booked, *_ = json.loads(shard.wire.call("HGET", shard.keys.document("deduct:L"), "A"))
    assert [claim[:4] for claim in claims] == [
        ["first", N, "route", 1],
        ["rest", S, "route", 3],
        ["rest", N, "route", 2],
    ]
    assert sorted(row[1:3] for row in booked) == [[N, 3], [S, 3]]


def test_each_place_of_a_shipment_keeps_the_time_that_was_assumed(shard: Shard) -> None:
    """A warehouse reported some of the SKU, and then the route says that all the rest has left from two."""
    shard.do(Opening((OpeningRow("A", N, 10), OpeningRow("A", S, 10))))
    shard.do(Lock("L", (Line("A", 3, N), Line("A", 4, S))))
    event = Fact("wms", "e", "shipped", START_MS, N, "A", 1, document_id="L", told_id="other")
    assert shard.do(event).outcome is O.BOOKED
    assert shard.do(Deduct("L", "rest")).outcome is O.DEDUCTED
    assert assumed_of(shard) == [["", N, 1, 2], ["", S, 1, 4]]


@pytest.mark.parametrize(
    ("at", "assumed"), [(START_MS - 5, []), (None, [["", S, 1, 1], ["", N, 1, 1]])], ids=["at", "now"]
)
def test_each_place_of_a_shipment_says_when_its_units_left(
    shard: Shard, at: int | None, assumed: list[Any]
) -> None:
    """Also one where nothing is booked now, since a warehouse has reported it: a time is assumed no longer."""
    shard.do(Opening((OpeningRow("A", N, 10), OpeningRow("A", S, 10))))
    shard.do(Lock("L", (Line("A", 3, N), Line("A", 3, S))))
    shard.do(Deduct("L", "first", (Line("A", 1, S),)))
    shard.do(Fact("wms", "e", "shipped", START_MS, S, "A", 2, document_id="L", told_id="second"))
    assert assumed_of(shard) == [["", S, 1, 1]]
    assert shard.do(Deduct("L", "second", (Line("A", 1, N), Line("A", 2, S)), at)).outcome is O.DEDUCTED
    assert assumed_of(shard) == assumed


@pytest.mark.parametrize("document", ["p1", "ü"])
def test_sums_that_the_ledger_wrote_otherwise_are_read_all_the_same(shard: Shard, document: str) -> None:
    """Other code writes JSON with spaces and escapes: a shipment that is known there is never taken for a new one."""
    shard.do(TEN)
    shard.do(Lock("L", (Line("A", 3, N),)))
    shard.do(Deduct("L", document, (Line("A", 1, N),)))
    key, op = f"{shard.keys.tag}document:deduct:L", f"{shard.keys.tag}op:deduct:L{{{document}"
    text = shard.wire.call("HGET", key, "A")
    for other in (json.dumps(json.loads(text)), json.dumps(json.loads(text), separators=(",", ":"))):
        shard.wire.call("HSET", key, "A", other)
        shard.wire.call("UNLINK", op)
        assert shard.do(Deduct("L", document, (Line("A", 1, N),))).outcome is O.UNCHANGED
    assert counts_of(shard, "A", N) == Counts(7, 2)
