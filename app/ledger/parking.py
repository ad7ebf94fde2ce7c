"""What of an event waits in quarantine, and behind what."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from app.domain.chain import Entry
from app.domain.events import Event, Move
from app.domain.words import BIGINT_MAX
from app.ledger import database
from app.ledger.queries import sql

Part = Literal["move", "document", "event"]
ERROR_LENGTH_MAX = 1_000
NAME_LENGTH_MAX = 500
"""A subject's name, in characters: an index takes 2,704 bytes. No name that the edge lets in is as long."""
_encoder = msgspec.json.Encoder()
event_of = msgspec.json.Decoder(Event).decode
"""Reads an event as it is kept raw."""


def kept_text(entry: Entry) -> bytes:
    """Return the text of an event as it is kept: what it was, if it cannot be read."""
    return _encoder.encode(entry.event) if entry.raw is None else entry.raw.encode("utf-8", "surrogateescape")


def readable(body: bytes) -> Event | None:
    """Return an event that is kept raw; None if it cannot be read."""
    try:
        return event_of(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def storable(text: str) -> str:
    """Return a text that Postgres can hold whatever it is: NUL is the one character that it cannot.

    Bytes that were no text are told as such.
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _name(text: str) -> str:
    """Return the name of a subject: what it is called, as far as an index can hold it."""
    return storable(text)[:NAME_LENGTH_MAX]


class Subject(NamedTuple):
    """What a part of an event is about: a SKU's moves, or a document's record (`lock L1`, `transfer T1`)."""

    part: Part
    name: str

    @classmethod
    def of_move(cls, move: Move) -> "Subject":
        """Return the subject of a move: its SKU, in all warehouses."""
        return cls("move", _name(move.sku))

    @classmethod
    def of_document(cls, event: Event) -> "Subject | None":
        """Return the subject of what an event says of a record; None if it says nothing."""
        if event.lock_id is not None and event.lock is not None:
            return cls("document", _name(f"lock {event.lock_id}"))
        if event.document is not None and event.document.kind == "transfer":
            return cls("document", _name(f"transfer {event.document.id}"))
        return None


class Named(NamedTuple):
    """What a text that is no event says all the same: of a move its SKU, its line and, if it has one, its version.

    Documents have lines as well, for a text may name both a lock and a transfer.
    """

    subject: Subject
    line: int
    version: int | None


_LOCK_ID, _MOVES, _DOCUMENT = 8, 10, 11


def told_by(raw: str) -> list[Named]:
    """Return the SKUs, and the lock or transfer, that an unreadable event names in their places; never a guess."""
    try:
        parts = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    if not isinstance(parts, list) or len(parts) <= _MOVES:
        return []
    told: list[Named] = []
    moves = parts[_MOVES] if isinstance(parts[_MOVES], list) else []
    for line, move in enumerate(moves):
        if isinstance(move, list) and len(move) > 1 and isinstance(move[0], str):
            version = move[1] if type(move[1]) is int and 0 < move[1] <= BIGINT_MAX else None
            told.append(Named(Subject("move", _name(move[0])), line, version))
    if isinstance(parts[_LOCK_ID], str) and parts[_LOCK_ID + 1] is not None:
        told.append(Named(Subject("document", _name(f"lock {parts[_LOCK_ID]}")), 0, None))
    match parts[_DOCUMENT:]:
        case [["transfer", str(transfer_id), *_], *_]:
            told.append(Named(Subject("document", _name(f"transfer {transfer_id}")), 1, None))
    return told


@dataclass(slots=True)
class Parking:
    """What a transaction parks: the raw events, and their parts."""

    raw: dict[tuple[int, int], bytes] = field(default_factory=dict)
    parts: list[tuple[Any, ...]] = field(default_factory=list)

    def add(
        self,
        entry: Entry,
        subject: Subject,
        *,
        line: int = 0,
        version: int | None = None,
        why: BaseException | None = None,
    ) -> None:
        """Park a part; without `why` it waits behind one that was refused."""
        self.raw[entry.position] = kept_text(entry)
        sqlstate, error = ("", "") if why is None else reason_of(why)
        if version is not None and version > BIGINT_MAX:
            version = None  # the number itself is what was refused
        row = (*entry.position, subject.part, line, subject.name, version, sqlstate or None, error or None)
        self.parts.append(row)

    async def store(self, pg: Any, shard: int) -> None:
        """Write it."""
        if not self.parts:
            return
        raw = [(*position, body) for position, body in self.raw.items()]
        await pg.execute(sql("add_quarantined_events"), shard, *database.columns(raw))
        await pg.execute(sql("add_parked"), shard, *database.columns(self.parts))


def reason_of(error: BaseException) -> tuple[str, str]:
    """Return SQLSTATE and text of why a part was refused; what never reached Postgres has the class of bad data."""
    text = storable(str(error) or type(error).__name__)
    return str(getattr(error, "sqlstate", None) or "22000"), text[:ERROR_LENGTH_MAX]
