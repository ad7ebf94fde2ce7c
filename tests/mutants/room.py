"""Builds the functions with one thing changed, and asks the checks whether they notice."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import resources
from app.hotstore.library import build
from tests.mutants.table import Mutant
from tests.properties.driver import live, live_wide
from tests.properties.rig import Shard, Wire

LIVES = 12
WIDE_LIVES = 60
TESTS_SECONDS_MAX = 180
TESTS = (
    "tests/integration/test_functions_locks.py",
    "tests/integration/test_functions_steps.py",
    "tests/integration/test_functions_bookings.py",
    "tests/integration/test_functions_transfers.py",
    "tests/integration/test_functions_inbox.py",
    "tests/integration/test_functions_limits.py",
    "tests/integration/test_functions_headers.py",
    "tests/integration/test_functions_arguments.py",
    "tests/integration/test_functions_gate.py",
    "tests/integration/test_functions_rules.py",
    "tests/integration/test_scenarios.py",
    "tests/integration/test_lock_batches.py",
    "tests/properties/test_choices.py",
    "tests/properties/test_linearizability.py",
)


class StaleMutantError(Exception):
    """The text that a mutant replaces is not there exactly once: the table must follow the code."""


def mutated(mutant: Mutant, text: str) -> str:
    """Return a file's text with the mutant in it."""
    count = text.count(mutant.text)
    if count != 1:
        raise StaleMutantError(f"{mutant.name}: its text occurs {count} times in {mutant.file}")
    return text.replace(mutant.text, mutant.instead)


@contextmanager
def folder_with(mutant: Mutant) -> Iterator[Path]:
    """A copy of `lua/` with the mutant in it."""
    with tempfile.TemporaryDirectory(prefix="sellable-mutant-") as place:
        folder = Path(place) / "lua"
        shutil.copytree(resources.folder("lua"), folder)
        file = folder / mutant.file
        file.write_text(mutated(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
        yield folder


def killer_of(mutant: Mutant, wire: Wire) -> str | None:
    """Return which check noticed the mutant, or None: it survived."""
    with folder_with(mutant) as folder:
        library = build(folder)
        shard = Shard(wire, library)
        try:
            return _noticed_by_driver(shard) or _noticed_by_tests(folder)
        finally:
            wire.call("FUNCTION", "DELETE", library.name)


def _noticed_by_driver(shard: Shard) -> str | None:
    for number in range(LIVES):
        if live(shard, f"mutant/{number}", shrink=False):
            return f"random commands, life {number}"
    for number in range(WIDE_LIVES):
        if live_wide(shard, f"mutant/{number}", shrink=False):
            return f"random sourcing, life {number}"
    return None


def _noticed_by_tests(folder: Path) -> str | None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        *TESTS,
    ]
    environment = {**os.environ, "SELLABLE_TEST_LUA": str(folder)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TESTS_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return "the tests came to no end"
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if not failed:
        raise RuntimeError(f"the tests did not run: {done.stdout}{done.stderr}")
    return failed[0].split(" - ")[0].removeprefix("FAILED ").removeprefix("tests/")
