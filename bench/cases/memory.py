"""(j): what a SKU and an open lock take in the hot store's memory."""

import hiredis

from app.hotstore.keys import Keys
from bench.load import fresh_prefix
from bench.run import Run
from bench.servers import Hall, Store, skus

WAREHOUSES = ("north", "south", "east", "west")
LOCKED_SKUS = 1_000
CALLS_AT_ONCE = 1_000


def measure(run: Run) -> None:
    """Measure (j)."""
    if not run.wants("j"):
        return
    with run.hall("memory") as hall:
        for count in (1, len(WAREHOUSES)):
            _skus(run, hall, WAREHOUSES[:count])
        _locks(run, hall)


def _skus(run: Run, hall: Hall, warehouses: tuple[str, ...]) -> None:
    store, catalogue = hall.store(), skus(run.options.memory_count)
    empty = store.memory_bytes()
    store.fill(catalogue, warehouses, on_hand=1_000)
    store.trim_outbox()
    name = f"a SKU with {len(warehouses)} warehouse(s), of {len(catalogue):,}"
    _note(run, f"j.sku.{len(warehouses)}", name, (store.memory_bytes() - empty) / len(catalogue))
    _note(
        run,
        f"j.sku.{len(warehouses)}.key",
        f"{name}: MEMORY USAGE",
        store.key_bytes(Keys().stock(catalogue[7])),
    )


def _locks(run: Run, hall: Hall) -> None:
    store, catalogue = hall.store(), skus(LOCKED_SKUS)
    store.fill(catalogue)
    store.trim_outbox()
    count, empty = run.options.memory_count, store.memory_bytes()
    last = _make_locks(store, catalogue, count)
    store.trim_outbox()
    name = f"an open lock of 1 line, of {count:,}"
    _note(run, "j.lock", name, (store.memory_bytes() - empty) / count)
    _note(run, "j.lock.key", f"{name}: MEMORY USAGE", store.key_bytes(Keys().lock(last)))


def _make_locks(store: Store, catalogue: list[str], count: int) -> str:
    """Lock, many calls at once, straight through the functions; return the last id."""
    functions, prefix, lock_id = store.functions(), fresh_prefix(), ""
    requests = [functions.lock([sku]) for sku in catalogue]
    for first in range(0, count, CALLS_AT_ONCE):
        pipe = store.client.pipeline(transaction=False)
        for number in range(first, min(first + CALLS_AT_ONCE, count)):
            lock_id = f"{prefix}{number:012x}"
            pipe.execute_command(*_words(requests[number % len(requests)], lock_id))
        assert all(reply[0] == "LOCKED" for reply in pipe.execute())
    return lock_id


def _words(request: tuple[bytes, bytes], lock_id: str) -> list[bytes]:
    """A packed command as its words again."""
    reader = hiredis.Reader()
    reader.feed(request[0] + lock_id.encode() + request[1])
    words: list[bytes] = reader.gets()
    return words


def _note(run: Run, key: str, name: str, value: float) -> None:
    run.results.add(key, name, value, unit="B")
    print(f"  {key:<14} {value:,.0f} B", flush=True)
