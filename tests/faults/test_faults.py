"""A sample of the fault run, and proof that its judge sees what it is there for."""

import copy
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.books import Books
from tests.faults.faults import Kill, KillAt, Lagging, RedisFiles
from tests.faults.house import CannotBuildError, Plan
from tests.faults.judge import judge
from tests.faults.load import OPENING
from tests.faults.redis_life import can_watch
from tests.faults.runner import Run, run
from tests.faults.scenarios import WORKER_POINTS, Scenario

pytestmark = pytest.mark.timeout(180)  # services start here, on whatever the machine has left

SAMPLE = Scenario(
    name="a sample",
    faults=lambda: [
        Kill("api"),
        KillAt("worker", signal.SIGKILL, WORKER_POINTS[2:]),
        Lagging(RedisFiles("power-cut" if can_watch() else "nothing"), 0.3),
        Kill("postgres", signal.SIGQUIT),
    ],
    times=(4, 4),
    plan=Plan(watch_fsync=can_watch()),
)


@pytest.fixture(scope="module")
def sample() -> Run:
    return run(SAMPLE, seed=1, short=True)


def test_a_sample_of_faults_loses_nothing(sample: Run) -> None:
    assert sample.row.why == []
    assert sample.row.judgement.acknowledged > 100
    assert sample.row.judgement.unknown > 0


def lost(books: Books) -> None:
    books.rows.remove(next(row for row in books.rows if row.kind == "return"))


def doubled(books: Books) -> None:
    row = next(row for row in books.rows if row.kind == "return")
    books.rows.append(replace(row, position="99-1"))


def oversold(books: Books) -> None:
    n, row = next((n, row) for n, row in enumerate(books.rows) if row.kind == "lock")
    books.rows[n] = replace(row, moves=[(*row.moves[0][:4], 1_000_000), *row.moves[1:]])


@pytest.mark.parametrize(
    ("plant", "field"), [(lost, "lost_total"), (doubled, "doubled"), (oversold, "contradictions")]
)
def test_the_judge_sees(sample: Run, plant: Callable[[Books], None], field: str) -> None:
    assert sample.books
    books = replace(sample.books, rows=copy.copy(sample.books.rows))
    plant(books)
    found = judge(sample.recorder, books, OPENING, may_lose=False)
    assert getattr(found, field)


def test_a_house_that_this_machine_does_not_permit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CannotBuildError("mounting a small disk is not permitted here")

    monkeypatch.setattr("tests.faults.runner.House", refuse)
    assert "not permitted" in run(SAMPLE, seed=1, short=True).row.skipped
