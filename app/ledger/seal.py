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
    """Return the seal of an event; when it happened counts as the ledger keeps it: never as "unknown"."""
    event = entry.event
    if event.occurred_at is None:
        event = event._replace(occurred_at=event.recorded_at)
    text = _encoder.encode((entry.position, entry.prev, entry.tip, event))
    return hashlib.sha1(text, usedforsecurity=False).digest()[:SEAL_BYTES]
