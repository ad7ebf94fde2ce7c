"""Events that wait in the inbox, put there as rows: a reconciliation only reads them."""

import json
from typing import Any

from app.ledger import database
from tests.integration.warehouse import House

_TABLE = """
CREATE TABLE IF NOT EXISTS inbox (
    source text NOT NULL, event_id text NOT NULL, status text NOT NULL, why text NOT NULL, event jsonb NOT NULL,
    fingerprint text NOT NULL, warehouse text NOT NULL, who text NOT NULL, until timestamptz NOT NULL,
    sequence bigint, next_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (source, event_id)
)"""
_SEQUENCES = """
CREATE TABLE IF NOT EXISTS inbox_sequence (
    shard smallint NOT NULL, source text NOT NULL, warehouse text NOT NULL, number bigint NOT NULL,
    PRIMARY KEY (source, warehouse)
)"""


async def wait_in_inbox(house: House, event_id: str, status: str, **event: Any) -> None:
    """Keep an event in this status; the worker does not look at it before tomorrow."""
    whole = {"event_id": event_id, "warehouse": "north", **event}
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute(_TABLE)  # where the schema has none of its own
        await pg.execute(
            "INSERT INTO inbox "
            "(source, event_id, status, why, event, fingerprint, warehouse, who, until, next_at, sequence) "
            "VALUES ('wms', $1, $2, 'sequence', $3, '', 'north', '', 'infinity', 'infinity', $4)",
            event_id, status, json.dumps(whole), event.get("sequence"),
        )  # fmt: skip


async def heard_up_to(house: House, number: int) -> None:
    """All events of the source up to this number were booked."""
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute(_SEQUENCES)
        await pg.execute("INSERT INTO inbox_sequence VALUES (0, 'wms', 'north', $1)", number)
