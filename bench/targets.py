"""What the bench must show: one row for each promise about speed and size."""

from bench.report import Target

TARGETS = (
    Target("availability, cached (1,000 SKUs), to bare ASGI 'hello'", "c.cached.1000", 2.5, against="a"),
    Target(
        "availability, uncached (most SKUs), to bare ASGI 'hello'", "c.uncached.largest", 1.2, against="a"
    ),
    Target("availability, cached (1,000 SKUs), to FastAPI + redis-py", "c.cached.1000", 20, against="b"),
    Target(
        "lock (1 line, spread) over HTTP to the function alone, always",
        "g.always.spread.1",
        0.85,
        against="f.always.spread",
    ),
    Target(
        "lock (1 line, spread) over HTTP to the function alone, everysec",
        "g.everysec.spread.1",
        0.85,
        against="f.everysec.spread",
    ),
    Target(
        "lock over HTTP to FastAPI + redis-py + Lua, always",
        "g.always.spread.1",
        6,
        against="d.always.spread",
    ),
    Target(
        "lock over HTTP to FastAPI + redis-py + Lua, everysec",
        "g.everysec.spread.1",
        6,
        against="d.everysec.spread",
    ),
    Target(
        "lock on one hot SKU to the Postgres row lock, same FastAPI", "g.always.hot.1", 12, against="e.hot"
    ),
    Target("backlog drained, events/s, to the lock rate over HTTP", "h.drained", 1.25, against="h.produced"),
    Target("persistence lag p99 at 70 % of the lock maximum", "h.lag.p99", 250, at_most=True, unit="ms"),
    Target(
        "lock rate with the largest catalogue to the smallest",
        "i.locks.largest",
        0.9,
        against="i.locks.smallest",
    ),
    Target(
        "uncached read rate with the largest catalogue to the smallest",
        "i.reads.largest",
        0.9,
        against="i.reads.smallest",
    ),
    Target("bytes of a SKU with 4 warehouses", "j.sku.4", 200, at_most=True, unit="B"),
    Target("bytes of an open lock", "j.lock", 450, at_most=True, unit="B"),
)
