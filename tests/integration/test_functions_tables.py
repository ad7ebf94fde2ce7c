"""Each function as a table: what was done before, the command, and what it comes to.

Every outcome that a function's header names occurs at least once; a refusal changes nothing at all.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app import resources
from app.domain.answers import Excess, LockLine
from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Buffer,
    Command,
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
    Receive,
    Replace,
    Return,
    Transfer,
    TransferCancel,
    TransferReceive,
    TransferShip,
    Unlock,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import COUNT_MAX, LockStatus, Place
from app.hotstore.replies import Stock
from tests.properties.pair import Advance
from tests.properties.rig import START_MS, Shard

pytest_plugins = ["tests.properties.fixtures"]

N, S = "north", "south"
TEN = Opening((OpeningRow("A", N, 10),))
BOTH = Opening((OpeningRow("A", N, 10), OpeningRow("A", S, 4), OpeningRow("B", S, 3)))
LOCK = Lock("L", (Line("A", 4, N),), ttl_ms=100)
TWO_PLACES = Lock("L", (Line("A", 2, N), Line("A", 3, S), Line("B", 1)))
OVERDUE = (TEN, LOCK, Advance(100))
EXPIRED = (*OVERDUE, Expire("L"))
RELEASED = (TEN, LOCK, Unlock("L"))
SHIPPED = (TEN, LOCK, Deduct("L", "s1"))
HALF_SHIPPED = (TEN, LOCK, Deduct("L", "s1", (Line("A", 1),)))
IN = Booking("A", Place.SUPPLIER, Place.AVAILABLE, 5)
BROKEN = Booking("A", Place.SUPPLIER, Place.DAMAGED, 2)
GONE = Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 7, "missing")
MOVE = Transfer("T", N, S, (Line("A", 6),))
SENT = (TEN, MOVE, TransferShip("T", "s1"))
HALF_SENT = (TEN, MOVE, TransferShip("T", "s1", None, (Line("A", 2),)))


def arrive(receipt_id: str, good: int, damaged: int = 0, lost: int = 0) -> TransferReceive:
    return TransferReceive("T", receipt_id, None, (Arrival("A", good, damaged, lost),))


THERE = (*SENT, arrive("r1", 6))


def back(units: int, target: Place = Place.AVAILABLE, sku: str = "A") -> Booking:
    return Booking(sku, Place.CUSTOMER, target, units)


ANOTHER = Lock("L", (Line("A", 6, N),), ttl_ms=100)
SWAP = Exchange("x", N, (back(2), back(1, Place.DAMAGED)), ANOTHER)
SOLD_OUT = Lock("other", (Line("A", 10, N),))


class Case(NamedTuple):
    """`then` maps (sku, warehouse) to counts; `seen` are the answer's parts to compare; `raw` goes past checks."""

    given: tuple[Any, ...]
    when: Command
    outcome: Outcome
    then: dict[tuple[str, str], Counts] | None = None
    seen: dict[str, Any] | None = None
    noted: bool = False


def at_north(*counts: int) -> dict[tuple[str, str], Counts]:
    return {("A", N): Counts(*counts)}


def told(kind: str, units: int, event_id: str = "e", warehouse: str = N, **more: Any) -> Fact:
    return Fact("wms", event_id, kind, START_MS, warehouse, "A", units, **more)


