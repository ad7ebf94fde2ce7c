"""Writing past what Postgres refuses: poison is found by bisection, and only the moves that it is about stand still.

Poison is an event that Postgres refuses for what it says (SQLSTATE class 22, 23 or 54), again and again. It is kept
raw, the SKU (or the document) that it is about is parked in order, and all else is booked.

A SKU whose move does not come next by its version is parked as well. The chain of events is whole, or nothing would be
written: so it is this SKU's record in the hot store that was lost, set or made anew.

An event that cannot even be read is kept raw too, and stays in quarantine by its position until a person drops it.
What it names is parked. A SKU that it does not name shows by its next move, whose version leaves one out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import asyncpg
import structlog

from app.domain.chain import (
    Entry,
    Link,
    OutOfOrderError,
    UnreadableEventError,
    check_chain,
)
from app.domain.events import Counts, Event, Move, Position
from app.domain.times import moment, ms_of
from app.domain.words import STATES
from app.ledger import database
from app.ledger.fold import COMPENSATES, Fold
from app.ledger.parking import Subject, readable, reason_of, told_by
from app.ledger.queries import sql, statement
from app.ledger.writer import Writer

_log = structlog.get_logger()

POISON = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # longer than an index holds, or nested deeper than its stack
    OverflowError,  # a time that no calendar has
    KeyError,  # a place that nobody knows
    UnicodeError,
    UnreadableEventError,
)
PARTS_MAX = 1_000
Add = Callable[[Fold, Entry], object]
"""Folds a part of an event."""
_STATES = {place.value: place.word for place in STATES}


class Parked(NamedTuple):
    """What stands still: since when, behind which event, and why."""

    part: str
    subject: str
    parts: int
    since: Any
    first_position: str
    sqlstate: str | None
    error: str | None


class QuarantiningWriter(Writer):
    """A writer that goes on past poison. Each half of a bisection is a transaction of its own, in order."""

    async def write(self, entries: Sequence[Entry], *, home_epoch: int | None = None) -> Position | None:
        """Persist entries that continue the position, parking what Postgres refuses of them.

        Returns and raises as `Writer.write`.
        """
        apart = (i for i, one in enumerate(entries) if one.event.kind == COMPENSATES or one.raw is not None)
        cut = next(apart, None)
        if cut is not None:
            return await self._write_around(entries, cut, home_epoch)
        try:
            return await super().write(entries, home_epoch=home_epoch)
        except (*POISON, OutOfOrderError) as error:
            if len(entries) == 1:
                return await self._write_apart(entries[0], error, home_epoch)
        half = len(entries) // 2
        return await self._write_in_turn(entries[:half], entries[half:], home_epoch)

    async def _write_around(
        self, entries: Sequence[Entry], cut: int, home_epoch: int | None
    ) -> Position | None:
        if cut > 0:
            return await self._write_in_turn(entries[:cut], entries[cut:], home_epoch)
        try:
            if entries[0].raw is None:
                written = await self._compensate(entries[0], home_epoch)
            else:
                why = UnreadableEventError(f"it cannot be read: {entries[0].why}")
                written = await self._write_apart(entries[0], why, home_epoch)
        except (*POISON, OutOfOrderError) as error:  # it is refused as well, and waits behind the others
            _log.error("ledger.drop_refused", position=str(entries[0].position), why=reason_of(error)[1])
            written = await self._write_apart(entries[0], error, home_epoch)
        if len(entries) == 1 or written != entries[0].position:
            return written
        return await self.write(entries[1:], home_epoch=home_epoch)

    async def _write_in_turn(
        self, first: Sequence[Entry], second: Sequence[Entry], home_epoch: int | None
    ) -> Position | None:
        written = await self.write(first, home_epoch=home_epoch)
        if written is None or written < first[-1].position:
            return written
        return await self.write(second, home_epoch=home_epoch)

    # One event, part by part

    async def _write_apart(self, entry: Entry, why: BaseException, home_epoch: int | None) -> Position | None:
        """Book every part of an event that can be booked, each in a savepoint, and park the others."""
        async with database.driver_transaction(self._engine) as pg:
            leased = await self._lease(pg, home_epoch)
            if leased is None:
                return None
            if entry.position <= leased.at.position:
                return leased.at.position
            tuple(check_chain([entry], *leased.at))
            held, left = set(leased.held), Fold(self._shard)
            for subject, line, version, add in self._parts_of(entry):
                refused = None
                if subject not in held:
                    refused = await self._try(pg, entry, add)
                    if refused is None:
                        continue
                    _tell(entry, subject, refused)
                left.parked.add(entry, subject, line=line, version=version, why=refused)
                held.add(subject)
                if subject.part == "event":
                    await self._add_bare(pg, entry, leased.recorded_at)
            await self._store(pg, left)
            if entry.raw is None:
                await pg.execute(sql("keep_raw"), self._shard, *entry.position)
            recorded_at = _moment_or(entry, leased.recorded_at)
            await self._advance(pg, Link(entry.position, entry.tip), recorded_at)
        if not left.parked.parts:
            _log.warning("ledger.refused_once", position=str(entry.position), why=str(why))
        return entry.position

    def _parts_of(self, entry: Entry) -> Iterator[tuple[Subject, int, int | None, Add]]:
        """Yield what an event is made of: subject, line, a move's version, and how it is folded."""
        if entry.raw is not None:
            yield Subject("event", str(entry.position)), 0, None, Fold.add
            for subject, line, version in told_by(entry.raw):
                yield subject, line, version, Fold.add
            return
        yield Subject("event", str(entry.position)), 0, None, Fold.add_event
        for line, move in enumerate(entry.event.moves):
            yield Subject.of_move(move), line, move.version, self._adds_move(line)
        if about := Subject.of_document(entry.event):
            yield about, 0, None, Fold.add_document

    def _adds_move(self, line: int) -> Add:
        return lambda fold, entry: fold.add_moves(entry, (line,))

    async def _try(self, pg: Any, entry: Entry, add: Add) -> BaseException | None:
        """Store one part; return why Postgres refused it, or that its move does not come next."""
        try:
            async with pg.transaction():
                fold = Fold(self._shard)
                add(fold, entry)
                await self._put(pg, fold)
        except (*POISON, OutOfOrderError) as error:
            return error
        return None

    async def _add_bare(self, pg: Any, entry: Entry, at: Any) -> None:
        """Add the event with nothing but its place in the chain: its columns are what was refused."""
        event = entry.event
        recorded_at = ms_of(_moment_or(entry, at))
        kind = event.kind if event.kind.isidentifier() else "unreadable"
        bare = Event(event.schema, kind, recorded_at, *(None,) * 7, moves=[])
        await self._try(pg, entry._replace(event=bare, raw=None), Fold.add_event)

    # Trying again

    async def parked(self, subject: str | None = None) -> list[Parked]:
        """Return what is parked, the oldest first."""
        values = {"shard": self._shard, "subject": subject}
        async with database.snapshot(self._engine) as connection:
            rows = (await connection.execute(statement("list_quarantine"), values)).all()
        return [Parked(*row) for row in rows]

    async def retry(self, part: str, subject: str) -> int:
        """Book what is parked of a subject, in order, up to the first that is refused again; return how many were."""
        booked = 0
        while True:
            async with database.driver_transaction(self._engine) as pg:
                await pg.fetchrow(sql("hold_position"), self._shard)
                rows = await pg.fetch(sql("parked_parts"), self._shard, part, subject, PARTS_MAX)
                for row in rows:
                    if not await self._retry_one(pg, row):
                        return booked
                    booked += 1
            if len(rows) < PARTS_MAX:
                return booked

    async def _retry_one(self, pg: Any, row: Any) -> bool:
        position, event = Position(row["epoch"], row["n"]), readable(row["body"])
        key = (self._shard, *position, row["part"], row["line"])
        refused: BaseException | None
        if event is None:
            refused = UnreadableEventError("it cannot be read: what it did is known to the hot store only")
        else:
            entry = Entry(position, "", "", event)
            add = Fold.add_document if row["part"] == "document" else self._adds_move(row["line"])
            refused = await self._try(pg, entry, add)
        if refused is not None:
            await pg.execute(sql("fail_parked"), *key, *reason_of(refused))
            return False
        await pg.execute(sql("end_parked"), *key, "applied", None)
        return True

    # Dropping

    async def lacks_events(self) -> bool:
        """Whether there is an event that could not be read, dropped or not."""
        async with database.driver_transaction(self._engine) as pg:
            return bool(await pg.fetchval(sql("lacks_events"), self._shard))

    async def versions(self, sku: str) -> dict[str, int]:
        """Return the version of a SKU's last move in each warehouse where the ledger has booked one."""
        async with database.driver_transaction(self._engine) as pg:
            return {row["warehouse"]: row["version"] for row in await pg.fetch(sql("stock_of"), sku)}

    async def has(self, position: Position) -> bool:
        """Whether the ledger has got as far."""
        return (await self.position()).position >= position

    async def drop_event(self, position: Position, reason: str) -> bool:
        """Let an unreadable event go: its text is kept, for this reason. Return whether there was one."""
        async with database.driver_transaction(self._engine) as pg:
            done: str = await pg.execute(
                sql("end_parked"), self._shard, *position, "event", 0, "dropped", reason
            )
        return not done.endswith(" 0")

    async def _compensate(self, entry: Entry, home_epoch: int | None) -> Position | None:
        """Book what a dropped SKU has in the hot store against what it has here, and let it go on from there."""
        async with database.driver_transaction(self._engine) as pg:
            leased = await self._lease(pg, home_epoch)
            if leased is None:
                return None
            if entry.position <= leased.at.position:
                return leased.at.position
            tuple(check_chain([entry], *leased.at))
            fold = Fold(self._shard)
            moves = entry.event.moves
            rows = await pg.fetch(sql("stock_of"), moves[0].sku)
            counts = {one["warehouse"]: Counts(*tuple(one)[2:]) for one in rows}
            parked = await pg.fetch(
                sql("parked_parts"), self._shard, "move", Subject.of_move(moves[0]).name, None
            )
            known = max((one["version"] for one in rows), default=0)
            for version, gone in enumerate(parked, 1 + known):
                note = _note_of(moves[0], version, counts)
                there = Position(gone["epoch"], gone["n"])
                if version < moves[0].version:  # else the hot store was rebuilt without it
                    fold.add_moves(_at(entry, there, gone["line"], note), (gone["line"],))
                key = (self._shard, *there, "move", gone["line"])
                await pg.execute(sql("end_parked"), *key, "dropped", entry.event.reason)
            # Moves of an event that nobody could read.
            missing = range(1 + known + len(parked), moves[0].version)
            notes = [_note_of(moves[0], version, counts) for version in missing]
            booked = entry._replace(event=entry.event._replace(moves=notes + _differences(moves, counts)))
            fold.add(booked)
            await self._book(pg, fold, Link(entry.position, entry.tip), moment(entry.event.recorded_at))
        _log.warning("ledger.dropped", sku=moves[0].sku, moves=len(parked), position=str(entry.position))
        return entry.position


