"""The functions that book receipts, returns, adjustments, exchanges, openings and buffers, as a table."""

import pytest
from msgspec.structs import replace

from app.domain.answers import Excess
from app.domain.commands import (
    Adjust,
    Booking,
    Buffer,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Return,
)
from app.domain.events import Counts
from app.domain.sourcing import Shortage
from app.domain.words import Place
from tests.integration.function_cases import (
    ANOTHER,
    BOTH,
    BROKEN,
    FOUND,
    GONE,
    HALF_SHIPPED,
    IN,
    LOCK,
    SHIPPED,
    SWAP,
    TEN,
    TWO_PLACES,
    Case,
    N,
    O,
    S,
    at_north,
    back,
    show,
    told,
)
from tests.properties.rig import START_MS, Shard

pytest_plugins = ["tests.properties.fixtures"]

OF_LOCK = replace(SWAP, lock=replace(ANOTHER, lock_id="M"), lock_id="L")
CASES = {
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
    "receipt of more than others reported": Case(
        (told("received", 2, document_id="P", told_id="r2"),),
        Receive("r2", N, (FOUND,), None, "P"),
        O.RECEIVED,
        at_north(2),
        {"detail": '[{"sku":"A","warehouse":"north"}]'},
    ),
    "receipt without an order is its reporter's own": Case(
        (told("received", 3, told_id="r2"),), Receive("r2", N, (FOUND,)), O.RECEIVED, at_north(6)
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
        {
            "status": "held",
            "expires_at": START_MS + 100,
            "lines": [("A", N, 6, 0)],
            "now": "deducted",
            "version": 1,
        },
    ),
    "exchange again while it is held": Case(
        (TEN, SWAP, Extend("L", "", 500)),
        SWAP,
        O.REPEATED,
        at_north(6, 6, 1),
        {"status": "held", "expires_at": START_MS + 100, "version": 1, "now": "held", "first": None},
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
    "exchange of what a lock shipped": Case(
        (TEN, LOCK, Deduct("L", "s")), OF_LOCK, O.EXCHANGED, at_north(2, 6, 1)
    ),
    "exchange of more than a lock shipped": Case(
        (TEN, LOCK), OF_LOCK, O.QUANTITY_EXCEEDS_SHIPMENT, at_north(6, 4)
    ),
    "exchange of a lock that nobody knows": Case((TEN,), OF_LOCK, O.UNKNOWN_LOCK, at_north(10)),
    "receipt that others reported": Case(
        (told("received", 3, document_id="P", told_id="r2"),),
        Receive("r2", N, (FOUND,), None, "P"),
        O.UNCHANGED,
        at_north(3),
        noted=True,
    ),
    "exchange of nothing": Case((TEN,), Exchange("x", N, (), ANOTHER), O.INVALID_ARGUMENT, at_north(10)),
    "exchange for nothing": Case(
        (TEN,), Exchange("x", N, (back(1),), Lock("L", ())), O.INVALID_ARGUMENT, at_north(10)
    ),
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
    "opening of what is not known yet": Case(
        (TEN,),
        Opening((OpeningRow("A", N, 4, 2, "new"), OpeningRow("A", S, 4, 2, "new"))),
        O.OPENED,
        {("A", N): Counts(10), ("A", S): Counts(4, 0, 0, 0, 2)},
    ),
    "opening of what is known": Case(
        (TEN,), Opening((OpeningRow("A", N, 4, 2, "new"),)), O.UNCHANGED, at_north(10)
    ),
    "opening where it is so already": Case(
        (TEN, LOCK), Opening((OpeningRow("A", N, 10, 2, "new"),)), O.OPENED, at_north(6, 4, 0, 0, 2)
    ),
    "opening of what is as expected": Case(
        (TEN, LOCK), Opening((OpeningRow("A", N, 12, None, 10),)), O.OPENED, at_north(8, 4)
    ),
    "opening of what is otherwise": Case(
        (TEN, LOCK), Opening((OpeningRow("A", N, 12, 1, 6),)), O.UNCHANGED, at_north(6, 4)
    ),
    "opening expects a number where nothing is known": Case(
        (TEN,), Opening((OpeningRow("B", N, 12, 1, 0),)), O.UNCHANGED, {("B", N): Counts()}
    ),
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


@pytest.mark.parametrize("name", CASES)
def test_function(shard: Shard, name: str) -> None:
    show(shard, CASES[name])