FOUND = Booking("A", Place.SUPPLIER, Place.AVAILABLE, 3)
O = Outcome  # noqa: E741 - a table reads better
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
        (*SHIPPED, Advance(5)),
        LOCK,
        O.REPEATED,
        at_north(6),
        {"status": "held", "expires_at": START_MS + 100, "lines": [("A", N, 4, 0)], "now": "deducted"},
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
    "replace what shipped in part": Case(HALF_SHIPPED, Replace("L", "k", (Line("A", 1),)), O.LOCK_NOT_HELD),
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
    # receive, return, adjust
    "receive good and damaged": Case((), Receive("r", N, (IN, BROKEN)), O.RECEIVED, at_north(5, 0, 2)),
    "receive again": Case((Receive("r", N, (IN,)),), Receive("r", N, (IN,)), O.REPEATED, at_north(5)),
    "receive with other content": Case(
        (Receive("r", N, (IN,)),), Receive("r", S, (IN,)), O.ID_REUSED, at_north(5)
    ),
    "receive nothing": Case((), Receive("r", N, ()), O.INVALID_ARGUMENT),
    "return under the id of a receipt": Case(
        (Receive("x", N, (IN,)),),
        Return("x", N, (Booking("A", Place.CUSTOMER, Place.AVAILABLE, 1),)),
        O.RETURNED,
        at_north(6),
    ),
    "return of damaged goods": Case(
        (), Return("x", N, (Booking("A", Place.CUSTOMER, Place.DAMAGED, 1),)), O.RETURNED, at_north(0, 0, 1)
    ),
    "return of a lock's shipment": Case(
        HALF_SHIPPED,
        Return("x", S, (back(1),), lock_id="L"),
        O.RETURNED,
        {("A", N): Counts(6, 3), ("A", S): Counts(1)},
    ),
    "return of more than shipped for the lock": Case(
        SHIPPED,
        Return("x", N, (back(3), back(2, Place.DAMAGED), back(1, sku="B")), lock_id="L"),
        O.QUANTITY_EXCEEDS_SHIPMENT,
        at_north(6),
        {"exceeding": [Excess("A", "", 5, 4), Excess("B", "", 1, 0)]},
    ),
    "return of what came back": Case(
        (
            *SHIPPED,
            Return("x", N, (back(2),), lock_id="L"),
            Return("y", N, (back(1, Place.DAMAGED),), lock_id="L"),
        ),
        Return("z", N, (back(2),), lock_id="L"),
        O.QUANTITY_EXCEEDS_SHIPMENT,
        at_north(8, 0, 1),
        {"exceeding": [Excess("A", "", 2, 1)]},
    ),
    "return of all that shipped, in two warehouses": Case(
        (BOTH, TWO_PLACES, Deduct("L", "s")),
        Return("x", N, (back(5), back(1, sku="B")), lock_id="L"),
        O.RETURNED,
        {("A", N): Counts(13), ("B", N): Counts(1)},
    ),
    "return of what did not ship": Case(
        (TEN, LOCK), Return("x", N, (back(1),), lock_id="L"), O.QUANTITY_EXCEEDS_SHIPMENT, at_north(6, 4)
    ),
    "return of an unknown lock": Case(
        (TEN,), Return("x", N, (back(1),), lock_id="L"), O.UNKNOWN_LOCK, at_north(10)
    ),
    "return of a lock twice": Case(
        (*SHIPPED, Return("x", N, (back(4),), lock_id="L")),
        Return("x", N, (back(4),), lock_id="L"),
        O.REPEATED,
        at_north(10),
    ),
    "return of another lock under the same id": Case(
        (*SHIPPED, Return("x", N, (back(4),), lock_id="L")),
        Return("x", N, (back(4),)),
        O.ID_REUSED,
        at_north(10),
    ),
    # exchange
    "exchange takes back and holds": Case(
        (TEN,),
        SWAP,
        O.EXCHANGED,
        at_north(6, 6, 1),
        {"status": "held", "expires_at": START_MS + 100, "lines": [("A", N, 6, 0)]},
    ),
    "exchange holds what came back": Case(
        (Opening((OpeningRow("A", N, 4),)),), SWAP, O.EXCHANGED, at_north(0, 6, 1)
    ),
    "exchange without stock for the new lock": Case(
        (Opening((OpeningRow("A", N, 3),)),),
        SWAP,
        O.INSUFFICIENT_STOCK,
        at_north(3),
        {"shortages": [Shortage("A", N, 6, 5)]},
    ),
    "exchange again": Case(
        (TEN, SWAP, Confirm("L"), Deduct("L", "s")),
        SWAP,
        O.REPEATED,
        at_north(6, 0, 1),
        {"status": "held", "expires_at": START_MS + 100, "lines": [("A", N, 6, 0)], "now": "deducted"},
    ),
    "exchange with other content": Case(
        (TEN, SWAP),
        Exchange("x", S, (back(2), back(1, Place.DAMAGED)), ANOTHER),
        O.ID_REUSED,
        at_north(6, 6, 1),
    ),
    "exchange for a lock that is there": Case(
        (TEN, ANOTHER), SWAP, O.ID_REUSED, at_north(4, 6), {"detail": "lock"}
    ),
    "exchange of nothing": Case((TEN,), Exchange("x", N, (), ANOTHER), O.INVALID_ARGUMENT, at_north(10)),
    "exchange for nothing": Case(
        (TEN,), Exchange("x", N, (back(1),), Lock("L", ())), O.INVALID_ARGUMENT, at_north(10)
    ),
    "adjust below zero": Case((TEN, LOCK), Adjust("a", N, (GONE,)), O.ADJUSTED, at_north(-1, 4)),
    "adjust from available to damaged": Case(
        (TEN,),
        Adjust("a", N, (Booking("A", Place.AVAILABLE, Place.DAMAGED, 3),)),
        O.ADJUSTED,
        at_north(7, 0, 3),
    ),
    "adjust more damaged than there are": Case(
        (Receive("r", N, (BROKEN,)),),
        Adjust("a", N, (Booking("A", Place.DAMAGED, Place.AVAILABLE, 3),)),
        O.INSUFFICIENT_DAMAGED,
        at_north(0, 0, 2),
        {"shortages": [Shortage("A", N, 3, 2)]},
    ),
    "adjust again": Case((TEN, Adjust("a", N, (GONE,))), Adjust("a", N, (GONE,)), O.REPEATED, at_north(3)),
    "adjust with other content": Case(
        (TEN, Adjust("a", N, (GONE,))), Adjust("a", N, (GONE, GONE)), O.ID_REUSED, at_north(3)
    ),
    "count what was computed before something else happened": Case(
        (TEN, Count("c0", N, (GONE,), START_MS - 5), Receive("r2", N, (FOUND,), START_MS - 9)),
        Count("c", N, (GONE,), START_MS - 5, since="1-0"),
        O.MOVED_SINCE,
    ),
    "receive what was counted since": Case(
        (TEN, Count("c", N, (GONE,), START_MS)), Receive("r2", N, (FOUND,), START_MS), O.RECEIVED, at_north(3)
    ),
    "receive after a count": Case(
        (TEN, Count("c", N, (GONE,), START_MS - 1)),
        Receive("r2", N, (FOUND,), START_MS),
        O.RECEIVED,
        at_north(3 + FOUND.quantity),
    ),
    "receive what an event told of": Case(
        (told("received", 3, told_id="r2"),), Receive("r2", N, (FOUND,)), O.REPEATED, at_north(3)
    ),
    "receive other units than an event told of": Case(
        (told("received", 2, told_id="r2"),), Receive("r2", N, (FOUND,)), O.ID_REUSED, at_north(2)
    ),
    "deduct what an event told of": Case(
        (TEN, LOCK, told("shipped", 4, document_id="L", told_id="s1")),
        Deduct("L", "s1"),
        O.UNCHANGED,
        at_north(6),
    ),
    "deduct the line that an event told of": Case(
        (TEN, LOCK, told("shipped", 1, document_id="L", told_id="s1")),
        Deduct("L", "s1", (Line("A", 1),)),
        O.UNCHANGED,
        at_north(6, 3),
    ),
    "ship what an event told of": Case(
        (TEN, MOVE, told("transfer_shipped", 6, document_id="T", told_id="s1")),
        TransferShip("T", "s1"),
        O.UNCHANGED,
        at_north(4),
    ),
    "receive from a transfer what an event told of": Case(
        (*SENT, told("transfer_received", 2, warehouse=S, document_id="T", told_id="r1")),
        TransferReceive("T", "r1", None, (Arrival("A", 2),)),
        O.UNCHANGED,
    ),
    # events of warehouse systems
    "an event of goods that came in": Case((), told("received", 3, damaged=2), O.BOOKED, at_north(3, 0, 2)),
    "an event again": Case((told("received", 3),), told("received", 3), O.REPEATED, at_north(3)),
    "an event with other content": Case(
        (told("received", 3),), told("received", 4), O.ID_REUSED, at_north(3)
    ),
    "an event of a receipt that is known": Case(
        (Receive("r2", N, (FOUND,)),), told("received", 3, told_id="r2"), O.REPEATED, at_north(3), noted=True
    ),
    "two events of one receipt": Case(
        (told("received", 3, told_id="r2"),),
        told("received", 3, "e2", told_id="r2"),
        O.REPEATED,
        at_north(3),
        noted=True,
    ),
    "two events that contradict each other": Case(
        (told("received", 3, told_id="r2"),),
        told("received", 2, "e2", told_id="r2"),
        O.OTHER_CONTENT,
        at_north(3),
    ),
    "an event before its turn": Case((), told("received", 3, sequence=2), O.EARLY, {}),
    "an event in its turn": Case(
        (told("received", 3, sequence=1),), told("received", 2, "e2", sequence=2), O.BOOKED, at_north(5)
    ),
    "an event whose turn has passed": Case(
        (told("received", 3, sequence=2, mode="force"),),
        told("received", 2, "e2", sequence=1),
        O.BOOKED,
        at_north(5),
    ),
    "an event that a person has": Case(
        (), told("received", 3, sequence=1, mode="hold"), O.HELD, {}, noted=True
    ),
    "an event behind one that a person has": Case(
        (told("received", 3, sequence=1, mode="hold"),),
        told("received", 2, "e2", sequence=2),
        O.BOOKED,
        at_north(2),
    ),
    "an event that shall never be booked": Case((), told("received", 3, mode="drop"), O.DROPPED, {}),
    "an event that was dropped": Case(
        (told("received", 3, mode="drop"),), told("received", 3), O.REPEATED, {}
    ),
    "a shipment of a lock": Case((TEN, LOCK), told("shipped", 4, document_id="L"), O.BOOKED, at_north(6)),
    "a shipment beyond its lock": Case(
        (TEN, LOCK), told("shipped", 12, document_id="L"), O.BOOKED, at_north(-2)
    ),
    "a shipment of what expired": Case(EXPIRED, told("shipped", 4, document_id="L"), O.BOOKED, at_north(6)),
    "a shipment without a lock": Case((TEN,), told("shipped", 4), O.BOOKED, at_north(6)),
    "a shipment of a lock that nobody knows": Case(
        (TEN,), told("shipped", 4, document_id="L"), O.UNKNOWN_LOCK, at_north(10)
    ),
    "a shipment of a lock that nobody knows, booked": Case(
        (TEN,), told("shipped", 4, document_id="L", mode="force"), O.BOOKED, at_north(6)
    ),
    "a shipment from elsewhere than the lock holds": Case(
        (TEN, LOCK),
        told("shipped", 1, warehouse=S, document_id="L"),
        O.BOOKED,
        at_north(6, 4) | {("A", S): Counts(-1)},
    ),
    "goods that came back before anybody knew that they had left": Case(
        (TEN, LOCK), told("returned", 1, document_id="L"), O.BOOKED, at_north(7, 4)
    ),
    "more damaged ones are gone than there were": Case(
        (TEN,), told("adjusted", -1, state=Place.DAMAGED), O.INSUFFICIENT_DAMAGED, at_north(10)
    ),
    "more damaged ones are gone than there were, in its turn": Case(
        (TEN,),
        told("adjusted", -1, state=Place.DAMAGED, sequence=1),
        O.INSUFFICIENT_DAMAGED,
        at_north(10),
        noted=True,
    ),
    "a transfer that had left before a count, and arrived after it": Case(
        (
            TEN,
            MOVE,
            Count("c", N, (GONE,), START_MS - 5),
            told("transfer_received", 6, "e2", warehouse=S, document_id="T"),
        ),
        replace(told("transfer_shipped", 6, document_id="T"), occurred_at=START_MS - 9),
        O.BOOKED,
        at_north(3) | {("A", S): Counts(6)},
    ),
    "more damaged ones are gone than there were, booked": Case(
        (TEN,), told("adjusted", -1, state=Place.DAMAGED, mode="force"), O.BOOKED, at_north(9)
    ),
    "a transfer arrived before anybody knew that it had left": Case(
        (TEN, MOVE),
        told("transfer_received", 6, warehouse=S, document_id="T"),
        O.BOOKED,
        at_north(4) | {("A", S): Counts(6)},
    ),
    "a transfer that arrived before left": Case(
        (TEN, MOVE, told("transfer_received", 6, "e2", warehouse=S, document_id="T")),
        told("transfer_shipped", 6, document_id="T"),
        O.BOOKED,
        at_north(4) | {("A", S): Counts(6)},
    ),
    "more left than a transfer asked for": Case(
        (TEN, MOVE),
        told("transfer_shipped", 8, document_id="T"),
        O.BOOKED,
        at_north(2) | {("A", S): Counts(0, 0, 0, 6)},
    ),
    "more arrived than a transfer sent": Case(
        SENT,
        told("transfer_received", 5, damaged=2, warehouse=S, document_id="T"),
        O.BOOKED,
        at_north(4) | {("A", S): Counts(5, 0, 2)},
    ),
    "a transfer that nobody knows": Case(
        (TEN,), told("transfer_shipped", 1, document_id="T"), O.UNKNOWN_TRANSFER, at_north(10)
    ),
    "a transfer that nobody knows, booked": Case(
        (TEN,), told("transfer_shipped", 1, document_id="T", mode="force"), O.BOOKED, at_north(9)
    ),
    # transfer
    "transfer takes from available": Case(
        (TEN,),
        MOVE,
        O.TRANSFER_REQUESTED,
        at_north(4, 6),
        {"status": "requested", "moved": [("A", 6, 0, 0, 0, 0, 0)]},
    ),
    "transfer of a sku twice": Case(
        (TEN,),
        Transfer("T", N, S, (Line("A", 6), Line("A", 5))),
        O.INSUFFICIENT_STOCK,
        at_north(10),
        {"shortages": [Shortage("A", N, 11, 10)]},
    ),
    "transfer leaves the buffer": Case(
        (Opening((OpeningRow("A", N, 10, 5),)),),
        MOVE,
        O.INSUFFICIENT_STOCK,
        None,
        {"shortages": [Shortage("A", N, 6, 5)]},
    ),
    "transfer again says the same, and what became of it": Case(
        (*THERE,),
        MOVE,
        O.REPEATED,
        at_north(4),
        {"status": "requested", "moved": [("A", 6, 0, 0, 0, 0, 0)], "now": "received"},
    ),
    "transfer id with other content": Case(
        (TEN, MOVE), Transfer("T", N, "west", (Line("A", 6),)), O.ID_REUSED, at_north(4, 6)
    ),
    "transfer without lines": Case((TEN,), Transfer("T", N, S, ()), O.INVALID_ARGUMENT, at_north(10)),
    "transfer to itself": Case(
        (TEN,), Transfer("T", N, N, (Line("A", 1),)), O.INVALID_ARGUMENT, at_north(10)
    ),
    # transfer_ship
    "transfer ships all": Case(
        (TEN, MOVE),
        TransferShip("T", "s1"),
        O.TRANSFER_SHIPPED,
        {("A", N): Counts(4), ("A", S): Counts(0, 0, 0, 6)},
        {"status": "shipped", "moved": [("A", 6, 6, 0, 0, 0, 0)]},
    ),
    "transfer ships some": Case(
        (TEN, MOVE),
        TransferShip("T", "s1", None, (Line("A", 1), Line("A", 1))),
        O.TRANSFER_SHIPPED,
        {("A", N): Counts(4, 4), ("A", S): Counts(0, 0, 0, 2)},
        {"status": "partly_shipped"},
    ),
    "transfer ships some twice": Case(
        HALF_SENT,
        TransferShip("T", "s1", None, (Line("A", 2),)),
        O.REPEATED,
        at_north(4, 4),
        {"status": "partly_shipped", "now": "partly_shipped", "moved": [("A", 6, 2, 0, 0, 0, 0)]},
    ),
    "transfer repeats a shipment after its end": Case(
        (*HALF_SENT, TransferShip("T", "s2"), arrive("r1", 6)),
        TransferShip("T", "s1", None, (Line("A", 2),)),
        O.REPEATED,
        at_north(4),
        {"status": "partly_shipped", "now": "received"},
    ),
    "transfer shipment with other content": Case(
        HALF_SENT, TransferShip("T", "s1"), O.ID_REUSED, at_north(4, 4)
    ),
    "transfer ships the rest": Case(HALF_SENT, TransferShip("T", "s2"), O.TRANSFER_SHIPPED, at_north(4)),
    "transfer ships too much": Case(
        HALF_SENT,
        TransferShip("T", "s2", None, (Line("A", 3), Line("A", 2), Line("B", 1))),
        O.QUANTITY_EXCEEDS_TRANSFER,
        at_north(4, 4),
        {"status": "partly_shipped", "exceeding": [Excess("A", "", 5, 4), Excess("B", "", 1, 0)]},
    ),
    "transfer ships what has shipped": Case(
        SENT, TransferShip("T", "s2"), O.TRANSFER_NOT_OPEN, at_north(4), {"status": "shipped"}
    ),
    "transfer ships what was cancelled": Case(
        (TEN, MOVE, TransferCancel("T")),
        TransferShip("T", "s1"),
        O.TRANSFER_NOT_OPEN,
        at_north(10),
        {"status": "cancelled"},
    ),
    "transfer ships what is unknown": Case((TEN,), TransferShip("T", "s1"), O.UNKNOWN_TRANSFER),
    "transfer ships nothing": Case((TEN, MOVE), TransferShip("T", "s1", None, ()), O.INVALID_ARGUMENT),
    "transfer ships although stock is short": Case(
        (TEN, MOVE, Adjust("a", N, (GONE,))), TransferShip("T", "s1"), O.TRANSFER_SHIPPED, at_north(-3)
    ),
    # transfer_receive
    "transfer arrives": Case(
        SENT,
        arrive("r1", 6),
        O.TRANSFER_RECEIVED,
        {("A", N): Counts(4), ("A", S): Counts(6)},
        {"status": "received", "moved": [("A", 6, 6, 6, 0, 0, 0)]},
    ),
    "transfer arrives damaged and short": Case(
        SENT,
        arrive("r1", 2, 1, 1),
        O.TRANSFER_RECEIVED,
        {("A", S): Counts(2, 0, 1, 2)},
        {"status": "shipped", "moved": [("A", 6, 6, 2, 1, 1, 0)]},
    ),
    "transfer is lost": Case(
        SENT, arrive("r1", 0, 0, 6), O.TRANSFER_RECEIVED, {("A", S): Counts()}, {"status": "received"}
    ),
    "transfer arrives before all of it shipped": Case(
        HALF_SENT,
        arrive("r1", 2),
        O.TRANSFER_RECEIVED,
        {("A", N): Counts(4, 4), ("A", S): Counts(2)},
        {"status": "partly_shipped"},
    ),
    "transfer arrives in lines of the same sku": Case(
        SENT,
        TransferReceive("T", "r", None, (Arrival("A", 1, 1), Arrival("A", 1, 1, 1))),
        O.TRANSFER_RECEIVED,
        {("A", S): Counts(2, 0, 2, 1)},
        {"moved": [("A", 6, 6, 2, 2, 1, 0)]},
    ),
    "transfer arrives twice": Case(
        THERE, arrive("r1", 6), O.REPEATED, {("A", S): Counts(6)}, {"status": "received", "now": "received"}
    ),
    "transfer receipt with other content": Case(THERE, arrive("r1", 5, 1), O.ID_REUSED, at_north(4)),
    "transfer arrives though nothing shipped": Case(
        (TEN, MOVE),
        arrive("r1", 1),
        O.QUANTITY_EXCEEDS_TRANSFER,
        at_north(4, 6),
        {"exceeding": [Excess("A", "", 1, 0)]},
    ),
    "transfer brings more than was shipped": Case(
        HALF_SENT,
        arrive("r1", 1, 1, 1),
        O.QUANTITY_EXCEEDS_TRANSFER,
        {("A", S): Counts(0, 0, 0, 2)},
        {"exceeding": [Excess("A", "", 3, 2)]},
    ),
    "transfer brings what it does not carry": Case(
        SENT,
        TransferReceive("T", "r", None, (Arrival("B", 1),)),
        O.QUANTITY_EXCEEDS_TRANSFER,
        None,
        {"exceeding": [Excess("B", "", 1, 0)]},
    ),
    "transfer arrives after its end": Case(
        THERE, arrive("r2", 1), O.TRANSFER_NOT_OPEN, {("A", S): Counts(6)}
    ),
    "transfer that is unknown arrives": Case((TEN,), arrive("r", 1), O.UNKNOWN_TRANSFER),
    # transfer_cancel
    "transfer is cancelled": Case(
        (TEN, MOVE),
        TransferCancel("T"),
        O.TRANSFER_CANCELLED,
        at_north(10),
        {"status": "cancelled", "moved": [("A", 6, 0, 0, 0, 0, 6)]},
    ),
    "transfer is cancelled after a part of it shipped": Case(
        HALF_SENT,
        TransferCancel("T"),
        O.TRANSFER_CANCELLED,
        {("A", N): Counts(8), ("A", S): Counts(0, 0, 0, 2)},
        {"status": "shipped", "moved": [("A", 6, 2, 0, 0, 0, 4)]},
    ),
    "transfer is cancelled when what shipped has arrived": Case(
        (*HALF_SENT, arrive("r1", 2)),
        TransferCancel("T"),
        O.TRANSFER_CANCELLED,
        {("A", N): Counts(8), ("A", S): Counts(2)},
        {"status": "received"},
    ),
    "transfer is cancelled twice": Case(
        (TEN, MOVE, TransferCancel("T")), TransferCancel("T"), O.UNCHANGED, at_north(10)
    ),
    "transfer is cancelled too late": Case(
        SENT, TransferCancel("T"), O.TRANSFER_NOT_OPEN, at_north(4), {"status": "shipped"}
    ),
    "transfer that is unknown is cancelled": Case((TEN,), TransferCancel("T"), O.UNKNOWN_TRANSFER),
    # opening
    "opening sets what is on hand": Case(
        (TEN, LOCK), Opening((OpeningRow("A", N, 3, 1),)), O.OPENED, at_north(-1, 4, 0, 0, 1)
    ),
    "opening makes a sku known": Case((), Opening((OpeningRow("A", N, 0),)), O.OPENED, at_north()),
    "opening again": Case((TEN,), TEN, O.UNCHANGED, at_north(10)),
    "opening sets a buffer alone": Case(
        (TEN,), Opening((OpeningRow("A", N, 10, 2),)), O.OPENED, at_north(10, 0, 0, 0, 2)
    ),
    "opening below zero": Case((TEN,), Opening((OpeningRow("A", N, -1),)), O.INVALID_ARGUMENT, at_north(10)),
    # buffer
    "buffer withholds stock": Case((TEN,), Buffer(N, (Line("A", 3),)), O.BUFFERED, at_north(10, 0, 0, 0, 3)),
    "buffer of zero withholds nothing": Case(
        (TEN, Buffer(N, (Line("A", 3),))), Buffer(N, (Line("A", 0),)), O.BUFFERED, at_north(10)
    ),
    "buffer where the sku is not yet": Case(
        (TEN,), Buffer(S, (Line("A", 3),)), O.BUFFERED, {("A", S): Counts(0, 0, 0, 0, 3)}
    ),
    "buffer again": Case(
        (TEN, Buffer(N, (Line("A", 3),))), Buffer(N, (Line("A", 3),)), O.UNCHANGED, at_north(10, 0, 0, 0, 3)
    ),
    "buffer of an unknown sku sets none": Case(
        (TEN,),
        Buffer(N, (Line("A", 3), Line("X", 1), Line("Y", 0))),
        O.UNKNOWN_SKU,
        at_north(10),
        {"shortages": [Shortage("X", N, 1, 0, unknown=True), Shortage("Y", N, 0, 0, unknown=True)]},
    ),
    "buffer below zero": Case((TEN,), Buffer(N, (Line("A", -1),)), O.INVALID_ARGUMENT, at_north(10)),
}


