"""The reader of files: what it takes, what it names, and that pieces of any size say the same."""

import io
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files.codes import sku_reader
from app.files.errors import FileError
from app.files.numbers import Whole
from app.files.options import HTTP, SHOPIFY, Options, check_encoding, read_names
from app.files.reader import BadLine, Column, Reader, Sheet
from app.files.records import LINE_CHARS_MAX, RECORD_LINES_MAX

Found = tuple[list[tuple[int, Any]], list[str], list[str]]


def sheet(options: Options) -> Sheet[tuple[Any, ...]]:
    """The columns sku, quantity and maybe note; the row is what they mean."""
    columns = (
        Column("sku", sku_reader(options)),
        Column("quantity", Whole()),
        Column("note", str, required=False),
    )
    return Sheet(columns, lambda _line, values: tuple(values))


def read_pieces(pieces: Iterable[bytes], options: Options | None = None) -> Found:
    """The rows with their lines, the bad lines as they are named, and the notes."""
    options = options or Options()
    reader, rows, bad = Reader(sheet(options), options), list[tuple[int, Any]](), list[str]()
    entries = [entry for piece in pieces for entry in reader.feed(piece)]
    for entry in [*entries, *reader.finish()]:
        if isinstance(entry, BadLine):
            bad.append(f"line {entry.line}: {entry.reason}")
        else:
            rows.append(entry)
    return rows, bad, reader.notes()


def read(content: bytes, **said: Any) -> Found:
    return read_pieces([content], Options(**said))


