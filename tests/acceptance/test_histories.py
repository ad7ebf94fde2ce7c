"""Many clients at once, through HTTP: one order of the ledger explains every answer, and a forged one does not."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.acceptance.service import Service
from tests.histories.check import Row
from tests.histories.run import Recorded, record


def swapped(rows: list[Row]) -> None:
    """Two locks that were answered one after the other change places."""
    locks = [i for i, row in enumerate(rows) if row.kind == "lock"]
    first, last = locks[0], locks[-1]
    rows[first], rows[last] = rows[last], rows[first]


def dropped(rows: list[Row]) -> None:
    rows.remove(next(row for row in rows if row.kind == "deduct"))


def doubled(rows: list[Row]) -> None:
    row = next(row for row in rows if row.kind == "deduct")
    rows.append(replace(row, position="99-1"))


def altered(rows: list[Row]) -> None:
    i = next(i for i, row in enumerate(rows) if row.kind == "lock")
    sku, warehouse, source, target, units = rows[i].moves[0]
    rows[i] = replace(rows[i], moves=[(sku, warehouse, source, target, units + 1), *rows[i].moves[1:]])


def invented(rows: list[Row]) -> None:
    row = next(row for row in rows if row.kind == "lock")
    rows.append(replace(row, position="99-2", lock_id="nobody"))


def test_one_order_explains_every_answer(up: Callable[..., Service], place: Path) -> None:
    up("--no-demo").ready()
    recorded = asyncio.run(record(place / "data", commands=2_000, clients=32, seed=1))
    assert recorded.differences == []
    verdict = recorded.verdict()
    assert verdict.problems == []
    assert verdict.unknown > 0 and verdict.refusals > 100 and verdict.events > 500  # noqa: PT018 - it was a history
    for forge in (swapped, dropped, doubled, altered, invented):
        rows = copy.copy(recorded.rows)
        forge(rows)
        forged = Recorded(recorded.calls, rows, [], 0.0).verdict()
        assert forged.problems, forge.__name__