def counts_of(shard: Shard, sku: str, warehouse: str) -> Counts:
    fields = shard.wire.call("HGETALL", shard.keys.stock(sku))
    return Stock(sku, fields).warehouses.get(warehouse, Counts())


def everything(shard: Shard) -> dict[str, Any]:
    """Every key of the shard with its content."""
    read = {
        "hash": ("HGETALL",),
        "string": ("GET",),
        "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
        "stream": ("XRANGE", "-", "+"),
    }
    found = {}
    for key in sorted(shard.wire.call("KEYS", "*")):
        command, *args = read[shard.wire.call("TYPE", key)]
        found[key] = shard.wire.call(command, key, *args)
    return found


def prepare(shard: Shard, given: tuple[Any, ...]) -> None:
    now = START_MS
    for step in given:
        if isinstance(step, Advance):
            now += step.ms
            shard.set_clock(now)
        else:
            shard.do(step)


@pytest.mark.parametrize("name", CASES)
def test_function(shard: Shard, name: str) -> None:
    case = CASES[name]
    prepare(shard, case.given)
    before = everything(shard)
    answer = shard.do(case.when)
    assert answer.outcome is case.outcome, answer
    for (sku, warehouse), counts in (case.then or {}).items():
        assert counts_of(shard, sku, warehouse) == counts
    seen = {
        "status": (answer.lock and answer.lock.status) or (answer.transfer and answer.transfer.status),
        "moved": answer.transfer and [tuple(line) for line in answer.transfer.lines],
        "expires_at": answer.lock and answer.lock.expires_at,
        "lines": answer.lock and [tuple(line) for line in answer.lock.lines],
        "now": answer.current_status,
        "detail": answer.detail,
        "shortages": list(answer.shortages),
        "exceeding": list(answer.exceeding),
    }
    assert {part: seen[part] for part in case.seen or {}} == (case.seen or {})
    entries = len(everything(shard)[shard.keys.outbox]) - len(before[shard.keys.outbox])
    if case.outcome in EVENTFUL or case.noted:
        assert entries == 1
    else:
        assert everything(shard) == before


