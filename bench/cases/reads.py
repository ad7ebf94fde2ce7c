"""(a), (b), (c): reads of product pages, ours beside a bare ASGI app and FastAPI with redis-py."""

import json
from collections.abc import Sequence

from bench.client import Measured
from bench.run import Contender, Run
from bench.servers import Hall, Server, Store, answer_of, page_path, skus

MANY_SKUS = 1_000
NEAR_CACHE_ENTRIES = 250_000
# What (a) answers where ours isn't there to be asked: an answer of the same shape.
_SAMPLE_BODY = (
    '{"sku":"SKU-0000000","sellable":900000000,"in_stock":true,"version":1,'
    '"warehouses":{"north":{"sellable":900000000}}}'
)
_SAMPLE_HEADERS = [
    ("content-type", "application/json"),
    ("content-length", str(len(_SAMPLE_BODY))),
    ("etag", '"1-1"'),
    ("cache-control", "no-cache"),
]


def measure(run: Run) -> None:
    """Measure what was asked for of (a), (b) and (c)."""
    if not run.wants("a", "b", "c"):
        return
    with run.hall("reads") as hall:
        contenders: dict[str, Contender] = {}
        store = _filled_store(run, hall) if run.wants("b", "c") else None
        ours = _ours(store) if store and run.wants("c") else {}
        if run.wants("a"):
            contenders["a"] = _bare(run, hall, next(iter(ours.values()), None))
        if store and run.wants("b"):
            contenders["b"] = _fastapi(run, hall, store)
        if store:
            contenders.update(_of_ours(run, ours, store))
        run.compare(contenders)
        for kind in ours:
            for size in run.options.read_catalogues:
                run.results.add_figure_point("pages", f"ours, {kind}", size, _key(run, kind, size))
        swept = ("a", "b", f"c.cached.{MANY_SKUS}", "c.uncached.largest")
        run.sweep("reads", {key: contenders[key] for key in swept if key in contenders})


def _filled_store(run: Run, hall: Hall) -> Store:
    store = hall.store()
    store.fill(skus(max(*run.options.read_catalogues, MANY_SKUS)))
    return store


def _paths(count: int) -> list[str]:
    return [page_path(sku) for sku in skus(count)]


def _reader(
    run: Run, name: str, server: Server, paths: Sequence[str], store: Store | None = None
) -> Contender:
    def turn(connections: int, seconds: float) -> Measured:
        return run.load.read(server.port, paths, connections=connections, seconds=seconds)

    return Contender(name, turn, pids={"http": server.pid} | ({"redis": store.pid} if store else {}))


def _bare(run: Run, hall: Hall, ours: Server | None) -> Contender:
    """The bytes and headers are those of our own answer, where ours runs too."""
    headers, body = _SAMPLE_HEADERS, _SAMPLE_BODY
    if ours is not None:
        told, content = answer_of(ours.port, page_path(skus(1)[0]))
        headers = [(name.lower(), value) for name, value in told if name.lower() not in {"date", "server"}]
        body = content.decode()
    env = {"BENCH_ANSWER": json.dumps({"headers": headers, "body": body})}
    server = hall.rival("bench.rivals.bare:app", env, probe="/")
    return _reader(run, "bare ASGI 'hello', the same bytes", server, _paths(1))


def _fastapi(run: Run, hall: Hall, store: Store) -> Contender:
    server = hall.rival("bench.rivals.fastapi_redis:app", {"BENCH_REDIS_URL": store.url}, probe="/ready")
    return _reader(run, "FastAPI + redis-py", server, _paths(MANY_SKUS), store)


def _ours(store: Store) -> dict[str, Server]:
    return {
        "cached": store.api(near_cache_entries_max=NEAR_CACHE_ENTRIES),
        "uncached": store.api(near_cache_entries_max=0),
    }


def _of_ours(run: Run, servers: dict[str, Server], store: Store) -> dict[str, Contender]:
    contenders = {}
    sizes = run.options.read_catalogues
    if "cached" in servers:  # every page once, so that the first turn is as cached as the others
        run.load.read_each_once(servers["cached"].port, _paths(max(sizes)))
    for kind, server in servers.items():
        for size in sizes:
            name = f"ours, {kind}, {size:,} SKU{'s' if size > 1 else ''}"
            contenders[_key(run, kind, size)] = _reader(run, name, server, _paths(size), store)
    return contenders


def _key(run: Run, kind: str, size: int) -> str:
    """The targets speak of the largest catalogue, whatever its size in this run."""
    is_largest = kind == "uncached" and size == max(run.options.read_catalogues)
    return f"c.{kind}.{'largest' if is_largest else size}"
