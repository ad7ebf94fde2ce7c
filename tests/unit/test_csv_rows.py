import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from app.commands.csv_rows import (
    LINE_CHARS_MAX,
    RECORD_LINES_MAX,
    CsvFileError,
    Record,
    Rows,
    open_csv,
    quantity,
    signed_quantity,
)
from app.commands.progress import NAMED_MAX, Complaints, Meter

Read = tuple[list[tuple[int, str, str]], list[str]]


class Notes(Meter):
    def __init__(self) -> None:
        super().__init__("reading", 0, "bytes")
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Read]:
    """The rows of a file with the columns sku, quantity and maybe note, and what was said about it."""

    def parse(record: Record) -> tuple[int, str, str]:
        quantity(record.values["quantity"])
        return record.line, record.values["sku"], record.values["note"]

    def run(content: bytes) -> Read:
        path, notes = tmp_path / "file.csv", Notes()
        path.write_bytes(content)
        with open_csv(path, required=("sku", "quantity"), optional=("note",)) as source:
            rows = Rows(source, parse, meter=notes)
            return list(rows), notes.lines

    return run


GOOD = {
    "plain": (b"sku,quantity\nA,1\nB,2\n", [(2, "A", ""), (3, "B", "")]),
    "no newline at the end": (b"sku,quantity\nA,1", [(2, "A", "")]),
    "a byte order mark": (b"\xef\xbb\xbfsku,quantity\nA,1\n", [(2, "A", "")]),
    "CRLF": (b"sku,quantity\r\nA,1\r\nB,2\r\n", [(2, "A", ""), (3, "B", "")]),
    "another order of columns": (b"note,quantity,sku\nn,1,A\n", [(2, "A", "n")]),
    "names in capitals": (b"SKU, Quantity\nA,1\n", [(2, "A", "")]),
    "quoted": (b'sku,quantity,note\n"A,""x""",1,"n"\n', [(2, 'A,"x"', "n")]),
    "a quoted newline": (b'sku,quantity,note\nA,1,"n\r\nm"\nB,2,\n', [(2, "A", "n\r\nm"), (4, "B", "")]),
    "a quote inside": (b'sku,quantity\n6" nail,1\n', [(2, '6" nail', "")]),
    "blank lines": (b"sku,quantity\n\nA,1\n\n", [(3, "A", "")]),
    "a short row": (b"sku,quantity,note\nA,1\n", [(2, "A", "")]),
    "other letters": ("sku,quantity\nÄ-冬,1\n".encode(), [(2, "Ä-冬", "")]),
    "only a header": (b"sku,quantity\n", []),
}


@pytest.mark.parametrize("case", GOOD)
def test_reads(case: str, read: Callable[[bytes], Read]) -> None:
    content, rows = GOOD[case]
    assert read(content) == (rows, [])


