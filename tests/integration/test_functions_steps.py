"""Steps that change what was, or open it again: the same table for the functions and the model."""

import json

import pytest
from msgspec.structs import replace

from app.domain.answers import Beyond, Excess
from app.domain.commands import (
    Adjust,
    Booking,
    Command,
    Confirm,
    Count,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    OnTheWay,
    Opening,
    OpeningRow,
    Remember,
    Reopen,
    Replace,
    Return,
    TransferClose,
    Unlock,
    Void,
)
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import LINES_MAX, Place
from tests.integration.function_cases import (
    BOTH,
    EXPIRED,
    GONE,
    HALF_SENT,
    HALF_SHIPPED,
    LOCK,
    MOVE,
    OVERDUE,
    RELEASED,
    SENT,
    SHIPPED,
    SOLD_OUT,
    TEN,
    THERE,
    TWO_PLACES,
    Case,
    N,
    O,
    S,
    arrive,
    at_north,
    back,
    counts_of,
    show,
    told,
)
from tests.properties.pair import Advance
from tests.properties.rig import START_MS, Shard

pytest_plugins = ["tests.properties.fixtures"]

W = "west"
THREE = Opening((OpeningRow("A", N, 10), OpeningRow("A", S, 10), OpeningRow("A", W, 10)))
IN_SOUTH = Lock("L", (Line("A", 4),), (S,), ttl_ms=100)
"""Restricted to the south."""
SPLIT = Lock("L", (Line("A", 13),), (S, N), ttl_ms=100)
"""10 in the south, 3 in the north."""
GIVEN_AGAIN = (*RELEASED, Reopen("L", "", 500))
MISSING = Adjust("a", N, (GONE,))
"""Seven of ten are not there: four of a lock are one more than what is."""


def swap(*lines: Line, warehouses: tuple[str, ...] = (), version: int | None = None) -> Replace:
    return Replace("L", "k", lines, warehouses, version=version)


def close(way: OnTheWay = "", reason: str | None = None) -> TransferClose:
    return TransferClose("T", in_transit=way, reason=reason)


def void(shipment_id: str, *taken: Line) -> Void:
    return Void("L", shipment_id, taken)


def counted(found: int, at: int) -> Count:
    return Count("c", N, (Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, found, "found"),), at)


def write_off(units: int, *, only: bool = True) -> Adjust:
    return Adjust("w", N, (Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, units, "gone"),), None, only)


