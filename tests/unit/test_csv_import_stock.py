import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.commands import import_stock as command
from app.errors import ConfigurationError, OutcomeUnknownError, SellableError, UnavailableError
from app.operations.openings import OpeningRow


class Shelf:
    """Opening stock in memory."""

    def __init__(self) -> None:
        self.on_hand: dict[tuple[str, str], OpeningRow] = {}
        self.chunks: list[int] = []
        self.in_flight = self.in_flight_max = 0
        self.errors: list[SellableError] = []
        self.urls: tuple[str, str] | None = None

    @property
    def openings(self) -> "Shelf":
        return self

    async def book(self, rows: Sequence[OpeningRow]) -> int:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await asyncio.sleep(0)
        self.in_flight -= 1
        if self.errors:
            raise self.errors.pop()
        self.chunks.append(len(rows))
        changed = [row for row in rows if self.on_hand.get((row.sku, row.warehouse)) != row]
        self.on_hand.update({(row.sku, row.warehouse): row for row in changed})
        return len(changed)

    @asynccontextmanager
    async def open(self, redis_url: str, database_url: str) -> AsyncIterator["Shelf"]:
        self.urls = (redis_url, database_url)
        yield self


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SELLABLE_REDIS_URL", "SELLABLE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run.json").write_text(json.dumps({"redis": "redis://r", "database": "postgresql://d"}))
    return tmp_path


async def run(shelf: Shelf, data_dir: Path, content: str) -> int:
    path = data_dir / "stock.csv"
    path.write_text(content, encoding="utf-8")
    return await command.import_stock(path, data_dir, open_operations=shelf.open)


async def test_books_absolute_counts_and_a_rerun_changes_nothing(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf()
    content = "sku,warehouse,quantity,buffer\nA/12,main,5,2\nB,main,0,\n85123a,main,1,0\n85123A,main,1,\n"
    assert await run(shelf, data_dir, content) == 0
    assert shelf.on_hand["A/12", "main"] == OpeningRow("A/12", "main", 5, 2)
    assert shelf.on_hand["B", "main"] == OpeningRow("B", "main", 0, None)
    assert shelf.urls == ("redis://r", "postgresql://d")
    assert await run(shelf, data_dir, content) == 0
    assert capsys.readouterr().out.splitlines() == [
        "imported 4 rows (4 changed), 0 bad lines",
        "imported 4 rows (0 changed), 0 bad lines",
    ]


BAD = {
    "a duplicate": ("A,main,9", "line 4: 'A' in 'main' was given in line 2 already"),
    "a brace": ("A{x},main,9", "line 4: "),
    "a quote": ('"A""",main,9', "line 4: "),
    "a backslash": ("A\\,main,9", "line 4: "),
    "a blank at the end": ("C ,main,9", "line 4: "),
    "a newline": ('"C\nD",main,9', "line 4: "),
    "no sku": (",main,9", "line 4: "),
    "no warehouse": ("C,,9", "line 4: "),
    "a path": ("..,main,9", "line 4: "),
    "not NFC": ("e\u0301,main,9", "line 4: "),
    "a long code": ("x" * 65 + ",main,9", "line 4: "),
    "a long warehouse": ("C," + "w" * 25 + ",9", "line 4: "),
    "below zero": ("C,main,-1", "line 4: quantity '-1' is not"),
    "a bad buffer": ("C,main,1,x", "line 4: buffer 'x' is not"),
}


@pytest.mark.parametrize("case", BAD)
async def test_names_the_bad_line_and_keeps_the_good(
    case: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, message = BAD[case]
    shelf = Shelf()
    content = f"sku,warehouse,quantity,buffer\nA,main,1,\nB,main,2,\n{line}\nZ,main,3\n"
    assert await run(shelf, data_dir, content) == 3
    said = capsys.readouterr()
    assert said.out == "imported 3 rows (3 changed), 1 bad lines\n"
    assert said.err.startswith(message)
    assert [row.on_hand for row in shelf.on_hand.values()] == [1, 2, 3]


async def test_the_same_code_in_another_warehouse_is_no_duplicate(data_dir: Path) -> None:
    shelf = Shelf()
    assert await run(shelf, data_dir, "sku,warehouse,quantity\nA,x,1\nA,y,2\n") == 0
    assert len(shelf.on_hand) == 2


async def test_a_bad_line_does_not_make_the_next_a_duplicate(data_dir: Path) -> None:
    shelf = Shelf()
    assert await run(shelf, data_dir, "sku,warehouse,quantity\nA,x,none\nA,x,2\n") == 3
    assert shelf.on_hand["A", "x"].on_hand == 2


@pytest.mark.parametrize(("content", "code"), [("A,x,none\n", 1), ("", 0)])
async def test_nothing_to_import(content: str, code: int, data_dir: Path) -> None:
    assert await run(Shelf(), data_dir, "sku,warehouse,quantity\n" + content) == code


async def test_sends_chunks_a_few_at_a_time(data_dir: Path) -> None:
    shelf = Shelf()
    rows = "".join(f"S{number},main,1\n" for number in range(4_750))
    assert await run(shelf, data_dir, "sku,warehouse,quantity\n" + rows) == 0
    assert sorted(shelf.chunks) == [250, *[command.CHUNK_ROWS] * 9]
    assert shelf.in_flight_max == command.CHUNKS_IN_FLIGHT_MAX


async def test_repeats_a_chunk_whose_outcome_is_unknown(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "RETRY_PAUSE_SECONDS", 0.0)
    shelf = Shelf()
    shelf.errors = [OutcomeUnknownError("no answer"), UnavailableError("away")]
    assert await run(shelf, data_dir, "sku,warehouse,quantity\nA,x,1\n") == 0
    assert shelf.on_hand["A", "x"].on_hand == 1


async def test_gives_up_with_one_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "RETRY_SECONDS", 0.0)
    shelf = Shelf()
    shelf.errors = [UnavailableError("the hot store is away")]
    with pytest.raises(SellableError, match="the hot store is away; 0 rows were imported"):
        await run(shelf, data_dir, "sku,warehouse,quantity\nA,x,1\n")


async def test_needs_both_stores(data_dir: Path) -> None:
    (data_dir / "run.json").write_text(json.dumps({"redis": "redis://r"}))
    with pytest.raises(ConfigurationError, match="SELLABLE_DATABASE_URL"):
        await run(Shelf(), data_dir, "sku,warehouse,quantity\nA,x,1\n")
