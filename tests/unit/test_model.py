"""The model as tables: a short life a row, and what is left at its end."""

import pytest

from app.domain.answers import LockLine
from app.domain.commands import (
    Adjust,
    Booking,
    Command,
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Replace,
    Return,
    Unlock,
)
from app.domain.events import Counts
from app.domain.model import Model
from app.domain.outcomes import Outcome
from app.domain.words import COUNT_MAX, LockStatus, Place

O = Outcome  # noqa: E741 - a table reads better
TEN = (Opening((OpeningRow("A", "n", 10),)), O.OPENED)
LOCK = (Lock("L", (Line("A", 4),), ttl_ms=100), O.LOCKED)
HALF = (Deduct("L", "s", (Line("A", 1),)), O.DEDUCTED)
SWEPT = (Expire("L"), O.EXPIRED)
GONE = Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 9)
BACK = Booking("A", Place.CUSTOMER, Place.DAMAGED, 1)

LIVES: dict[str, tuple[list[tuple[Command, Outcome] | int], Counts, LockStatus | None]] = {
    "held": ([TEN, LOCK], Counts(6, 4), LockStatus.HELD),
    "paid": (
        [TEN, LOCK, (Confirm("L"), O.CONFIRMED), 200, (Expire("L"), O.NOT_DUE)],
        Counts(6, 4),
        LockStatus.CONFIRMED,
    ),
    "paid twice": (
        [TEN, LOCK, (Confirm("L"), O.CONFIRMED), (Confirm("L"), O.UNCHANGED)],
        Counts(6, 4),
        LockStatus.CONFIRMED,
    ),
    "given back": (
        [TEN, LOCK, (Unlock("L"), O.UNLOCKED), (Unlock("L"), O.UNCHANGED)],
        Counts(10),
        LockStatus.RELEASED,
    ),
    "shipped": (
        [TEN, LOCK, (Deduct("L", "s"), O.DEDUCTED), (Deduct("L", "s"), O.REPEATED)],
        Counts(6),
        LockStatus.DEDUCTED,
    ),
    "shipped in part": ([TEN, LOCK, HALF], Counts(6, 3), LockStatus.PARTLY_DEDUCTED),
    "the rest given back": ([TEN, LOCK, HALF, (Unlock("L"), O.UNLOCKED)], Counts(9), LockStatus.DEDUCTED),
    "a time that nobody vouches for": (
        [TEN, LOCK, 500, (Expire("L", 99), O.NOT_DUE)],
        Counts(6, 4),
        LockStatus.HELD,
    ),
    "not yet overdue": ([TEN, LOCK, 99, (Expire("L"), O.NOT_DUE)], Counts(6, 4), LockStatus.HELD),
    "overdue": ([TEN, LOCK, 100, SWEPT], Counts(10), LockStatus.EXPIRED),
    "overdue and paid": ([TEN, LOCK, 900, (Confirm("L"), O.CONFIRMED)], Counts(6, 4), LockStatus.CONFIRMED),
    "expired and paid": (
        [TEN, LOCK, 100, SWEPT, (Confirm("L"), O.CONFIRMED)],
        Counts(6, 4),
        LockStatus.CONFIRMED,
    ),
    "expired and gone": (
        [TEN, LOCK, 100, SWEPT, (Adjust("a", "n", (GONE,)), O.ADJUSTED), (Confirm("L"), O.LOCK_EXPIRED)],
        Counts(1),
        LockStatus.EXPIRED,
    ),
    "extended": (
        [TEN, LOCK, 50, (Extend("L", "", 100), O.EXTENDED), 99, (Expire("L"), O.NOT_DUE)],
        Counts(6, 4),
        LockStatus.HELD,
    ),
    "grown": ([TEN, LOCK, (Replace("L", "k", (Line("A", 10),)), O.REPLACED)], Counts(0, 10), LockStatus.HELD),
    "not grown": (
        [TEN, LOCK, (Replace("L", "k", (Line("A", 11),)), O.INSUFFICIENT_STOCK)],
        Counts(6, 4),
        LockStatus.HELD,
    ),
    "short": ([TEN, LOCK, (Adjust("a", "n", (GONE,)), O.ADJUSTED)], Counts(-3, 4), LockStatus.HELD),
    "short and given back": (
        [TEN, LOCK, (Adjust("a", "n", (GONE,)), O.ADJUSTED), (Unlock("L"), O.UNLOCKED)],
        Counts(1),
        LockStatus.RELEASED,
    ),
    "buffered": (
        [(Opening((OpeningRow("A", "n", 10, 7),)), O.OPENED), (LOCK[0], O.INSUFFICIENT_STOCK)],
        Counts(10, 0, 0, 0, 7),
        None,
    ),
    "came back damaged": (
        [
            TEN,
            (Return("r", "n", (BACK,)), O.RETURNED),
            (Return("r", "n", (BACK,)), O.REPEATED),
            (Return("r", "m", (BACK,)), O.ID_REUSED),
        ],
        Counts(10, 0, 1),
        None,
    ),
    "too many": (
        [
            TEN,
            (
                Receive("r", "n", (Booking("A", Place.SUPPLIER, Place.AVAILABLE, COUNT_MAX),)),
                O.QUANTITY_TOO_LARGE,
            ),
        ],
        Counts(10),
        None,
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_a_life(name: str) -> None:
    steps, counts, status = LIVES[name]
    model, now = Model(), 1000
    for step in steps:
        if isinstance(step, int):
            now += step
            continue
        command, outcome = step
        assert model.apply(command, now).outcome is outcome, command
    assert model.counts("A", "n") == counts
    assert status is None or model.locks["L"].view.status is status
    sums: dict[str, int] = {}
    for move in model.moves:
        sums[move.source] = sums.get(move.source, 0) - move.quantity
        sums[move.target] = sums.get(move.target, 0) + move.quantity
    assert sum(sums.values()) == 0
    assert [sums.get(state, 0) for state in "aldt"] == list(counts[:4])


def test_the_original_answer_is_kept_whatever_becomes_of_the_lock() -> None:
    model = Model()
    model.apply(TEN[0], 0)
    first = model.apply(LOCK[0], 0)
    for command in (Extend("L", "", 9), Replace("L", "k", (Line("A", 1),)), Confirm("L")):
        model.apply(command, 1)
        again = model.apply(LOCK[0], 2)
        assert (again.outcome, again.lock) == (O.REPEATED, first.lock)
        assert again.current_status == model.locks["L"].view.status
    model.apply(Deduct("L", "s"), 1)
    ended = model.apply(LOCK[0], 2)  # it has ended: its real state, so that nobody takes it for held
    assert (ended.outcome, ended.lock) == (O.REPEATED, model.locks["L"].view)
    assert (ended.current_status, ended.original_status) == ("deducted", "held")


def test_a_lock_that_expired_is_sourced_again_as_asked() -> None:
    model = Model()
    model.apply(Opening((OpeningRow("A", "n", 4), OpeningRow("A", "s", 4))), 0)
    assert model.apply(Lock("L", (Line("A", 4),), ("s", "n"), 1), 0).lock
    model.apply(Expire("L"), 1)
    model.apply(Lock("M", (Line("A", 1, "s"),)), 1)
    taken = model.apply(Confirm("L"), 1).lock
    assert taken is not None
    assert taken.lines == (LockLine("A", "n", 4),)


def test_a_refusal_changes_nothing() -> None:
    model = Model()
    model.apply(TEN[0], 0)
    before = repr(model)
    model.apply(Lock("L", (Line("A", 1), Line("B", 1))), 0)
    model.apply(Lock("L", (Line("A", 11),)), 0)
    model.apply(Unlock("none"), 0)
    model.apply(Adjust("a", "n", (Booking("A", Place.DAMAGED, Place.AVAILABLE, 1),)), 0)
    assert repr(model) == before
