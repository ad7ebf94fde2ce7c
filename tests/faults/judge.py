"""Holds what clients were told against the books: what was acknowledged is there exactly once, nothing is oversold."""

from collections import Counter
from dataclasses import dataclass, field, replace

from app.domain.commands import Extend, Lock, OpeningRow
from app.domain.outcomes import Outcome
from app.domain.words import Place
from tests.faults.books import Books
from tests.faults.load import Recorder
from tests.histories.check import DONE, Checker, Row, name_of, name_of_row
from tests.histories.traffic import Call

LATE_SECONDS = 5.0
"""A sweep every quarter of a second, and what a loaded machine makes of it."""
LATER_MS = 2**52
OURS = frozenset({"open", "opening"})


@dataclass(slots=True)
class Judgement:
    """What a run came to. `lost` by the level that was told with the acknowledgement."""

    acknowledged: int = 0
    unknown: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    named: int = 0
    doubled: int = 0
    oversold: int = 0
    contradictions: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    released_early: list[str] = field(default_factory=list)
    outlived: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def lost_total(self) -> int:
        return sum(self.lost.values())


class Replay(Checker):
    """The checker of histories, that also takes corrections which recovery booked, and counts oversold units."""

    def __init__(self, calls: list[Call], rows: list[Row], opening: list[OpeningRow]) -> None:
        super().__init__(calls, rows, opening)
        self.oversold = 0
        self.corrections = 0
        self.mended: set[str | None] = set()

    def _apply(self, row: Row) -> None:
        if row.kind not in DONE:
            self._correct(row)
            return
        if row.kind == "expire" and row.lock_id in self.mended:
            row = replace(row, recorded_at=LATER_MS)
        before = len(self.problems)
        super()._apply(row)
        if len(self.problems) > before and str(Outcome.INSUFFICIENT_STOCK) in self.problems[-1]:
            self.oversold += 1

    def _correct(self, row: Row) -> None:
        """An event that no client asked for: take its moves as they are."""
        self.corrections += 1
        if row.kind == "mended":
            self.mended.add(row.lock_id)
        for sku, warehouse, source, target, units in row.moves:
            places = self.model.stock.setdefault(sku, {}).setdefault(warehouse, {})
            for name, sign in ((source, -1), (target, 1)):
                place = Place[name.upper()]
                if place in places or place in {
                    Place.AVAILABLE,
                    Place.LOCKED,
                    Place.DAMAGED,
                    Place.IN_TRANSIT,
                }:
                    places[place] = places.get(place, 0) + sign * units


def judge(recorder: Recorder, books: Books, opening: list[OpeningRow], *, may_lose: bool) -> Judgement:
    """Compare. With `may_lose`, answers that contradict the ledger are not counted: a lost branch explains them."""
    found = Judgement(differences=books.differences)
    in_ledger = Counter(map(name_of_row, books.rows))
    positions = {row.position for row in books.rows}
    kept = []
    for call in recorder.calls:
        if call.reply is None:
            found.unknown += 1
        elif call.reply.status < 400:
            found.acknowledged += 1
            told = call.reply.body["position"].removeprefix("s0-")
            if name_of(call.command) not in in_ledger and told not in positions:
                _lose(found, call, books)
        kept.append(_without_lost_reply(call, positions) if may_lose else call)
    found.doubled = _doubled(books.rows)
    replay = Replay(kept, books.rows, opening)
    verdict = replay.run()
    found.oversold = replay.oversold
    _check_expiry(found, recorder, books)
    found.contradictions = [] if may_lose else verdict.problems
    found.examples += verdict.problems[:3]
    return found


def _lose(found: Judgement, call: Call, books: Books) -> None:
    assert call.reply is not None
    found.lost[call.reply.body.get("durability", "memory")] += 1
    found.named += name_of(call.command) in books.named
    if len(found.examples) < 5:
        found.examples.append(f"lost: {call}")


def _without_lost_reply(call: Call, positions: set[str]) -> Call:
    """A call whose event is not where its answer said is, for the order of events, one that nobody heard of."""
    if call.reply is None or call.reply.status >= 400:
        return call
    there = call.reply.body["position"].removeprefix("s0-") in positions
    return call if there else Call(call.command, call.invoked)


def _check_expiry(found: Judgement, recorder: Recorder, books: Books) -> None:
    """By our own clock: nothing expired before its time, and nothing is held long after it."""
    expired = {row.lock_id for row in books.rows if row.kind == "expire"}
    extended = {call.command.lock_id for call in recorder.calls if isinstance(call.command, Extend)}
    for call in recorder.calls:
        lock = call.command
        if (
            not isinstance(lock, Lock)
            or lock.ttl_ms is None
            or call.reply is None
            or call.reply.status != 201
        ):
            continue
        age_seconds = books.read_at - call.invoked
        if lock.lock_id in expired and age_seconds < lock.ttl_ms / 1000:
            found.released_early.append(lock.lock_id)
        late = age_seconds > lock.ttl_ms / 1000 + LATE_SECONDS
        if lock.lock_id in books.held - extended and late:
            found.outlived.append(lock.lock_id)


def _doubled(rows: list[Row]) -> int:
    """How many events are there once more than asked: an op, or a lock's beginning."""
    seen = Counter(
        name_of_row(row) for row in rows if row.kind not in OURS and (row.op or row.kind == "lock")
    )
    return sum(count - 1 for count in seen.values())
