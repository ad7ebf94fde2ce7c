"""`python -m bench.slowest [part of a case's name …]`: how long each function holds the server, at a request's limits.

A case does what the API allows at most: 2,000 lines, 100 warehouses, long histories of one document. Of each function
in it the slowest call counts, by the server's SLOWLOG or by the CPU time of its main thread if that is less, for other
work of the machine is not ours; and of several runs of a case the best. A call that does not answer in time ends its
case, not the others. Exit 1 if a call took over `--most` ms, or a case did not come to its end.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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
    Opening,
    OpeningRow,
    Receive,
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
from app.domain.outcomes import Outcome
from app.domain.words import LINES_MAX, Place
from app.embedded.valkey import EmbeddedValkey
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.store import HotStore

NOTED_US_MIN = 1_000
NOTED_ENTRIES_MAX = 100_000
ROWS_PER_CALL = 500
PAUSE_SECONDS = 0.000_3
CALL_SECONDS_MAX = 20
AT_MS = 1_700_000_000_000
SKUS = tuple(f"SKU-{number:028d}" for number in range(2 * LINES_MAX))
WAREHOUSES = tuple(f"warehouse-{number:04d}" for number in range(LINES_MAX))


class Shop:
    """A shard of its own on the server, and the hot store that the API uses."""

    def __init__(self, client: "redis.Redis[str]") -> None:
        self.client = client
        self.keys = Keys()
        self.hot = HotStore(self, self.keys, library())  # type: ignore[arg-type]
        self.cpu: dict[str, float] = {}
        self.called = ""
        pid = client.info("server")["process_id"]
        self._stat = Path(f"/proc/{pid}/task/{pid}/schedstat")

    async def call(self, function: str, key: str, args: Sequence[Any], *, read: bool = False) -> Any:
        """Stand where the connection stands."""
        before, name = self.cpu_ms(), function.rpartition("_")[0]
        self.called = name
        reply = self.client.execute_command("FCALL_RO" if read else "FCALL", function, 1, key, *args)
        self.cpu[name] = max(self.cpu.get(name, 0), self.cpu_ms() - before)
        return reply

    def cpu_ms(self) -> float:
        """The CPU time that the server's main thread took so far."""
        time.sleep(PAUSE_SECONDS)  # until it sleeps: then the figure is exact
        return int(self._stat.read_text().split()[0]) / 1e6

    def reset(self) -> None:
        """Empty everything, and open the first epoch."""
        self.client.flushall()
        function = library().function("open")
        self.client.execute_command("FCALL", function, 1, self.keys.meta, 1, 1, "", "bench", 0)
        self.client.hset(self.keys.meta, "at", AT_MS)
        self.hot.epoch = "1"

    def do(self, step: Coroutine[Any, Any, Any], *expected: Outcome) -> Any:
        """Run a step to its end; its answer must have one of the outcomes."""
        answer = run(step)
        outcome = getattr(answer, "outcome", None)
        if expected and outcome not in expected:
            raise AssertionError(f"{outcome} instead of {expected}")
        return answer

    def stock(
        self,
        skus: Sequence[str],
        warehouses: Sequence[str],
        on_hand: int = 100_000,
        *,
        buffer: int | None = 1,
    ) -> None:
        """Put stock of each SKU into each warehouse, as an import does."""
        rows = [OpeningRow(sku, warehouse, on_hand, buffer) for sku in skus for warehouse in warehouses]
        for first in range(0, len(rows), ROWS_PER_CALL):
            run(self.hot.execute(Opening(tuple(rows[first : first + ROWS_PER_CALL]))))

    def lock(self, lines: tuple[Line, ...], *warehouses: str, lock_id: str = "L") -> None:
        """Hold an order."""
        self.do(self.hot.execute(Lock(lock_id, lines, warehouses)), Outcome.LOCKED)


