import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.commands import import_stock as command
from app.domain.codes import UnknownCode
from app.errors import ConfigurationError, OutcomeUnknownError, SellableError, UnavailableError
from app.operations.openings import Change, OpeningRow, Set


class Shelf:
    """Opening stock in memory, of which nothing ever moves."""

    def __init__(self) -> None:
        self.on_hand: dict[tuple[str, str], OpeningRow] = {}
        self.chunks: list[int] = []
        self.in_flight = self.in_flight_max = 0
        self.errors: list[SellableError] = []
        self.urls: tuple[str, str] | None = None
        self.listed = set[str]()

    @property
    def openings(self) -> "Shelf":
        return self

    @property
    def codes(self) -> "Shelf":
        return self

    @property
    def warehouses(self) -> "Shelf":
        return self

    async def new_in_import(
        self, codes: Iterable[str], *, demo_skus: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[UnknownCode]]:
        assert "TEA-100" in demo_skus
        new = [code for code in codes if code not in self.listed]
        return ([], [UnknownCode(code, []) for code in new]) if self.listed else (new, [])

    async def closed_among(self, _codes: Iterable[str]) -> Sequence[str]:
        return []

    async def add(self, codes: Iterable[str]) -> None:
        self.listed |= set(codes)

    async def book_unmoved(self, rows: Sequence[OpeningRow], *, who: str = "") -> Set:
        assert who == command.WHO
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await asyncio.sleep(0)
        self.in_flight -= 1
        if self.errors:
            raise self.errors.pop()
        self.chunks.append(len(rows))
        changed = [row for row in rows if self.on_hand.get((row.sku, row.warehouse)) != row]
        self.on_hand.update({(row.sku, row.warehouse): row for row in changed})
        return Set(len(changed), [])

    async def book(self, rows: Sequence[OpeningRow], *, who: str = "") -> int:
        raise NotImplementedError

    async def book_counted(self, rows: Sequence[OpeningRow], at_ms: int, *, who: str = "") -> Set:
        raise NotImplementedError

    async def preview(
        self, rows: Sequence[OpeningRow], *, at_ms: int | None, absolute: bool
    ) -> Sequence[Change]:
        raise NotImplementedError

    @asynccontextmanager
    async def open(self, redis_url: str, database_url: str) -> AsyncIterator["Shelf"]:
        self.urls = (redis_url, database_url)
        yield self


@pytest.fixture
def data_dir(held_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SELLABLE_REDIS_URL", "SELLABLE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (held_dir / "run.json").write_text(json.dumps({"redis": "redis://r", "database": "postgresql://d"}))
    return held_dir


async def run(shelf: Shelf, data_dir: Path, content: str, **how: bool) -> int:
    path = data_dir / "stock.csv"
    path.write_text(content, encoding="utf-8")
    return await command.import_stock(path, data_dir, open_operations=shelf.open, how=command.How(**how))


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
    "a brace": ("A{x},main,9", "line 4: sku 'A{x}' must not contain"),
    "a quote": ('"A""",main,9', "line 4: sku 'A\"' must not contain"),
    "a backslash": ("A\\,main,9", "line 4: sku "),
    "a blank at the end": ("C ,main,9", "line 4: sku 'C ' must not begin or end with a blank"),
    "a newline": ('"C\nD",main,9', "line 4: sku "),
    "no sku": (",main,9", "line 4: sku '' is empty"),
    "no warehouse": ("C,,9", "line 4: warehouse '' is empty"),
    "a path": ("..,main,9", "line 4: sku "),
    "not NFC": ("e\u0301,main,9", "line 4: sku "),
    "a long code": ("x" * 65 + ",main,9", "line 4: sku "),
    "a long warehouse": ("C," + "w" * 25 + ",9", "line 4: warehouse "),
    "below zero": ("C,main,-1", "line 4: quantity '-1' must not be negative"),
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


TWICE = "sku,warehouse,quantity,buffer\nA,x,4,\nB,x,1,\nA,x,6,\na,x,2,\nA,y,7,\nA,x,8,\n"


async def test_of_rows_of_one_sku_and_warehouse_none_is_taken(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf()
    assert await run(shelf, data_dir, TWICE) == 3
    assert {key: row.on_hand for key, row in shelf.on_hand.items()} == {
        ("B", "x"): 1, ("a", "x"): 2, ("A", "y"): 7,
    }  # fmt: skip
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "line 2: 'A' in 'x' is in line 7 as well: neither is taken (--sum adds them up)",
        "line 4: 'A' in 'x' is in line 2 as well: neither is taken (--sum adds them up)",
        "line 7: 'A' in 'x' is in line 2 as well: neither is taken (--sum adds them up)",
        "lines 5 and 6: 'A' and 'a' differ in case only",
    ]
    assert said.out == "imported 3 rows (3 changed), 3 bad lines\n"


async def test_or_all_of_them_are_added_up(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = Shelf()
    assert await run(shelf, data_dir, TWICE, adds_up=True) == 0
    assert [(*key, row.on_hand) for key, row in shelf.on_hand.items()] == [
        ("A", "x", 18), ("B", "x", 1), ("a", "x", 2), ("A", "y", 7),
    ]  # fmt: skip
    assert capsys.readouterr().err == "lines 2 and 6: 'A' and 'a' differ in case only\n"


async def test_a_sum_that_may_lack_a_line_is_no_sum(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf()
    rows = "A,x,4,\nA,x,1.5,\nB,x,1,\nB,,2,\nC,x,1,3\nC,x,1,4\nD,x,999999999,\nD,x,2,\nE,x,1,2\nE,x,1,2\n"
    assert await run(shelf, data_dir, "sku,warehouse,quantity,buffer\n" + rows, adds_up=True) == 3
    assert list(shelf.on_hand.values()) == [OpeningRow("E", "x", 2, 2)]
    assert capsys.readouterr().err.splitlines()[2:] == [
        "line 2: 'A' in 'x' is not added up, for another line of it is bad",
        "line 4: 'B' in 'x' is not added up, for another line of it is bad",
        "line 6: the lines of 'C' in 'x', the last of them line 7, have different buffers",
        (
            "line 8: the lines of 'D' in 'x', the last of them line 9, add up to 1,000,000,001,"
            " which is above 1,000,000,000"
        ),
    ]


async def test_warehouses_that_are_not_known(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf, rows = Shelf(), "sku,warehouse,quantity\nA,x,1\nB,y,2\nC,z,3\n"
    shelf.listed = {"x"}
    assert await run(shelf, data_dir, rows) == 3
    assert list(shelf.on_hand) == [("A", "x")]
    assert capsys.readouterr().err.splitlines() == [
        "line 3: warehouse 'y' is not known (--new-warehouses makes it one)",
        "line 4: warehouse 'z' is not known (--new-warehouses makes it one)",
    ]
    assert await run(shelf, data_dir, rows, new_warehouses=True) == 0
    assert len(shelf.on_hand) == 3


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
