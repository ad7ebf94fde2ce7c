"""What the tables of the functions are written with: words, a case, and how one is shown."""

from typing import Any, NamedTuple

from app.domain.answers import Answer
from app.domain.commands import (
    Arrival,
    Booking,
    Command,
    Deduct,
    Exchange,
    Expire,
    Fact,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Transfer,
    TransferReceive,
    TransferShip,
    Unlock,
)
from app.domain.events import Counts
from app.domain.model import Model
from app.domain.outcomes import Outcome
from app.domain.words import Place
from app.hotstore.replies import Stock
from tests.properties.pair import Advance
from tests.properties.rig import START_MS, Shard

N, S = "north", "south"
TEN = Opening((OpeningRow("A", N, 10),))
BOTH = Opening((OpeningRow("A", N, 10), OpeningRow("A", S, 4), OpeningRow("B", S, 3)))
LOCK = Lock("L", (Line("A", 4, N),), ttl_ms=100)
TWO_PLACES = Lock("L", (Line("A", 2, N), Line("A", 3, S), Line("B", 1)))
OVERDUE = (TEN, LOCK, Advance(100))
EXPIRED = (*OVERDUE, Expire("L"))
RELEASED = (TEN, LOCK, Unlock("L"))
SHIPPED = (TEN, LOCK, Deduct("L", "s1"))
HALF_SHIPPED = (TEN, LOCK, Deduct("L", "s1", (Line("A", 1),)))
IN = Booking("A", Place.SUPPLIER, Place.AVAILABLE, 5)
BROKEN = Booking("A", Place.SUPPLIER, Place.DAMAGED, 2)
GONE = Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 7, "missing")
MOVE = Transfer("T", N, S, (Line("A", 6),))
SENT = (TEN, MOVE, TransferShip("T", "s1"))
HALF_SENT = (TEN, MOVE, TransferShip("T", "s1", None, (Line("A", 2),)))


def arrive(receipt_id: str, good: int, damaged: int = 0, lost: int = 0) -> TransferReceive:
    return TransferReceive("T", receipt_id, None, (Arrival("A", good, damaged, lost),))


THERE = (*SENT, arrive("r1", 6))


def back(units: int, target: Place = Place.AVAILABLE, sku: str = "A") -> Booking:
    return Booking(sku, Place.CUSTOMER, target, units)


ANOTHER = Lock("L", (Line("A", 6, N),), ttl_ms=100)
SWAP = Exchange("x", N, (back(2), back(1, Place.DAMAGED)), ANOTHER)
SOLD_OUT = Lock("other", (Line("A", 10, N),))


class Case(NamedTuple):
    """What was done before, the command, and what it comes to.

    `then` maps (sku, warehouse) to counts; `seen` are the answer's parts to compare. `noted`: it leaves an
    event, although its outcome says otherwise.
    """

    given: tuple[Any, ...]
    when: Command
    outcome: Outcome
    then: dict[tuple[str, str], Counts] | None = None
    seen: dict[str, Any] | None = None
    noted: bool = False


def at_north(*counts: int) -> dict[tuple[str, str], Counts]:
    return {("A", N): Counts(*counts)}


def told(kind: str, units: int, event_id: str = "e", warehouse: str = N, **more: Any) -> Fact:
    return Fact("wms", event_id, kind, START_MS, warehouse, "A", units, **more)


FOUND = Booking("A", Place.SUPPLIER, Place.AVAILABLE, 3)
O = Outcome  # noqa: E741 - a table reads better

EVENTFUL = {
    O.BOOKED,
    O.DISPUTED,
    O.DROPPED,
    O.LOCKED, O.CONFIRMED, O.EXTENDED, O.UNLOCKED, O.DEDUCTED, O.REPLACED, O.EXPIRED,
    O.RECEIVED, O.RETURNED, O.ADJUSTED, O.OPENED, O.BUFFERED, O.TRANSFER_REQUESTED, O.TRANSFER_SHIPPED,
    O.TRANSFER_RECEIVED, O.TRANSFER_CANCELLED, O.TRANSFER_CLOSED, O.EXCHANGED, O.REOPENED, O.VOIDED,
}  # fmt: skip


def counts_of(shard: Shard, sku: str, warehouse: str) -> Counts:
    fields = shard.wire.call("HGETALL", shard.keys.stock(sku))
    return Stock(sku, fields).warehouses.get(warehouse, Counts())


def everything(shard: Shard) -> dict[str, Any]:
    """Every key of the shard with its content."""
    read = {
        "hash": ("HGETALL",),
        "string": ("GET",),
        "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
        "stream": ("XRANGE", "-", "+"),
    }
    found = {}
    for key in sorted(shard.wire.call("KEYS", "*")):
        command, *args = read[shard.wire.call("TYPE", key)]
        found[key] = shard.wire.call(command, key, *args)
    return found


def prepare(shard: Shard, given: tuple[Any, ...]) -> None:
    now = START_MS
    for step in given:
        if isinstance(step, Advance):
            now += step.ms
            shard.set_clock(now)
        else:
            shard.do(step)


def answer_of_model(case: Case) -> Answer:
    model, now = Model(), START_MS
    for step in case.given:
        if isinstance(step, Advance):
            now += step.ms
        else:
            model.apply(step, now)
    return model.apply(case.when, now)


def show(shard: Shard, case: Case) -> None:
    """Prepare, ask, and compare the answer, also with the model's; a refusal must have changed nothing at all."""
    prepare(shard, case.given)
    before = everything(shard)
    answer = shard.do(case.when)
    assert answer.outcome is case.outcome, answer
    if case.outcome not in {O.INVALID_ARGUMENT, O.MOVED_SINCE}:  # of which the model knows nothing
        assert answer == answer_of_model(case)
    for (sku, warehouse), counts in (case.then or {}).items():
        assert counts_of(shard, sku, warehouse) == counts
    seen = {
        "status": (answer.lock and answer.lock.status) or (answer.transfer and answer.transfer.status),
        "moved": answer.transfer and [tuple(x)[: 8 if x.returned else 7] for x in answer.transfer.lines],
        "expires_at": answer.lock and answer.lock.expires_at,
        "lines": answer.lock and [tuple(line) for line in answer.lock.lines],
        "now": answer.current_status,
        "detail": answer.detail,
        "shortages": list(answer.shortages),
        "exceeding": list(answer.exceeding),
        "beyond": list(answer.beyond_on_hand),
        "version": answer.lock and answer.lock.version,
        "first": answer.original_status,
    }
    assert {part: seen[part] for part in case.seen or {}} == (case.seen or {})
    entries = len(everything(shard)[shard.keys.outbox]) - len(before[shard.keys.outbox])
    if case.outcome in EVENTFUL or case.noted:
        assert entries == 1
    else:
        assert everything(shard) == before