CASES = {
    # versions
    "a lock begins with version 1": Case((TEN,), LOCK, O.LOCKED, None, {"version": 1}),
    "each step is a version": Case(
        (TEN, LOCK, Extend("L", "", 9)), Confirm("L"), O.CONFIRMED, None, {"version": 3}
    ),
    "a repeat tells the version of its answer": Case(
        (TEN, LOCK, Extend("L", "k", 500), Confirm("L"), Deduct("L", "s")),
        Extend("L", "k", 500),
        O.REPEATED,
        None,
        {"version": 2, "status": "held", "now": "deducted"},
    ),
    "a return changes nothing that an answer shows": Case(
        (*SHIPPED, Return("r", N, (back(1),), lock_id="L")),
        Deduct("L", "s1"),
        O.REPEATED,
        None,
        {"version": 2, "status": "deducted"},
    ),
    # replace on a condition
    "replace of the version that was read": Case(
        (TEN, LOCK, Extend("L", "", 500)),
        swap(Line("A", 5), version=2),
        O.REPLACED,
        at_north(5, 5),
        {"version": 3},
    ),
    "replace of a version that is no more": Case(
        (TEN, LOCK, Replace("L", "other tab", (Line("A", 5),))),
        swap(Line("A", 1), version=1),
        O.LOCK_CHANGED,
        at_north(5, 5),
        {"version": 2, "status": "held"},
    ),
    "replace of a version that was never": Case((TEN, LOCK), swap(Line("A", 1), version=7), O.LOCK_CHANGED),
    "replace of a version that has expired": Case(EXPIRED, swap(Line("A", 1), version=1), O.LOCK_CHANGED),
    "replace again does not ask for the version": Case(
        (TEN, LOCK, swap(Line("A", 5), version=1)),
        swap(Line("A", 5), version=1),
        O.REPEATED,
        at_north(5, 5),
        {"version": 2},
    ),
    # replace with another expiry
    "replace keeps the expiry": Case(
        (TEN, LOCK, Advance(7)), swap(Line("A", 1)), O.REPLACED, None, {"expires_at": START_MS + 100}
    ),
    "replace renews the expiry": Case(
        (TEN, LOCK, Advance(7)),
        Replace("L", "k", (Line("A", 5),), renews=True, ttl_ms=500),
        O.REPLACED,
        at_north(5, 5),
        {"expires_at": START_MS + 507},
    ),
    "replace ends the expiry": Case(
        (TEN, LOCK), Replace("L", "k", (Line("A", 5),), renews=True), O.REPLACED, None, {"expires_at": None}
    ),
    "replace renews while overdue": Case(
        OVERDUE,
        Replace("L", "k", (Line("A", 5),), renews=True, ttl_ms=9),
        O.REPLACED,
        None,
        {"expires_at": START_MS + 109},
    ),
    "replace gives no expiry to what is paid": Case(
        (TEN, LOCK, Confirm("L")),
        Replace("L", "k", (Line("A", 5),), renews=True, ttl_ms=500),
        O.LOCK_NOT_HELD,
        at_north(6, 4),
        {"status": "confirmed"},
    ),
    "replace with another expiry is other content": Case(
        (TEN, LOCK, Replace("L", "k", (Line("A", 5),), renews=True, ttl_ms=500)),
        swap(Line("A", 5)),
        O.ID_REUSED,
    ),
    # replace beside what has shipped
    "replace what shipped in part grows": Case(
        HALF_SHIPPED,
        swap(Line("A", 5)),
        O.REPLACED,
        at_north(4, 5),
        {"status": "partly_deducted", "lines": [("A", N, 6, 1)], "expires_at": None},
    ),
    "replace what shipped in part shrinks": Case(
        HALF_SHIPPED, swap(Line("A", 1)), O.REPLACED, at_north(8, 1), {"lines": [("A", N, 2, 1)]}
    ),
    "replace what shipped in part by other goods": Case(
        (BOTH, *HALF_SHIPPED[1:]),
        swap(Line("B", 2)),
        O.REPLACED,
        {("A", N): Counts(9), ("B", S): Counts(1, 2)},
        {"lines": [("A", N, 1, 1), ("B", S, 2, 0)], "status": "partly_deducted"},
    ),
    "replace what shipped in part from another place": Case(
        (BOTH, *HALF_SHIPPED[1:]),
        swap(Line("A", 3, S)),
        O.REPLACED,
        {("A", N): Counts(9), ("A", S): Counts(1, 3)},
        {"lines": [("A", N, 1, 1), ("A", S, 3, 0)]},
    ),
    "replace what shipped in part beyond what is there": Case(
        HALF_SHIPPED,
        swap(Line("A", 10)),
        O.INSUFFICIENT_STOCK,
        at_north(6, 3),
        {"shortages": [Shortage("A", "", 10, 9)]},
    ),
    "replace what has shipped": Case(
        SHIPPED, swap(Line("A", 1)), O.LOCK_NOT_HELD, None, {"status": "deducted"}
    ),
    "replace with more lines than a lock has": Case(
        HALF_SHIPPED,
        Replace("L", "k", tuple(Line(f"S{i}", 1) for i in range(LINES_MAX))),
        O.TOO_MANY_LINES,
        at_north(6, 3),
    ),
    "lock again after the rest was replaced": Case(
        (*HALF_SHIPPED, swap(Line("A", 9, N))),
        LOCK,
        O.REPEATED,
        None,
        {"lines": [("A", N, 4, 0)], "status": "held"},
    ),
    # replace keeps what it holds
    "replace keeps the restriction": Case(
        (THREE, IN_SOUTH),
        swap(Line("A", 3)),
        O.REPLACED,
        {("A", S): Counts(7, 3)},
        {"lines": [("A", S, 3, 0)]},
    ),
    "replace grows within the restriction": Case(
        (THREE, IN_SOUTH),
        swap(Line("A", 9)),
        O.REPLACED,
        {("A", S): Counts(1, 9)},
        {"lines": [("A", S, 9, 0)]},
    ),
    "replace beyond the restriction": Case(
        (THREE, IN_SOUTH),
        swap(Line("A", 11)),
        O.INSUFFICIENT_STOCK,
        {("A", S): Counts(6, 4)},
        {"shortages": [Shortage("A", "", 11, 10)]},
    ),
    "replace keeps the restriction after some was given back": Case(
        (THREE, IN_SOUTH, Unlock("L", "u", (Line("A", 1),))),
        swap(Line("A", 11)),
        O.INSUFFICIENT_STOCK,
        None,
        {"shortages": [Shortage("A", "", 11, 10)]},
    ),
    "replace keeps the restriction of a lock whose lines were named": Case(
        (THREE, Lock("L", (Line("A", 1, N),), (S,))),
        swap(Line("A", 12)),
        O.INSUFFICIENT_STOCK,
        None,
        {"shortages": [Shortage("A", "", 12, 11)]},
    ),
    "replace keeps the restriction for other goods": Case(
        (Opening((OpeningRow("A", S, 5), OpeningRow("B", N, 5), OpeningRow("B", S, 5))), IN_SOUTH),
        swap(Line("B", 2)),
        O.REPLACED,
        None,
        {"lines": [("B", S, 2, 0)]},
    ),
    "replace with another restriction": Case(
        (THREE, IN_SOUTH),
        swap(Line("A", 3), warehouses=(W,)),
        O.REPLACED,
        {("A", S): Counts(10), ("A", W): Counts(7, 3)},
        {"lines": [("A", W, 3, 0)]},
    ),
    "replace with a wider restriction keeps them where they are": Case(
        (THREE, IN_SOUTH),
        swap(Line("A", 3), warehouses=(W, S)),
        O.REPLACED,
        None,
        {"lines": [("A", S, 3, 0)]},
    ),
    "replace where a line names another place": Case(
        (THREE, IN_SOUTH), swap(Line("A", 3, W)), O.REPLACED, None, {"lines": [("A", W, 3, 0)]}
    ),
    "replace keeps units where they are rather than in one place": Case(
        (THREE, Lock("L", (Line("A", 4, N),))),
        swap(Line("A", 14)),
        O.REPLACED,
        {("A", N): Counts(6, 4), ("A", S): Counts(0, 10)},
        {"lines": [("A", N, 4, 0), ("A", S, 10, 0)]},
    ),
    "replace adds from where others come from": Case(
        (THREE, Lock("L", (Line("A", 4, W),))),
        swap(Line("A", 6)),
        O.REPLACED,
        None,
        {"lines": [("A", W, 6, 0)]},
    ),
    "replace shrinks the last of several places": Case(
        (THREE, SPLIT), swap(Line("A", 11)), O.REPLACED, None, {"lines": [("A", S, 10, 0), ("A", N, 1, 0)]}
    ),
    "replace names one of several places": Case(
        (THREE, SPLIT),
        swap(Line("A", 2, N), Line("A", 9)),
        O.REPLACED,
        {("A", N): Counts(8, 2), ("A", S): Counts(1, 9)},
        {"lines": [("A", N, 2, 0), ("A", S, 9, 0)]},
    ),
    "replace keeps them while less is there than is promised": Case(
        (THREE, Lock("L", (Line("A", 4, N),)), MISSING, Adjust("b", N, (GONE,))),
        swap(Line("A", 4)),
        O.REPLACED,
        None,
        {"lines": [("A", N, 4, 0)]},
    ),
    "confirm what expired within the restriction of its replacement": Case(
        (THREE, IN_SOUTH, swap(Line("A", 3)), Advance(100), Expire("L"), Lock("M", (Line("A", 8, S),))),
        Confirm("L"),
        O.LOCK_EXPIRED,
        None,
        {"shortages": [Shortage("A", "", 3, 2)]},
    ),
    # reopen
    "reopen what expired": Case(
        EXPIRED,
        Reopen("L", "", 500),
        O.REOPENED,
        at_north(6, 4),
        {"status": "held", "expires_at": START_MS + 600, "lines": [("A", N, 4, 0)], "version": 3},
    ),
    "reopen what was given back": Case(
        RELEASED,
        Reopen("L", "", 500),
        O.REOPENED,
        at_north(6, 4),
        {"status": "held", "expires_at": START_MS + 500},
    ),
    "reopen without an end": Case(EXPIRED, Reopen("L"), O.REOPENED, None, {"expires_at": None}),
    "reopen elsewhere": Case(
        (BOTH, Lock("L", (Line("A", 4),), (N, S), ttl_ms=100), Advance(100), Expire("L"), SOLD_OUT),
        Reopen("L", "", 500),
        O.REOPENED,
        {("A", S): Counts(0, 4)},
        {"lines": [("A", S, 4, 0)]},
    ),
    "reopen when the stock is gone": Case(
        (*EXPIRED, SOLD_OUT),
        Reopen("L", "", 500),
        O.INSUFFICIENT_STOCK,
        at_north(0, 10),
        {"shortages": [Shortage("A", N, 4, 0)]},
    ),
    "reopen what is left of it": Case(
        (TEN, LOCK, Unlock("L", "k", (Line("A", 1),)), Unlock("L")),
        Reopen("L", "", 500),
        O.REOPENED,
        at_north(7, 3),
        {"lines": [("A", N, 3, 0)]},
    ),
    "reopen what is held": Case(
        (TEN, LOCK), Reopen("L", "", 500), O.UNCHANGED, at_north(6, 4), {"expires_at": START_MS + 100}
    ),
    "reopen twice": Case(GIVEN_AGAIN, Reopen("L", "", 500), O.UNCHANGED, at_north(6, 4)),
    "reopen what is paid": Case(
        (TEN, LOCK, Confirm("L")), Reopen("L", "", 500), O.LOCK_NOT_HELD, at_north(6, 4)
    ),
    "reopen what shipped in part": Case(HALF_SHIPPED, Reopen("L", "", 500), O.LOCK_NOT_HELD),
    "reopen what has shipped": Case(SHIPPED, Reopen("L", "", 500), O.LOCK_NOT_HELD, at_north(6)),
    "reopen what nobody asked for": Case((TEN, Remember("L")), Reopen("L", "", 500), O.LOCK_NOT_HELD),
    "reopen of nothing": Case((TEN,), Reopen("L", "", 500), O.UNKNOWN_LOCK),
    "reopen for longer than can be": Case(RELEASED, Reopen("L", "", 10**10), O.INVALID_ARGUMENT),
    "reopen with its key again": Case(
        (*RELEASED, Reopen("L", "k", 500), Confirm("L")),
        Reopen("L", "k", 500),
        O.REPEATED,
        at_north(6, 4),
        {"status": "held", "now": "confirmed"},
    ),
    "reopen with a key of other content": Case(
        (*RELEASED, Reopen("L", "k", 500)), Reopen("L", "k", 501), O.ID_REUSED, at_north(6, 4)
    ),
    "reopen, and the sweeper comes with what was due": Case(
        (*EXPIRED, Reopen("L", "", 500)), Expire("L"), O.NOT_DUE, at_north(6, 4)
    ),
    "reopen, and it expires again": Case(
        (*EXPIRED, Reopen("L", "", 500), Advance(500)), Expire("L"), O.EXPIRED, at_north(10)
    ),
    "reopen, and lock again": Case(
        GIVEN_AGAIN, LOCK, O.REPEATED, None, {"status": "held", "expires_at": START_MS + 100, "first": None}
    ),
    "reopen, it expires, and unlock again": Case(
        (*GIVEN_AGAIN, Advance(500), Expire("L")), Unlock("L"), O.LOCK_EXPIRED, at_north(10)
    ),
    "reopen what has left all the same": Case(
        (*RELEASED, told("shipped", 1, document_id="L", told_id="s1")),
        Reopen("L", "", 500),
        O.LOCK_NOT_HELD,
        at_north(9),
        {"status": "released"},
    ),
    "reopen, and unlock again": Case(GIVEN_AGAIN, Unlock("L"), O.UNLOCKED, at_north(10)),
    "reopen, and what had ended it comes again": Case(
        (TEN, LOCK, Unlock("L", "u"), Reopen("L", "", 500), Confirm("L")),
        Unlock("L", "u"),
        O.REPEATED,
        at_north(6, 4),
        {"status": "released", "expires_at": None, "version": 2, "now": "confirmed"},
    ),
    "reopen twice, and what had ended it first comes again": Case(
        (TEN, LOCK, Unlock("L", "u"), Reopen("L", "", 500), Unlock("L", "v"), Reopen("L", "", 500)),
        Unlock("L", "u"),
        O.REPEATED,
        at_north(6, 4),
        {"status": "released", "version": 2, "now": "held"},
    ),
    # remember
    "remember what comes later": Case(
        (TEN,), Remember("L"), O.UNLOCKED, at_north(10), {"status": "released", "lines": [], "version": 1}
    ),
    "remember what is there": Case(
        (TEN, LOCK), Remember("L"), O.UNCHANGED, at_north(6, 4), {"status": "held"}
    ),
    "remember twice": Case(
        (TEN, Remember("L")), Remember("L"), O.UNCHANGED, at_north(10), {"status": "released"}
    ),
    "lock what is remembered": Case(
        (TEN, Remember("L")),
        LOCK,
        O.REPEATED,
        at_north(10),
        {"status": "released", "lines": [], "first": None},
    ),
    "confirm what is remembered": Case((TEN, Remember("L")), Confirm("L"), O.LOCK_NOT_HELD, at_north(10)),
    "unlock what is remembered": Case((TEN, Remember("L")), Unlock("L"), O.UNCHANGED, at_north(10)),
    "deduct what is remembered": Case((TEN, Remember("L")), Deduct("L", "s"), O.LOCK_NOT_HELD, at_north(10)),
    # unlock all of a SKU
    "unlock all of a SKU without saying where": Case(
        (BOTH, TWO_PLACES),
        Unlock("L", "k", (Line("A", 5),)),
        O.UNLOCKED,
        {("A", N): Counts(10), ("A", S): Counts(4), ("B", S): Counts(2, 1)},
        {"lines": [("B", S, 1, 0)], "status": "held"},
    ),
    "unlock all of a SKU, some of it named": Case(
        (BOTH, TWO_PLACES),
        Unlock("L", "k", (Line("A", 1, S), Line("A", 4))),
        O.UNLOCKED,
        {("A", S): Counts(4)},
    ),
    "unlock all that is left of a SKU": Case(
        (BOTH, TWO_PLACES, Deduct("L", "s", (Line("A", 1, S),))),
        Unlock("L", "k", (Line("A", 4), Line("B", 1))),
        O.UNLOCKED,
        {("A", N): Counts(10), ("A", S): Counts(3), ("B", S): Counts(3)},
        {"status": "deducted", "lines": [("A", S, 1, 1)]},
    ),
    "unlock more of a place than is there": Case(
        (BOTH, TWO_PLACES), Unlock("L", "k", (Line("A", 3, N), Line("A", 2))), O.WAREHOUSE_REQUIRED
    ),
    "unlock all of a SKU where it is not": Case(
        (BOTH, TWO_PLACES), Unlock("L", "k", (Line("A", 1, W), Line("A", 4))), O.WAREHOUSE_REQUIRED
    ),
    "unlock all of a SKU by its places": Case(
        (BOTH, TWO_PLACES),
        Unlock("L", "k", (Line("A", 2, N), Line("A", 3, S))),
        O.UNLOCKED,
        {("A", S): Counts(4)},
    ),
    "deduct all of a SKU without saying where": Case(
        (BOTH, TWO_PLACES), Deduct("L", "s", (Line("A", 5),)), O.WAREHOUSE_REQUIRED
    ),
    # beyond what is on hand
    "deduct beyond what is on hand": Case(
        (TEN, LOCK, MISSING),
        Deduct("L", "s1"),
        O.DEDUCTED,
        at_north(-1),
        {"status": "deducted", "beyond": [Beyond("A", N, 1)]},
    ),
    "deduct while nothing is on hand": Case(
        (TEN, LOCK, MISSING, Adjust("b", N, (GONE,))),
        Deduct("L", "s1", (Line("A", 2),)),
        O.DEDUCTED,
        at_north(-8, 2),
        {"beyond": [Beyond("A", N, 2)]},
    ),
    "deduct what is on hand though not all promised is": Case(
        (TEN, LOCK, MISSING), Deduct("L", "s1", (Line("A", 3),)), O.DEDUCTED, at_north(-1, 1), {"beyond": []}
    ),
    "deduct beyond what is on hand again": Case(
        (TEN, LOCK, MISSING, Deduct("L", "s1")),
        Deduct("L", "s1"),
        O.REPEATED,
        at_north(-1),
        {"beyond": [Beyond("A", N, 1)], "status": "deducted", "version": 2},
    ),
    "deduct some beyond what is on hand again": Case(
        (TEN, LOCK, MISSING, Adjust("b", N, (GONE,)), Deduct("L", "s1", (Line("A", 2),)), Deduct("L", "s2")),
        Deduct("L", "s1", (Line("A", 2),)),
        O.REPEATED,
        None,
        {"beyond": [Beyond("A", N, 2)], "status": "partly_deducted", "now": "deducted"},
    ),
    "deduct only what is on hand": Case(
        (TEN, LOCK, MISSING),
        Deduct("L", "s1", None, only_if_on_hand=True),
        O.BEYOND_ON_HAND,
        at_north(-1, 4),
        {"beyond": [Beyond("A", N, 1)], "status": "held"},
    ),
    "deduct only what is on hand, and it is": Case(
        (TEN, LOCK, MISSING),
        Deduct("L", "s1", (Line("A", 3),), only_if_on_hand=True),
        O.DEDUCTED,
        at_north(-1, 1),
    ),
    "deduct only what is on hand of what an event reported, too": Case(
        (TEN, LOCK, told("shipped", 1, document_id="L", told_id="s1"), MISSING),
        Deduct("L", "s2", (Line("A", 3),), only_if_on_hand=True),
        O.BEYOND_ON_HAND,
        at_north(-1, 3),
        {"beyond": [Beyond("A", N, 1)], "status": "partly_deducted"},
    ),
    "deduct again without the condition": Case(
        (TEN, LOCK, Deduct("L", "s1", None, only_if_on_hand=True)), Deduct("L", "s1"), O.REPEATED, at_north(6)
    ),
    "write off more than is on hand": Case(
        (TEN, LOCK), write_off(11, only=False), O.ADJUSTED, at_north(-5, 4)
    ),
    "write off only what is on hand": Case(
        (TEN, LOCK), write_off(11), O.BEYOND_ON_HAND, at_north(6, 4), {"beyond": [Beyond("A", N, 1)]}
    ),
    "write off what is promised but on hand": Case((TEN, LOCK), write_off(10), O.ADJUSTED, at_north(-4, 4)),
    "write off and find at once": Case(
        (TEN,),
        Adjust(
            "w",
            N,
            (
                Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 12, "gone"),
                Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 2, "found"),
            ),
            None,
            only_if_on_hand=True,
        ),
        O.ADJUSTED,
        at_north(0),
    ),
    "write off again without the condition": Case((TEN, write_off(1)), write_off(1, only=False), O.REPEATED),
    # void a shipment
    "void all that shipped": Case(
        SHIPPED,
        void("s1", Line("A", 4, N)),
        O.VOIDED,
        at_north(6, 4),
        {"status": "confirmed", "lines": [("A", N, 4, 0)], "expires_at": None, "version": 3},
    ),
    "void one of two": Case(
        (*HALF_SHIPPED, Deduct("L", "s2", (Line("A", 2),))),
        void("s1", Line("A", 1, N)),
        O.VOIDED,
        at_north(6, 2),
        {"status": "partly_deducted", "lines": [("A", N, 4, 2)]},
    ),
    "void after the rest was given back": Case(
        (*HALF_SHIPPED, Unlock("L")),
        void("s1", Line("A", 1, N)),
        O.VOIDED,
        at_north(9, 1),
        {"status": "confirmed", "lines": [("A", N, 1, 0)]},
    ),
    "void again": Case(
        (*SHIPPED, void("s1", Line("A", 4, N)), Deduct("L", "s2")),
        void("s1", Line("A", 4, N)),
        O.REPEATED,
        at_north(6),
        {"status": "confirmed", "now": "deducted"},
    ),
    "void what the ledger says was voided": Case(
        SHIPPED, void("s1"), O.UNCHANGED, at_north(6), {"status": "deducted"}
    ),
    "void what came back": Case(
        (*SHIPPED, Return("r", N, (back(1),), lock_id="L")),
        void("s1", Line("A", 4, N)),
        O.SHIPMENT_RETURNED,
        at_north(7),
        {"exceeding": [Excess("A", "", 4, 3)], "status": "deducted"},
    ),
    "void what did not come back": Case(
        (*HALF_SHIPPED, Deduct("L", "s2"), Return("r", N, (back(1),), lock_id="L")),
        void("s2", Line("A", 3, N)),
        O.VOIDED,
        at_north(7, 3),
        {"status": "partly_deducted", "lines": [("A", N, 4, 1)]},
    ),
    "return what was voided": Case(
        (*SHIPPED, void("s1", Line("A", 4, N))),
        Return("r", N, (back(1),), lock_id="L"),
        O.QUANTITY_EXCEEDS_SHIPMENT,
        at_north(6, 4),
        {"exceeding": [Excess("A", "", 1, 0)]},
    ),
    "void what an event told of": Case(
        (TEN, LOCK, told("shipped", 4, document_id="L", told_id="s1")),
        void("s1", Line("A", 4, N)),
        O.SHIPMENT_REPORTED,
        at_north(6),
    ),
    "void what an event reported, too": Case(
        (*SHIPPED, told("shipped", 4, document_id="L", told_id="s1")),
        void("s1", Line("A", 4, N)),
        O.SHIPMENT_REPORTED,
        at_north(6),
    ),
    "void what left under another id": Case(
        (*SHIPPED, told("shipped", 4, document_id="L", told_id="parcel")),
        void("s1", Line("A", 4, N)),
        O.SHIPMENT_REPORTED,
        at_north(6),
    ),
    "void what left in part under another id": Case(
        (*SHIPPED, told("shipped", 2, document_id="L", told_id="parcel")),
        void("s1", Line("A", 4, N)),
        O.SHIPMENT_REPORTED,
        at_north(6),
    ),
    "void one of two, of which an event reported the other": Case(
        (*HALF_SHIPPED, told("shipped", 2, document_id="L", told_id="s2")),
        void("s1", Line("A", 1, N)),
        O.VOIDED,
        at_north(6, 2),
        {"status": "partly_deducted", "lines": [("A", N, 4, 2)]},
    ),
    "void the part of a shipment that the events did not report": Case(
        (
            BOTH,
            Lock("L", (Line("A", 4, N), Line("A", 2, S))),
            told("shipped", 2, warehouse=S, document_id="L", told_id="s1"),
            Deduct("L", "s1", (Line("A", 4, N), Line("A", 2, S))),
        ),
        void("s1", Line("A", 4, N)),
        O.SHIPMENT_REPORTED,
        {("A", N): Counts(6), ("A", S): Counts(2)},
    ),
    "void the second shipment from one of two warehouses": Case(
        (
            BOTH,
            Lock("L", (Line("A", 4, N), Line("A", 2, S))),
            Deduct("L", "s1", (Line("A", 1, N), Line("A", 1, S))),
            Deduct("L", "s2", (Line("A", 2, N),)),
        ),
        void("s2", Line("A", 2, N)),
        O.VOIDED,
        {("A", N): Counts(6, 3), ("A", S): Counts(2, 1)},
    ),
    "void more than the shipment took": Case(
        (*HALF_SHIPPED, Deduct("L", "s2")), void("s1", Line("A", 2, N)), O.SHIPMENT_REPORTED, at_north(6)
    ),
    "void less than the shipment took": Case(
        SHIPPED, void("s1", Line("A", 3, N)), O.SHIPMENT_REPORTED, at_north(6)
    ),
    "void two SKUs in two warehouses": Case(
        (
            BOTH,
            Opening((OpeningRow("B", S, 5),)),
            Lock("L", (Line("A", 4, N), Line("A", 2, S), Line("B", 1, S))),
            Deduct("L", "s1"),
        ),
        void("s1", Line("A", 4, N), Line("A", 2, S), Line("B", 1, S)),
        O.VOIDED,
        {("A", N): Counts(6, 4), ("A", S): Counts(2, 2), ("B", S): Counts(4, 1)},
        {"status": "confirmed"},
    ),
    "void of nothing": Case((TEN,), void("s1", Line("A", 1, N)), O.UNKNOWN_LOCK),
    "void, and the shipment comes again": Case(
        (*SHIPPED, void("s1", Line("A", 4, N))), Deduct("L", "s1"), O.SHIPMENT_VOIDED, at_north(6, 4)
    ),
    "void, and it ships under another id": Case(
        (*SHIPPED, void("s1", Line("A", 4, N))),
        Deduct("L", "s2"),
        O.DEDUCTED,
        at_north(6),
        {"status": "deducted"},
    ),
    "void, and another shipment comes again": Case(
        (*HALF_SHIPPED, Deduct("L", "s2"), void("s1", Line("A", 1, N))),
        Deduct("L", "s2"),
        O.REPEATED,
        at_north(6, 1),
        {"status": "deducted", "version": 3, "lines": [("A", N, 4, 4)], "now": "partly_deducted"},
    ),
    "void, and a warehouse says that it left": Case(
        (*SHIPPED, void("s1", Line("A", 4, N))),
        told("shipped", 4, document_id="L", told_id="s1"),
        O.BOOKED,
        at_north(6),
    ),
    "void, it left, and when it did becomes known twice": Case(
        (
            *SHIPPED,
            void("s1", Line("A", 4, N)),
            Advance(9),
            counted(4, START_MS + 5),
            told("shipped", 4, document_id="L", told_id="s1"),
        ),
        replace(
            told("shipped", 4, "f", document_id="L", told_id="s1"), source="erp", occurred_at=START_MS + 8
        ),
        O.REPEATED,
        at_north(14),
        noted=True,
    ),
    "void what was counted before": Case(
        (TEN, LOCK, counted(0, START_MS - 5), Deduct("L", "s1")),
        Void("L", "s1", (Line("A", 4, N),), START_MS),
        O.VOIDED,
        at_north(6, 4),
    ),
    "void what was counted since": Case(
        (*SHIPPED, Advance(9), counted(4, START_MS + 5)),
        Void("L", "s1", (Line("A", 4, N),), START_MS),
        O.VOIDED,
        at_north(6, 4),  # it was counted, 10 in all: so it is there, and now it is the order's again
    ),
    "void what was counted since, of a SKU that an event reported, too": Case(
        (
            *HALF_SHIPPED,
            told("shipped", 1, document_id="L", told_id="s2"),
            Advance(9),
            counted(4, START_MS + 5),
        ),
        Void("L", "s1", (Line("A", 1, N),), START_MS),
        O.VOIDED,
        at_north(9, 3),  # the count found it: so the order's unit is one of those that are there
    ),
    # close a transfer
    "close what has not shipped": Case(
        (TEN, MOVE),
        close(),
        O.TRANSFER_CLOSED,
        at_north(10),
        {"status": "cancelled", "moved": [("A", 6, 0, 0, 0, 0, 6)]},
    ),
    "close what shipped in part": Case(
        HALF_SENT,
        close(),
        O.TRANSFER_CLOSED,
        {("A", N): Counts(8), ("A", S): Counts(0, 0, 0, 2)},
        {"status": "shipped", "moved": [("A", 6, 2, 0, 0, 0, 4)]},
    ),
    "close, and the rest arrives": Case(
        (*HALF_SENT, close()),
        arrive("r1", 2),
        O.TRANSFER_RECEIVED,
        {("A", S): Counts(2)},
        {"status": "received"},
    ),
    "close what is lost": Case(
        HALF_SENT,
        close("lost"),
        O.TRANSFER_CLOSED,
        {("A", N): Counts(8), ("A", S): Counts()},
        {"status": "received", "moved": [("A", 6, 2, 0, 0, 2, 4)]},
    ),
    "close what comes back": Case(
        HALF_SENT,
        close("returned_to_source"),
        O.TRANSFER_CLOSED,
        {("A", N): Counts(10), ("A", S): Counts()},
        {"status": "cancelled", "moved": [("A", 6, 2, 0, 0, 0, 4, 2)]},
    ),
    "close what comes back after some arrived": Case(
        (*SENT, arrive("r1", 3, 1)),
        close("returned_to_source"),
        O.TRANSFER_CLOSED,
        {("A", N): Counts(6), ("A", S): Counts(3, 0, 1)},
        {"status": "received", "moved": [("A", 6, 6, 3, 1, 0, 0, 2)]},
    ),
    "close, and then what is on the way": Case(
        (*HALF_SENT, close()), close("lost"), O.TRANSFER_CLOSED, None, {"moved": [("A", 6, 2, 0, 0, 2, 4)]}
    ),
    "close again": Case((*HALF_SENT, close()), close(), O.UNCHANGED, None, {"status": "shipped"}),
    "close what has arrived": Case(
        THERE, close("lost"), O.UNCHANGED, {("A", S): Counts(6)}, {"status": "received"}
    ),
    "close what is on the way without saying how": Case(
        SENT, close(), O.TRANSFER_NOT_OPEN, None, {"status": "shipped"}
    ),
    "close of nothing": Case((TEN,), close(), O.UNKNOWN_TRANSFER),
    "close some other way": Case(
        (TEN, MOVE),
        TransferClose("T", in_transit="burnt"),
        O.INVALID_ARGUMENT,
        at_north(4, 6),  # type: ignore[arg-type]
    ),
    "close, and it was more": Case(
        (*SENT, close("returned_to_source")),
        arrive("r1", 1),
        O.TRANSFER_NOT_OPEN,
        {("A", N): Counts(10)},
        {"status": "cancelled"},
    ),
    "return what came back of what shipped in part": Case(
        (*HALF_SHIPPED, swap(Line("A", 1))),
        Return("r", N, (back(2),), lock_id="L"),
        O.QUANTITY_EXCEEDS_SHIPMENT,
        None,
        {"exceeding": [Excess("A", "", 2, 1)]},
    ),
}