def run(step: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


Case = Callable[[Shop], None]
CASES: dict[str, Case] = {}


def case(about: Case) -> Case:
    """Add a case, under its function's name."""
    CASES[about.__name__] = about
    return about


def named(
    units: int = 2, *, skus: Sequence[str] = SKUS[:LINES_MAX], at: str = WAREHOUSES[0]
) -> tuple[Line, ...]:
    """As many lines as a request may have, each with its warehouse."""
    return tuple(Line(sku, units, at) for sku in skus)


def moved(
    source: Place, target: Place, units: int = 1, *, skus: Sequence[str] = SKUS[:LINES_MAX]
) -> tuple[Booking, ...]:
    """Bookings of as many SKUs."""
    return tuple(Booking(sku, source, target, units, "a reason of some length") for sku in skus)


def received(skus: Sequence[str] = SKUS[:LINES_MAX]) -> tuple[Booking, ...]:
    """A receipt's bookings: of each SKU good and damaged units."""
    good = moved(Place.SUPPLIER, Place.AVAILABLE, 5, skus=skus)
    damaged = moved(Place.SUPPLIER, Place.DAMAGED, 2, skus=skus)
    return tuple(one for pair in zip(good, damaged, strict=True) for one in pair)


def spread(units: int = 2) -> tuple[Line, ...]:
    """One SKU, in as many warehouses as a request may have lines."""
    return tuple(Line(SKUS[0], units, warehouse) for warehouse in WAREHOUSES)


@case
def named_lines(shop: Shop) -> None:
    """2,000 SKUs, each in ten warehouses, from the warehouses that the lines name."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    shop.lock(named(4))
    shop.do(shop.hot.execute(Lock("L", named(4))), Outcome.REPEATED)
    shop.do(shop.hot.execute(Extend("L", "e", 60_000)), Outcome.EXTENDED)
    shop.do(shop.hot.execute(Unlock("L", "u", named(1))), Outcome.UNLOCKED)
    shop.do(shop.hot.execute(Deduct("L", "s1", named(1))), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Deduct("L", "s2", named(1), AT_MS)), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Deduct("L", "s2", named(1), AT_MS)), Outcome.REPEATED)
    shop.do(shop.hot.execute(Void("L", "s1", named(1))), Outcome.VOIDED)
    shop.do(shop.hot.execute(Deduct("L", "s3")), Outcome.DEDUCTED)
    back = moved(Place.CUSTOMER, Place.AVAILABLE)
    shop.do(shop.hot.execute(Return("R", WAREHOUSES[0], back, lock_id="L")), Outcome.RETURNED)
    lock = Lock("L2", named(1))
    shop.do(shop.hot.execute(Exchange("X", WAREHOUSES[0], back, lock, lock_id="L")), Outcome.EXCHANGED)
    shop.do(shop.hot.read_lock("L"))


@case
def all_of_it(shop: Shop) -> None:
    """Steps about everything a lock has: confirmed, shipped and given back as a whole."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    shop.lock(named())
    shop.do(shop.hot.execute(Confirm("L", "c")), Outcome.CONFIRMED)
    shop.do(shop.hot.execute(Deduct("L", "s")), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Void("L", "s", named())), Outcome.VOIDED)
    shop.do(shop.hot.execute(Unlock("L", "u")), Outcome.UNLOCKED)
    shop.do(shop.hot.execute(Reopen("L", "r", 60_000)), Outcome.REOPENED)


