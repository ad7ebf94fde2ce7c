"""(k): how fast a catalogue is imported, with the worker behind it."""

from pathlib import Path

from bench.machine import placement
from bench.run import Run
from bench.servers import Hall, Store, skus


def measure(run: Run) -> None:
    """Measure (k)."""
    if not run.wants("k"):
        return
    with run.hall("import", placement("free")) as hall:
        store = hall.store()
        store.start_worker()
        rows = run.options.import_rows
        idle = _import(hall, store, _file(hall.place / "one.csv", ["ONE-ROW"]))
        seconds = _import(hall, store, _file(hall.place / "all.csv", skus(rows)))
        store.stop_worker()
    run.results.add(
        "k",
        f"import-stock of {rows:,} rows, less the command's own start",
        rows / (seconds - idle if idle < seconds / 2 else seconds),
        unit="rows/s",
    )


def _file(path: Path, codes: list[str]) -> Path:
    lines = ["sku,warehouse,quantity", *(f"{sku},north,100" for sku in codes)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _import(hall: Hall, store: Store, file: Path) -> float:
    return hall.run("import", "-m", "app", "import-stock", str(file), env=store.env)
