"""The gate: nobody uses a memory that was not checked. And what a write does when it cannot be whole."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hiredis import ReplyError
from redis.asyncio import Redis

from app.domain import chain
from app.domain.commands import (
    Arrival,
    Booking,
    Confirm,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Receive,
    Remember,
    Reopen,
    Replace,
    Return,
    Transfer,
    TransferCancel,
    TransferClose,
    TransferReceive,
    TransferShip,
    Unlock,
    Void,
)
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import SCHEMA, Place
from app.errors import FencedError, HotStoreFullError, NotReadyError
from app.hotstore import outbox
from app.hotstore.gate import Gate
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.records import Record
from app.hotstore.store import HotStore
from tests.integration.function_cases import everything
from tests.integration.test_functions_arguments import ARGUMENTS, plain
from tests.properties.rig import START_MS, Server, Shard, Wire, entries_of, library_under_test, running

pytest_plugins = ["tests.properties.fixtures"]

TEN = Opening((OpeningRow("A", "north", 10),))
LOCK = Lock("L", (Line("A", 4, "north"),), ttl_ms=100)
WRITES = [*ARGUMENTS, "expire", "trim", "forgetting", "forget", "forget_transfer"]
READS = [
    ("read_stock", ["A"]),
    ("read_lock", ["L"]),
    ("read_transfer", ["T"]),
    ("read_due", ["10"]),
    ("read_forgotten", []),
]


def arguments(function: str) -> list[str]:
    more = {
        "expire": ["L"],
        "trim": ["", "1-0"],
        "forgetting": ["1"],
        "forget": ["L"],
        "forget_transfer": ["T"],
    }
    return more[function] if function in more else plain(function)


def refusals(shard: Shard, epoch: str = "1") -> set[str]:
    """What every function answers, as one set; it must not have changed a thing."""
    before = everything(shard)
    told = {shard.fcall(function, epoch, "who", *arguments(function))[0] for function in WRITES}
    told |= {shard.fcall(function, *args)[0] for function, args in READS}
    assert everything(shard) == before
    return told


def beside(shard: Shard) -> Library:
    """Another version's library, loaded beside the one under test."""
    own = shard.library
    code = own.code.replace(own.suffix[1:], "0" * 8) + "\n-- of tomorrow"
    other = Library(f"sellable_{'0' * 8}", "_" + "0" * 8, code)
    shard.wire.call("FUNCTION", "LOAD", other.code)
    return other


@pytest.fixture
def stocked(shard: Shard) -> Shard:
    shard.do(TEN)
    shard.do(LOCK)
    return shard


@pytest.fixture
def busy(stocked: Shard) -> Shard:
    """With a transfer too, of which one unit is on its way."""
    stocked.do(Transfer("T", "north", "south", (Line("A", 3),)))
    stocked.do(TransferShip("T", "s1", None, (Line("A", 1),)))
    return stocked


@pytest.fixture
def sold(busy: Shard) -> Shard:
    """And with a lock that has shipped."""
    busy.do(Lock("sold", (Line("A", 1),)))
    busy.do(Deduct("sold", "s"))
    return busy


def test_a_flushed_memory_is_not_ready(stocked: Shard) -> None:
    stocked.wire.call("FLUSHALL")
    assert refusals(stocked) == {"NOT_READY"}


def test_a_memory_that_was_put_back_unchecked_is_not_ready(stocked: Shard) -> None:
    """The gate's own epoch and the memory's must be one: a copy of another epoch was not looked at."""
    stocked.wire.call("HSET", stocked.keys.meta, "epoch", "2")
    assert refusals(stocked, "2") == {"NOT_READY"}
    assert refusals(stocked, "1") == {"NOT_READY"}


def test_a_memory_being_rebuilt_is_not_ready(stocked: Shard) -> None:
    stocked.wire.call("HSET", stocked.keys.meta, "state", "shut")  # by another library
    assert stocked.fcall("rebuild_begin", "1", "", str(START_MS), "")[0] == "REBUILDING"
    assert refusals(stocked) == {"NOT_READY"}
    stocked.wire.call("HSET", stocked.keys.meta, "state", "ready", "epoch", "1")
    assert refusals(stocked) == {"NOT_READY"}