def answers(shard: Shard, *commands: Command) -> list[Outcome]:
    return [shard.do(command).outcome for command in commands]


def test_a_shipment_of_an_older_version_is_voided(shard: Shard) -> None:
    """It said nothing of its documents."""
    answers(shard, *SHIPPED)
    shard.wire.call("UNLINK", shard.keys.document("deduct:L"))
    assert answers(shard, void("s1", Line("A", 4, N)), Deduct("L", "s1"), Deduct("L", "s2")) == [
        O.VOIDED, O.SHIPMENT_VOIDED, O.DEDUCTED,
    ]  # fmt: skip
    assert counts_of(shard, "A", N) == Counts(6)


@pytest.mark.parametrize("op", ["deduct:L{s1", "deduct:L{s1{A{north"])
def test_what_a_warehouse_told_an_older_version_is_not_voided(shard: Shard, op: str) -> None:
    answers(shard, *SHIPPED)
    shard.wire.call("UNLINK", shard.keys.document("deduct:L"))
    shard.wire.call("SET", shard.keys.op(op), "events 1-3 4")
    assert answers(shard, void("s1", Line("A", 4, N))) == [O.SHIPMENT_REPORTED]


@pytest.mark.parametrize(
    ("lines", "outcome", "locked"),
    [
        ((Line("A", 2),), O.UNCHANGED, 1),
        ((Line("A", 3),), O.ID_REUSED, 1),
        ((Line("A", 2), Line("B", 1)), O.DEDUCTED, 0),
    ],
)
def test_what_a_warehouse_told_an_older_version_has_shipped(
    shard: Shard, lines: tuple[Line, ...], outcome: Outcome, locked: int
) -> None:
    """It told of two of the one SKU: they count once, three are other content, and the other SKU is new."""
    answers(shard, BOTH, Lock("L", (Line("A", 4, N), Line("B", 1, S))))
    shard.wire.call("SET", shard.keys.op("deduct:L{s1"), "events 1-3")
    shard.wire.call("SET", shard.keys.op("deduct:L{s1{A{north"), "events 1-3 2")
    assert answers(shard, Deduct("L", "s1", lines)) == [outcome]
    assert counts_of(shard, "A", N) == Counts(6, 4)
    assert counts_of(shard, "B", S).locked == locked