@case
def ended(shop: Shop) -> None:
    """A lock whose lines name no warehouse runs out, and takes its stock again."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    lines = named(at="")
    for lock_id, again in (("L", Outcome.CONFIRMED), ("M", Outcome.REOPENED)):
        shop.do(shop.hot.execute(Lock(lock_id, lines, ttl_ms=1)), Outcome.LOCKED)
        shop.client.hincrby(shop.keys.meta, "at", 10)
        shop.do(shop.hot.execute(Expire(lock_id)), Outcome.EXPIRED)
        step = shop.hot.execute(Confirm("L", "c")) if lock_id == "L" else shop.hot.execute(Reopen("M", "r"))
        shop.do(step, again)


@case
def replaced(shop: Shop) -> None:
    """Every line of a lock for another, then for lines that stay where they are and grow, also beside what shipped."""
    shop.stock(SKUS, WAREHOUSES[:10])
    shop.lock(named(at=""))
    others = named(skus=SKUS[LINES_MAX:])
    shop.do(shop.hot.execute(Replace("L", "1", others)), Outcome.REPLACED)
    shop.do(shop.hot.execute(Replace("L", "2", named(3, skus=SKUS[LINES_MAX:], at=""))), Outcome.REPLACED)
    half = SKUS[LINES_MAX : LINES_MAX + LINES_MAX // 2]
    shop.do(shop.hot.execute(Deduct("L", "s", named(1, skus=half, at=""))), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Replace("L", "3", named(2, skus=half))), Outcome.REPLACED)
    shop.do(shop.hot.execute(Replace("L", "4", named(9, at=""))), Outcome.TOO_MANY_LINES, Outcome.REPLACED)


@case
def chosen(shop: Shop) -> None:
    """Lines that name no warehouse: one serves all, several do, none does, and too many could."""
    shop.stock(SKUS[:201], WAREHOUSES[:100], 2)
    shop.do(shop.hot.execute(Lock("whole", named(1, skus=SKUS[:200], at=""))), Outcome.LOCKED)
    shop.do(
        shop.hot.execute(Lock("split", named(9, skus=SKUS[:200], at=""))),
        Outcome.LOCKED,
        Outcome.TOO_MANY_CHOICES,
    )
    shop.do(shop.hot.execute(Lock("short", named(900, skus=SKUS[:200], at=""))), Outcome.INSUFFICIENT_STOCK)
    asked = WAREHOUSES[:100]
    lines = named(3, skus=SKUS[:200], at="")
    shop.do(shop.hot.execute(Lock("asked", lines, asked)), Outcome.LOCKED, Outcome.TOO_MANY_CHOICES)
    shop.do(shop.hot.execute(Lock("many", named(2, skus=SKUS[:201], at=""))), Outcome.TOO_MANY_CHOICES)


@case
def chosen_among_ten(shop: Shop) -> None:
    """2,000 lines that name no warehouse, among ten that are asked for or known."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10], 10)
    for number, asked in enumerate(((), WAREHOUSES[:10])):
        lines = named(4, at="")
        shop.do(shop.hot.execute(Lock(f"whole{number}", lines, asked)), Outcome.LOCKED)
        lines = named(12, at="")
        shop.do(
            shop.hot.execute(Lock(f"split{number}", lines, asked)), Outcome.LOCKED, Outcome.TOO_MANY_CHOICES
        )
        lines = named(9_000, at="")
        shop.do(shop.hot.execute(Lock(f"short{number}", lines, asked)), Outcome.INSUFFICIENT_STOCK)


@case
def in_100_warehouses(shop: Shop) -> None:
    """2,000 SKUs, each in a hundred warehouses; and lines that leave the choice."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:100])
    shop.lock(named())
    shop.do(shop.hot.execute(Deduct("L", "s", named(1))), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Lock("M", named(at=""))), Outcome.TOO_MANY_CHOICES)
    shop.do(shop.hot.execute(Lock("M", named(at=""), WAREHOUSES[:100])), Outcome.TOO_MANY_CHOICES)
    shop.do(
        shop.hot.execute(Return("R", WAREHOUSES[0], moved(Place.CUSTOMER, Place.AVAILABLE))),
        Outcome.RETURNED,
    )
    run(shop.hot.read_stock(SKUS[:1_000]))


@case
def one_sku_in_many(shop: Shop) -> None:
    """One SKU in 2,000 warehouses: as many lines of it."""
    shop.stock(SKUS[:1], WAREHOUSES)
    shop.lock(spread(4))
    shop.do(shop.hot.execute(Unlock("L", "u", spread(1))), Outcome.UNLOCKED)
    shop.do(shop.hot.execute(Replace("L", "r", spread(2))), Outcome.REPLACED)
    shop.do(shop.hot.execute(Deduct("L", "s", spread(1))), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Deduct("L", "s2", spread(1), AT_MS)), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Void("L", "s", spread(1))), Outcome.VOIDED)
    shop.do(shop.hot.execute(event("e", "shipped", 1, "L")), Outcome.BOOKED, Outcome.DISPUTED)
    shop.do(shop.hot.execute(Deduct("L", "s3")))
    run(shop.hot.execute(Lock("M", (Line(SKUS[0], 5_000),))))


def event(number: str, kind: str, units: int, lock_id: str, sku: str = SKUS[0], **more: Any) -> Fact:
    """An event of a warehouse system."""
    about = {"told_id": "p", "warehouse": WAREHOUSES[0], **more}
    return Fact("wms", number, kind, AT_MS, sku=sku, quantity=units, document_id=lock_id, **about)


@case
def reported_by_others(shop: Shop) -> None:
    """A warehouse reports some of a large order, and then the shop all of it, or the other way round."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:2])
    shop.lock(named(3))
    for number in range(LINES_MAX):
        sku = SKUS[number]
        shop.do(shop.hot.execute(event(f"e{number}", "shipped", 1, "L", sku)), Outcome.BOOKED)
    shop.do(shop.hot.execute(Deduct("L", "p", named(1))), Outcome.UNCHANGED)
    shop.do(shop.hot.execute(Deduct("L", "q", named(1))), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Deduct("L", "r", named(1), AT_MS)), Outcome.DEDUCTED)


