"""(d), (e), (f), (g): locks, ours beside a script of one's own, a row lock, and the bare function."""

import random
from collections.abc import Callable, Sequence

from bench.client import Measured
from bench.load import lock_request
from bench.rivals import fastapi_postgres
from bench.run import Contender, Run
from bench.servers import ON_HAND, Hall, Server, Store, execute, skus

SPREAD = 1_000
LINES = (1, 3, 20)
FSYNCS = ("always", "everysec")
SOLD_OUT = "SOLD-OUT"
Requests = list[tuple[bytes, bytes]]


def measure(run: Run) -> None:
    """Measure what was asked for of (d) to (g)."""
    if not run.wants("d", "e", "f", "g"):
        return
    with run.hall("locks") as hall:
        contenders: dict[str, Contender] = {}
        if run.wants("d", "f", "g"):
            for fsync in FSYNCS:
                contenders.update(_on_redis(run, hall, fsync))
        if run.wants("e"):
            contenders.update(_on_postgres(run, hall))
        run.compare(contenders)
        swept = ("d.always.spread", "e.spread", "f.always.spread", "g.always.spread.1")
        run.sweep("locks", {key: contenders[key] for key in swept if key in contenders})


def orders(catalogue: Sequence[str], lines: int) -> list[list[str]]:
    """As many orders as there are SKUs, of distinct SKUs each, the same in every run."""
    dice = random.Random(lines)
    return [dice.sample(catalogue, lines) for _ in catalogue]


def http_requests(wanted: Sequence[Sequence[str]]) -> Requests:
    """One POST for each order."""
    return [lock_request(order) for order in wanted]


def _poster(
    run: Run,
    name: str,
    server: Server,
    requests: Requests,
    *,
    after: Callable[[], None],
    expected: str = "201",
    store: Store | None = None,
) -> Contender:
    def turn(connections: int, seconds: float) -> Measured:
        return run.load.lock(server.port, requests, connections=connections, seconds=seconds)

    pids = {"http": server.pid} | ({"redis": store.pid} if store else {})
    return Contender(name, turn, (expected,), after, pids)


def _on_redis(run: Run, hall: Hall, fsync: str) -> dict[str, Contender]:
    """The three that lock in Redis, on one and the same server."""
    store = hall.store(fsync)
    store.fill(skus(SPREAD))
    contenders: dict[str, Contender] = {}
    if run.wants("d"):
        contenders.update(_script_of_ones_own(run, hall, store, fsync))
    if run.wants("f"):
        contenders.update(_function_alone(run, store, fsync))
    if run.wants("g"):
        contenders.update(_ours(run, store, fsync))
    return contenders


def _script_of_ones_own(run: Run, hall: Hall, store: Store, fsync: str) -> dict[str, Contender]:
    pipe = store.client.pipeline(transaction=False)
    for sku in skus(SPREAD):
        pipe.hset(f"rival:stock:{sku}", mapping={"available": ON_HAND, "locked": 0})
    pipe.execute()
    server = hall.rival("bench.rivals.fastapi_redis:app", {"BENCH_REDIS_URL": store.url}, probe="/ready")
    requests = http_requests(orders(skus(SPREAD), 1))
    name = f"FastAPI + redis-py + Lua, spread, {fsync}"
    return {f"d.{fsync}.spread": _poster(run, name, server, requests, after=store.forget_locks, store=store)}


def _function_alone(run: Run, store: Store, fsync: str) -> dict[str, Contender]:
    """The same locks straight to Redis: what is left when HTTP and Python are taken away."""
    functions = store.functions()
    hot = skus(SPREAD)[:1]

    def caller(name: str, wanted: Sequence[Sequence[str]]) -> Contender:
        requests = [functions.lock(order) for order in wanted]

        def turn(connections: int, seconds: float) -> Measured:
            return run.load.call(
                store.port, requests, greeting=store.greeting, connections=connections, seconds=seconds
            )

        return Contender(f"{name}, {fsync}", turn, ("LOCKED",), store.forget_locks, {"redis": store.pid})

    return {
        f"f.{fsync}.spread": caller("the function alone, spread", orders(skus(SPREAD), 1)),
        f"f.{fsync}.hot": caller("the function alone, one hot SKU", [hot]),
    }


def _ours(run: Run, store: Store, fsync: str) -> dict[str, Contender]:
    store.fill([SOLD_OUT], on_hand=0)
    server = store.api()
    catalogue = skus(SPREAD)

    def poster(name: str, wanted: Sequence[Sequence[str]], expected: str = "201") -> Contender:
        requests = http_requests(wanted)
        return _poster(
            run,
            f"{name}, {fsync}",
            server,
            requests,
            after=store.forget_locks,
            expected=expected,
            store=store,
        )

    contenders = {
        f"g.{fsync}.spread.{lines}": poster(
            f"ours, {lines} line{'s' if lines > 1 else ''}, spread", orders(catalogue, lines)
        )
        for lines in LINES
    }
    contenders[f"g.{fsync}.hot.1"] = poster("ours, 1 line, one hot SKU", [catalogue[:1]])
    contenders[f"g.{fsync}.refused"] = poster("ours, refused: sold out", [[SOLD_OUT]], "409")
    return contenders


def _on_postgres(run: Run, hall: Hall) -> dict[str, Contender]:
    url = hall.database()
    execute(url, fastapi_postgres.SCHEMA)
    execute(url, f"INSERT INTO stock (sku, available) SELECT unnest($1::text[]), {ON_HAND}", skus(SPREAD))
    execute(url, "ANALYZE stock")
    server = hall.rival("bench.rivals.fastapi_postgres:app", {"BENCH_DATABASE_URL": url}, probe="/ready")

    def tidy() -> None:
        execute(url, "TRUNCATE lock, event")
        execute(url, "VACUUM stock")

    def poster(name: str, wanted: Sequence[Sequence[str]]) -> Contender:
        return _poster(run, name, server, http_requests(wanted), after=tidy)

    return {
        "e.hot": poster("FastAPI + Postgres row lock, one hot SKU", [skus(SPREAD)[:1]]),
        "e.spread": poster("FastAPI + Postgres row lock, spread", orders(skus(SPREAD), 1)),
    }
