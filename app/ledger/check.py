"""`ledger check`: whether the ledger is whole in itself. A row that was removed or edited is found.

The chain of tips and the numbers without a gap show a missing event; the seals an edited one, or an edited, missing or
added move; versions and the counts that each move left show the same per SKU, for older events without a seal too.
Everything is streamed out of one snapshot: memory stays flat however large the ledger is.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.chain import Entry, follows
from app.domain.events import Counts, Document, Event, Move, Position
from app.domain.words import LETTERS, OUTSIDE_WORDS, STATE_WORDS
from app.errors import RefusedError
from app.ledger import database
from app.ledger.partitions import TABLES, Month
from app.ledger.queries import sql
from app.ledger.schema import Schema
from app.ledger.seal import seal_of

ROWS_CHUNK = 2_000
_BASE, _MOVE, _BALANCE = 0, 1, 2


class Fault(NamedTuple):
    """Something that is not as it was written: `what` it is about, and a sentence."""

    what: str
    detail: str

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return f"{self.what}: {self.detail}"


class LedgerCheck:
    """Checks one shard. `progress` is told what is checked and how much was; `unsealed` events are counted.

    Raises `UnavailableError` while Postgres is away.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        shard: int,
        *,
        now: datetime,
        progress: Callable[[str, int], None] = lambda _what, _count: None,
    ) -> None:
        self._engine = engine
        self._shard = shard
        self._now = now
        self._progress = progress
        self.events = 0
        self.unsealed = 0

    async def faults(self) -> AsyncIterator[Fault]:
        """Yield everything that is wrong."""
        async with self._reading() as pg:
            unlike = await Schema(self._engine).unlike_in(pg)
        for one in unlike:
            yield Fault(one.what, one.detail)
        try:
            for part in (self._rights, self._partitions, self._events, self._states):
                async for fault in part():
                    yield fault
        except RefusedError as error:
            if not unlike:
                raise
            yield Fault("the rest of the ledger", f"cannot be checked before that is mended: {error}")

    # Who may change what, and where the next events will go

    async def _rights(self) -> AsyncIterator[Fault]:
        async with self._reading() as pg:
            for row in await pg.fetch(sql("check_rights")):
                yield Fault(f"table {row['name']}", f"{row['who']} may {row['privilege']}")

    async def _partitions(self) -> AsyncIterator[Fault]:
        async with self._reading() as pg:
            for ahead in (0, 1):
                month = Month.of(self._now).plus(ahead)
                for table in map(month.table, TABLES):
                    if not await pg.fetchval(sql("partition_exists"), table):
                        yield Fault(f"table {table}", "is missing: no worker makes partitions ahead")

    # The chain of events, each with its moves

    async def _events(self) -> AsyncIterator[Fault]:
        async with self._reading() as pg:
            start = await pg.fetchrow(sql("check_start"), self._shard)
            at, tip = (Position(start["epoch"], start["n"]), start["tip"]) if start else (Position(0, 0), "")
            last = await pg.fetchrow(sql("read_position"), self._shard)
            recorded_at = 0
            moves = _Moves(_rows(pg, "check_moves", self._shard))
            async for row in _rows(pg, "check_events", self._shard):
                self._count()
                entry, kept = _entry(row), row["seal"]
                async for orphan in moves.before(entry.position):
                    yield orphan
                mine = await moves.of(entry.position)
                for fault in _links(entry, at, tip, recorded_at):
                    yield fault
                for fault in (
                    self._sealed(entry, None, []) if row["apart"] else self._sealed(entry, kept, mine)
                ):
                    yield fault
                at, tip, recorded_at = entry.position, entry.tip, entry.event.recorded_at
            async for orphan in moves.before(None):
                yield orphan
            if last is not None and (Position(last["epoch"], last["n"]), last["tip"]) != (at, tip):
                there = Position(last["epoch"], last["n"])
                yield Fault(f"event {there}", f"is where the ledger should end; it ends with {at}")

    def _sealed(self, entry: Entry, kept: bytes | None, moves: list[Any]) -> list[Fault]:
        event = entry.event._replace(moves=[_move(row) for row in moves])
        if kept is None:
            self.unsealed += 1
        elif seal_of(entry._replace(event=event)) != kept:
            return [Fault(f"event {entry.position}", "it or its moves are not as they were written")]
        faults = []
        for line, row in enumerate(moves):
            if row["line"] != line:
                faults.append(Fault(f"event {entry.position}", f"its move {line} is missing"))
                break
            # When a move happened is sealed with it: what a late fact takes back of a count has the count's time.
            times = (row["recorded_at"], row["occurred_at"] if kept is None else event.occurred_at)
            if times != (event.recorded_at, event.occurred_at):
                faults.append(Fault(f"event {entry.position}", f"its move {line} has other times"))
        return faults

    def _count(self) -> None:
        self.events += 1
        if self.events % ROWS_CHUNK == 0:
            self._progress("events", self.events)

    # Each SKU's versions, and the counts that each move left

    async def _states(self) -> AsyncIterator[Fault]:
        async with self._reading() as pg:
            state = _State("", 0)
            count = 0
            async for row in _rows(pg, "check_states", self._shard):
                if row["sku"] != state.sku:
                    state = _State(row["sku"], 0)
                for fault in state.take(row):
                    yield fault
                count += 1
                if count % ROWS_CHUNK == 0:
                    self._progress("moves", count)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Any]:
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # What takes long here is our own counting, and it never stops in between.
            await pg.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
            yield pg