A1 = [(2, ("A", 1, None))]
TAKEN: dict[str, tuple[bytes, list[tuple[int, Any]]]] = {
    "plain": (b"sku,quantity\nA,1\nB,2\n", [*A1, (3, ("B", 2, None))]),
    "its mark": (b"\xef\xbb\xbfsku,quantity\nA,1\n", A1),
    "semicolons": (b"sku;quantity\nA;1\n", A1),
    "tabs": (b"sku\tquantity\nA\t1\n", A1),
    "bars": (b"sku|quantity\nA|1\n", A1),
    "a separator line": (b"sep=;\r\nsku;quantity\r\nA;1\r\n", [(3, ("A", 1, None))]),
    "a separator that none would guess": (b"sep=^\nsku^quantity\nA^1\n", [(3, ("A", 1, None))]),
    "commas in semicolons": (b'sku;"a,b,c,d";quantity\nA;x,y;1\n', A1),
    "CRLF": (b"sku,quantity\r\nA,1\r\nB,2\r\n", [*A1, (3, ("B", 2, None))]),
    "CR": (b"sku,quantity\rA,1\rB,2\r", [*A1, (3, ("B", 2, None))]),
    "UTF-16": ("sku,quantity\nÄ-冬,1\n".encode("utf-16"), [(2, ("Ä-冬", 1, None))]),
    "UTF-16, the other way": (b"\xfe\xff" + "sku,quantity\nA,1\n".encode("utf-16-be"), A1),
    "another order of columns": (b"note,quantity,sku\nn,1,A\n", [(2, ("A", 1, "n"))]),
    "names in capitals, with blanks": (b"\xc2\xa0SKU ,\tQuantity\nA,1\n", A1),
    "quoted": (b'sku,quantity,note\n"A,b",1,"n""m"\n', [(2, ("A,b", 1, 'n"m'))]),
    "a quoted newline": (b'sku,quantity,note\nA,1,"n\r\nm"\nB,2,\n', [(2, ("A", 1, "n\r\nm")), (4, ("B", 2, None))]),
    "a newline in a name": (b'sku,"a\nb",quantity\nA,x,1\n', [(3, ("A", 1, None))]),
    "a quote inside": (b'sku,quantity,note\nA,1,6" nail\n', [(2, ("A", 1, '6" nail'))]),
    "blank lines": (b"\n  \nsku,quantity\n\nA,1\n,,\n   \n", [(5, ("A", 1, None))]),
    "a short row": (b"sku,quantity,note\nA,1\n", A1),
    "empty fields behind the last": (b"sku,quantity\nA,1,,\n", A1),
    "other letters": ("sku,quantity\nÄ-冬,1\n".encode(), [(2, ("Ä-冬", 1, None))]),
    "the end mark of old systems": (b"sku,quantity\r\nA,1\r\n\x1a", A1),
    "the same, on a line": (b"sku,quantity\r\nA,1\r\n\x1a\r\n", A1),
    "only a header": (b"sku,quantity\n", []),
    "only a header, without its end": (b"sku,quantity", []),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_takes(case: str) -> None:
    content, rows = TAKEN[case]
    found, bad, _ = read(content)
    assert (found, bad) == (rows, [])


LONG = b"x" * 3 * LINE_CHARS_MAX
NAMED: dict[str, tuple[bytes, list[int], list[str]]] = {
    "not a number": (b"sku,quantity\nA,five\nB,2\n", [3], ["line 2: quantity 'five' is not a whole number"]),
    "no number": (b"sku,quantity\nA,\nB,2\n", [3], ["line 2: quantity '' is empty"]),
    "two fields": (b"sku,quantity\nA ,-1\n", [], ["line 2: sku 'A ' must not begin or end with a blank; quantity"]),
    "no code": (b"sku,quantity\n,1\n", [], ["line 2: sku '' is empty"]),
    "too few fields": (b"sku,quantity\nA\nB,2\n", [3], ["line 2: ends before its quantity"]),
    "too many": (b"sku,quantity\nA,1,2\nB,2\n", [3], ["line 2: has 3 fields, but the header names 2"]),
    "no end": (b"sku,quantity\nA,1\nB,12", [2], ["line 3: the file ends in the middle of a line, 'B,12'"]),
    "not text, among letters": (
        b"sku,quantity,note\n\xe4,1,\nB,2,\xc3\xa4\n", [3], ["line 2: its sku is not UTF-8 text"],
    ),
    "not text, marked": (b"\xef\xbb\xbfsku,quantity\n\xe4,1\nB,2\n", [3], ["line 2: its sku is not UTF-8 text"]),
    "a NUL": (b"sku,quantity\nA\0,1\nB,2\n", [3], ["line 2: sku 'A\\x00' must have printable characters only"]),
    "text after a quote": (
        b'sku,quantity\n"A"x,1\nB,2\n', [3],
        ["line 2: is not proper CSV: a quote in a quoted field is not doubled, in its sku: '\"A\"x,1'"],
    ),
    "an open quote": (b'sku,quantity\n"A,1\nB,2\nC,3\n', [3, 4], ["line 2: has a quoted field that does not end"]),
    "an open quote in a long file": (
        b'sku,quantity\n"A,1\n' + b"B,2\n" * 2 * RECORD_LINES_MAX,
        list(range(3, 3 + 2 * RECORD_LINES_MAX)),
        ["line 2: has a quoted field that does not end"],
    ),
    "an open quote that ends too late": (
        b'sku,quantity\n"A,1\n' + b"B,2\n" * RECORD_LINES_MAX + b'",3\n',
        list(range(3, 3 + RECORD_LINES_MAX)),
        [f"line 2: has a quoted field that does not end within {RECORD_LINES_MAX} lines", "line 53: has a"],
    ),
    "an open quote before a quoted row": (b'sku,quantity\n"A,1\nB,2\n"C",3\n', [3, 4], ["line 2: is not proper CSV"]),
    "an endless line": (b"sku,quantity\nA" + LONG + b",1\nB,2\n", [3], ["line 2: is longer than 100,000"]),
    "an endless line of CR": (b"sku,quantity\rA" + LONG + b",1\rB,2\r", [3], ["line 2: is longer than 100,000"]),
    "an endless line at the end": (b"sku,quantity\nB,2\nA" + LONG, [2], ["line 3: is longer than 100,000"]),
    "an endless line after an open quote": (
        b'sku,quantity\n"A,1\nA' + LONG + b",1\nB,2\n", [4],
        ["line 2: has a quoted field that does not end", "line 3: is longer than"],
    ),
    "a huge field on few lines": (
        b'sku,quantity,note\nA,1,"' + (b"y" * 90_000 + b"\n") * 3 + b'"\nB,2,\n', [6],
        ["line 2: has a field that is too large", "line 3: ends", "line 4: ends", "line 5: has a quoted"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_names_bad_lines_and_keeps_the_good(case: str) -> None:
    content, good_lines, said = NAMED[case]
    rows, bad, _ = read(content)
    assert [line for line, _ in rows] == good_lines
    assert [text.startswith(start) for text, start in zip(bad, said, strict=True)] == [True] * len(said), bad


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty: the first line must name its columns, among them quantity, sku"),
    "blank lines": (b"\n\n", "is empty"),
    "a mark": (b"\xef\xbb\xbf", "is empty"),
    "another column": (b"sku,count\nA,1\n", "has no column quantity: .*; it names 'sku', 'count' .*--map quantity"),
    "no header": (b"A,1\n", "has no column quantity and no column sku"),
    "an export of Shopify": (b"SKU,On hand\nA,1\n", "has no column quantity: .*--format shopify"),
    "a column twice": (b"sku,quantity, SKU\nA,1,B\n", "has the column 'sku' twice"),
    "an open quote": (b'"sku,quantity\n', "is not a CSV file: its first line has a quoted field"),
    "a bad quote": (b'"sku"x,"q"y\n', "is not a CSV file: its first line is not proper CSV"),
    "an endless first line": (b"s" * 3 * LINE_CHARS_MAX, "is not a CSV file: its first line is longer"),
    "another encoding": (
        "sku,quantity\nÄ,1\nB,1\n".encode("cp1252"),
        "is not UTF-8 text, as line 2 shows.*--encoding cp1252",
    ),
    "a header in another encoding": ("sku,stück\nA,1\n".encode("cp1252"), "is not UTF-8 text, as line 1 shows"),
    "UTF-16 without its mark": ("sku,quantity\nA,1\n".encode("utf-16-le"), "seems to be UTF-16.*--encoding utf-16-le"),
    "a page": (b"\r\n <!DOCTYPE html><html>", "is an HTML page, not CSV"),
    "a fragment of a page": (b"<br />\n<b>Warning</b>: no rights", "is an HTML page, not CSV"),
    "a table of a page": ("\ufeff<table><tr><td>sku</td></tr></table>".encode(), "is an HTML page, not CSV"),
    "XML": (b'<?xml version="1.0"?><stock/>', "is an XML document, not CSV"),
    "a workbook in XML": (
        b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
        "is an Excel workbook in XML, not CSV",
    ),
    "a report's head before it": (
        b"Stock of all\n\nsku;quantity\nA;1\n",
        "names its columns in line 3, not in its first one: delete the lines before that",
    ),
    "columns of fixed width": (b"sku   quantity\nA     1\n", "has no column .* it has no delimiter: export it with"),
    "several unknown names": (b"Artikel;Menge\nA;1\n", "has no column .*--map quantity=.* and --map sku=.* say which"),
    "a table": (b"<html><table><tr><td>sku</td></tr></table>", "is an HTML page, not CSV: if its table opens in a spr"),
    "an archive": (b"PK\x03\x04" + b"\0" * 22 + b"\x09\0\0\0Stock.csv", "is a ZIP archive, not CSV: unpack it first"),
    "a workbook": (b"PK\x03\x04" + b"\0" * 40 + b"[Content_Types].xml", "is an Excel workbook, not CSV"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook .*, not CSV"),
    "a document of LibreOffice": (
        b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "is an OpenDocument spreadsheet, not CSV",
    ),
    "a PDF": (b"%PDF-1.7", "is a PDF, not CSV"),
    "compressed": (b"\x1f\x8b\x08", "is compressed .gzip., not CSV"),
    "JSON": (b'{"sku": "A"}', "is JSON, not CSV"),
    "JSON in a list": (b'[{"sku": "A"}]', "is JSON, not CSV"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_the_file(case: str) -> None:
    content, message = REFUSED[case]
    with pytest.raises(FileError, match=f"(?s)^{message}") as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_columns_that_are_not_used_are_named_once() -> None:
    content = b"sku,quantity,Colour,,\nA,1,\xe4,,\n"
    assert read(content) == (A1, [], ["columns not used: 'Colour', 2 without a name"])


def test_what_the_caller_says() -> None:
    assert read("sku,quantity\nÄ,1\n".encode("cp1252"), encoding="cp1252")[0] == [(2, ("Ä", 1, None))]
    assert read("\ufeffsku,quantity\nÄ,1\n".encode(), encoding="cp1252")[0] == [(2, ("Ä", 1, None))]
    assert read(b"sku,quantity\nA,1", accepts_last_line=True)[:2] == (A1, [])
    assert read(b"sku,quantity\n'A,1\nTOTAL,1\n", codes_as_is=True)[0] == [
        (2, ("'A", 1, None)), (3, ("TOTAL", 1, None)),
    ]  # fmt: skip
    mapped = {"quantity": " menge", "sku": "Artikel"}
    assert read(b"sku,ARTIKEL,Menge\nold,A,1\n", names=mapped)[:2] == (A1, [])
    with pytest.raises(FileError, match="is not UTF-8 text"):
        read("sku,quantity\nÄ,1\n".encode("cp1252"), encoding="utf-8")
    with pytest.raises(
        FileError, match=r"has no mark of UTF-16 or UTF-32, .*give it without --encoding utf-16$"
    ):
        read(b"sku,quantity\nA,1\n", encoding="utf-16")
    with pytest.raises(FileError, match="without the mark that says so: --encoding utf-16-be reads it"):
        read("sku,quantity\nA,1\n".encode("utf-16-be"), encoding="utf-16")
    assert read(b"sku,quantity\n\x81,1\n", encoding="cp1252")[1] == ["line 2: its sku is not CP1252 text"]
    with pytest.raises(FileError, match="has no column 'Stück', which is to be its quantity"):
        read(b"sku,quantity\nA,1\n", names={"quantity": "Stück"})
    (said,) = read(b"sku,Menge\nA,1,5\nA,x\n", names={"quantity": "Menge"})[1][1:]
    assert said.startswith("line 3: quantity (column 'Menge') 'x' is not")
    (said,) = read(b"sku,quantity\nTOTAL,1\n", ways=HTTP)[1]
    assert said.endswith("(?codes=as-is takes it)")


def test_a_preset_leaves_out_what_is_not_meant() -> None:
    content = b"SKU,On hand (current)\nA,1\nB,not stocked\n,5\nC,-2\n"
    rows, bad, notes = read(content, preset=SHOPIFY)
    assert rows == A1
    assert bad == ["line 5: quantity (column 'On hand (current)') '-2' must not be negative"]
    assert notes == ["rows left out, not stocked: 1", "rows left out, without a SKU: 1"]


NUMBERS = {
    "nothing else": ("5.000", [], ["is ambiguous: it may be 5000 or 5;"]),
    "a decimal point before": ("10.0 5.000", [10, 5], []),
    "a decimal point after": ("5.000 10.0", [5, 10], []),
    "a fraction shows it, too": ("5.000 2.5", [5], ["is not a whole number"]),
    "more than thousands": ("5.000 1234.000", [5, 1234], []),
    "a zero before it": ("5.000 0.250", [5], ["is not a whole number"]),
    "not whole then": ("1.250 10.0", [10], ["is not a whole number, unless its point separates thousands"]),
    "thousands": ("5.000 1.250.000 10.0", [10], ["is ambiguous", "has separators"]),
    "a decimal comma": ("5.000 1,5 10.0", [10], ["is ambiguous", "is ambiguous"]),
    "both": ("5.000 1,250.00", [5], ["is ambiguous"]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_three_digits_behind_a_point_need_a_proof(case: str) -> None:
    texts, numbers, said = NUMBERS[case]
    lines = "".join(f'S{at},"{text}"\n' for at, text in enumerate(texts.split()))
    rows, bad, _ = read(f"sku,quantity\n{lines}".encode())
    assert sorted(values[1] for _, values in rows) == sorted(numbers)
    assert len(bad) == len(said), bad
    assert all(any(part in text for text in bad) for part in said), bad


parts = st.sampled_from(
    ["A", "1", "5.000", "10.0", ",", ";", '"', "\n", "\r", "\r\n", " ", "ä", "\0", "\x1a", "\n\n"]
)
texts = st.lists(parts, max_size=30).map("".join)


@given(
    texts,
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from(["utf-8", "utf-16", "cp1252"]),
)
def test_pieces_of_any_size_say_the_same(text: str, sizes: list[int], encoding: str) -> None:
    content = ("sku,quantity\n" + text).encode(encoding)

    def pieces() -> Iterable[bytes]:
        source, at = io.BytesIO(content), 0
        while piece := source.read(sizes[at % len(sizes)]):
            yield piece
            at += 1

    def outcome(given: Iterable[bytes]) -> Any:
        try:
            rows, bad, notes = read_pieces(given)
        except FileError as error:
            return str(error)
        return sorted(rows), sorted(bad), notes

    assert outcome(pieces()) == outcome([content])


def test_an_open_quote_holds_up_few_lines() -> None:
    """What follows it is read before the file ends, and not read again with each piece."""
    options = Options()
    for follows, lines in ((b"B,1\n", 2 * RECORD_LINES_MAX), (b"B,1," + b"y" * 90_000 + b"\n", 4)):
        reader = Reader(sheet(options), options)
        found = list(reader.feed(b'sku,quantity,note\n"A,1\n' + follows * lines + b"C,1," + b"x" * 5_000))
        bad = [entry for entry in found if isinstance(entry, BadLine)]
        assert (len(found), bad[0].line) == (lines + 1, 2)


@pytest.mark.parametrize("size", [1, 7, 4_096, 65_536])
def test_long_files_in_pieces(size: int) -> None:
    lines = b"".join(b'"S%d",%d,"two\r\nlines"\r\n' % (n, n) for n in range(3_000))
    content = b"sku,quantity,note\r\n" + lines
    rows, bad, _ = read_pieces(content[at : at + size] for at in range(0, len(content), size))
    assert (len(rows), bad) == (3_000, [])
    assert rows[-1] == (6_000, ("S2999", 2_999, "two\r\nlines"))


def test_names_of_columns_and_encodings_are_checked() -> None:
    assert read_names(['sku="x"', "quantity= On hand "], ("sku", "quantity")) == {
        "sku": '"x"',
        "quantity": "On hand",
    }
    for pair, said in (("sku", "not written as"), ("sku=", "not written"), ("x=y", "no column")):
        with pytest.raises(ValueError, match=said):
            read_names([pair], ("sku",))
    with pytest.raises(ValueError, match="given twice"):
        read_names(["sku=a", "SKU=b"], ("sku",))
    assert [check_encoding(name) for name in ("windows-1252", "UTF8", "latin-1")] == [
        "cp1252",
        "utf-8",
        "iso8859-1",
    ]
    for name in ("rot13", "base64", "unicode_escape", "utf-7", "idna", "none such", "\0"):
        with pytest.raises(ValueError, match="no encoding that is taken"):
            check_encoding(name)


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("sku,warehouse,quantity\n")
        # Ambiguous numbers wait until the end, and the last row decides.
        file.writelines(
            f"SKU-{number:08d}-with-a-long-name,main,{number % 900 + 100}.000\n" for number in range(40_000)
        )
        file.write("last,main,1.0\n")
    # A process of its own, because the highest mark of this one tells of every test before.
    script = dedent("""
        import resource, sys
        from pathlib import Path
        from app.commands.file_rows import FileRows, opened
        from app.commands.progress import Meter
        from app.commands.stock_rows import StockRows, sheet_of
        from app.files.options import Options, Ways
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        scale = 1024 if sys.platform == "darwin" else 1
        kept, options = StockRows(), Options()
        with opened(Path(sys.argv[1])) as raw:
            rows = FileRows(Path(sys.argv[1]), raw, sheet_of(options), options, meter=Meter("", 0, ""))
            before = peak()
            kept.add_all(rows)
            kept.settle(rows.refuse, print, options.ways, adds_up=False)
            count = sum(map(len, kept.chunks(500)))
        print(count, rows.bad, (peak() - before) // scale)
    """)
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=170)
    count, bad, grown_kib = map(int, done.stdout.split())
    assert (count, bad) == (40_001, 0)
    assert grown_kib < 12_288, f"40,000 rows took {grown_kib} KiB"
