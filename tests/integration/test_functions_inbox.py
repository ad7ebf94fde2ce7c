"""Events of warehouse systems as a table: what was done before, the event, and what it comes to."""

import pytest
from msgspec.structs import replace

from app.domain.answers import Excess
from app.domain.commands import Accept, Count, Deduct, Fact, Line, Lock, Receive, Return, TransferCancel
from app.domain.events import Counts
from app.domain.words import Place
from tests.integration.function_cases import (
    BOTH,
    EXPIRED,
    FOUND,
    GONE,
    LOCK,
    MOVE,
    SENT,
    SHIPPED,
    TEN,
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

TWO_PLACES_SAID = (
    BOTH,
    Lock("L", (Line("A", 5, N),)),
    told("shipped", 2, document_id="L", told_id="d1"),
)


def another(
    event_id: str, units: int, document: str, warehouse: str, *, kind: str = "shipped", lock_id: str = "L"
) -> Fact:
    """The word of another reporter."""
    return replace(
        told(kind, units, event_id, warehouse, document_id=lock_id, told_id=document), source="erp"
    )


CASES = {
    "an event of goods that came in": Case((), told("received", 3, damaged=2), O.BOOKED, at_north(3, 0, 2)),
    "an event again": Case((told("received", 3),), told("received", 3), O.REPEATED, at_north(3)),
    "an event with other content": Case(
        (told("received", 3),), told("received", 4), O.ID_REUSED, at_north(3)
    ),
    "an event of a receipt that a route reported": Case(
        (Receive("r2", N, (FOUND,), None, "P"),),
        told("received", 3, document_id="P", told_id="r2"),
        O.REPEATED,
        at_north(3),
        noted=True,
    ),
    "an event that says more than the route did": Case(
        (Receive("r2", N, (FOUND,), None, "P"),),
        told("received", 4, document_id="P", told_id="r2"),
        O.DISPUTED,
        at_north(3),
    ),
    "an event of a receipt without an order is its source's own": Case(
        (told("received", 3, told_id="r2"),),
        replace(told("received", 3, "e2", told_id="r2"), source="erp"),
        O.BOOKED,
        at_north(6),
    ),
    "two events of one receipt": Case(
        (told("received", 3, told_id="r2"),),
        told("received", 3, "e2", told_id="r2"),
        O.BOOKED,
        at_north(6),
    ),
    "an event of a line that is known": Case(
        (told("received", 3, told_id="r2", line_id="1"),),
        told("received", 3, "e2", told_id="r2", line_id="1"),
        O.REPEATED,
        at_north(3),
        noted=True,
    ),
    "two events of a line that contradict each other": Case(
        (told("received", 3, told_id="r2", line_id="1"),),
        told("received", 2, "e2", told_id="r2", line_id="1"),
        O.OTHER_CONTENT,
        at_north(3),
    ),
    "a later event of a source that reports totals": Case(
        (told("received", 3, told_id="r2", totals=True),),
        replace(told("received", 2, "e2", told_id="r2", totals=True), occurred_at=START_MS + 1),
        O.BOOKED,
        at_north(2),
    ),
    "an earlier event of a source that reports totals": Case(
        (told("received", 3, told_id="r2", totals=True),),
        replace(told("received", 2, "e2", told_id="r2", totals=True), occurred_at=START_MS - 1),
        O.REPEATED,
        at_north(3),
        noted=True,
    ),
    "a document whose place two reporters contradict, within what was promised": Case(
        (*TWO_PLACES_SAID, another("e2", 2, "d1", S)),
        another("e3", 3, "d2", N),
        O.BOOKED,
        at_north(5) | {("A", S): Counts(4)},
    ),
    "two reporters that say less than was promised each, and more together": Case(
        (BOTH, LOCK, told("shipped", 3, document_id="L", told_id="d1")),
        another("e2", 3, "d2", S),
        O.DISPUTED,
        at_north(7) | {("A", S): Counts(3)},
    ),
    "the same in one warehouse": Case(
        (BOTH, LOCK, told("shipped", 3, document_id="L", told_id="d1")),
        another("e2", 3, "d2", N),
        O.BOOKED,
        at_north(6),
    ),
    "a person's word on where a shipment left": Case(
        (BOTH, LOCK, told("shipped", 4, document_id="L", told_id="d1"), another("e2", 4, "d1", S)),
        Accept("1", "deduct:L", "A", "erp"),
        O.ADJUSTED,
        at_north(10) | {("A", S): Counts(0)},
    ),
    "what a person's word says came back is not left to return": Case(
        (
            *SHIPPED,
            told("returned", 1, told_id="b"),
            another("e2", 3, "b", N, kind="returned", lock_id=""),
            Accept("1", "return:b", "A", "erp", lock_id="L"),
        ),
        Return("r", N, (back(3),), lock_id="L"),
        O.QUANTITY_EXCEEDS_SHIPMENT,
        None,
        {"exceeding": [Excess("A", "", 3, 2)]},
    ),
    "a person's word on a receipt": Case(
        (
            Receive("r2", N, (FOUND,), None, "P"),
            told("received", 4, document_id="P", told_id="r2"),
        ),
        Accept("1", "receipt:P{r2", "A", "wms"),
        O.ADJUSTED,
        at_north(4),
    ),
    "a person's word on the condition of what arrived": Case(
        (
            *SENT,
            told("transfer_received", 5, "e1", S, damaged=1, document_id="T", told_id="r"),
            told("transfer_received", 6, "e2", S, document_id="T", told_id="r", reporter="erp"),
        ),
        Accept("1", "transfer_receive:T", "A", "erp"),
        O.ADJUSTED,
        at_north(4) | {("A", S): Counts(6)},
    ),
    "a transfer whose units arrived in another condition, by a person's word": Case(
        (
            *SENT,
            told("transfer_received", 5, "e1", S, damaged=1, document_id="T", told_id="r"),
            told("transfer_received", 6, "e2", S, document_id="T", told_id="r", reporter="erp"),
            Accept("1", "transfer_receive:T", "A", "erp"),
        ),
        TransferCancel("T"),
        O.TRANSFER_NOT_OPEN,
        None,
        {"moved": [("A", 6, 6, 6, 0, 0, 0)]},
    ),
    "two parcels of one lock, each by another reporter": Case(
        (TEN, LOCK, Deduct("L", "s1", (Line("A", 2),))),
        told("shipped", 2, document_id="L", told_id="s2"),
        O.BOOKED,
        at_north(6),
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
        at_north(7, 3) | {("A", S): Counts(-1)},
    ),
    "lock again what left elsewhere in part": Case(
        (BOTH, LOCK, told("shipped", 1, warehouse=S, document_id="L")),
        LOCK,
        O.REPEATED,
        at_north(7, 3) | {("A", S): Counts(3)},
        {"lines": [("A", N, 4, 0)]},
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
}


@pytest.mark.parametrize("name", CASES)
def test_function(shard: Shard, name: str) -> None:
    show(shard, CASES[name])