class _Moves:
    """The stream of moves, read along with the stream of their events."""

    def __init__(self, rows: AsyncIterator[Any]) -> None:
        self._rows = rows
        self._next: Any = None
        self._ended = False

    async def of(self, position: Position) -> list[Any]:
        """Return the moves of an event."""
        found = []
        while (row := await self._peek()) is not None and _position(row) == position:
            found.append(row)
            self._next = None
        return found

    async def before(self, position: Position | None) -> AsyncIterator[Fault]:
        """Yield a fault for each move whose event is missing, up to the event at `position`, or to the end."""
        while (row := await self._peek()) is not None and (position is None or _position(row) < position):
            yield Fault(f"event {_position(row)}", f"is missing, but its move {row['line']} is there")
            self._next = None

    async def _peek(self) -> Any:
        if self._next is None and not self._ended:
            self._next = await anext(self._rows, None)
            self._ended = self._next is None
        return self._next


class _State:
    """A SKU's counts, moved along its versions; only this one SKU is in memory."""

    def __init__(self, sku: str, version: int) -> None:
        self.sku = sku
        self._version = version
        self._counts: dict[str, dict[str, int]] = {}
        self._outside: dict[str, dict[str, int]] = {}

    def take(self, row: Any) -> list[Fault]:
        """Go one row on, and return what does not follow from the rows before."""
        if row["kind"] == _BASE:
            self._version = row["version"]
            self._counts[row["warehouse"]] = {name: row[name] for name in STATE_WORDS}
            self._outside[row["warehouse"]] = {name: row[name] for name in OUTSIDE_WORDS}
            return []
        return self._balance(row) if row["kind"] == _BALANCE else self._move(row)

    def _move(self, row: Any) -> list[Fault]:
        faults = []
        version = row["version"]
        if version != self._version + 1:
            faults.append(self._fault(f"version {version} follows version {self._version}"))
        self._version = version
        here, there = row["warehouse"], row["to_warehouse"] or row["warehouse"]
        self._add(here, row["source"], -row["quantity"])
        self._add(there, row["target"], row["quantity"])
        ends = [(here, "")] + ([(there, "to_")] if row["to_warehouse"] is not None else [])
        for warehouse, prefix in ends:
            known = self._counts.setdefault(warehouse, dict.fromkeys(STATE_WORDS, 0))
            left = {name: row[prefix + name] for name in STATE_WORDS}
            if left != known:
                faults.append(self._fault(f"version {version} left {left} in {warehouse}, not {known}"))
                self._counts[warehouse] = left  # so that one fault is told once
        return faults

    def _add(self, warehouse: str, place: str, units: int) -> None:
        if place in STATE_WORDS:
            self._counts.setdefault(warehouse, dict.fromkeys(STATE_WORDS, 0))[place] += units
        elif place in OUTSIDE_WORDS:
            self._outside.setdefault(warehouse, dict.fromkeys(OUTSIDE_WORDS, 0))[place] += units

    def _balance(self, row: Any) -> list[Fault]:
        if row["version"] != self._version:
            return [self._fault(f"there is a balance of version {row['version']}, but no such move")]
        warehouse = row["warehouse"]
        known = self._counts.get(warehouse, {}) | self._outside.get(warehouse, {})
        noted = {name: row[name] for name in (*STATE_WORDS, *OUTSIDE_WORDS)}
        if any(noted[name] != known.get(name, 0) for name in noted):
            return [self._fault(f"the balance of version {self._version} in {warehouse} is not what moved")]
        return []

    def _fault(self, detail: str) -> Fault:
        return Fault(f"SKU {self.sku}", detail)


def _links(entry: Entry, at: Position, tip: str, recorded_at: int) -> list[Fault]:
    faults = []
    if not follows(entry.position, at):
        faults.append(Fault(f"event {entry.position}", f"follows {at}: what was between is missing"))
    elif entry.prev != tip:
        faults.append(
            Fault(f"event {entry.position}", f"continues {entry.prev}, but {at} has {tip or 'no tip'}")
        )
    if entry.event.recorded_at < recorded_at:
        faults.append(Fault(f"event {entry.position}", "was recorded before the one that it follows"))
    return faults


async def _rows(pg: Any, name: str, shard: int) -> AsyncIterator[Any]:
    async for row in pg.cursor(sql(name), shard, prefetch=ROWS_CHUNK):
        yield row


def _position(row: Any) -> Position:
    return Position(row["epoch"], row["n"])


def _entry(row: Any) -> Entry:
    document = None
    if row["document_kind"] is not None:
        document = Document(row["document_kind"], row["document_id"], row["document"])
    event = Event(
        row["schema"], row["kind"], row["recorded_at"], row["op"], row["fingerprint"], row["who"], row["reason"],
        row["occurred_at"], row["lock_id"], row["lock"], [], document,
    )  # fmt: skip
    return Entry(_position(row), row["prev"], row["tip"], event)


def _move(row: Any) -> Move:
    there = None
    if row["to_warehouse"] is not None:
        there = Counts(*(row[f"to_{name}_after"] for name in Counts._fields))
    return Move(
        row["sku"], row["version"], row["warehouse"], LETTERS[row["source"]], LETTERS[row["target"]],
        row["quantity"], Counts(*(row[f"{name}_after"] for name in Counts._fields)), row["reason"],
        row["to_warehouse"], there, row["occurred_at"],
    )  # fmt: skip
