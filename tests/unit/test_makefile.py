"""`make up` hands on what it is given, and `make clean` leaves data alone. Nothing is installed or started."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands in for the environment's Python: tells what it was called with.
TELLS = """#!/bin/sh
exec /usr/bin/env python3 -c '
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ.get("PYTHONPATH")]))
' "$@"
"""
# With a `$`, which means something to make, too.
NASTY = "a b;touch broken&'c\"$HOME`touch broken`$(touch broken)\\#%|ü"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile and an environment that is installed already."""
    place = tmp_path / "checkout"
    (place / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, place)
    shutil.copytree(ROOT / "requirements", place / "requirements")
    python = place / ".venv" / "bin" / "python"
    python.write_text(TELLS)
    python.chmod(0o755)
    for stamp in (".up", ".dev"):
        (place / ".venv" / stamp).touch()
    return place


def make(place: Path, *arguments: str, **environ: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "DATA", "PORT"}}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],  # noqa: S607
        cwd=place,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def given(said: str) -> list[str]:
    arguments, path = json.loads(said)
    assert path is None, "PYTHONPATH would lead to other code"
    assert arguments[:2] == ["-P", "app/__main__.py"]
    return list(arguments[2:])


@pytest.mark.parametrize("value", [NASTY, "it's", 'say "hi"', "a  b", "-x", "a$b$$c$(d)"])
def test_what_is_given_arrives_as_it_is(value: str, checkout: Path) -> None:
    expected = ["up", f"--port={value}", f"--data-dir={value}"]
    assert given(make(checkout, "up", DATA=value, PORT=value, PYTHONPATH="/elsewhere")) == expected
    assert given(make(checkout, "up", f"DATA={value}", f"PORT={value}")) == expected
    assert given(make(checkout, "reset-data", DATA=value)) == ["reset-data", f"--data-dir={value}"]
    assert not list(checkout.parent.rglob("broken"))


def test_nothing_given_leaves_it_to_the_command(checkout: Path) -> None:
    assert given(make(checkout, "up", SELLABLE_DATA_DIR="mine")) == ["up"]
    assert given(make(checkout, "reset-data", "CONFIRM=yes")) == ["reset-data", "--yes"]
    assert given(make(checkout, "reset-data", CONFIRM="no")) == ["reset-data"]


def test_clean_never_deletes_data(checkout: Path) -> None:
    places = [checkout / name for name in (".sellable", "a b", "a", "b", "build/data")]
    for place in places:
        place.mkdir(parents=True)
        (place / "members.lock").touch()
    (checkout / "dist").mkdir()
    for data in (".sellable", "a b", "build/data", "dist/../a"):
        said = make(checkout, "clean", DATA=data)
        make(checkout, "clean", f"DATA={data}")
        assert "kept build: it holds data of Sellable" in said
    assert all((place / "members.lock").exists() for place in places)
    assert not (checkout / "dist").exists()
    assert not (checkout / ".venv").exists()


def test_an_environment_whose_python_is_gone_is_made_and_filled_again(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    maker = checkout / "the python"
    maker.write_text(f'#!/bin/sh\n[ "$2" != venv ] || {{ cp "{checkout}/tells" "$3/bin/python"; }}\n')
    python.rename(checkout / "tells")
    maker.chmod(0o755)
    python.symlink_to("/nowhere/python3.10")
    said = make(checkout, "up", PYTHON=str(maker))
    assert '"-m", "pip", "install"' in said
    assert '"app/__main__.py", "up"' in said


@pytest.mark.tier
def test_what_is_installed_is_locked_unless_asked(checkout: Path) -> None:
    """The stand-in for Python tells what pip was asked for."""
    for target, lock, extra in (("up", "up", "embedded"), ("audit", "dev", "dev")):
        stamps = [checkout / ".venv" / name for name in (".up", ".dev")]
        for environ, expected in (
            ({}, [["--require-hashes", "--requirement", f"requirements/{lock}.txt"],
                  ["--no-deps", "--no-build-isolation", "--editable", "."]]),
            ({"UNLOCKED": "yes"}, [["--editable", f".[{extra}]"]]),
        ):  # fmt: skip
            for stamp in stamps:
                stamp.unlink(missing_ok=True)
            calls = [
                json.loads(line)[0]
                for line in make(checkout, target, **environ).splitlines()
                if line[:2] == "[["
            ]
            asked = [call[5:] for call in calls if call[:3] == ["-m", "pip", "install"]]
            assert asked == expected