@case
def many_shipments(shop: Shop) -> None:
    """One SKU of a lock leaves in 500 shipments, each reported twice."""
    shop.stock(SKUS[:1], WAREHOUSES[:2])
    shop.lock((Line(SKUS[0], 2_000, WAREHOUSES[0]),))
    for number in range(500):
        shop.do(shop.hot.execute(event(f"e{number}", "shipped", 1, "L", told_id=f"p{number}")))
        shop.do(shop.hot.execute(Deduct("L", f"p{number}", (Line(SKUS[0], 1, WAREHOUSES[0]),))))
    shop.do(shop.hot.execute(Deduct("L", "rest")))


@case
def books(shop: Shop) -> None:
    """Receipts, returns, adjustments and counts of 2,000 SKUs; and again what others reported."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    w = WAREHOUSES[0]
    shop.do(shop.hot.execute(Receive("R", w, received(), purchase_order_id="P")), Outcome.RECEIVED)
    shop.do(shop.hot.execute(Receive("R1", w, received(), AT_MS)), Outcome.RECEIVED)
    shop.do(shop.hot.execute(Receive("R1", w, received(), AT_MS)), Outcome.REPEATED)
    shop.do(shop.hot.execute(Return("B", w, moved(Place.CUSTOMER, Place.DAMAGED))), Outcome.RETURNED)
    less = moved(Place.AVAILABLE, Place.ADJUSTMENT)
    shop.do(shop.hot.execute(Adjust("A", w, less, only_if_on_hand=True)), Outcome.ADJUSTED)
    shop.do(shop.hot.execute(Adjust("A1", w, moved(Place.AVAILABLE, Place.DAMAGED))), Outcome.ADJUSTED)
    for sku in SKUS[:LINES_MAX]:
        fact = event(f"r{sku}", "received", 5, "P", sku, told_id="R2", damaged=2)
        shop.do(shop.hot.execute(fact), Outcome.BOOKED)
    shop.do(shop.hot.execute(Receive("R2", w, received(), purchase_order_id="P")))


@case
def counts(shop: Shop) -> None:
    """2,000 SKUs are counted, good and damaged ones: they agree, they differ, and facts come in behind."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    w, since = WAREHOUSES[0], run(shop.hot.read_last())
    for number in range(8):
        units = number % 2
        good, bad = (
            moved(Place.ADJUSTMENT, Place.AVAILABLE, units),
            moved(Place.ADJUSTMENT, Place.DAMAGED, units),
        )
        lines = tuple(one for pair in zip(good, bad, strict=True) for one in pair)
        at = AT_MS - 100 + number
        shop.do(shop.hot.execute(Count(f"C{number}", w, lines, at, content="c", since="")), Outcome.ADJUSTED)
    before = AT_MS - 1_000
    shop.do(shop.hot.execute(Receive("R", w, received(), before)), Outcome.RECEIVED)
    shop.lock(named())
    shop.do(shop.hot.execute(Deduct("L", "s", named(1), before)), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(Deduct("L", "t", named(1))), Outcome.DEDUCTED)
    shop.do(shop.hot.execute(event("t", "shipped", 1, "L", told_id="t")))
    shop.do(
        shop.hot.execute(
            Count(
                "C", w, moved(Place.ADJUSTMENT, Place.AVAILABLE, 0), AT_MS - 2_000, content="c", since=since
            )
        )
    )


