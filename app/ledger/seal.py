"""Seals: a fingerprint of each event with its moves as the ledger keeps them, so that an edit shows.

The chain of tips shows that an event is missing, but a tip is made of the event's text, which the ledger does not
keep. A seal is made of the columns, and can be made again from them.
"""

import hashlib

import msgspec

from app.domain.chain import Entry
from app.domain.events import Event

SEAL_BYTES = 8
_OCCURRED_AT, _MOVES, _TOLD = map(Event._fields.index, ("occurred_at", "moves", "told"))
_encoder = msgspec.json.Encoder(order="sorted")


def seal_of(entry: Entry) -> bytes:
    """Return the seal of an event as its row and its moves' rows keep it.

    They know when it happened, never "unknown"; a move's time only where it is another; and nothing of the inbox or of
    what reporters said, which have rows of their own.
    """
    event, moves = entry.event, entry.event.moves
    at = event.recorded_at if event.occurred_at is None else event.occurred_at
    for move in moves:
        if move.occurred_at == at:
            moves = [one._replace(occurred_at=None) if one.occurred_at == at else one for one in moves]
            break
    kept = list(event[: _TOLD + 1])
    kept[_OCCURRED_AT], kept[_MOVES], kept[_TOLD] = at, moves, None
    text = _encoder.encode((entry.position, entry.prev, entry.tip, kept))
    return hashlib.sha1(text, usedforsecurity=False).digest()[:SEAL_BYTES]