BAD = {
    "not a number": (b"sku,quantity\nA,1e3\nB,2\n", [3], ["line 2: quantity '1e3' is not a whole number"]),
    "no number": (b"sku,quantity\nA,\nB,2\n", [3], ["line 2: quantity '' is not a whole"]),
    "too few fields": (b"sku,quantity\nA\nB,2\n", [3], ["line 2: ends before its quantity"]),
    "too many": (b"sku,quantity\nA,1,2\nB,2\n", [3], ["line 2: has 3 fields, but the header names 2"]),
    "not UTF-8": (b"sku,quantity\n\xe4,1\nB,2\n", [3], ["line 2: its sku is not UTF-8 text"]),
    "text after a quote": (b'sku,quantity\n"A"x,1\nB,2\n', [3], ["line 2: is not proper CSV"]),
    "an open quote": (
        b'sku,quantity\n"A,1\nB,2\nC,3\n',
        [3, 4],
        ["line 2: has a quoted field that does not"],
    ),
    "an open quote in a long file": (
        b'sku,quantity\n"A,1\n' + b"B,2\n" * 2 * RECORD_LINES_MAX,
        list(range(3, 3 + 2 * RECORD_LINES_MAX)),
        [f"line 2: has a quoted field that does not end within {RECORD_LINES_MAX} lines"],
    ),
    "an open quote before a quoted row": (
        b'sku,quantity\n"A,1\nB,2\n"C",3\n',
        [3, 4],
        ["line 2: is not proper CSV"],
    ),
    "an endless line": (
        b"sku,quantity\nA" + b"x" * 3 * LINE_CHARS_MAX + b",1\nB,2\n",
        [3],
        ["line 2: is longer than"],
    ),
    "an endless line after an open quote": (
        b'sku,quantity\n"A,1\nA' + b"x" * 3 * LINE_CHARS_MAX + b",1\nB,2\n",
        [4],
        ["line 2: is longer than", "line 3: is longer than"],
    ),
    "a column that nobody uses": (
        b"sku,quantity,colour\nA,1,\xe4\n",
        [2],
        ["columns not used: 'colour'"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_names_bad_lines_and_keeps_the_good(case: str, read: Callable[[bytes], Read]) -> None:
    content, good_lines, notes = BAD[case]
    rows, said = read(content)
    assert [line for line, _, _ in rows] == good_lines
    assert [text.startswith(note) for text, note in zip(said, notes, strict=True)] == [True] * len(notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file.csv is empty"),
        (b"\n\n", "file.csv is empty"),
        (b"\xef\xbb\xbf", "file.csv is empty"),
        (b"sku,count\nA,1\n", "file.csv has no column quantity"),
        (b"A,1\n", "file.csv has no column quantity and no column sku"),
        (b"sku;quantity\nA;1\n", "fields are separated by commas"),
        (b"sku,quantity,sku\nA,1,B\n", "file.csv has the column 'sku' twice"),
        ("sku,quantity\nA,1\n".encode("utf-16"), "file.csv is not UTF-8 text"),
        (b"sk\xfc,quantity\nA,1\n", "file.csv is not UTF-8 text"),
        (b'"sku,quantity\n', "file.csv is not a CSV file"),
    ],
)
def test_refuses_the_file(content: bytes, message: str, read: Callable[[bytes], Read]) -> None:
    with pytest.raises(CsvFileError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " 1", "1 ", "-1", "+1", "1.0", "1e3", "0x10", "nan", "²", "٣", "1_000"])
def test_quantity_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number in plain digits"):
        quantity(text)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("1000000000", 10**9)])
def test_quantity_takes(text: str, number: int) -> None:
    assert quantity(text) == number


def test_quantity_has_bounds() -> None:
    with pytest.raises(ValueError, match="between 0"):
        quantity("1000000001")
    with pytest.raises(ValueError, match="between 1"):
        quantity("0", least=1)


@pytest.mark.parametrize(("text", "number"), [("-5", -5), ("+5", 5), ("5", 5)])
def test_signed_quantity_takes(text: str, number: int) -> None:
    assert signed_quantity(text) == number


@pytest.mark.parametrize("text", ["0", "-0", "--1", "-", "", "-1000000001", "- 1"])
def test_signed_quantity_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        signed_quantity(text)


def test_complaints_have_a_bound() -> None:
    said: list[str] = []
    complaints = Complaints("bad lines")
    for number in range(NAMED_MAX + 2_500):
        complaints.add(f"line {number}", said.append)
    complaints.finish(said.append)
    assert len(said) == NAMED_MAX + 1
    assert said[-1] == "and 2,500 more bad lines"


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("sku,warehouse,quantity\n")
        file.writelines(f"SKU-{number:08d}-with-a-long-name,main,{number}\n" for number in range(200_000))
    # A process of its own, because the highest mark of this one tells of every test before.
    script = dedent("""
        import resource, sys
        from pathlib import Path
        from app.commands.csv_rows import Rows, open_csv
        from app.commands.import_stock import SeenKeys, _parse
        from app.commands.progress import Meter
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        scale = 1024 if sys.platform == "darwin" else 1
        columns = ("sku", "warehouse", "quantity")
        with open_csv(Path(sys.argv[1]), required=columns, optional=("buffer",)) as f:
            seen = SeenKeys()
            rows = iter(Rows(f, lambda record: _parse(record, seen), meter=Meter("", 0, "")))
            first = [next(rows) for _ in range(10_000)]
            before = peak()
            count = sum(1 for _ in rows) + len(first)
        print(count, (peak() - before) // scale)
    """)
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    count, grown_kib = map(int, done.stdout.split())
    assert count == 200_000
    assert grown_kib < 8_192, f"190,000 more rows took {grown_kib} KiB"