@case
def much_since(shop: Shop) -> None:
    """A count is booked after 20,000 events."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:1])
    since = run(shop.hot.read_last())
    pipe = shop.client.pipeline(transaction=False)
    function = library().function("lock")
    for number in range(19_000):
        pipe.execute_command(
            "FCALL", function, 1, shop.keys.meta, 1, "", f"L{number}", "f", 900_000, 0, 0, 1, SKUS[0], 1, ""
        )
    pipe.execute()
    lines = moved(Place.ADJUSTMENT, Place.AVAILABLE, 1)
    shop.do(shop.hot.execute(Count("C", WAREHOUSES[0], lines, AT_MS, content="c", since=since)))


@case
def transfers(shop: Shop) -> None:
    """2,000 SKUs on their way: shipped in two parts, arrived good, damaged and lost, cancelled and closed."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    free = tuple(Line(sku, 9) for sku in SKUS[:LINES_MAX])
    part = tuple(Line(sku, 4) for sku in SKUS[:LINES_MAX])
    come = tuple(Arrival(sku, 1, 1, 1) for sku in SKUS[:LINES_MAX])
    a, b = WAREHOUSES[:2]
    for number in ("T", "C", "D"):
        shop.do(shop.hot.execute(Transfer(number, a, b, free)), Outcome.TRANSFER_REQUESTED)
    for number, at in (("T", None), ("D", AT_MS)):
        shop.do(shop.hot.execute(TransferShip(number, "s", at, lines=part)), Outcome.TRANSFER_SHIPPED)
        shop.do(shop.hot.execute(TransferReceive(number, "r", at, lines=come)), Outcome.TRANSFER_RECEIVED)
    shop.do(shop.hot.execute(TransferShip("T", "t")), Outcome.TRANSFER_SHIPPED)
    early = tuple(Arrival(sku, 3) for sku in SKUS[:LINES_MAX])
    shop.do(shop.hot.execute(TransferReceive("T", "r2", lines=early)), Outcome.TRANSFER_RECEIVED)
    shop.do(shop.hot.execute(TransferCancel("C")), Outcome.TRANSFER_CANCELLED)
    shop.do(shop.hot.execute(TransferClose("D", in_transit="lost")), Outcome.TRANSFER_CLOSED)
    shop.do(shop.hot.execute(Transfer("E", a, b, free)), Outcome.TRANSFER_REQUESTED)
    for number, sku in enumerate(SKUS[:LINES_MAX]):
        shop.do(shop.hot.execute(event(f"i{number}", "transfer_received", 9, "E", sku, warehouse=b)))
    left = TransferShip("E", "s", AT_MS - 5, lines=free)
    shop.do(shop.hot.execute(left), Outcome.TRANSFER_SHIPPED, Outcome.UNCHANGED)
    shop.do(shop.hot.execute(TransferReceive("E", "r", lines=come)))


