"""The plain random driver: many short lives of a shard, each a history of random commands, and shrinking.

A life is decided by its seed alone, so a difference can be shown again. Commands are chosen with an eye on the
model's state, so that most of them do something; ids are few, so that repeats and reuse are common.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from app.domain.commands import (
    Accept,
    Adjust,
    Arrival,
    Booking,
    Buffer,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Fact,
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
    TransferStep,
    Unlock,
    Void,
)
from app.domain.commands import Step as CommandStep
from app.domain.model import Model
from app.domain.words import OPEN_STATUSES, TRANSFER_ENDED, LockStatus, Place
from tests.properties.pair import Advance, Close, Forget, ForgetTransfer, NewEpoch, Pair, Step
from tests.properties.rig import START_MS, Shard

SKUS = ("A", "b:1/2", "Ä 1")
WAREHOUSES = ("north", "süd", "west:9")
ORDERS: tuple[tuple[str, ...], ...] = ((), ("west:9",), ("süd", "nowhere", "north"))
LIFE_STEPS = 400
BATCH_STEPS = 50
SHRINK_RUNS_MAX = 400
_LIVELY = OPEN_STATUSES | {LockStatus.EXPIRED}

_TIMES = (START_MS - 9, START_MS - 5, START_MS + 60, START_MS + 500)

_FACTS = ("received", "shipped", "shipped", "returned", "adjusted", "regraded") + (
    "transfer_shipped",
    "transfer_received",
) * 2
_STATED = {"returned", "adjusted", "regraded"}
_DOCUMENTS = 16

_WEIGHTS = {
    "lock": 18,
    "unlock": 12,
    "deduct": 12,
    "confirm": 8,
    "extend": 4,
    "replace": 9,
    "expire": 8,
    "receive": 7,
    "give_back": 3,
    "return_of": 6,
    "exchange": 4,
    "adjust": 6,
    "opening": 4,
    "transfer": 6,
    "ship": 6,
    "receive_transfer": 6,
    "cancel": 3,
    "forget_transfer": 2,
    "buffer": 3,
    "advance": 7,
    "close_warehouses": 2,
    "forget": 3,
    "new_epoch": 1,
    "reopen": 6,
    "remember": 2,
    "void": 6,
    "close": 4,
    "fact": 26,
    "report": 14,
    "accept": 6,
    "count": 4,
    "again": 10,
}


class Chooser:
    """Chooses the next step of a life."""

    def __init__(self, rng: random.Random, model: Model) -> None:
        self._rng = rng
        self._model = model
        self._names = list(_WEIGHTS)
        self._weights = list(_WEIGHTS.values())
        self._recent: list[Step] = []
        self._recent_steps: list[Step] = []
        self._recent_locks: list[Step] = []
        self._number = 0
        self._keys = 0
        self._transfers = 0
        self._facts = 0
        self._counts = 0

    def next(self) -> Step:
        name = self._rng.choices(self._names, self._weights)[0]
        step: Step = getattr(self, f"_{name}")()
        self._recent = [*self._recent[-20:], step]
        if isinstance(step, CommandStep | TransferStep) and step.key:
            self._recent_steps = [*self._recent_steps[-8:], step]
        if isinstance(step, Lock | Transfer | Exchange):
            self._recent_locks = [*self._recent_locks[-8:], step]
        return step

    # What steps are made of

    def _lock_id(self, *statuses: LockStatus) -> str:
        """A lock, mostly a recent one in one of the statuses (without any: that something can still happen to)."""
        known = [
            lock_id
            for lock_id, record in self._model.locks.items()
            if record.view.status in (statuses or _LIVELY)
        ]
        if known and self._rng.random() < 0.75:
            return self._rng.choice(known[-4:])
        return f"L{max(1, self._number - self._rng.randrange(6))}"

    def _key(self) -> str:
        if self._rng.random() < 0.5:
            return ""
        if self._rng.random() < 0.7:
            self._keys += 1
        return f"k{self._keys}"

    def _line(self) -> Line:
        rng = self._rng
        warehouse = rng.choice((*WAREHOUSES, "", "", "", ""))
        sku = rng.choice(SKUS) if rng.random() < 0.98 else "unheard of"
        return Line(sku, rng.choice((1, 1, 1, 2, 3, 5, 9)), warehouse)

    def _lines(self) -> tuple[Line, ...]:
        return tuple(self._line() for _ in range(self._rng.choice((1, 1, 2, 3, 4))))

    def _ranked(self) -> tuple[str, ...]:
        if self._rng.random() < 0.7:
            return ()
        return tuple(self._rng.choice(WAREHOUSES) for _ in range(self._rng.choice((1, 2, 3))))

    def _ttl_ms(self) -> int | None:
        return self._rng.choice((None, 1, 50, 100, 1000))

    def _lines_of(self, lock_id: str) -> tuple[Line, ...] | None:
        """Some lines of a lock, more or less as it has them."""
        rng, record = self._rng, self._model.locks.get(lock_id)
        if rng.random() < 0.3:
            return None
        if record is None or not record.view.lines or rng.random() < 0.1:
            return self._lines()
        lines = rng.sample(record.view.lines, rng.randint(1, len(record.view.lines)))
        if rng.random() < 0.15:
            lines += lines[:1]
        return tuple(
            Line(
                line.sku,
                max(1, rng.choice((line.outstanding, 1, line.quantity, line.outstanding + 1))),
                rng.choice((line.warehouse, line.warehouse, "")),
            )
            for line in lines
        )

    # Steps

    def _lock(self) -> Lock:
        if self._rng.random() < 0.9:
            self._number += 1
        return Lock(f"L{self._number}", self._lines(), self._ranked(), self._ttl_ms())

    def _unlock(self) -> Unlock:
        lock_id = self._lock_id()
        reason = self._rng.choice((None, 'the "customer" said\nno'))
        return Unlock(lock_id, self._key(), self._lines_of(lock_id), reason)

    def _deduct(self) -> Deduct:
        lock_id = self._lock_id()
        rng = self._rng
        when = rng.choice((None, None, *_TIMES))
        only = rng.random() < 0.2
        return Deduct(lock_id, f"s{rng.randrange(4)}", self._lines_of(lock_id), when, only_if_on_hand=only)

    def _void(self) -> Void:
        """Mostly a shipment that there was."""
        rng, lock_id = self._rng, self._lock_id(LockStatus.PARTLY_DEDUCTED, LockStatus.DEDUCTED)
        shipment_id = f"s{rng.randrange(4)}"
        op = Deduct(lock_id, shipment_id).op
        lines = self._model.shipped.get(op) if rng.random() < 0.95 else None
        return Void(
            lock_id,
            shipment_id,
            lines or (Line(rng.choice(SKUS), 1, WAREHOUSES[0]),),
            rng.choice((None, *_TIMES)),
        )

    def _confirm(self) -> Confirm:
        return Confirm(self._lock_id(), self._key())

    def _extend(self) -> Extend:
        return Extend(self._lock_id(), self._key(), self._ttl_ms())

    def _replace(self) -> Replace:
        lock_id = self._lock_id()
        lines = self._lines_of(lock_id) if self._rng.random() < 0.5 else None
        renews, record = self._rng.random() < 0.2, self._model.locks.get(lock_id)
        version = record.view.version - self._rng.choice((0, 0, 0, 1)) if record else 1
        return Replace(
            lock_id,
            self._key(),
            lines or self._lines(),
            self._ranked(),
            renews,
            self._ttl_ms() if renews else None,
            self._rng.choice((None, version)),
        )

    def _reopen(self) -> Reopen:
        lock_id = self._lock_id(LockStatus.EXPIRED, LockStatus.RELEASED)
        return Reopen(lock_id, self._key(), self._ttl_ms())

    def _remember(self) -> Remember:
        """Mostly an id whose creation is still to come."""
        return Remember(f"L{self._number + self._rng.choice((1, 1, 0))}")

    def _expire(self) -> Expire:
        lock_id = self._lock_id(LockStatus.HELD)
        record = self._model.locks.get(lock_id)
        due_at = record.view.expires_at if record else None
        vouched = due_at is not None and self._rng.random() < 0.5
        return Expire(lock_id, due_at + self._rng.choice((-1, 0, 1)) if vouched and due_at else None)

    def _advance(self) -> Advance:
        return Advance(self._rng.choice((1, 49, 50, 51, 1000)))

    def _document_id(self) -> str:
        return f"d{self._rng.randrange(_DOCUMENTS)}"

    def _bookings(self, *ways: tuple[Place, Place]) -> tuple[Booking, ...]:
        rng, lines = self._rng, []
        for _ in range(rng.choice((1, 1, 2, 3))):
            source, target = rng.choice(ways)
            reason = rng.choice((None, "found", 'a "quote"'))
            lines.append(Booking(rng.choice(SKUS), source, target, rng.choice((0, 1, 2, 5, 12)), reason))
        return tuple(lines)

    def _receive(self) -> Receive:
        ways = ((Place.SUPPLIER, Place.AVAILABLE),) * 3 + ((Place.SUPPLIER, Place.DAMAGED),)
        occurred_at = self._rng.choice((None, START_MS - 5))
        order = self._rng.choice(("P1", "P2"))  # an id without one is what older versions wrote
        return Receive(
            self._document_id(), self._rng.choice(WAREHOUSES), self._bookings(*ways), occurred_at, order
        )

    def _give_back(self) -> Return:
        ways = ((Place.CUSTOMER, Place.AVAILABLE), (Place.CUSTOMER, Place.DAMAGED))
        return Return(self._document_id(), self._rng.choice(WAREHOUSES), self._bookings(*ways))

    def _return_of(self) -> Return:
        """About what a lock's shipments brought."""
        rng = self._rng
        lock_id = self._lock_id(LockStatus.PARTLY_DEDUCTED, LockStatus.DEDUCTED, LockStatus.CONFIRMED)
        record = self._model.locks.get(lock_id)
        lines = []
        for line in (
            rng.sample(record.view.lines, 1) * rng.choice((1, 1, 2)) if record and record.view.lines else ()
        ):
            units = max(1, rng.choice((line.deducted, 1, 1, line.deducted + 1)))
            target = rng.choice((Place.AVAILABLE, Place.DAMAGED))
            lines.append(Booking(line.sku, Place.CUSTOMER, target, units))
        lines = lines or [Booking(rng.choice(SKUS), Place.CUSTOMER, Place.AVAILABLE, 1)]
        return Return(self._document_id(), rng.choice(WAREHOUSES), tuple(lines), lock_id=lock_id)

    def _exchange(self) -> Exchange:
        rng, ways = self._rng, ((Place.CUSTOMER, Place.AVAILABLE), (Place.CUSTOMER, Place.DAMAGED))
        return Exchange(
            self._document_id(),
            rng.choice(WAREHOUSES),
            self._bookings(*ways),
            self._lock(),
            rng.choice((None, 5)),
            rng.choice(("", "", self._lock_id(LockStatus.PARTLY_DEDUCTED, LockStatus.DEDUCTED))),
        )

    def _adjust(self) -> Adjust:
        inner = (Place.AVAILABLE, Place.DAMAGED)
        ways = [(Place.ADJUSTMENT, place) for place in inner] + [(place, Place.ADJUSTMENT) for place in inner]
        bookings = self._bookings(*ways, inner, inner[::-1])
        if self._rng.random() < 0.2:  # the difference of a repeated count may be another one by now
            counted = self._rng.choice(("3", "4"))
            when = self._rng.choice((None, *_TIMES))
            return Count(self._document_id(), self._rng.choice(WAREHOUSES), bookings, when, content=counted)
        when = self._rng.choice((None, *_TIMES))
        only = self._rng.random() < 0.3
        return Adjust(self._document_id(), self._rng.choice(WAREHOUSES), bookings, when, only)

    def _count(self) -> Count:
        """Mostly of one SKU in one place, so that there are many."""
        rng = self._rng
        self._counts += 1
        ways = [
            (Place.ADJUSTMENT, Place.AVAILABLE),
            (Place.AVAILABLE, Place.ADJUSTMENT),
            (Place.ADJUSTMENT, Place.DAMAGED),
        ]
        lines = tuple(replace(line, sku=SKUS[0]) for line in self._bookings(*ways)[:1])
        when = rng.choice((None, *_TIMES, START_MS - rng.randrange(20)))
        return Count(f"c{self._counts}", WAREHOUSES[0], lines, when)

    def _opening(self) -> Opening:
        rng = self._rng
        rows = [
            OpeningRow(
                rng.choice(SKUS),
                rng.choice(WAREHOUSES),
                rng.choice((0, 1, 5, 20)),
                rng.choice((None, 0, 1, 3)),
                rng.choice((None, None, "new", 0, 5)),
            )
            for _ in range(rng.choice((1, 2, 3)))
        ]
        return Opening(tuple(rows))

    def _buffer(self) -> Buffer:
        rng = self._rng
        skus = (*SKUS, *SKUS, *SKUS, "unheard of")
        lines = [Line(rng.choice(skus), rng.choice((0, 1, 3))) for _ in range(rng.choice((1, 1, 2)))]
        return Buffer(rng.choice((*WAREHOUSES, "new")), tuple(lines))

    # Transfers

    def _transfer(self) -> Transfer:
        rng = self._rng
        if rng.random() < 0.9:
            self._transfers += 1
        source, destination = rng.sample(WAREHOUSES, 2)
        lines = tuple(line for line in self._lines() for _ in range(rng.choice((1, 1, 1, 2))))
        return Transfer(f"T{self._transfers}", source, destination, lines)

    def _transfer_id(self) -> str:
        """A transfer, mostly a recent one that something can still happen to."""
        known = [
            name for name, record in self._model.transfers.items() if record.view.status not in TRANSFER_ENDED
        ]
        if known and self._rng.random() < 0.8:
            return self._rng.choice(known[-4:])
        return f"T{max(1, self._transfers - self._rng.randrange(6))}"

    def _some_of(self, transfer_id: str, left: str) -> list[tuple[str, int]]:
        """Some SKUs of a transfer, with about what they have left."""
        rng, record = self._rng, self._model.transfers.get(transfer_id)
        if record is None or rng.random() < 0.05:
            return [(rng.choice((*SKUS, "unheard of")), rng.choice((1, 2)))]
        lines = rng.sample(record.view.lines, rng.randint(1, len(record.view.lines)))
        if rng.random() < 0.15:
            lines += lines[:1]
        units = [(line.sku, getattr(line, left)) for line in lines]
        return [(sku, max(1, rng.choice((n, n, 1, n - 1, n + 1)))) for sku, n in units]

    def _fact(self) -> Fact:
        """An event of a warehouse system, mostly about what is there."""
        rng, kind = self._rng, self._rng.choice(_FACTS)
        sku, warehouse, units = rng.choice(SKUS), rng.choice(WAREHOUSES), rng.choice((1, 2, 3, 5))
        document, damaged, lost = "", 0, 0
        if kind in {"shipped", "returned"}:
            document = rng.choice(("", self._lock_id(), self._lock_id()))
            record = self._model.locks.get(document)
            if record and record.view.lines and rng.random() < 0.9:
                line = rng.choice(record.view.lines)
                sku, warehouse, units = (
                    line.sku,
                    line.warehouse,
                    rng.choice((1, line.quantity, line.quantity + 1)),
                )
        elif kind.startswith("transfer"):
            document = rng.choice(("", self._transfer_id(), self._transfer_id(), self._transfer_id()))
            record_ = self._model.transfers.get(document)
            if record_ and rng.random() < 0.9:
                one, view = rng.choice(record_.view.lines), record_.view
                sku, units = one.sku, rng.choice((1, one.quantity, one.quantity + 2))
                warehouse = view.source if kind == "transfer_shipped" else view.destination
        elif kind == "received":
            document = rng.choice(("", "P1"))
        if kind in {"received", "transfer_received"}:
            damaged = rng.choice((0, 0, 1))
            lost = rng.choice((0, 1)) if kind == "transfer_received" else 0
        told = {"shipped": "s", "transfer_shipped": "s", "transfer_received": "r"}.get(kind, "d")
        self._facts += rng.random() < 0.9
        return Fact(
            rng.choice(("wms", "erp")),
            f"e{self._facts}",
            kind,
            rng.choice(_TIMES),
            warehouse,
            sku,
            units * (rng.choice((1, -1)) if kind == "adjusted" else 1),
            damaged,
            lost,
            rng.choice((Place.AVAILABLE, Place.AVAILABLE, Place.DAMAGED))
            if kind in _STATED
            else Place.AVAILABLE,
            document,
            ""
            if kind == "regraded"
            else rng.choice(("", f"{told}{rng.randrange(_DOCUMENTS if told == 'd' else 4)}")),
            rng.choice((None, None, self._next_of("wms", warehouse))),
            rng.choice((None, 'a "reason"')),
            rng.choice(("", "", "", "", "", "", "force", "force", "hold", "pass", "drop")),
            reporter=rng.choice(("", "", "warehouse", "route")),
            line_id=rng.choice(("", "", "", "1", "2")),
            totals=rng.random() < 0.1,
        )

    def _report(self) -> Fact:
        """Another word on a document that somebody has reported."""
        rng = self._rng
        known = [
            (family, sku, claim)
            for family, sums in self._model.documents.items()
            for sku, said in sums.items()
            for claim in said.claims
        ]
        if not known:
            return self._fact()
        family, sku, claim = rng.choice(known[-20:])
        kind, _, rest = family.partition(":")
        type_, document, told = {
            "deduct": ("shipped", rest, claim.document),
            "transfer_ship": ("transfer_shipped", rest, claim.document),
            "transfer_receive": ("transfer_received", rest, claim.document),
            "receipt": ("received", *rest.rsplit("{", 1)) if kind == "receipt" else ("", "", ""),
            "return": ("returned", "", rest),
            "adjustment": ("adjusted", "", rest),
        }[kind]
        state = rng.choice((0, 0, 1)) if type_ in _STATED else 0
        units = claim.units[state] + rng.choice((0, 0, 0, 1, -1, 4, -claim.units[state] * 2))
        units = units if type_ == "adjusted" else abs(units)
        damaged, lost = (claim.units[1], claim.units[2]) if rng.random() < 0.5 else (rng.choice((0, 1)), 0)
        self._facts += 1
        return Fact(
            rng.choice(("wms", "erp")),
            f"e{self._facts}",
            type_,
            rng.choice(_TIMES),
            rng.choice((claim.warehouse, claim.warehouse, claim.warehouse, *WAREHOUSES)),
            sku,
            units or 1,
            damaged if type_ in {"received", "transfer_received"} else 0,
            lost if type_ == "transfer_received" else 0,
            (Place.AVAILABLE, Place.DAMAGED)[state],
            "" if document.startswith("{") else document,
            ""
            if told.startswith("{")
            else rng.choice((told, told, told, "s9" if type_ == "shipped" else told)),
            mode=rng.choice(("", "", "", "force")),
            reporter=rng.choice(("", "", "route", claim.reporter)),
            line_id=rng.choice(("", "", "1")),
            totals=rng.random() < 0.25,
        )

    def _accept(self) -> Accept:
        """Mostly of something that was reported."""
        rng = self._rng
        known = [(family, sku) for family, sums in self._model.documents.items() for sku in sums]
        family, sku = rng.choice(known[-12:]) if known else ("return:d0", SKUS[0])
        said = self._model.documents.get(family, {}).get(sku)
        reporters = sorted(said.reporters()) if said else []
        self._facts += 1
        return Accept(f"{self._facts}", family, sku, rng.choice([*reporters, "nobody"]))

    def _next_of(self, source: str, warehouse: str) -> int:
        return max(1, self._model.sequences.get((source, warehouse), 0) + self._rng.choice((1, 1, 1, 2, 0)))

    def _ship(self) -> TransferShip:
        rng, transfer_id = self._rng, self._transfer_id()
        lines = None
        if rng.random() < 0.7:
            lines = tuple(Line(sku, units) for sku, units in self._some_of(transfer_id, "unshipped"))
        return TransferShip(transfer_id, f"s{rng.randrange(5)}", rng.choice((None, START_MS - 5)), lines)

    def _receive_transfer(self) -> TransferReceive:
        rng, transfer_id = self._rng, self._transfer_id()
        lines = []
        for sku, units in self._some_of(transfer_id, "in_transit"):
            damaged, lost = rng.choice(((0, 0), (0, 0), (1, 0), (0, 1), (1, 1)))
            good = max(0, units - damaged - lost)
            lines.append(Arrival(sku, good, damaged, lost))
        receipt_id, occurred_at = f"r{rng.randrange(5)}", rng.choice((None, START_MS - 5))
        return TransferReceive(transfer_id, receipt_id, occurred_at, tuple(lines))

    def _cancel(self) -> TransferCancel:
        return TransferCancel(self._transfer_id())

    def _close(self) -> TransferClose:
        ways: tuple[OnTheWay, ...] = ("", "lost", "returned_to_source", "returned_to_source")
        return TransferClose(
            self._transfer_id(), in_transit=self._rng.choice(ways), reason=self._rng.choice((None, "x"))
        )

    def _close_warehouses(self) -> Close:
        return Close(self._rng.choice(((), (), WAREHOUSES[:1], WAREHOUSES[1:])))

    def _forget_transfer(self) -> ForgetTransfer:
        transfer_id = f"T{max(1, self._transfers - self._rng.randrange(6))}"
        ops = [f"transfer_ship:{transfer_id}{{s{n}" for n in range(5)]
        ops += [f"transfer_receive:{transfer_id}{{r{n}" for n in range(5)]
        return ForgetTransfer(transfer_id, tuple(ops) if self._rng.random() < 0.7 else ())

    def _forget(self) -> Forget:
        lock_id = self._lock_id(*LockStatus)
        keys = tuple(f"key:k{n}" for n in range(max(0, self._keys - 3), self._keys))
        ops = (*(f"{kind}:{lock_id}{{s{n}" for kind in ("deduct", "void") for n in range(4)), *keys)
        return Forget(lock_id, ops if self._rng.random() < 0.7 else ())

    def _new_epoch(self) -> NewEpoch:
        return NewEpoch()

    def _again(self) -> Step:
        """An earlier step once more, exactly."""
        again = self._rng.choice((self._recent_steps, self._recent_locks, self._recent))
        return self._rng.choice(again) if again else self._lock()


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, and the shortest history found that shows it."""

    what: str
    order: tuple[str, ...]
    history: tuple[Step, ...]
    seed: str

    def __str__(self) -> str:
        steps = "\n".join(f"  {step}" for step in self.history)
        return f"{self.what}\nlife {self.seed}, order {self.order}, {len(self.history)} steps:\n{steps}"


def live(shard: Shard, seed: str, *, shrink: bool = True) -> Finding | None:
    """Live one life; return what differed, with the shortest history found for it, or None."""
    rng = random.Random(seed)
    order = rng.choice(ORDERS)
    pair = Pair(shard, order=order)
    chooser = Chooser(rng, pair.model)
    history: list[Step] = []
    try:
        while len(history) < LIFE_STEPS:
            batch = _Batch(chooser, history)
            pair.run(batch)
    except AssertionError as error:
        return _finding(shard, order, history, seed, str(error) if not shrink else "")
    return None


def live_wide(shard: Shard, seed: str, *, shrink: bool = True) -> Finding | None:
    """Live a short life with up to 14 warehouses, which is about sourcing; return what differed, or None."""
    rng = random.Random(seed)
    names = [f"w{number}" for number in range(rng.randint(2, 14))]
    order = tuple(rng.sample(names, rng.randint(0, min(3, len(names)))))
    rows = [
        OpeningRow(sku, name, rng.randint(0, 9), rng.choice((None, None, 2)))
        for sku in SKUS
        for name in names
        if rng.random() < 0.8
    ]
    history: list[Step] = [Opening(tuple(rows))]
    for number in range(4):
        lines = tuple(
            Line(sku, rng.randint(1, 20), rng.choice(("", "", "", rng.choice(names))))
            for sku in rng.sample(SKUS, rng.randint(1, 3))
        )
        ranked = tuple(rng.sample(names, rng.randint(1, len(names)))) if rng.random() < 0.3 else ()
        history.append(Lock(f"L{number}", lines, ranked, ttl_ms=10))
        history.append(Replace(f"L{rng.randrange(4)}", "", lines[::-1], ranked))
    history += [Advance(10), *(Expire(f"L{number}") for number in range(3)), Confirm("L0"), Confirm("L1")]
    try:
        Pair(shard, order=order).run(history)
    except AssertionError as error:
        return _finding(shard, order, history, seed, str(error) if not shrink else "")
    return None


class _Batch(Sequence[Step]):
    """Steps chosen one by one while the model takes them, and noted in the history."""

    def __init__(self, chooser: Chooser, history: list[Step]) -> None:
        self._chooser = chooser
        self._history = history

    def __len__(self) -> int:
        return BATCH_STEPS

    def __getitem__(self, index: int) -> Step:  # type: ignore[override]
        if index >= BATCH_STEPS:
            raise IndexError
        step = self._chooser.next()
        self._history.append(step)
        return step


def difference(shard: Shard, order: tuple[str, ...], history: Sequence[Step]) -> tuple[str, int] | None:
    """Run a history step by step; return what differed first and after how many steps, or None."""
    pair = Pair(shard, order=order)
    for count, step in enumerate(history, 1):
        try:
            pair.run([step])
        except AssertionError as error:
            return str(error), count
    return None


def _finding(shard: Shard, order: tuple[str, ...], history: list[Step], seed: str, what: str) -> Finding:
    """The difference as it is, if `what` says it, else shrunk."""
    return Finding(what, order, tuple(history), seed) if what else _shrunk(shard, order, history, seed)


def _shrunk(shard: Shard, order: tuple[str, ...], history: list[Step], seed: str) -> Finding:
    """Drop steps, in ever smaller chunks, while a difference remains."""
    found = difference(shard, order, history)
    if found is None:
        return Finding("differs only when sent in one go", order, tuple(history), seed)
    what, count = found
    kept, chunk, runs = history[:count], count // 2, 0
    while chunk >= 1 and runs < SHRINK_RUNS_MAX:
        start, dropped = 0, False
        while start < len(kept) and runs < SHRINK_RUNS_MAX:
            shorter = kept[:start] + kept[start + chunk :]
            found, runs = difference(shard, order, shorter), runs + 1
            if found:
                (what, count), dropped = found, True
                kept = shorter[:count]
            else:
                start += chunk
        if not dropped or chunk > 1:
            chunk //= 2
    return Finding(what, order, tuple(kept), seed)