def _note_of(move: Move, version: int, counts: dict[str, Counts]) -> Move:
    """Return the note that stands for a move that was dropped: no units, and the counts as they were."""
    after = counts.get(move.warehouse, Counts())
    return Move(move.sku, version, move.warehouse, "b", "b", 0, after, "dropped")


def _at(entry: Entry, position: Position, line: int, move: Move) -> Entry:
    """Return an entry that has this move as its line, at another position, recorded now."""
    event = entry.event._replace(kind="dropped", document=None, moves=[move] * (line + 1))
    return entry._replace(position=position, event=event)


def _differences(notes: Sequence[Move], known: dict[str, Counts]) -> list[Move]:
    """Return what each note, of one state of one warehouse, comes to from the counts that are known here."""
    counts, moves = dict(known), []
    for note in notes:
        name = _STATES[note.source]
        now, then = counts.get(note.warehouse, Counts()), getattr(note.after, name)
        units = then - getattr(now, name)
        after = counts[note.warehouse] = now._replace(**{name: then, "buffer": note.after.buffer})
        source, target = (
            (note.source, "j") if units < 0 else ("j", note.source) if units else (note.source,) * 2
        )
        moves.append(note._replace(source=source, target=target, quantity=abs(units), after=after))
    return moves


def _moment_or(entry: Entry, at: Any) -> Any:
    """Return when an event was recorded, or `at` if that is no time, or is not known."""
    if entry.raw is not None:
        return at
    try:
        return moment(entry.event.recorded_at)
    except OverflowError:
        return at


def _tell(entry: Entry, subject: Subject, why: BaseException) -> None:
    sqlstate, error = reason_of(why)
    _log.error(
        "ledger.quarantined",
        position=str(entry.position),
        part=subject.part,
        subject=subject.name,
        sqlstate=sqlstate,
        error=error,
    )
