"""The judge of the load tests: it has to notice, and never to complain for nothing."""

import json

import pytest

from loadtests import catalogue
from loadtests.judge import EXAMPLES_MAX, Judge


def shortage(**more):
    return {"code": "insufficient_stock", "shortages": [{"sku": "A", "requested": 2, "sellable": 1} | more]}


def test_more_promised_than_there_is_is_oversold():
    judge = Judge({"A": 3})
    judge.promise({"A": 2})
    judge.promise({"A": 1})
    assert judge.is_content
    judge.promise({"A": 1})
    assert judge.oversold == ["A: 4 promised of 3"]
    assert not judge.is_content


def test_what_was_given_back_can_be_promised_again():
    judge = Judge({"A": 1})
    judge.promise({"A": 1})
    judge.give_back({"A": 1})
    judge.promise({"A": 1})
    assert judge.is_content


def test_stock_that_nobody_knows_cannot_be_oversold():
    judge = Judge({})
    judge.promise({"A": 10**9})
    assert judge.is_content


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        (shortage(), ""),
        (shortage(sellable=0), ""),
        (shortage(sellable=2), "though it is there"),
        (shortage(sellable=-1), "though it is there"),
        (shortage(requested=1), "nobody asked for"),
        (shortage(sku="B"), "nobody asked for"),
        ({"code": "insufficient_stock", "shortages": []}, "without shortages"),
        ({"code": "lock_id_reused"}, "without shortages"),
    ],
)
def test_a_refusal_must_name_the_shortage(problem, fault):
    assert fault in Judge({"A": 5}).refusal_fault({"A": 2}, problem)
    assert bool(fault) == bool(Judge({}).refusal_fault({"A": 2}, problem))


def test_complaints_are_counted_beyond_the_examples(tmp_path):
    judge = Judge({})
    for number in range(EXAMPLES_MAX + 5):
        judge.server_error(f"GET {number}: 500")
    judge.write(tmp_path / "verdict.json", "A")
    told = json.loads((tmp_path / "verdict.json").read_text())
    assert told["counts"] == {"server_errors": EXAMPLES_MAX + 5}
    assert len(told["server_errors"]) == EXAMPLES_MAX
    assert told["content"] is False


def test_the_catalogue_is_read_as_it_was_written(tmp_path, monkeypatch):
    file = tmp_path / "catalogue.csv"
    catalogue.write(file, flash_units=11)
    monkeypatch.setenv(catalogue.FILE_VARIABLE, str(file))
    known = catalogue.read()
    assert known.units[known.flash_sku] == 11
    assert known.flash_sku not in known.skus
    assert len(known.skus) == catalogue.SKUS
    assert 1 <= len(known.wanted(24)) <= 24


def test_without_a_file_the_demo_is_asked_for(monkeypatch):
    monkeypatch.delenv(catalogue.FILE_VARIABLE, raising=False)
    known = catalogue.read()
    assert known.units == {}
    assert known.flash_sku == known.skus[0]
