"""The functions of locks as a table: what was done before, the command, and what it comes to."""

import pytest

from app.domain.answers import Excess
from app.domain.commands import (
    Adjust,
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Replace,
    Unlock,
)
from app.domain.events import Counts
from app.domain.sourcing import Shortage
from tests.integration.function_cases import (
    BOTH,
    EXPIRED,
    GONE,
    HALF_SHIPPED,
    LOCK,
    OVERDUE,
    RELEASED,
    SHIPPED,
    SOLD_OUT,
    TEN,
    TWO_PLACES,
    Case,
    N,
    O,
    S,
    at_north,
    show,
    told,
)
from tests.properties.pair import Advance
from tests.properties.rig import START_MS, Shard

pytest_plugins = ["tests.properties.fixtures"]

CASES = {
    # lock
    "lock takes from available": Case(
        (TEN,),
        LOCK,
        O.LOCKED,
        at_north(6, 4),
        {"status": "held", "expires_at": START_MS + 100, "lines": [("A", N, 4, 0)]},
    ),
    "lock to the last unit": Case((TEN,), SOLD_OUT, O.LOCKED, at_north(0, 10)),
    "lock of one unit too many": Case(
        (TEN,),
        Lock("L", (Line("A", 11, N),)),
        O.INSUFFICIENT_STOCK,
        at_north(10),
        {"shortages": [Shortage("A", N, 11, 10)]},
    ),
    "lock tells every shortage": Case(
        (BOTH,),
        Lock("L", (Line("A", 1), Line("A", 15), Line("B", 4), Line("C", 1, N))),
        O.INSUFFICIENT_STOCK,
        at_north(10),
        {
            "shortages": [
                Shortage("A", "", 16, 14),
                Shortage("B", "", 4, 3),
                Shortage("C", N, 1, 0, unknown=True),
            ]
        },
    ),
    "lock sums lines before it checks": Case(
        (TEN,),
        Lock("L", (Line("A", 6, N), Line("A", 6, N))),
        O.INSUFFICIENT_STOCK,
        at_north(10),
        {"shortages": [Shortage("A", N, 12, 10)]},
    ),
    "lock merges lines": Case(
        (TEN,),
        Lock("L", (Line("A", 1, N), Line("A", 2, N), Line("A", 3))),
        O.LOCKED,
        at_north(4, 6),
        {"lines": [("A", N, 6, 0)]},
    ),
    "lock leaves the buffer": Case(
        (Opening((OpeningRow("A", N, 10, 3),)),),
        Lock("L", (Line("A", 8, N),)),
        O.INSUFFICIENT_STOCK,
        at_north(10, 0, 0, 0, 3),
        {"shortages": [Shortage("A", N, 8, 7)]},
    ),
    "lock again says the same, and what became of it": Case(
        (TEN, LOCK, Confirm("L"), Advance(5)),
        LOCK,
        O.REPEATED,
        at_north(6, 4),
        {
            "status": "held",
            "expires_at": START_MS + 100,
            "lines": [("A", N, 4, 0)],
            "now": "confirmed",
            "first": None,
        },
    ),
    "lock again after it has shipped": Case(
        (*SHIPPED, Advance(5)),
        LOCK,
        O.REPEATED,
        at_north(6),
        {
            "status": "deducted",
            "expires_at": None,
            "lines": [("A", N, 4, 4)],
            "now": "deducted",
            "first": "held",
        },
    ),
    "lock again after it expired": Case(
        EXPIRED,
        LOCK,
        O.REPEATED,
        at_north(10),
        {"status": "expired", "now": "expired", "first": "held", "version": 2},
    ),
    "lock again after it was given back": Case(
        RELEASED, LOCK, O.REPEATED, at_north(10), {"status": "released", "now": "released", "first": "held"}
    ),
    "lock again after it was replaced": Case(
        (TEN, LOCK, Replace("L", "k", (Line("A", 9, N),))),
        LOCK,
        O.REPEATED,
        at_north(1, 9),
        {"lines": [("A", N, 4, 0)], "now": "held"},
    ),
    "lock again after an extension of its expiry": Case(
        (TEN, LOCK, Extend("L", "", 5000)),
        LOCK,
        O.REPEATED,
        at_north(6, 4),
        {"expires_at": START_MS + 100},
    ),
    "lock again after two extensions": Case(
        (TEN, LOCK, Extend("L", "", 5000), Extend("L", "", 9000)),
        LOCK,
        O.REPEATED,
        at_north(6, 4),
        {"expires_at": START_MS + 100},
    ),
    "lock again after two changes of its lines": Case(
        (TEN, LOCK, Unlock("L", "k", (Line("A", 1),)), Unlock("L", "k2", (Line("A", 1),))),
        LOCK,
        O.REPEATED,
        at_north(8, 2),
        {"lines": [("A", N, 4, 0)]},
    ),
    "lock again after an expiry was given to it": Case(
        (TEN, Lock("L", (Line("A", 4, N),), ttl_ms=None), Extend("L", "", 5000)),
        Lock("L", (Line("A", 4, N),), ttl_ms=None),
        O.REPEATED,
        at_north(6, 4),
        {"expires_at": None},
    ),
    "lock id with other content": Case(
        (TEN, LOCK), Lock("L", (Line("A", 5, N),), ttl_ms=100), O.ID_REUSED, at_north(6, 4)
    ),
    "lock without lines": Case((TEN,), Lock("L", ()), O.INVALID_ARGUMENT, at_north(10)),
    "lock from one warehouse rather than two": Case(
        (BOTH,),
        Lock("L", (Line("A", 4), Line("B", 3))),
        O.LOCKED,
        None,
        {"lines": [("A", S, 4, 0), ("B", S, 3, 0)]},
    ),
    "lock splits what no warehouse holds": Case(
        (BOTH,),
        Lock("L", (Line("A", 12),), (S, N)),
        O.LOCKED,
        {("A", N): Counts(2, 8), ("A", S): Counts(0, 4)},
        {"lines": [("A", S, 4, 0), ("A", N, 8, 0)]},
    ),
    # confirm
    "confirm ends the expiry": Case(
        (TEN, LOCK), Confirm("L"), O.CONFIRMED, at_north(6, 4), {"status": "confirmed", "expires_at": None}
    ),
    "confirm while overdue": Case(
        OVERDUE, Confirm("L"), O.CONFIRMED, at_north(6, 4), {"status": "confirmed"}
    ),
    "confirm again": Case((TEN, LOCK, Confirm("L")), Confirm("L"), O.UNCHANGED, at_north(6, 4)),
    "confirm after the shipment": Case(SHIPPED, Confirm("L"), O.UNCHANGED, at_north(6)),
    "confirm takes the stock again": Case(
        EXPIRED, Confirm("L"), O.CONFIRMED, at_north(6, 4), {"status": "confirmed", "expires_at": None}
    ),
    "confirm when the stock is gone": Case(
        (*EXPIRED, SOLD_OUT),
        Confirm("L"),
        O.LOCK_EXPIRED,
        at_north(0, 10),
        {"status": "expired", "shortages": [Shortage("A", N, 4, 0)]},
    ),
    "confirm what was given back": Case(
        RELEASED, Confirm("L"), O.LOCK_NOT_HELD, None, {"status": "released"}
    ),
    "confirm of nothing": Case((TEN,), Confirm("L"), O.UNKNOWN_LOCK),
    "confirm with its key again": Case((TEN, LOCK, Confirm("L", "k")), Confirm("L", "k"), O.REPEATED),
    "confirm with a key of something else": Case(
        (TEN, LOCK, Extend("L", "k", 5)), Confirm("L", "k"), O.ID_REUSED
    ),
    # extend
    "extend counts from now": Case(
        (TEN, LOCK, Advance(7)), Extend("L", "", 500), O.EXTENDED, None, {"expires_at": START_MS + 507}
    ),
    "extend for ever": Case((TEN, LOCK), Extend("L"), O.EXTENDED, None, {"expires_at": None}),
    "extend while overdue": Case(
        OVERDUE, Extend("L", "", 1), O.EXTENDED, None, {"expires_at": START_MS + 101}
    ),
    "extend too late": Case(EXPIRED, Extend("L", "", 1), O.LOCK_EXPIRED, at_north(10)),
    "extend what is paid": Case((TEN, LOCK, Confirm("L")), Extend("L", "", 1), O.LOCK_NOT_HELD),
    "extend of nothing": Case((TEN,), Extend("L", "", 1), O.UNKNOWN_LOCK),
    "extend with its key again": Case(
        (TEN, LOCK, Extend("L", "k", 500), Advance(9), Confirm("L")),
        Extend("L", "k", 500),
        O.REPEATED,
        None,
        {"status": "held", "expires_at": START_MS + 500, "now": "confirmed"},
    ),
    "extend with a key of other content": Case(
        (TEN, LOCK, Extend("L", "k", 500)), Extend("L", "k", 501), O.ID_REUSED
    ),
    "extend by more than can be": Case((TEN, LOCK), Extend("L", "", 10**10), O.INVALID_ARGUMENT),
    # unlock
    "unlock gives all back": Case(
        (TEN, LOCK), Unlock("L"), O.UNLOCKED, at_north(10), {"status": "released", "lines": [("A", N, 4, 0)]}
    ),
    "unlock some": Case(
        (TEN, LOCK),
        Unlock("L", "k", (Line("A", 1),)),
        O.UNLOCKED,
        at_north(7, 3),
        {"status": "held", "lines": [("A", N, 3, 0)]},
    ),
    "unlock all by name": Case(
        (TEN, LOCK),
        Unlock("L", "k", (Line("A", 1), Line("A", 3))),
        O.UNLOCKED,
        at_north(10),
        {"status": "released"},
    ),
    "unlock the rest after a shipment": Case(
        HALF_SHIPPED, Unlock("L"), O.UNLOCKED, at_north(9), {"status": "deducted", "lines": [("A", N, 1, 1)]}
    ),
    "unlock again": Case(RELEASED, Unlock("L"), O.UNCHANGED, at_north(10)),
    "unlock the rest again": Case((*HALF_SHIPPED, Unlock("L")), Unlock("L"), O.UNCHANGED, at_north(9)),
    "unlock some of nothing left": Case(RELEASED, Unlock("L", "k", (Line("A", 1),)), O.LOCK_NOT_HELD),
    "unlock what shipped": Case(SHIPPED, Unlock("L"), O.LOCK_NOT_HELD, at_north(6), {"status": "deducted"}),
    "unlock what expired": Case(EXPIRED, Unlock("L"), O.LOCK_EXPIRED, at_north(10)),
    "unlock more than locked": Case(
        (TEN, LOCK),
        Unlock("L", "k", (Line("A", 2), Line("A", 3, N), Line("B", 1))),
        O.QUANTITY_EXCEEDS_LOCK,
        at_north(6, 4),
        {"exceeding": [Excess("A", N, 5, 4), Excess("B", "", 1, 0)]},
    ),
    "unlock more than is left": Case(
        HALF_SHIPPED,
        Unlock("L", "k", (Line("A", 4),)),
        O.QUANTITY_EXCEEDS_LOCK,
        at_north(6, 3),
        {"exceeding": [Excess("A", N, 4, 3)]},
    ),
    "unlock without saying where": Case(
        (BOTH, TWO_PLACES), Unlock("L", "k", (Line("A", 1),)), O.WAREHOUSE_REQUIRED
    ),
    "unlock of nothing": Case((TEN,), Unlock("L"), O.UNKNOWN_LOCK),
    "unlock without lines": Case((TEN, LOCK), Unlock("L", "k", ()), O.INVALID_ARGUMENT),
    "unlock with its key again": Case(
        (TEN, LOCK, Unlock("L", "k", (Line("A", 1),)), Deduct("L", "s1")),
        Unlock("L", "k", (Line("A", 1),)),
        O.REPEATED,
        at_north(7),
        {"status": "held", "lines": [("A", N, 3, 0)], "now": "deducted"},
    ),
    "unlock with a key of other content": Case(
        (TEN, LOCK, Unlock("L", "k", (Line("A", 1),))), Unlock("L", "k", (Line("A", 2),)), O.ID_REUSED
    ),
    # deduct
    "deduct all": Case(
        (TEN, LOCK),
        Deduct("L", "s1"),
        O.DEDUCTED,
        at_north(6),
        {"status": "deducted", "expires_at": None, "lines": [("A", N, 4, 4)]},
    ),
    "deduct some confirms": Case(
        (TEN, LOCK),
        Deduct("L", "s1", (Line("A", 3),)),
        O.DEDUCTED,
        at_north(6, 1),
        {"status": "partly_deducted", "expires_at": None, "lines": [("A", N, 4, 3)]},
    ),
    "deduct the rest": Case(HALF_SHIPPED, Deduct("L", "s2"), O.DEDUCTED, at_north(6), {"status": "deducted"}),
    "deduct the same shipment again": Case(
        HALF_SHIPPED,
        Deduct("L", "s1", (Line("A", 1),)),
        O.REPEATED,
        at_north(6, 3),
        {"status": "partly_deducted", "lines": [("A", N, 4, 1)]},
    ),
    "deduct a shipment id with other content": Case(
        HALF_SHIPPED, Deduct("L", "s1"), O.ID_REUSED, at_north(6, 3)
    ),
    "deduct when all is gone": Case(SHIPPED, Deduct("L", "s2"), O.LOCK_NOT_HELD, at_north(6)),
    "deduct what was given back": Case(RELEASED, Deduct("L", "s1"), O.LOCK_NOT_HELD, at_north(10)),
    "deduct what expired": Case(EXPIRED, Deduct("L", "s1"), O.LOCK_EXPIRED, at_north(10)),
    "deduct while overdue": Case(OVERDUE, Deduct("L", "s1"), O.DEDUCTED, at_north(6)),
    "deduct more than locked": Case(
        (TEN, LOCK),
        Deduct("L", "s1", (Line("A", 5),)),
        O.QUANTITY_EXCEEDS_LOCK,
        at_north(6, 4),
        {"exceeding": [Excess("A", N, 5, 4)], "status": "held"},
    ),
    "deduct without saying where": Case(
        (BOTH, TWO_PLACES), Deduct("L", "s1", (Line("A", 9),)), O.WAREHOUSE_REQUIRED
    ),
    "deduct of nothing": Case((TEN,), Deduct("L", "s1"), O.UNKNOWN_LOCK),
    "deduct without lines": Case((TEN, LOCK), Deduct("L", "s1", ()), O.INVALID_ARGUMENT),
    "deduct what an event told of": Case(
        (TEN, LOCK, told("shipped", 4, document_id="L", told_id="s1")),
        Deduct("L", "s1"),
        O.UNCHANGED,
        at_north(6),
        noted=True,
    ),
    "deduct the line that an event told of": Case(
        (TEN, LOCK, told("shipped", 1, document_id="L", told_id="s1")),
        Deduct("L", "s1", (Line("A", 1),)),
        O.UNCHANGED,
        at_north(6, 3),
        noted=True,
    ),
    # replace
    "replace swaps": Case(
        (BOTH, LOCK),
        Replace("L", "k", (Line("A", 1, N), Line("B", 2))),
        O.REPLACED,
        {("A", N): Counts(9, 1), ("B", S): Counts(1, 2)},
        {"status": "held", "expires_at": START_MS + 100, "lines": [("A", N, 1, 0), ("B", S, 2, 0)]},
    ),
    "replace may grow into what it holds": Case(
        (TEN, LOCK), Replace("L", "k", (Line("A", 10, N),)), O.REPLACED, at_north(0, 10)
    ),
    "replace beyond what is there": Case(
        (TEN, LOCK),
        Replace("L", "k", (Line("A", 11, N),)),
        O.INSUFFICIENT_STOCK,
        at_north(6, 4),
        {"shortages": [Shortage("A", N, 11, 10)]},
    ),
    "replace keeps what it holds while short": Case(
        (TEN, LOCK, Adjust("a", N, (GONE,))), Replace("L", "k", (Line("A", 4),)), O.REPLACED, at_north(-1, 4)
    ),
    "replace what expired": Case(EXPIRED, Replace("L", "k", (Line("A", 1),)), O.LOCK_EXPIRED, at_north(10)),
    "replace of nothing": Case((TEN,), Replace("L", "k", (Line("A", 1),)), O.UNKNOWN_LOCK),
    "replace by nothing": Case((TEN, LOCK), Replace("L", "k", ()), O.INVALID_ARGUMENT, at_north(6, 4)),
    "replace with its key again": Case(
        (TEN, LOCK, Replace("L", "k", (Line("A", 1),)), Confirm("L")),
        Replace("L", "k", (Line("A", 1),)),
        O.REPEATED,
        at_north(9, 1),
        {"status": "held", "now": "confirmed"},
    ),
    "replace with a key of other content": Case(
        (TEN, LOCK, Replace("L", "k", (Line("A", 1),))), Replace("L", "k", (Line("A", 2),)), O.ID_REUSED
    ),
    # expire
    "expire on time": Case(OVERDUE, Expire("L"), O.EXPIRED, at_north(10), {"status": "expired"}),
    "expire a moment early": Case((TEN, LOCK, Advance(99)), Expire("L"), O.NOT_DUE, at_north(6, 4)),
    "expire what is paid": Case(
        (TEN, LOCK, Confirm("L"), Advance(200)), Expire("L"), O.NOT_DUE, at_north(6, 4)
    ),
    "expire twice": Case(EXPIRED, Expire("L"), O.NOT_DUE, at_north(10)),
    "expire what never does": Case(
        (TEN, LOCK, Extend("L"), Advance(10**9)), Expire("L"), O.NOT_DUE, at_north(6, 4)
    ),
    "expire nothing": Case((TEN,), Expire("L"), O.NOT_DUE),
}


@pytest.mark.parametrize("name", CASES)
def test_function(shard: Shard, name: str) -> None:
    show(shard, CASES[name])
