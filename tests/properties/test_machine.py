"""The model and the functions get the same random commands, and must show the same after every one."""

import os
import re

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from app.domain.commands import (
    Adjust,
    Arrival,
    Booking,
    Buffer,
    Confirm,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Line,
    Lock,
    OnTheWay,
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
)
from app.domain.words import Place
from tests.properties.driver import LIFE_STEPS, ORDERS, SKUS, WAREHOUSES, live, live_wide
from tests.properties.pair import Advance, Forget, ForgetTransfer, NewEpoch, Pair, Step
from tests.properties.rig import Shard

pytest_plugins = ["tests.properties.fixtures"]

DRIVER_STEPS = int(os.environ.get("SELLABLE_PROOF_STEPS", "12000"))
EXPLORED_EXAMPLES = int(os.environ.get("SELLABLE_PROOF_EXAMPLES", "0"))
"""New random examples; 0: the same few each time, so that a change answers for itself and chance stays in the proof."""

lock_ids = st.sampled_from(["L1", "L2", "L3"])
op_keys = st.sampled_from(["", "k1", "k2"])
documents = st.sampled_from(["d1", "d2", "d3", "d4", "d5"])
warehouses = st.sampled_from(WAREHOUSES)
ranked = st.lists(warehouses, max_size=3).map(tuple)
ttls_ms = st.none() | st.integers(1, 100)
versions = st.none() | st.integers(1, 4)
ways_out: st.SearchStrategy[OnTheWay] = st.sampled_from(["", "lost", "returned_to_source"])
wanted = st.builds(Line, st.sampled_from([*SKUS, "unheard of"]), st.integers(1, 6), st.just("") | warehouses)
lines = st.lists(wanted, min_size=1, max_size=4).map(tuple)
buffered = st.builds(Line, st.sampled_from([*SKUS, "unheard of"]), st.integers(0, 3))
buffers = st.lists(buffered, min_size=1, max_size=3).map(tuple)
reasons = st.none() | st.text(max_size=5)


def bookings(*ways: tuple[Place, Place]) -> st.SearchStrategy[tuple[Booking, ...]]:
    def booking(sku: str, way: tuple[Place, Place], quantity: int, reason: str | None) -> Booking:
        return Booking(sku, *way, quantity, reason)

    one = st.builds(booking, st.sampled_from(SKUS), st.sampled_from(ways), st.integers(0, 9), reasons)
    return st.lists(one, min_size=1, max_size=3).map(tuple)


received = bookings((Place.SUPPLIER, Place.AVAILABLE), (Place.SUPPLIER, Place.DAMAGED))
returned = bookings((Place.CUSTOMER, Place.AVAILABLE), (Place.CUSTOMER, Place.DAMAGED))
adjusted = bookings(
    (Place.ADJUSTMENT, Place.AVAILABLE),
    (Place.ADJUSTMENT, Place.DAMAGED),
    (Place.AVAILABLE, Place.ADJUSTMENT),
    (Place.DAMAGED, Place.ADJUSTMENT),
    (Place.AVAILABLE, Place.DAMAGED),
    (Place.DAMAGED, Place.AVAILABLE),
)
transfer_ids = st.sampled_from(["T1", "T2"])
routes = st.permutations(WAREHOUSES)
units = st.builds(Line, st.sampled_from([*SKUS, "unheard of"]), st.integers(1, 6))
shipped = st.lists(units, min_size=1, max_size=3).map(tuple)
arrivals = st.builds(Arrival, st.sampled_from(SKUS), st.integers(1, 5), st.integers(0, 2), st.integers(0, 2))
arrived = st.lists(arrivals, min_size=1, max_size=3).map(tuple)
rows = st.builds(
    OpeningRow, st.sampled_from(SKUS), warehouses, st.integers(0, 20), st.none() | st.integers(0, 3)
)


