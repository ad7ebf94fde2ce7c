"""`sellable up` anywhere: in a foreign folder, a hostile environment, on one busy core, on a copy of its data."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.service import ROOT, Service, environment

# As `make up` runs it: by its path, so that the folder it is started in may hold anything.
OURS = (sys.executable, "-P", str(ROOT / "app" / "__main__.py"))
NOWHERE = "/nowhere/at/all"
HOSTILE = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:1"),
    "ALL_PROXY": "socks5://127.0.0.1:1",
    "NO_PROXY": "[::1",
    **dict.fromkeys(("PGHOST", "PGSSLROOTCERT", "PGPASSFILE", "PGSERVICEFILE", "PGDATA"), NOWHERE),
    **dict.fromkeys(("PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGTARGETSESSIONATTRS"), "foreign"),
    **dict.fromkeys(("PGSSLMODE", "PGSSLNEGOTIATION", "PGGSSLIB", "PGSSLMINPROTOCOLVERSION"), "foreign"),
    "PGPORT": "1",
    "PGOPTIONS": "-c foreign=1",
    **dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "TMPDIR", "PYTHONSTARTUP"), NOWHERE),
    **dict.fromkeys(("WEB_CONCURRENCY", "REDIS_URL", "REDISCLI_AUTH"), "foreign"),
    "HOME": NOWHERE,
    "LC_ALL": "tr_TR.UTF-8",
}
STOCK = "sku,warehouse,quantity\nTEA,north,9\n"
ORDERS = "order_id,sku,quantity,occurred_at\no1,TEA,2,2025-01-31T10:00:00Z\n"


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder of somebody's project, with names that ours has, too."""
    there = place / "somebody's project"
    (there / "app").mkdir(parents=True)
    spoiled = f"open({str(place / 'imported')!r}, 'a').write(__file__); raise SystemExit('foreign')\n"
    for name in ("app/__init__.py", "app/__main__.py", "redis.py", "asyncpg.py", "typer.py", "json.py"):
        (there / name).write_text(spoiled)
    (there / "stock.csv").write_text(STOCK)
    (there / "orders.csv").write_text(ORDERS)
    return there


@contextlib.contextmanager
def busy_core(core: int) -> Iterator[None]:
    """Another program that takes all it can get of one core."""
    script = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        try:
            yield
        finally:
            child.kill()


def run(folder: Path, data: Path, *arguments: str, env: Mapping[str, str] = HOSTILE) -> str:
    done = subprocess.run(
        [*OURS, *arguments, "--data-dir", str(data)],
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.tier
def test_a_hostile_environment_a_foreign_folder_and_one_busy_core(
    up: Callable[..., Service], place: Path, folder: Path
) -> None:
    data = place / "ein langer Weg; mit $HOME, \"Zitat\" und 'ü'" / ("x" * 100) / "data"
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    pinned = ("taskset", "-c", str(core), *OURS) if shutil.which("taskset") else OURS
    with busy_core(core):
        service = up(data=data, cwd=folder, command=pinned, env=HOSTILE).ready()
        assert "imported 1 rows (1 changed)" in run(folder, data, "import-stock", "stock.csv")
        assert re.search(r"^locked +1$", run(folder, data, "replay", "orders.csv"), re.MULTILINE)
        for command in (["verify"], ["ledger", "check"], ["explain", "TEA"], ["lost", "list"]):
            run(folder, data, *command)
    assert service.stock("TEA")["north"]["on_hand"] == 7
    supervisor = int(service.where()["pids"]["supervisor"])
    os.kill(supervisor, signal.SIGSTOP)
    assert service.is_ready()
    os.kill(supervisor, signal.SIGCONT)
    service.kill("worker")
    assert service.stop() == 0
    assert service.left_running() == []
    assert not (place / "imported").exists()


@pytest.mark.tier
def test_data_that_was_copied_while_it_was_used(up: Callable[..., Service], place: Path) -> None:
    """The copy is a service of its own; before it runs, no command takes the original for it."""
    first = up().ready()
    first.open_stock(("kept", "north", 5))
    first.verify()
    copy = place / "copy"
    shutil.copytree(first.data, copy, ignore=shutil.ignore_patterns("socket"))
    lost = subprocess.run(
        [*OURS, "rebuild", "--data-dir", str(copy)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert lost.returncode == 1
    assert "was left behind by one that has ended, or was copied" in lost.stderr
    (copy / "run.json").unlink()  # else it would be taken for what the second one writes
    second = up(data=copy).ready()
    assert second.lock("sold", ("kept", 5)).status_code == 201
    assert first.stock("kept")["north"]["locked"] == 0
    assert second.stock("kept")["north"]["locked"] == 5
    assert second.where()["redis"] != first.where()["redis"]
    second.verify()
    first.verify()
