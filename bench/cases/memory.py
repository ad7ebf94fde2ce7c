"""(j): what a SKU and an open lock take in the hot store's memory."""

from app.hotstore.keys import Keys
from bench.run import Run
from bench.servers import Hall, skus

WAREHOUSES = ("north", "south", "east", "west")
LOCKED_SKUS = 1_000


def measure(run: Run) -> None:
    """Measure (j)."""
    if not run.wants("j"):
        return
    with run.hall("memory") as hall:
        for count in (1, len(WAREHOUSES)):
            _skus(run, hall, WAREHOUSES[:count])
        _skus(run, hall, WAREHOUSES, busy=True)
        _locks(run, hall)


def _skus(run: Run, hall: Hall, warehouses: tuple[str, ...], *, busy: bool = False) -> None:
    """A quiet SKU has units available; a busy one has some locked and a buffer in every warehouse, too."""
    store, catalogue = hall.store(), skus(run.options.memory_count)
    empty = store.memory_bytes()
    store.fill(catalogue, warehouses, on_hand=1_000, buffer=12 if busy else None)
    if busy:
        store.mark_locked(catalogue, warehouses, 25)
    store.trim_outbox()
    key = f"j.sku.{len(warehouses)}" + (".busy" if busy else "")
    name = f"a {'busy ' if busy else ''}SKU, warehouses: {len(warehouses)}, of {len(catalogue):,} SKUs"
    _note(run, key, name, (store.memory_bytes() - empty) / len(catalogue))
    _note(run, f"{key}.key", f"{name}: MEMORY USAGE", store.key_bytes(Keys().stock(catalogue[7])))


def _locks(run: Run, hall: Hall) -> None:
    store, catalogue = hall.store(), skus(LOCKED_SKUS)
    store.fill(catalogue)
    store.trim_outbox()
    count, empty = run.options.memory_count, store.memory_bytes()
    last = store.lock_directly(catalogue, count)
    store.trim_outbox()
    name = f"an open lock of 1 line, of {count:,} locks"
    _note(run, "j.lock", name, (store.memory_bytes() - empty) / count)
    _note(run, "j.lock.key", f"{name}: MEMORY USAGE", store.key_bytes(Keys().lock(last)))


def _note(run: Run, key: str, name: str, value: float) -> None:
    run.results.add(key, name, value, unit="B")
    print(f"  {key:<14} {value:,.0f} B", flush=True)