EVENTFUL = {
    O.BOOKED,
    O.DROPPED,
    O.LOCKED, O.CONFIRMED, O.EXTENDED, O.UNLOCKED, O.DEDUCTED, O.REPLACED, O.EXPIRED,
    O.RECEIVED, O.RETURNED, O.ADJUSTED, O.OPENED, O.BUFFERED, O.TRANSFER_REQUESTED, O.TRANSFER_SHIPPED,
    O.TRANSFER_RECEIVED, O.TRANSFER_CANCELLED, O.EXCHANGED,
}  # fmt: skip


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


HEADERS = {
    "lock": Lock, "unlock": Unlock, "confirm": Confirm, "extend": Extend, "deduct": Deduct, "replace": Replace,
    "expire": Expire, "receive": Receive, "return": Return, "adjust": Adjust, "opening": Opening,
    "exchange": Exchange, "transfer": Transfer, "transfer_ship": TransferShip, "transfer_receive": TransferReceive,
    "transfer_cancel": TransferCancel,
    "buffer": Buffer, "inbox": Fact,
}  # fmt: skip
ELSEWHERE = {
    O.NOT_READY,
    O.UNKNOWN_LAYOUT,
    O.STALE_EPOCH,
    O.BACKLOG_FULL,
    O.QUANTITY_TOO_LARGE,
    O.INVALID_ARGUMENT,
}
"""Told of every function by the tests of the gate, of the limits and of raw arguments."""


