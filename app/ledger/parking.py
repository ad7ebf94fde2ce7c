"""What of an event waits in quarantine, and behind what."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from app.domain.chain import Entry
from app.domain.events import Event, Move
from app.ledger.queries import sql

Part = Literal["move", "document", "event"]
ERROR_LENGTH_MAX = 1_000
VERSION_MAX = 2**63 - 1
_encoder = msgspec.json.Encoder()
event_of = msgspec.json.Decoder(Event).decode
"""Reads an event as it is kept raw."""


def storable(text: str) -> str:
    """Return a text that Postgres can hold whatever it is: NUL is the one character that it cannot."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Subject(NamedTuple):
    """What a part of an event is about: a SKU's moves, or a document's record (`lock L1`, `transfer T1`)."""

    part: Part
    name: str

    @classmethod
    def of_move(cls, move: Move) -> "Subject":
        """Return the subject of a move: its SKU, in all warehouses."""
        return cls("move", storable(move.sku))

    @classmethod
    def of_document(cls, event: Event) -> "Subject | None":
        """Return the subject of what an event says of a record; None if it says nothing."""
        if event.lock_id is not None and event.lock is not None:
            return cls("document", storable(f"lock {event.lock_id}"))
        if event.document is not None and event.document.kind == "transfer":
            return cls("document", storable(f"transfer {event.document.id}"))
        return None


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
        self.raw[entry.position] = _encoder.encode(entry.event)
        sqlstate, error = ("", "") if why is None else reason_of(why)
        if version is not None and version > VERSION_MAX:
            version = None  # the number itself is what was refused
        row = (*entry.position, subject.part, line, subject.name, version, sqlstate or None, error or None)
        self.parts.append(row)

    async def store(self, pg: Any, shard: int) -> None:
        """Write it."""
        if not self.parts:
            return
        raw = [(*position, body) for position, body in self.raw.items()]
        await pg.execute(sql("add_quarantined_events"), shard, *(list(c) for c in zip(*raw, strict=True)))
        await pg.execute(sql("add_parked"), shard, *(list(c) for c in zip(*self.parts, strict=True)))


def reason_of(error: BaseException) -> tuple[str, str]:
    """Return SQLSTATE and text of why a part was refused; what never reached Postgres has the class of bad data."""
    text = storable(str(error) or type(error).__name__)
    return str(getattr(error, "sqlstate", None) or "22000"), text[:ERROR_LENGTH_MAX]
