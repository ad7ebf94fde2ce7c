"""What operations do beside calling: waiting for durability, remembering last answers; logs and figures."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import pytest
import structlog

from app.domain.events import Position
from app.domain.ranking import Ranking
from app.domain.words import Durability
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore.replies import Stock
from app.hotstore.store import HotStore
from app.operations.availability import Availability
from app.operations.durability import Durabilities
from app.telemetry import Metrics, configure_logging


class Ledger:
    """A position that a test moves, and the events of ended epochs that it has."""

    def __init__(self, position: str = "", *has: str) -> None:
        self.position = position
        self.has = has
        self.away = False

    async def reached(self, position: Position) -> bool:
        while self.away or not self.position or Position.parse(self.position) < position:
            await asyncio.sleep(0.005)
        return Position.parse(self.position).epoch == position.epoch or str(position) in self.has

    async def close(self) -> None:
        self.away = True


class Held(NamedTuple):
    epoch: int
    by_all: bool


def durabilities(ledger: Ledger, wait_seconds: float = 10.0, hot: Durability = "memory") -> Durabilities:
    return Durabilities(lambda: hot, ledger, wait_seconds)


@pytest.mark.parametrize("hot", ["memory", "disk"])
async def test_after_the_time_the_honest_level_is_told(hot: Durability) -> None:
    ledger = Ledger("1-1")
    ledger.away = True
    assert await durabilities(ledger, 0.05, hot).reach("1-2", "ledger") == hot


async def test_positions_are_numbers_not_texts() -> None:
    levels = durabilities(Ledger("1-9"), 0.05)
    assert await levels.reach("1-10", "ledger") == "memory"
    assert await levels.reach("1-8", "ledger") == "ledger"


async def test_what_an_ended_epoch_took_along_is_not_acknowledged() -> None:
    levels = durabilities(Ledger("2-0", "1-8"), hot="disk")
    assert await levels.reach("1-8", "ledger") == "ledger"
    with pytest.raises(OutcomeUnknownError):
        await levels.reach("1-9", "ledger")
    assert await levels.reach("1-9", "ledger", again=True) == "disk"  # the hot store has just told of it


REPLICAS = [
    ("disk", True, Held(1, True), "replica"),
    ("disk", True, Held(1, False), "disk"),
    ("disk", False, Held(1, True), "disk"),
    ("memory", True, Held(1, True), "memory"),
    ("disk", True, Held(2, True), "memory"),  # another epoch's memory may not have it
    ("disk", True, None, "memory"),
]


@pytest.mark.parametrize(("hot", "has_replicas", "held", "reached"), REPLICAS)
async def test_what_replicas_say_of_this_epoch_counts(
    hot: Durability, has_replicas: bool, held: Held | None, reached: str
) -> None:
    async def replicas() -> Held | None:
        return held

    levels = Durabilities(lambda: hot, Ledger("1-1"), 0.05, replicas, lambda: has_replicas)
    assert await levels.reach("1-2", "replica") == reached


async def test_a_server_that_stopped_to_keep_what_it_is_told_is_believed_no_more() -> None:
    told = iter(["disk", "memory"])
    levels = Durabilities(lambda: cast("Durability", next(told)), Ledger("1-1"), 0.05)
    assert await levels.reach("1-2", "ledger") == "memory"


class Shelf:
    """A hot store that answers, or does not."""

    def __init__(self) -> None:
        self.away = False

    async def read_stock(self, skus: Sequence[str]) -> tuple[str, list[Stock | None]]:
        if self.away:
            raise NotReadyError("shut")
        return "1", [None if sku == "X" else Stock(sku, ["v", "1", "n:a", "5", "n:b", "7"]) for sku in skus]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def availability(shelf: Shelf, clock: Clock, entries_max: int = 10) -> Availability:
    hot = cast("HotStore", shelf)
    return Availability(hot, ranking=Ranking(), entries_max=entries_max, stale_seconds_max=60, clock=clock)


async def test_the_last_answer_is_given_again_for_a_while() -> None:
    shelf, clock = Shelf(), Clock()
    pages = availability(shelf, clock)
    (fresh,) = await pages.read(["A"])
    assert fresh is not None
    assert (fresh.sellable, fresh.warehouses, fresh.stale) == (0, {"n": 0}, False)
    shelf.away, clock.now = True, 60.0
    (stale,) = await pages.read(["A"])
    assert stale == fresh._replace(stale=True)
    clock.now = 60.1
    with pytest.raises(NotReadyError):
        await pages.read(["A"])


async def test_last_answers_are_bounded_and_the_oldest_goes_first() -> None:
    shelf = Shelf()
    pages = availability(shelf, Clock(), entries_max=2)
    await pages.read(["A", "B", "A", "C", "X"])
    shelf.away = True
    assert [page.sku for page in await pages.read(["A", "C"]) if page] == ["A", "C"]
    for gone in ("B", "X"):
        with pytest.raises(NotReadyError):
            await pages.read(["A", gone])


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, stream = root.handlers[:], root.level, io.StringIO()
    configure_logging("INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_logs_are_json_lines(logs: io.StringIO) -> None:
    structlog.get_logger("app.one").info("did it", sku="A")
    structlog.get_logger("app.one").debug("not told")
    logging.getLogger("library").warning("said %s", "this")
    try:
        int("oh")
    except ValueError:
        structlog.get_logger("app.one").exception("failed")
    lines: list[dict[str, Any]] = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["did it", "said this", "failed"]
    assert lines[0]["sku"] == "A"
    assert "ValueError: invalid" in lines[2]["exception"]


def test_two_applications_have_figures_of_their_own() -> None:
    one, other = Metrics(), Metrics()
    one.count_outcome("lock", "LOCKED")
    assert b'outcome="LOCKED"' in one.expose()
    assert b'outcome="LOCKED"' not in other.expose()