def documented(path: Path) -> list[Outcome]:
    """The outcomes that a file's header names after `Returns`, in that order."""
    text = path.read_text(encoding="utf-8")
    if "`book`" in text:
        text = (path.parent / "shared" / "booking.lua").read_text(encoding="utf-8")
    returns = re.search(r"-- Returns(.*?)\nlocal ", text, re.DOTALL)
    assert returns, path
    return [O[word] for word in re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", returns[1]) if word in O.__members__]


@pytest.mark.parametrize("name", HEADERS)
def test_every_documented_outcome_has_a_case(name: str) -> None:
    path = resources.folder("lua") / f"{name}.lua"
    shown = {case.outcome for case in CASES.values() if type(case.when) is HEADERS[name]}
    told = set(documented(path))
    if "`book`" in path.read_text(encoding="utf-8"):  # receive, return, adjust are one function
        shown = {case.outcome for case in CASES.values() if isinstance(case.when, Receive | Return | Adjust)}
        told |= {O.RECEIVED, O.RETURNED, O.ADJUSTED}
    assert told - ELSEWHERE == shown - ELSEWHERE


@pytest.mark.parametrize("name", HEADERS)
def test_the_documented_precedence_is_that_of_the_enum(name: str) -> None:
    told = documented(resources.folder("lua") / f"{name}.lua")
    assert told == sorted(told, key=list(Outcome).index)


def test_the_words_of_the_answers_are_strings(shard: Shard) -> None:
    """A line of an answer compares equal to its plain tuple, as the tables above use it."""
    shard.do(TEN)
    lock = shard.do(LOCK).lock
    assert lock is not None
    assert lock.lines == (LockLine("A", N, 4),)
    assert lock.status is LockStatus.HELD