class Machine(RuleBasedStateMachine):
    """One command a rule; `Pair` compares everything after each."""

    shard: Shard

    def __init__(self) -> None:
        super().__init__()
        self.pair: Pair | None = None
        self.done: list[Step] = []

    def do(self, step: Step) -> None:
        if self.pair is None:
            self.pair = Pair(self.shard, order=ORDERS[1])
        self.done.append(step)
        self.pair.run([step])

    @rule(rows=st.lists(rows, min_size=1, max_size=3).map(tuple))
    def opening(self, rows: tuple[OpeningRow, ...]) -> None:
        self.do(Opening(rows))

    @rule(command=st.builds(Buffer, warehouses, buffers))
    def buffer(self, command: Buffer) -> None:
        self.do(command)

    @rule(command=st.builds(Receive, documents, warehouses, received, st.none() | st.integers(0, 9)))
    def receive(self, command: Receive) -> None:
        self.do(command)

    @rule(command=st.builds(Return, documents, warehouses, returned))
    def give_back(self, command: Return) -> None:
        self.do(command)

    @rule(command=st.builds(Return, documents, warehouses, returned, lock_id=lock_ids))
    def return_of(self, command: Return) -> None:
        self.do(command)

    @rule(
        command=st.builds(
            Exchange, documents, warehouses, returned, st.builds(Lock, lock_ids, lines, ranked, ttls_ms)
        )
    )
    def exchange(self, command: Exchange) -> None:
        self.do(command)

    @rule(command=st.builds(Adjust, documents, warehouses, adjusted, only_if_on_hand=st.booleans()))
    def adjust(self, command: Adjust) -> None:
        self.do(command)

    @rule(command=st.builds(Lock, lock_ids, lines, ranked, ttls_ms))
    def lock(self, command: Lock) -> None:
        self.do(command)

    @rule(command=st.builds(Confirm, lock_ids, op_keys))
    def confirm(self, command: Confirm) -> None:
        self.do(command)

    @rule(command=st.builds(Extend, lock_ids, op_keys, ttls_ms))
    def extend(self, command: Extend) -> None:
        self.do(command)

    @rule(command=st.builds(Unlock, lock_ids, op_keys, st.none() | lines, reasons))
    def unlock(self, command: Unlock) -> None:
        self.do(command)

    @rule(
        command=st.builds(
            Deduct,
            lock_ids,
            st.sampled_from(["s1", "s2"]),
            st.none() | lines,
            only_if_on_hand=st.booleans(),
        )
    )
    def deduct(self, command: Deduct) -> None:
        self.do(command)

    @rule(command=st.builds(Replace, lock_ids, op_keys, lines, ranked, st.booleans(), ttls_ms, versions))
    def replace(self, command: Replace) -> None:
        self.do(command)

    @rule(command=st.builds(Reopen, lock_ids, op_keys, ttls_ms))
    def reopen(self, command: Reopen) -> None:
        self.do(command)

    @rule(lock_id=lock_ids)
    def remember(self, lock_id: str) -> None:
        self.do(Remember(lock_id))

    @rule(transfer_id=transfer_ids, route=routes, lines=shipped)
    def transfer(self, transfer_id: str, route: list[str], lines: tuple[Line, ...]) -> None:
        self.do(Transfer(transfer_id, route[0], route[1], lines))

    @rule(
        command=st.builds(
            TransferShip, transfer_ids, st.sampled_from(["s1", "s2"]), lines=st.none() | shipped
        )
    )
    def ship(self, command: TransferShip) -> None:
        self.do(command)

    @rule(command=st.builds(TransferReceive, transfer_ids, st.sampled_from(["r1", "r2"]), lines=arrived))
    def receive_transfer(self, command: TransferReceive) -> None:
        self.do(command)

    @rule(transfer_id=transfer_ids)
    def cancel(self, transfer_id: str) -> None:
        self.do(TransferCancel(transfer_id))

    @rule(transfer_id=transfer_ids, way=ways_out)
    def close(self, transfer_id: str, way: OnTheWay) -> None:
        self.do(TransferClose(transfer_id, in_transit=way))

    @rule(transfer_id=transfer_ids)
    def forget_transfer(self, transfer_id: str) -> None:
        ops = (f"transfer_ship:{transfer_id}{{s1", f"transfer_receive:{transfer_id}{{r1")
        self.do(ForgetTransfer(transfer_id, ops))

    @rule(lock_id=lock_ids, late_ms=st.integers(1, 100))
    def expire(self, lock_id: str, late_ms: int) -> None:
        self.do(Expire(lock_id))
        self.do(Advance(late_ms))
        self.do(Expire(lock_id))

    @rule(lock_id=lock_ids)
    def forget(self, lock_id: str) -> None:
        self.do(Forget(lock_id, ("key:k1", f"deduct:{lock_id}{{s1")))

    @rule()
    def new_epoch(self) -> None:
        self.do(NewEpoch())

    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        """A step that was done before, exactly."""
        if self.done:
            self.do(data.draw(st.sampled_from(self.done[-6:])))


def test_the_functions_do_what_the_model_says(proof_shard: Shard) -> None:
    class OnShard(Machine):
        shard = proof_shard

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        OnShard,
        settings=settings(
            max_examples=EXPLORED_EXAMPLES or 120,
            derandomize=not EXPLORED_EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],  # explaining a failure takes longer than finding it
            suppress_health_check=checks,
            database=None,
        ),
    )


def test_many_lives_of_random_commands(proof_shard: Shard, seed: str) -> None:
    for number in range(-(-DRIVER_STEPS // LIFE_STEPS)):
        finding = live(proof_shard, f"{seed}/{number}")
        assert finding is None, str(finding)


def test_sourcing_from_many_warehouses(proof_shard: Shard, seed: str) -> None:
    for number in range(300):
        finding = live_wide(proof_shard, f"wide {seed}/{number}")
        assert finding is None, str(finding)


@pytest.fixture
def seed() -> str:
    """The same each time; `make proof` chooses new ones."""
    return os.environ.get("SELLABLE_PROOF_SEED", "any")


def test_a_difference_is_found_and_shrunk_to_a_few_steps(
    proof_shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room itself is tested: a model that forgets a buffer must be noticed."""
    monkeypatch.setattr(
        "app.domain.events.Counts.sellable", property(lambda counts: max(0, counts.available))
    )
    findings = (live(proof_shard, f"planted/{number}") for number in range(100))
    finding = next(found for found in findings if found)
    assert re.search("INSUFFICIENT_STOCK|sellable|LOCKED", finding.what)
    assert len(finding.history) <= 10, str(finding)