@case
def buffers(shop: Shop) -> None:
    """Buffers of 2,000 SKUs."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:10])
    shop.do(
        shop.hot.execute(Buffer(WAREHOUSES[0], tuple(Line(sku, 7) for sku in SKUS[:LINES_MAX]))),
        Outcome.BUFFERED,
    )


@case
def accepted(shop: Shop) -> None:
    """A person takes the word of one of 100 reporters, about a SKU of a large order."""
    shop.stock(SKUS[:LINES_MAX], WAREHOUSES[:100])
    shop.lock(named())
    for number, warehouse in enumerate(WAREHOUSES[:100]):
        one = Fact(
            "wms",
            f"e{number}",
            "shipped",
            AT_MS,
            warehouse,
            SKUS[0],
            1,
            document_id="L",
            told_id="p",
            reporter=f"r{number}",
        )
        shop.do(shop.hot.execute(one))
    shop.do(shop.hot.execute(Accept("1", "deduct:L", SKUS[0], "r50")), Outcome.ADJUSTED)


def measured(shop: Shop, about: Case) -> dict[str, float]:
    """Run a case; return the slowest call of each function, in ms."""
    shop.reset()
    shop.client.slowlog_reset()
    shop.cpu = {}
    about(shop)
    slowest: dict[str, float] = {}
    for entry in shop.client.slowlog_get(NOTED_ENTRIES_MAX):
        words = entry["command"].decode(errors="replace").split()
        name = words[1].rpartition("_")[0] if words[0].startswith("FCALL") else words[0]
        slowest[name] = max(slowest.get(name, 0), entry["duration"] / 1_000)
    return {name: min(ms, shop.cpu.get(name, ms)) for name, ms in slowest.items()}


@contextmanager
def server() -> Iterator["redis.Redis[str]"]:
    """The bundled server, as `sellable up` starts it; with our functions."""
    with tempfile.TemporaryDirectory(prefix="sb-", ignore_cleanup_errors=True) as place:
        valkey = EmbeddedValkey(
            Path(place) / "redis", port=0, appendfsync="everysec", log=Path(place) / "log"
        )
        valkey.start()
        try:
            client = redis.Redis.from_url(
                valkey.url,
                decode_responses=True,
                socket_timeout=CALL_SECONDS_MAX,
                retry=Retry(NoBackoff(), 0),
            )
            client.function_load(library().code)
            client.config_set("slowlog-log-slower-than", NOTED_US_MIN)
            client.config_set("slowlog-max-len", NOTED_ENTRIES_MAX)
            yield client
        finally:
            valkey.stop(immediate=True)


@dataclass(slots=True)
class Measurement:
    """What the runs of a case came to: the best figure of each function in ms, and why a run broke off."""

    best: dict[str, float] = field(default_factory=dict)
    broken: str = ""

    def add(self, slowest: dict[str, float]) -> None:
        """Take another run's figures."""
        names = set(self.best) | set(slowest)
        self.best = {n: min(self.best.get(n, ms), ms) for n in names for ms in (slowest.get(n, 0),)}

    def is_within(self, most_ms: float) -> bool:
        """Whether every run came to its end, and no call took longer."""
        return not self.broken and max(self.best.values(), default=0) <= most_ms

    def __str__(self) -> str:
        shown = sorted(self.best.items(), key=lambda item: -item[1])
        figures = ", ".join(f"{name} {ms:.0f}" for name, ms in shown if ms >= 1)
        return "; ".join(part for part in (figures, self.broken) if part)


def measure(about: Case, runs: int) -> Measurement:
    """Run a case on a server of its own: one that hangs there holds up no other case."""
    measurement = Measurement()
    with server() as client:
        shop = Shop(client)
        try:
            for _ in range(runs):
                measurement.add(measured(shop, about))
        except redis.TimeoutError:
            measurement.best[shop.called] = CALL_SECONDS_MAX * 1_000
            measurement.broken = f"{shop.called} did not answer within {CALL_SECONDS_MAX} s"
        except Exception as error:  # noqa: BLE001  the other cases go on, whatever is wrong with this one
            measurement.broken = f"{shop.called}: {type(error).__name__}: {error}"
    return measurement


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.slowest", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"parts of names: {', '.join(CASES)}")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--most", type=float, default=50.0, metavar="MS")
    asked = parser.parse_args()
    wanted = {n: c for n, c in CASES.items() if not asked.cases or any(part in n for part in asked.cases)}
    worst, is_within = 0.0, True
    for name, about in wanted.items():
        measurement = measure(about, asked.runs)
        worst = max(worst, *measurement.best.values(), 0)
        is_within = is_within and measurement.is_within(asked.most)
        print(f"{name:20} {measurement}", flush=True)
    print(f"The slowest call took {worst:.0f} ms, of {asked.most:.0f} ms at most.")
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