def test_a_memory_being_drained_is_not_ready(stocked: Shard) -> None:
    assert stocked.fcall("shut", "1")[0] == "SHUT"
    assert refusals(stocked) == {"NOT_READY"}
    stocked.wire.call("HSET", stocked.keys.meta, "state", "ready")
    assert refusals(stocked) == {"NOT_READY"}


@pytest.mark.parametrize("state", ["rebuilding", "carrying"])
def test_a_memory_that_a_repair_has_begun_is_not_taken_for_a_whole_one(stocked: Shard, state: str) -> None:
    stocked.wire.call("HSET", stocked.keys.meta, "state", state)
    assert stocked.fcall("shut", "7")[0] == "SHUT"
    assert stocked.wire.call("HMGET", stocked.keys.meta, "state", "fence") == [state, "7"]


def test_an_empty_memory_stays_empty_when_it_is_shut(stocked: Shard) -> None:
    stocked.wire.call("FLUSHALL")
    assert stocked.fcall("shut", "7")[0] == "SHUT"
    assert everything(stocked) == {}


REPAIRS = [
    ("rebuild_begin", ["", str(START_MS), ""]),
    ("replay", ["", "1-1", "", str(START_MS), "[]"]),
    ("mend", ["stock", "A", "1", "0", "0"]),
    ("rebase", ["", "1-1", str(START_MS), "shut"]),
]


@pytest.mark.parametrize(("function", "args"), REPAIRS)
def test_no_repair_changes_a_memory_that_is_not_shut(stocked: Shard, function: str, args: list[str]) -> None:
    """Not even where this library's own gate is shut: another's may be open."""
    before = everything(stocked)
    assert stocked.fcall(function, "1", *args)[0] == "FENCED"
    other = beside(stocked)
    try:
        assert (
            stocked.wire.call("FCALL", other.function(function), 1, stocked.keys.meta, "1", *args)[0]
            == "FENCED"
        )
    finally:
        stocked.wire.call("FUNCTION", "DELETE", other.name)
    assert everything(stocked) == before


def test_shutting_shuts_every_library_s_gate(stocked: Shard) -> None:
    """Old and new processes side by side: the gate is one of each library, the state is one."""
    other = beside(stocked)
    try:
        stocked.wire.call("FCALL", other.function("adopt"), 1, stocked.keys.meta, "1")
        assert stocked.wire.call("FCALL", other.function("read_lock"), 1, stocked.keys.meta, "L")[0] == "READ"
        assert stocked.wire.call("FCALL", other.function("shut"), 1, stocked.keys.meta, "1")[0] == "SHUT"
        assert refusals(stocked) == {"NOT_READY"}
    finally:
        stocked.wire.call("FUNCTION", "DELETE", other.name)


def test_a_memory_that_another_library_rebuilds_is_not_ready(stocked: Shard) -> None:
    """Our own gate is still open: only `meta` says what the others are doing."""
    stocked.wire.call("HSET", stocked.keys.meta, "state", "rebuilding")
    assert refusals(stocked) == {"NOT_READY"}


def test_a_gate_is_one_shard_s_alone(stocked: Shard) -> None:
    other = Keys(shard=1)
    stocked.wire.call("HSET", other.meta, "epoch", "1", "state", "ready", "layout", "1")
    name = stocked.library.function("read_stock")
    assert stocked.wire.call("FCALL", name, 1, other.meta, "A")[0] == "NOT_READY"
    assert stocked.fcall("read_lock", "L")[0] == "READ"


def test_a_layout_of_tomorrow_is_refused(stocked: Shard) -> None:
    stocked.wire.call("HSET", stocked.keys.meta, "layout", "2")
    assert refusals(stocked) == {"UNKNOWN_LAYOUT"}


def test_whoever_carries_an_old_epoch_is_refused(stocked: Shard) -> None:
    tip = stocked.wire.call("HGET", stocked.keys.meta, "tip")
    stocked.open(2, tip)
    before = everything(stocked)
    for epoch in ("1", "3", "", "02", "2.0"):
        told = {stocked.fcall(function, epoch, "who", *arguments(function))[0] for function in WRITES}
        assert told == {"STALE_EPOCH"}, epoch
    assert everything(stocked) == before


def test_the_typed_methods_carry_on_in_the_new_epoch(stocked: Shard) -> None:
    tip = stocked.wire.call("HGET", stocked.keys.meta, "tip")
    stocked.open(2, tip)
    stocked.store.epoch = "1"
    assert stocked.do(Unlock("L")).outcome is Outcome.UNLOCKED
    assert stocked.store.epoch == "2"


