"""The functions of transfers as a table: what was done before, the command, and what it comes to."""

import pytest

from app.domain.answers import Excess
from app.domain.commands import (
    Adjust,
    Arrival,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Transfer,
    TransferCancel,
    TransferReceive,
    TransferShip,
)
from app.domain.events import Counts
from app.domain.sourcing import Shortage
from tests.integration.function_cases import (
    GONE,
    HALF_SENT,
    MOVE,
    SENT,
    SOLD_OUT,
    TEN,
    THERE,
    Case,
    N,
    O,
    S,
    arrive,
    at_north,
    show,
    told,
)
from tests.properties.rig import Shard

pytest_plugins = ["tests.properties.fixtures"]

CASES = {
    # transfer
    "transfer takes from available": Case(
        (TEN,),
        MOVE,
        O.TRANSFER_REQUESTED,
        at_north(4, 6),
        {"status": "requested", "moved": [("A", 6, 0, 0, 0, 0, 0)]},
    ),
    "transfer of a sku twice": Case(
        (TEN,),
        Transfer("T", N, S, (Line("A", 6), Line("A", 5))),
        O.INSUFFICIENT_STOCK,
        at_north(10),
        {"shortages": [Shortage("A", N, 11, 10)]},
    ),
    "transfer takes the buffer": Case(
        (Opening((OpeningRow("A", N, 10, 5),)),), MOVE, O.TRANSFER_REQUESTED, at_north(4, 6, 0, 0, 5)
    ),
    "transfer leaves what is promised": Case(
        (Opening((OpeningRow("A", N, 10, 5),)), Lock("L", (Line("A", 5, N),))),
        MOVE,
        O.INSUFFICIENT_STOCK,
        None,
        {"shortages": [Shortage("A", N, 6, 5)]},
    ),
    "transfer while less is there than is promised": Case(
        (TEN, SOLD_OUT, Adjust("a", N, (GONE,))),
        MOVE,
        O.INSUFFICIENT_STOCK,
        at_north(-7, 10),
        {"shortages": [Shortage("A", N, 6, 0)]},
    ),
    "transfer again says the same, and what became of it": Case(
        (*THERE,),
        MOVE,
        O.REPEATED,
        at_north(4),
        {"status": "requested", "moved": [("A", 6, 0, 0, 0, 0, 0)], "now": "received"},
    ),
    "transfer id with other content": Case(
        (TEN, MOVE), Transfer("T", N, "west", (Line("A", 6),)), O.ID_REUSED, at_north(4, 6)
    ),
    "transfer without lines": Case((TEN,), Transfer("T", N, S, ()), O.INVALID_ARGUMENT, at_north(10)),
    "transfer to itself": Case(
        (TEN,), Transfer("T", N, N, (Line("A", 1),)), O.INVALID_ARGUMENT, at_north(10)
    ),
    # transfer_ship
    "ship what an event told of": Case(
        (TEN, MOVE, told("transfer_shipped", 6, document_id="T", told_id="s1")),
        TransferShip("T", "s1"),
        O.UNCHANGED,
        at_north(4),
        noted=True,
    ),
    "transfer ships all": Case(
        (TEN, MOVE),
        TransferShip("T", "s1"),
        O.TRANSFER_SHIPPED,
        {("A", N): Counts(4), ("A", S): Counts(0, 0, 0, 6)},
        {"status": "shipped", "moved": [("A", 6, 6, 0, 0, 0, 0)]},
    ),
    "transfer ships some": Case(
        (TEN, MOVE),
        TransferShip("T", "s1", None, (Line("A", 1), Line("A", 1))),
        O.TRANSFER_SHIPPED,
        {("A", N): Counts(4, 4), ("A", S): Counts(0, 0, 0, 2)},
        {"status": "partly_shipped"},
    ),
    "transfer ships some twice": Case(
        HALF_SENT,
        TransferShip("T", "s1", None, (Line("A", 2),)),
        O.REPEATED,
        at_north(4, 4),
        {"status": "partly_shipped", "now": "partly_shipped", "moved": [("A", 6, 2, 0, 0, 0, 0)]},
    ),
    "transfer repeats a shipment after its end": Case(
        (*HALF_SENT, TransferShip("T", "s2"), arrive("r1", 6)),
        TransferShip("T", "s1", None, (Line("A", 2),)),
        O.REPEATED,
        at_north(4),
        {"status": "partly_shipped", "now": "received"},
    ),
    "transfer shipment with other content": Case(
        HALF_SENT, TransferShip("T", "s1"), O.ID_REUSED, at_north(4, 4)
    ),
    "transfer ships the rest": Case(HALF_SENT, TransferShip("T", "s2"), O.TRANSFER_SHIPPED, at_north(4)),
    "transfer ships too much": Case(
        HALF_SENT,
        TransferShip("T", "s2", None, (Line("A", 3), Line("A", 2), Line("B", 1))),
        O.QUANTITY_EXCEEDS_TRANSFER,
        at_north(4, 4),
        {"status": "partly_shipped", "exceeding": [Excess("A", "", 5, 4), Excess("B", "", 1, 0)]},
    ),
    "transfer ships what has shipped": Case(
        SENT, TransferShip("T", "s2"), O.TRANSFER_NOT_OPEN, at_north(4), {"status": "shipped"}
    ),
    "transfer ships what was cancelled": Case(
        (TEN, MOVE, TransferCancel("T")),
        TransferShip("T", "s1"),
        O.TRANSFER_NOT_OPEN,
        at_north(10),
        {"status": "cancelled"},
    ),
    "transfer ships what is unknown": Case((TEN,), TransferShip("T", "s1"), O.UNKNOWN_TRANSFER),
    "transfer ships nothing": Case((TEN, MOVE), TransferShip("T", "s1", None, ()), O.INVALID_ARGUMENT),
    "transfer ships although stock is short": Case(
        (TEN, MOVE, Adjust("a", N, (GONE,))), TransferShip("T", "s1"), O.TRANSFER_SHIPPED, at_north(-3)
    ),
    # transfer_receive
    "receive from a transfer what an event told of": Case(
        (*SENT, told("transfer_received", 2, warehouse=S, document_id="T", told_id="r1")),
        TransferReceive("T", "r1", None, (Arrival("A", 2),)),
        O.UNCHANGED,
        noted=True,
    ),
    "transfer arrives": Case(
        SENT,
        arrive("r1", 6),
        O.TRANSFER_RECEIVED,
        {("A", N): Counts(4), ("A", S): Counts(6)},
        {"status": "received", "moved": [("A", 6, 6, 6, 0, 0, 0)]},
    ),
    "transfer arrives damaged and short": Case(
        SENT,
        arrive("r1", 2, 1, 1),
        O.TRANSFER_RECEIVED,
        {("A", S): Counts(2, 0, 1, 2)},
        {"status": "shipped", "moved": [("A", 6, 6, 2, 1, 1, 0)]},
    ),
    "transfer is lost": Case(
        SENT, arrive("r1", 0, 0, 6), O.TRANSFER_RECEIVED, {("A", S): Counts()}, {"status": "received"}
    ),
    "transfer arrives before all of it shipped": Case(
        HALF_SENT,
        arrive("r1", 2),
        O.TRANSFER_RECEIVED,
        {("A", N): Counts(4, 4), ("A", S): Counts(2)},
        {"status": "partly_shipped"},
    ),
    "transfer arrives in lines of the same sku": Case(
        SENT,
        TransferReceive("T", "r", None, (Arrival("A", 1, 1), Arrival("A", 1, 1, 1))),
        O.TRANSFER_RECEIVED,
        {("A", S): Counts(2, 0, 2, 1)},
        {"moved": [("A", 6, 6, 2, 2, 1, 0)]},
    ),
    "transfer arrives twice": Case(
        THERE, arrive("r1", 6), O.REPEATED, {("A", S): Counts(6)}, {"status": "received", "now": "received"}
    ),
    "transfer receipt with other content": Case(THERE, arrive("r1", 5, 1), O.ID_REUSED, at_north(4)),
    "transfer arrives though nothing shipped": Case(
        (TEN, MOVE),
        arrive("r1", 1),
        O.QUANTITY_EXCEEDS_TRANSFER,
        at_north(4, 6),
        {"exceeding": [Excess("A", "", 1, 0)]},
    ),
    "transfer brings more than was shipped": Case(
        HALF_SENT,
        arrive("r1", 1, 1, 1),
        O.QUANTITY_EXCEEDS_TRANSFER,
        {("A", S): Counts(0, 0, 0, 2)},
        {"exceeding": [Excess("A", "", 3, 2)]},
    ),
    "transfer brings what it does not carry": Case(
        SENT,
        TransferReceive("T", "r", None, (Arrival("B", 1),)),
        O.QUANTITY_EXCEEDS_TRANSFER,
        None,
        {"exceeding": [Excess("B", "", 1, 0)]},
    ),
    "transfer arrives after its end": Case(
        THERE, arrive("r2", 1), O.TRANSFER_NOT_OPEN, {("A", S): Counts(6)}
    ),
    "transfer that is unknown arrives": Case((TEN,), arrive("r", 1), O.UNKNOWN_TRANSFER),
    # transfer_cancel
    "transfer is cancelled": Case(
        (TEN, MOVE),
        TransferCancel("T"),
        O.TRANSFER_CANCELLED,
        at_north(10),
        {"status": "cancelled", "moved": [("A", 6, 0, 0, 0, 0, 6)]},
    ),
    "transfer is cancelled after a part of it shipped": Case(
        HALF_SENT,
        TransferCancel("T"),
        O.TRANSFER_CANCELLED,
        {("A", N): Counts(8), ("A", S): Counts(0, 0, 0, 2)},
        {"status": "shipped", "moved": [("A", 6, 2, 0, 0, 0, 4)]},
    ),
    "transfer is cancelled when what shipped has arrived": Case(
        (*HALF_SENT, arrive("r1", 2)),
        TransferCancel("T"),
        O.TRANSFER_CANCELLED,
        {("A", N): Counts(8), ("A", S): Counts(2)},
        {"status": "received"},
    ),
    "transfer is cancelled twice": Case(
        (TEN, MOVE, TransferCancel("T")), TransferCancel("T"), O.UNCHANGED, at_north(10)
    ),
    "transfer is cancelled too late": Case(
        SENT, TransferCancel("T"), O.TRANSFER_NOT_OPEN, at_north(4), {"status": "shipped"}
    ),
    "transfer that is unknown is cancelled": Case((TEN,), TransferCancel("T"), O.UNKNOWN_TRANSFER),
}


@pytest.mark.parametrize("name", CASES)
def test_function(shard: Shard, name: str) -> None:
    show(shard, CASES[name])
