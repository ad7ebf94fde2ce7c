"""What fields of files mean: numbers, codes and times, as tables."""

import pytest

from app.files.codes import sku_reader
from app.files.errors import AmbiguousError
from app.files.moments import seconds_of
from app.files.numbers import KEPT_MAX, Whole
from app.files.options import Options


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("7", 7), ("007", 7), ("1000000000", 10**9), (" 12", 12), ("12 ", 12), ("\t12", 12), ("12.0", 12),
        ("12.00", 12), ("3.000000000", 3), ("0.0", 0), ("0.000", 0), ("1234.000", 1234), ("1000000000.0", 10**9),
    ],
)  # fmt: skip
def test_whole_numbers(text: str, number: int) -> None:
    assert Whole()(text) == number
    assert Whole(signed=True)(text) == number


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"), (" ", "is empty"), ("-1", "must not be negative"), ("-1.0", "must not be negative"),
        ("-1.250", "must not be negative"), ("(3)", "must not be negative"), ("3-", "must not be negative"),
        ("+1", "a count has no sign"), ("+1.0", "a count has no sign"), ("1.5", "is not a whole number"),
        ("0.250", "is not a whole number"), ("1e3", "shortened it"), ("1E+1", "shortened it"), ("1,5E+08", "shortened"),
        ("1,250", "its comma may separate thousands (1250) or be a decimal comma (1.25)"), ("12,0", "comma (12)"),
        ("1,250.00", "is ambiguous"), ("1.250.000", "if it is 1250000"), ("1 250", "if it is 1250"),
        ("1\u00a0250", "if it is 1250"), ("1\u202f250", "if it is 1250"), ("1'250", "if it is 1250"),
        ("1_000", "if it is 1000"), ("1000000001", "is above 1,000,000,000"), ("10000000001", "is above"),
        ("1" * 5_000, "is above"), ("9" * 20 + ".0", "is above"), ("0x10", "in plain digits"), ("nan", "plain digits"),
        ("²", "plain digits"), ("٣", "plain digits"), ("12\u00a0", "plain digits"), ("12 pcs", "plain digits"),
        ("five", "plain digits"), ("12EA", "write 12, without 'EA'"), ("12%", "write 12, without '%'"),
        ("03-Apr", "made a date of it"), ("01.01.1900", "a date"), ("2025-04-03 00:00:00", "a date"),
        ("\uff11", "digits"),
        ("1\u2009250", "if it is 1250"), ("12.", "plain digits"), (".5", "plain digits"), ("1\n2", "plain digits"),
    ],
)  # fmt: skip
def test_what_is_no_count(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^is|^must|^has") as caught:
        Whole()(text)
    assert said in str(caught.value)
    assert not isinstance(caught.value, AmbiguousError)


@pytest.mark.parametrize(("text", "number"), [("-5", -5), ("+5", 5), ("5", 5), ("-5.0", -5), ("-0", 0)])
def test_signed_numbers(text: str, number: int) -> None:
    assert Whole(signed=True)(text) == number


@pytest.mark.parametrize(
    "text", ["--1", "-", "", "-1000000001", "- 1", "+-1", "-1.5", "12-", "(12)", "\u221212"]
)
def test_what_is_no_signed_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is") as caught:
        Whole(signed=True)(text)
    assert "if it is below zero, write -12" in str(caught.value) or "12" not in text


def test_an_ambiguous_number_waits_until_its_column_ends() -> None:
    column = Whole()
    for text in ("1.250", "5.000", "999.999"):
        with pytest.raises(AmbiguousError):
            column(text)
    column.close()
    with pytest.raises(ValueError, match=r"it may be 1250 or 1\.25;"):
        column("1.250")
    with pytest.raises(ValueError, match=r"is below 1$"):
        Whole(least=1)("0")


def test_a_column_remembers_a_bounded_number_of_texts() -> None:
    column = Whole()
    assert [column(str(number)) for number in range(KEPT_MAX + 10)][-1] == KEPT_MAX + 9
    assert len(column._kept) == KEPT_MAX


DAMAGED = {
    "4.00638E+12": "has shortened", "4,00638E+12": "has shortened", "1.23e+12": "has shortened", "1E+05": "shortened",
    "4006381333931.0": "decimal point", "731.0": "decimal point", "4006381333931.00": "decimal point",
    "4.006381333931E12": "has shortened", "4,006,381,333,931": "between its thousands",
    "MÃ¼SLI": "in another encoding", "KÃ„SE": "in another encoding", "5Â°": "in another encoding", "Aâ€“B": "encoding",
    "03-Apr": "is a date", "3-Apr": "is a date", "Apr-03": "is a date", "03-Apr-24": "is a date", "03. Apr": "date",
    "3. Mrz": "is a date", "Mai 24": "is a date", "03-avr": "is a date", "avr.-24": "is a date", "12/24/2025": "date",
    "24.12.2025": "is a date", "2025-12-24": "is a date", "2025-12-24 00:00:00": "is a date",
    "#N/A": "is an error", "#REF!": "is an error", "#NAME?": "error", "#DIV/0!": "error", "#VALUE!": "error",
    "#NV": "is an error", "#BEZUG!": "is an error", "#####": "is an error", "Err:502": "is an error",
    "TOTAL": "a total", "Total": "a total", "Grand Total": "a total", "Summe:": "a total", "subtotal": "a total",
    "'00125": "apostrophe", '="00123"': "a spreadsheet's formula", "=A1&B1": "a spreadsheet's formula",
    "nan": "there is none", "NULL": "there is none", "None": "there is none", "N/A": "there is none",
    "KISSEN GR\ufffdN": "replacement character",
}  # fmt: skip
REAL = (
    "85123A", "BANK CHARGES", "A/12", "00125", "1.0.2", "#2001", "#FF0000", "1E5", "12E3", "E+12", "MAR-10", "SEP-01",
    "set-12", "mag-2", "total-9", "TOTALLY", "Maya-24", "Jane-01", "12-24", "3-4", "nano", "Nullarbor", "none", "ä-1",
    "O'Neill", "1'000", "2025", "10/12", "12.5", "-12", "+12", "100.00", "1.234.567",
    "SÃO-1", "ÂME", "1,2", "10,20", "CÃ-1", "1.5E", "Ä-1",
)  # fmt: skip


@pytest.mark.parametrize("code", DAMAGED)
def test_codes_that_a_spreadsheet_damaged(code: str) -> None:
    with pytest.raises(ValueError, match=r"\(--codes as-is takes it\)$") as caught:
        sku_reader(Options())(code)
    assert DAMAGED[code] in str(caught.value)
    taken = sku_reader(Options(codes_as_is=True))(code)
    assert taken == ("00123" if code == '="00123"' else code)


@pytest.mark.parametrize("code", REAL)
def test_codes_that_only_look_like_it(code: str) -> None:
    assert sku_reader(Options())(code) == code


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "is empty"), ("A ", "blank"), (" A", "blank"), ("A\u00a0", "blank"), ("A\u200bB", "printable"),
        ("A\u00a0B", "printable"), ("cafe\u0301", "NFC"), ("A{B}", "any of"), ("x" * 65, "64 characters"),
        ("..", "must"),
    ],
)  # fmt: skip
def test_what_is_no_code_however_it_is_taken(code: str, said: str) -> None:
    for options in (Options(), Options(codes_as_is=True)):
        with pytest.raises(ValueError, match=said):
            sku_reader(options)(code)


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-25T00:30:00Z", "2026-10-25t00:30:00z", "2026-10-25 00:30:00Z", "2026-10-25 02:30:00 +0200",
        "2026-10-25T02:30:00+02:00", "2026-10-25 02:30:00+0200", "2026-10-25 01:30:00 +01:00",
        "2026-10-25 00:30:00 UTC", "2026-10-24T20:30:00.000-04:00",
    ],
)  # fmt: skip
def test_exact_times(text: str) -> None:
    assert seconds_of(text) == 1_792_888_200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"), ("2026-10-25T02:30:00", "is a local time"), ("2026-10-25 02:30", "is a local time"),
        ("25.10.2026 02:30", "is not a time such as"), ("10/25/2026 2:30", "is not a time"),
        ("2026-10-25 02:30:00+00", "is not a time"), ("2026-10-25T02:30Z", "is not a time"),
        ("1761355800", "is a number"), ("45955.1041666667", "is a number"), ("2026-10-25T24:00:00Z", "of any calendar"),
        ("2026-02-30T08:30:00Z", "of any calendar"), ("2026-10-25", "is not a time"), ("yesterday", "is not a time"),
        ("2026-10-25T02:30:00+99:00", "of any calendar"),
    ],
)  # fmt: skip
def test_times_that_may_be_any_hour(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        seconds_of(text)