async def test_the_hot_store_says_that_it_is_not_ready(stocked: Shard, store: HotStore) -> None:
    assert (await store.execute(Lock("M", (Line("A", 1),)))).outcome is Outcome.LOCKED
    stocked.wire.call("FLUSHALL")
    with pytest.raises(NotReadyError):
        await store.execute(Lock("N", (Line("A", 1),)))
    with pytest.raises(NotReadyError):
        await store.read_stock(["A"])
    assert store.epoch == ""


# Restarts


@pytest.fixture
def own_server() -> Iterator[Server]:
    with running("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def test_after_a_restart_the_functions_are_there_and_the_gate_is_shut(own_server: Server) -> None:
    with Wire(own_server) as wire:
        shard = Shard(wire, library_under_test())
        assert refusals(shard) == {"NOT_READY"}, "a fresh library"
        shard.reset()
        shard.do(TEN)
        shard.do(LOCK)
        known = everything(shard)
    own_server.restart()
    with Wire(own_server) as wire:
        libraries = wire.call("FUNCTION", "LIST")
        assert len(libraries) == 1
        shard = Shard(wire, library_under_test())
        assert everything(shard) == known
        assert refusals(shard) == {"NOT_READY"}
        tip = wire.call("HGET", shard.keys.meta, "tip")
        shard.open(2, tip)
        assert shard.do(Unlock("L")).outcome is Outcome.UNLOCKED


# What `open` demands


def test_open_in_its_order_of_precedence(busy: Shard) -> None:
    tip = busy.wire.call("HGET", busy.keys.meta, "tip")
    busy.wire.call("HSET", busy.keys.meta, "fence", "5")
    before = everything(busy)
    table = [
        (("4", "1", "bad"), "FENCED"),
        (("nan", "2", tip), "FENCED"),
        (("5", "1", "bad"), "TIP_MOVED"),
        (("5", "2", ""), "TIP_MOVED"),
        (("5", "1", tip), "EPOCH_TOO_LOW"),
        (("5", "0", tip), "EPOCH_TOO_LOW"),
        (("5", "nan", tip), "EPOCH_TOO_LOW"),
    ]
    for args, outcome in table:
        assert busy.fcall("open", *args, "home", "0")[0] == outcome, args
    assert everything(busy) == before
    assert busy.fcall("open", "5", "2", tip, "home", "0") == ["OPENED", "", "2-0"]
    assert refusals(busy, "1") == {"STALE_EPOCH", "READ"}


def test_open_needs_every_right_first(stocked: Shard) -> None:
    wire, tip = stocked.wire, stocked.wire.call("HGET", stocked.keys.meta, "tip")
    before = everything(stocked)
    wire.call("ACL", "SETUSER", "poor", "on", "nopass", "~*", "+@all", "-hset")
    try:
        wire.call("AUTH", "poor", "any")
        assert stocked.fcall("open", "1", "2", tip, "home", "0")[:2] == ["NO_RIGHTS", "hset"]
    finally:
        wire.call("AUTH", "default", "")
        wire.call("ACL", "DELUSER", "poor")
    assert everything(stocked) == before


async def test_recovery_that_was_overtaken_is_fenced(stocked: Shard, client: Redis) -> None:
    stocked.wire.call("HSET", stocked.keys.meta, "fence", "5")
    before = everything(stocked)
    gate = Gate(client, stocked.keys, stocked.library)
    with pytest.raises(FencedError):
        await gate.open(fence=4, epoch=9, tip="", run_id="r", outbox_max=0)
    with pytest.raises(FencedError):
        await gate.rebuild_begin(fence=4, tip="", recorded_at_ms=0, last="")
    for load in (gate.load_stock(["A\tv\t1"], fence=5), gate.load([Record("op", "op", {"": "x"})], fence=5)):
        with pytest.raises(FencedError):
            await load  # the gate is open: there is nothing to rebuild
    assert everything(stocked) == before


async def test_rebuild_ends_in_the_same_memory(stocked: Shard, client: Redis) -> None:
    stocked.do(Unlock("L", "k", (Line("A", 1),)))
    keys, wire = stocked.keys, stocked.wire
    before = everything(stocked)
    gate = Gate(client, keys, stocked.library)
    tip, last = wire.call("HMGET", keys.meta, "tip", "last")
    await gate.shut(fence=1)
    await gate.rebuild_begin(fence=1, tip=tip, recorded_at_ms=START_MS, last=last)
    await gate.clear(fence=1)
    assert set(everything(stocked)) == {keys.meta}
    pairs = {
        key: dict(zip(rows[::2], rows[1::2], strict=True))
        for key, rows in before.items()
        if ":lock:" in key or ":stock:" in key
    }
    await gate.load_stock(["\t".join(["A", *before[keys.stock("A")]])], fence=1)
    lock, op = (
        Record("lock", "L", pairs[keys.lock("L")]),
        Record("op", "key:k", {"": before[keys.op("key:k")]}),
    )
    await gate.load([lock, op], fence=1)
    assert await gate.open(fence=1, epoch=2, tip=tip, run_id="r", outbox_max=0) == Position(2, 0)
    after = everything(stocked)
    for key in (keys.due, keys.op("key:k")):
        assert after[key] == before[key]
    for key in (keys.stock("A"), keys.lock("L")):
        assert dict(zip(after[key][::2], after[key][1::2], strict=True)) == pairs[key]
    assert stocked.do(Unlock("L", "k", (Line("A", 1),))).outcome is Outcome.REPEATED


async def test_another_library_may_be_opened_beside_an_open_one(stocked: Shard, client: Redis) -> None:
    other = beside(stocked)
    gate = Gate(client, stocked.keys, other)
    try:
        assert not await gate.is_open()
        assert await gate.adopt()
        assert await gate.is_open()
        reply = stocked.wire.call("FCALL", other.function("read_lock"), 1, stocked.keys.meta, "L")
        assert reply[0] == "READ"
    finally:
        stocked.wire.call("FUNCTION", "DELETE", other.name)


# Writes that cannot be whole

BACK = Booking("A", Place.CUSTOMER, Place.AVAILABLE, 1)
STEPS: list[Any] = [
    TEN,
    Opening((OpeningRow("A", "north", 99),)),
    Lock("M", (Line("A", 1),)),
    Confirm("L", "k"),
    Extend("L", "k", 5),
    Unlock("L", "k", (Line("A", 1),)),
    Deduct("L", "k"),
    Replace("L", "k", (Line("A", 1),)),
    Expire("L"),
    Transfer("T2", "north", "south", (Line("A", 1),)),
    TransferShip("T", "s2"),
    TransferReceive("T", "r", None, (Arrival("A", 1),)),
    TransferCancel("T"),
    Exchange("X", "north", (BACK,), Lock("M", (Line("A", 1),))),
    Return("R", "north", (BACK,), lock_id="sold"),
]


@pytest.mark.parametrize("command", STEPS[1:], ids=lambda command: type(command).__name__)
def test_without_its_outbox_nothing_is_changed(sold: Shard, command: Any) -> None:
    sold.set_clock(START_MS + 100)
    sold.wire.call("DEL", sold.keys.outbox)
    before = everything(sold)
    with pytest.raises(NotReadyError):
        sold.do(command)
    assert everything(sold) == before


@pytest.mark.parametrize("command", STEPS[1:], ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("trouble", ["wrong type", "id out of order"])
def test_an_outbox_that_takes_no_event_fails_before_a_count_changes(
    sold: Shard, trouble: str, command: Any
) -> None:
    sold.set_clock(START_MS + 100)
    if trouble == "wrong type":
        sold.wire.call("DEL", sold.keys.outbox)
        sold.wire.call("SET", sold.keys.outbox, "not a stream")
    else:
        sold.wire.call("XADD", sold.keys.outbox, "9-0", "p", "", "e", "")
    before = everything(sold)
    with pytest.raises(ReplyError):
        sold.do(command)
    assert everything(sold) == before


@pytest.mark.parametrize("function", ["receive", "return", "adjust"])
def test_a_booking_without_its_outbox_changes_nothing(stocked: Shard, function: str) -> None:
    stocked.wire.call("DEL", stocked.keys.outbox)
    before = everything(stocked)
    assert stocked.fcall(function, "1", "who", *plain(function))[0] == "NOT_READY"
    stocked.wire.call("SET", stocked.keys.outbox, "not a stream")
    with pytest.raises(ReplyError):
        stocked.fcall(function, "1", "who", *plain(function))
    stocked.wire.call("DEL", stocked.keys.outbox)
    assert everything(stocked) == before


async def test_with_full_memory_new_obligations_stop_and_the_rest_goes_on(
    stocked: Shard, store: HotStore
) -> None:
    for number in range(4):
        stocked.do(Lock(f"L{number}", (Line("A", 1, "north"),), ttl_ms=1))
    stocked.do(Transfer("T", "north", "south", (Line("A", 2),)))
    stocked.do(Opening((OpeningRow("C", "north", 1),)))
    stocked.do(Transfer("S", "north", "south", (Line("C", 1),)))
    stocked.set_clock(START_MS + 1)
    stocked.wire.call("CONFIG", "SET", "maxmemory", "1")
    try:
        before = everything(stocked)
        with pytest.raises(HotStoreFullError):
            await store.execute(Lock("M", (Line("A", 1),)))
        with pytest.raises(HotStoreFullError):
            await store.execute(Replace("L", "k", (Line("A", 6),)))
        with pytest.raises(HotStoreFullError):
            await store.execute(Transfer("T2", "north", "south", (Line("A", 1),)))
        with pytest.raises(HotStoreFullError):
            await store.execute(Exchange("X", "north", (BACK,), Lock("M", (Line("A", 1),))))
        with pytest.raises(HotStoreFullError):
            await store.execute(Reopen("L3"))
        with pytest.raises(HotStoreFullError):
            await store.execute(Remember("to come"))
        assert everything(stocked) == before
        assert (await store.execute(Unlock("L0"))).outcome is Outcome.UNLOCKED
        assert (await store.execute(Confirm("L1"))).outcome is Outcome.CONFIRMED
        assert (await store.execute(Deduct("L1", "s"))).outcome is Outcome.DEDUCTED
        assert (await store.execute(Void("L1", "s", (Line("A", 1, "north"),)))).outcome is Outcome.VOIDED
        assert (await store.execute(Expire("L2"))).outcome is Outcome.EXPIRED
        assert (await store.execute(Extend("L3", "", 5))).outcome is Outcome.EXTENDED
        some = TransferShip("T", "s", None, (Line("A", 1),))
        assert (await store.execute(some)).outcome is Outcome.TRANSFER_SHIPPED
        assert (await store.execute(TransferCancel("T"))).outcome is Outcome.TRANSFER_CANCELLED
        assert (await store.execute(TransferClose("S"))).outcome is Outcome.TRANSFER_CLOSED
        arrived = TransferReceive("T", "r", None, (Arrival("A", 1),))
        assert (await store.execute(arrived)).outcome is Outcome.TRANSFER_RECEIVED
        assert (await store.forget_transfer("T", [])).outcome is Outcome.FORGOTTEN
        for function in ("receive", "return", "adjust", "opening", "buffer"):
            assert stocked.fcall(function, "1", "who", *plain(function))[0].endswith("ED")
        assert (await store.trim("", "1-0")).outcome is Outcome.TRIMMED
        assert (await store.forget("L0", [])).outcome is Outcome.FORGOTTEN
    finally:
        stocked.wire.call("CONFIG", "SET", "maxmemory", "0")


# Events


async def test_events_say_who_why_when_and_what_is_left(stocked: Shard, client: Redis) -> None:
    await stocked_steps(stocked)
    entries = await outbox.read_after(client, stocked.keys, Position(0, 0), entries_max=100)
    assert list(chain.check_chain(entries, Position(0, 0), "")) == entries
    assert [str(entry.position) for entry in entries] == [f"1-{n}" for n in range(len(entries))]
    assert entries[-1].tip == stocked.wire.call("HGET", stocked.keys.meta, "tip")
    kinds = [entry.event.kind for entry in entries]
    assert kinds == ["open", "opening", "lock", "unlock", "confirm", "deduct"]
    _, opening, lock, unlock, confirm, deduct = (entry.event for entry in entries)
    assert [move[:8] for move in opening.moves] == [
        ("A", 1, "north", "j", "a", 10, (10, 0, 0, 0, 0), "opening")
    ]
    assert [move[:8] for move in lock.moves] == [("A", 2, "north", "a", "l", 4, (6, 4, 0, 0, 0), None)]
    assert (lock.lock_id, lock.op, lock.recorded_at) == ("L", None, START_MS)
    assert lock.lock is not None
    assert (lock.lock["s"], lock.lock["x"], lock.lock["n"]) == (
        "held",
        START_MS + 100,
        [["A", "north", 4, 0]],
    )
    assert [move[:8] for move in unlock.moves] == [("A", 3, "north", "l", "a", 1, (7, 3, 0, 0, 0), None)]
    assert (unlock.who, unlock.reason, unlock.op) == ("clerk", 'the "customer"\nsaid so', "key:k")
    assert unlock.lock is not None
    assert (unlock.lock["s"], unlock.lock["n"], unlock.lock["o"]) == (
        "held", [["A", "north", 3, 0]], [["A", "north", 4, 0]],
    )  # fmt: skip
    assert confirm.moves == []
    assert confirm.lock == {"s": "confirmed", "v": 3, "x": None, "y": START_MS + 100}
    assert [move[:8] for move in deduct.moves] == [("A", 4, "north", "l", "c", 3, (7, 0, 0, 0, 0), None)]
    assert (deduct.op, deduct.recorded_at) == ("deduct:L{s", START_MS + 7)


async def test_a_shipment_s_event_says_what_is_left_at_both_ends(busy: Shard, client: Redis) -> None:
    busy.do(TransferReceive("T", "r", 7, (Arrival("A", 0, lost=1),)))
    entries = await outbox.read_after(client, busy.keys, Position(1, 2), entries_max=100)
    requested, shipped, arrived = (entry.event for entry in entries)
    assert (requested.schema, requested.kind, requested.op) == (SCHEMA, "transfer", None)
    assert [move[:10] for move in shipped.moves] == [
        ("A", 4, "north", "l", "t", 1, (3, 6, 0, 0, 0), None, "south", (0, 0, 0, 1, 0)),
    ]
    assert (shipped.op, shipped.occurred_at) == ("transfer_ship:T{s1", None)
    assert shipped.document == (
        "transfer",
        "T",
        {"s": "partly_shipped", "v": 2, "n": [["A", 3, 1, 0, 0, 0, 0]]},
    )
    assert [move[:10] for move in arrived.moves] == [
        ("A", 5, "south", "t", "j", 1, (0, 0, 0, 0, 0), "lost in transfer", None, None),
    ]
    assert (arrived.kind, arrived.occurred_at) == ("transfer_receive", 7)


async def stocked_steps(shard: Shard) -> None:
    shard.finish(shard.store.execute(Unlock("L", "k", (Line("A", 1),), 'the "customer"\nsaid so'), "clerk"))
    shard.do(Confirm("L"))
    shard.set_clock(START_MS + 7)
    shard.do(Deduct("L", "s"))


def test_a_damaged_chain_is_noticed(stocked: Shard) -> None:
    rows = stocked.wire.call("XRANGE", stocked.keys.outbox, "-", "+")
    entries = entries_of(rows)
    for broken in (
        entries[:1] + entries[2:],
        [entries[0], entries[1]._replace(prev="0" * 16), *entries[2:]],
        [entries[0], entries[1]._replace(tip="0" * 16), *entries[2:]],
        [entries[1], entries[0]],
    ):
        with pytest.raises(Exception, match="does not continue"):
            list(chain.check_chain(broken, Position(0, 0), ""))


def test_the_clock_never_runs_backwards(stocked: Shard) -> None:
    """The shard's clock is ahead of the server's here: it stays where it is."""
    stocked.do(Confirm("L"))
    rows = stocked.wire.call("XRANGE", stocked.keys.outbox, "-", "+")
    assert json.loads(rows[-1][1][3])[2] == START_MS
    assert stocked.wire.call("HGET", stocked.keys.meta, "at") == str(START_MS)


def test_without_a_clock_of_its_own_the_shard_goes_by_the_server_s(shard: Shard) -> None:
    shard.reset(now=0)
    shard.do(TEN)

    def server_ms() -> int:
        seconds, micros = shard.wire.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    before = server_ms()
    lock = shard.do(LOCK).lock
    assert lock is not None
    assert lock.expires_at is not None
    assert before + 100 <= lock.expires_at <= server_ms() + 100
    assert before <= int(shard.wire.call("HGET", shard.keys.meta, "at")) <= server_ms()
    for n in itertools.count():
        before = server_ms()
        shard.do(Opening((OpeningRow("A", "north", 20 + n % 2),)))
        assert before <= int(shard.wire.call("HGET", shard.keys.meta, "at")) <= server_ms()
        if before % 1000 < 50:  # where the microseconds have fewer digits
            break


def test_reads_of_what_is_due(stocked: Shard) -> None:
    stocked.do(Lock("never", (Line("A", 1),), ttl_ms=None))
    stocked.do(Lock("later", (Line("A", 1),), ttl_ms=300))
    for now, due in ((99, []), (100, ["L"]), (300, ["L", "later"])):
        stocked.set_clock(START_MS + now)
        assert stocked.finish(stocked.store.read_due(10)) == due
    assert stocked.finish(stocked.store.read_due(1)) == ["L"]


def test_forget_drops_what_has_ended_and_no_more(stocked: Shard) -> None:
    assert stocked.finish(stocked.store.forget("L", [])).outcome is Outcome.LOCK_OPEN
    stocked.do(Deduct("L", "s"))
    assert stocked.finish(stocked.store.forget("L", ["deduct:L{s"])).outcome is Outcome.FORGOTTEN
    keys = stocked.keys
    assert set(everything(stocked)) == {keys.meta, keys.outbox, keys.stock("A")}


@pytest.mark.parametrize("step", [Unlock("L", "k"), Deduct("L", "s"), Confirm("L", "k")])
def test_a_step_of_an_earlier_life_of_the_lock_is_no_repeat(stocked: Shard, step: Any) -> None:
    """The lock is past its horizon and forgotten, its ids not yet: a new lock of that id is another lock."""
    first = stocked.do(step)
    stocked.do(Unlock("L"))
    assert stocked.finish(stocked.store.forget("L", [])).outcome is Outcome.FORGOTTEN
    assert stocked.do(LOCK).outcome is Outcome.LOCKED
    assert stocked.do(step).outcome is first.outcome
    assert stocked.do(step).outcome is Outcome.REPEATED


def test_forget_drops_a_transfer_that_has_ended_and_no_more(busy: Shard) -> None:
    ops = ["transfer_ship:T{s1", "transfer_receive:T{r"]
    assert busy.finish(busy.store.forget_transfer("T", ops)).outcome is Outcome.TRANSFER_OPEN
    busy.do(TransferCancel("T"))
    assert busy.finish(busy.store.forget_transfer("T", ops)).outcome is Outcome.TRANSFER_OPEN
    receipt = TransferReceive("T", "r", None, (Arrival("A", 1),))
    busy.do(receipt)
    keys = busy.keys
    assert busy.finish(busy.store.forget_transfer("T", [])).outcome is Outcome.FORGOTTEN
    busy.do(Transfer("T", "north", "south", (Line("A", 3),)))
    busy.do(TransferShip("T", "s9"))
    assert (
        busy.do(receipt).outcome is Outcome.TRANSFER_RECEIVED
    )  # of the new transfer: no repeat of the old one's
    busy.do(TransferReceive("T", "r2", None, (Arrival("A", 2),)))
    more = ["transfer_ship:T{s9", "transfer_receive:T{r2"]
    assert busy.finish(busy.store.forget_transfer("T", ops + more)).outcome is Outcome.FORGOTTEN
    assert set(everything(busy)) == {keys.meta, keys.outbox, keys.stock("A"), keys.lock("L"), keys.due}


def test_trim_drops_what_the_ledger_has(stocked: Shard) -> None:
    assert stocked.finish(stocked.store.trim("1-2", "1-2")).outcome is Outcome.TRIMMED
    assert [row[0] for row in everything(stocked)[stocked.keys.outbox]] == ["1-2"]
    assert stocked.wire.call("HGET", stocked.keys.meta, "persisted") == "1-2"


async def test_an_event_says_what_it_is_about(stocked: Shard, client: Redis) -> None:
    line = (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 1),)
    stocked.do(Receive("r1", "north", line, None, "P1"))
    stocked.do(Receive("r2", "north", line))
    *_, about, alone = await outbox.read_after(client, stocked.keys, Position(0, 0), entries_max=100)
    assert (about.event.schema, about.event.document) == (SCHEMA, ("purchase_order", "P1", {}))
    assert (alone.event.schema, alone.event.document) == (SCHEMA, None)
    # A receipt belongs to its purchase order: one of the same name without an order is another document.
    assert stocked.do(Receive("r1", "north", line)).outcome is Outcome.RECEIVED