def test_a_voided_shipment_is_known_without_its_op(shard: Shard) -> None:
    answers(shard, *SHIPPED, void("s1", Line("A", 4, N)))
    shard.wire.call("UNLINK", shard.keys.op("deduct:L{s1"))
    assert answers(shard, Deduct("L", "s1"), Deduct("L", "s1", (Line("A", 1),))) == [O.SHIPMENT_VOIDED] * 2
    assert answers(shard, Deduct("L", "s2")) == [O.DEDUCTED]


def test_a_voided_shipment_is_known_without_its_op_beside_one_from_another_warehouse(shard: Shard) -> None:
    """What is booked is of the other warehouse alone by then."""
    both = Lock("L", (Line("A", 2, N), Line("A", 2, S)))
    first, second = (Deduct("L", key, (Line("A", 1, place),)) for key, place in (("s1", N), ("s2", S)))
    assert answers(shard, BOTH, both, first, second, void("s1", Line("A", 1, N)))[-1] is O.VOIDED
    shard.wire.call("UNLINK", shard.keys.op("deduct:L{s1"))
    assert answers(shard, first) == [O.SHIPMENT_VOIDED]


def test_what_was_voided_moves_without_a_reason_of_its_own(shard: Shard) -> None:
    """The event has the caller's."""
    answers(shard, *SHIPPED, replace(void("s1", Line("A", 4, N)), reason="not picked up"))
    *_, (_, (_, _, _, body)) = shard.wire.call("XRANGE", shard.keys.outbox, "-", "+")
    event = json.loads(body)
    assert (event[1], event[6], event[10]) == (
        "void",
        "not picked up",
        [["A", 4, N, "c", "l", 4, [6, 4, 0, 0, 0]]],
    )


@pytest.mark.parametrize(("ttl_ms", "renews", "reason"), [(50, True, "renewed"), (None, False, None)])
def test_a_replacement_that_promises_an_expiry_says_so(
    shard: Shard, ttl_ms: int | None, renews: bool, reason: str | None
) -> None:
    """Its expiry counts as promised by this event: what is due later is looked up by it."""
    answers(shard, TEN, LOCK, Replace("L", "k", (Line("A", 5),), renews=renews, ttl_ms=ttl_ms))
    *_, (_, (_, _, _, body)) = shard.wire.call("XRANGE", shard.keys.outbox, "-", "+")
    assert json.loads(body)[6] == reason


@pytest.mark.parametrize("name", CASES)
def test_step(shard: Shard, name: str) -> None:
    show(shard, CASES[name])
