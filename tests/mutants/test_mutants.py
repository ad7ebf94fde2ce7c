"""A sample of the mutants in the normal run; all of them by `python -m tests.mutants`."""

from collections.abc import Iterator

import pytest

from app import resources
from tests.mutants.room import StaleMutantError, killer_of, mutated
from tests.mutants.table import MUTANTS, Mutant
from tests.properties.rig import Server, Wire

pytest_plugins = ["tests.properties.fixtures"]

SAMPLE = [
    "skip the availability check",
    "no summing of duplicates",
    "ignore the buffer",
    "expire without checking the time",
    "do a repeated step again",
    "replace without giving back",
    "skip the gate",
]


@pytest.fixture
def wire(proof_server: Server) -> Iterator[Wire]:
    with Wire(proof_server) as wire:
        yield wire


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_table_follows_the_code(mutant: Mutant) -> None:
    text = (resources.folder("lua") / mutant.file).read_text(encoding="utf-8")
    assert mutated(mutant, text) != text


def test_every_mutant_has_its_own_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30


def test_a_text_that_is_gone_is_an_error() -> None:
    with pytest.raises(StaleMutantError):
        mutated(Mutant("m", "lock.lua", "no such text", ""), "other text")


@pytest.mark.tier
@pytest.mark.parametrize("name", SAMPLE)
def test_a_mutant_is_noticed(wire: Wire, name: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    assert killer_of(mutant, wire)
