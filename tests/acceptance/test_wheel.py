"""What a wheel carries is enough: built, installed into a fresh environment, run from elsewhere."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.service import ROOT, Service, environment
from tests.servers import scratch


def run(*arguments: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, arguments)),
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel() -> Path:
    with scratch() as place:
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, ROOT, cwd=place)
        (built,) = place.glob("sellable-*.whl")
        yield built


def test_it_carries_every_function_and_statement(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("lua", "sql"):
        for file in (ROOT / folder).rglob("*.*"):
            assert f"app/_{folder}/{file.relative_to(ROOT / folder)}" in names
    assert not [name for name in names if name.startswith(("tests", "docs", "lua", "sql"))]


@pytest.mark.tier
def test_it_runs_outside_the_checkout(wheel: Path, up: Callable[..., Service], place: Path) -> None:
    venv = place / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=place)
    pip = (sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install")
    run(*pip, "--quiet", "--no-index", "--no-deps", wheel, cwd=place)
    # The dependencies are those of this environment, so that nothing is downloaded; the project itself is not.
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    sellable = venv / "bin" / "sellable"
    where = run(venv / "bin" / "python", "-c", "import app; print(app.__file__)", cwd=place)
    assert Path(where.strip()) == site / "app" / "__init__.py"
    assert "import-stock" in run(sellable, "--help", cwd=place)
    settings = json.loads(run(sellable, "settings", "--json", cwd=place))
    assert {"SELLABLE_REDIS_URL", "SELLABLE_DURABILITY"} <= {setting["name"] for setting in settings}

    one = up(command=(str(sellable),), cwd=place, env={"PYTHONPATH": ""}).ready()
    one.open_stock(("packed", "north", 1))
    assert one.lock("packed-1", ("packed", 1)).status_code == 201
    assert one.lock("packed-2", ("packed", 1)).status_code == 409
    assert one.stop() == 0
    assert one.left_running() == []
