"""docs/lock-lifecycle.md, held against the model: every state, every step, and the drawing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.commands import (
    Command,
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Reopen,
    Replace,
    Unlock,
    Void,
)
from app.domain.model import Model
from app.domain.outcomes import Outcome
from app.domain.words import LockStatus

DOCUMENT = (Path(__file__).parents[2] / "docs" / "lock-lifecycle.md").read_text()
NOW, LATER = 1_000, 1_000_000
SOME = (Line("A", 1),)

STEPS: dict[str, Callable[[], Command]] = {
    "confirm": lambda: Confirm("one"),
    "extend": lambda: Extend("one", ttl_ms=5_000),
    "unlock": lambda: Unlock("one"),
    "unlock some": lambda: Unlock("one", "k1", SOME),
    "deduct": lambda: Deduct("one", "s-all"),
    "deduct some": lambda: Deduct("one", "s-some", SOME),
    "replace": lambda: Replace("one", "k2", (Line("A", 5),)),
    "reopen": lambda: Reopen("one", ttl_ms=5_000),
    "expire": lambda: Expire("one"),
}
WAYS: dict[str, list[Command]] = {
    "held": [],
    "confirmed": [Confirm("one")],
    "partly_deducted": [Deduct("one", "s1", SOME)],
    "deducted": [Deduct("one", "s1")],
    "released": [Unlock("one")],
    "expired": [Expire("one")],
}


def table() -> dict[tuple[str, str], str]:
    """{(state, step): cell} of the table."""
    rows = [line.strip("|").split("|") for line in DOCUMENT.splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in row] for row in rows]
    return {(row[0], step): cell for row in body for step, cell in zip(head[1:], row[1:], strict=True)}


TABLE = table()


def model_in(state: str) -> Model:
    """A model whose lock `one`, of 4 units out of 10, is in `state`."""
    model = Model()
    model.apply(Opening((OpeningRow("A", "north", 10),)), NOW)
    model.apply(Lock("one", (Line("A", 4),)), NOW)
    for command in WAYS[state]:
        model.apply(command, LATER)
    assert model.locks["one"].view.status == state
    return model


def test_the_table_has_every_state_and_every_step() -> None:
    assert set(WAYS) == set(LockStatus)
    assert set(TABLE) == {(state, step) for state in WAYS for step in STEPS}


@pytest.mark.parametrize(("state", "step"), TABLE)
def test_a_cell(state: str, step: str) -> None:
    model = model_in(state)
    before = model.locks["one"].view
    answer = model.apply(STEPS[step](), LATER)
    after = model.locks["one"].view
    cell = TABLE[state, step]
    if cell.startswith("**"):
        assert after.status == cell.strip("*")
        assert answer.outcome not in {Outcome.UNCHANGED, Outcome.NOT_DUE}
        assert after != before
    else:
        assert answer.outcome.lower() == cell.strip("`")
        assert after == before


def test_an_expired_lock_whose_stock_is_gone() -> None:
    model = model_in("expired")
    model.apply(Lock("two", (Line("A", 8),)), LATER)
    answer = model.apply(Confirm("one"), LATER)
    assert answer.outcome is Outcome.LOCK_EXPIRED
    assert [(short.requested, short.sellable) for short in answer.shortages] == [(4, 2)]


def test_unlocking_again_what_an_unlock_ended_as_deducted() -> None:
    model = model_in("partly_deducted")
    assert model.apply(Unlock("one"), LATER).outcome is Outcome.UNLOCKED
    assert model.locks["one"].view.status is LockStatus.DEDUCTED
    assert model.apply(Unlock("one"), LATER).outcome is Outcome.UNCHANGED


def test_voiding_what_never_left() -> None:
    whole, half = model_in("deducted"), model_in("partly_deducted")
    assert whole.apply(Void("one", "s1", (Line("A", 4, "north"),)), LATER).outcome is Outcome.VOIDED
    assert whole.locks["one"].view.status is LockStatus.CONFIRMED
    assert half.apply(Deduct("one", "s2"), LATER).outcome is Outcome.DEDUCTED
    assert half.apply(Void("one", "s1", (Line("A", 1, "north"),)), LATER).outcome is Outcome.VOIDED
    assert half.locks["one"].view.status is LockStatus.PARTLY_DEDUCTED


def test_the_drawing_has_the_transitions_of_the_table() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+): (.+)$", DOCUMENT, re.MULTILINE))
    told = {
        (state, cell.strip("*"), step)
        for (state, step), cell in TABLE.items()
        if cell.startswith("**") and cell.strip("*") != state
    }
    assert drawn == told
    assert "    [*] --> held: create" in DOCUMENT
