"""Seals: a fingerprint of each event with its moves as the ledger keeps them, so that an edit shows.

The chain of tips shows that an event is missing, but a tip is made of the event's text, which the ledger does not
keep. A seal is made of the columns, and can be made again from them.
"""

import hashlib

import msgspec

from app.domain.chain import Entry

SEAL_BYTES = 8
_encoder = msgspec.json.Encoder(order="sorted")


def seal_of(entry: Entry) -> bytes:
    """Return the seal of an event as its row and its moves' rows keep it.

    They know when it happened, never "unknown"; a move's time only where it is another; and nothing of the inbox,
    which has rows of its own.
    """
    event = entry.event
    at = event.recorded_at if event.occurred_at is None else event.occurred_at
    moves = [move._replace(occurred_at=None) if move.occurred_at == at else move for move in event.moves]
    event = event._replace(occurred_at=at, moves=moves, told=None)
    text = _encoder.encode((entry.position, entry.prev, entry.tip, event))
    return hashlib.sha1(text, usedforsecurity=False).digest()[:SEAL_BYTES]
