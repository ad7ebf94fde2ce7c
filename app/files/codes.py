"""Codes as spreadsheets damage them: refused with what probably happened, unless the file's codes are taken as is."""

import re
from collections.abc import Callable
from functools import partial

from app.domain.codes import SKU_LENGTH_MAX, WAREHOUSE_LENGTH_MAX, check_code
from app.files.options import Options

KEPT_MAX = 16_384
"""Codes of one column that are remembered: few come again in a list of stock, and many in one of orders."""
KEPT_CHARS_MAX = 128

_MONTHS = (
    "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mrz|Mär|Mai|Okt|Dez"
    "|janv|févr|mars|avr|mai|juin|juil|août|sept|oct|nov|déc|ene|feb|mar|abr|may|jun|jul|ago|sep|dic"
    # Not the Italian `set`, `mag` and `gen`: they are words of real codes.
    "|giu|lug|ott|mrt|mei|jan|apr|aug|okt|dec"
)
_SECOND = "\u0080-\u00bf" + bytes(set(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")
"""What the second byte of an accented letter in UTF-8 becomes if it is read as cp1252 or latin-1."""
_DAMAGE = re.compile(
    r"(?P<apostrophe>'.*)"
    r'|(?P<text>="[^"]*")'
    r"|(?P<formula>=.*)"
    r"|(?P<error>#(?:[A-ZÄÖÜÉÈÍÓÚ/]+[0-9]?[!?]|N/A|NV|N/D|#+)|Err:[0-9]{3})"
    r"|(?P<power>[+-]?[0-9](?:(?:[.,][0-9]+)?[eE]\+[0-9]{2,3}|[.,][0-9]+[eE][0-9]{1,3}))"
    r"|(?P<decimal>[0-9]+\.0|[0-9]{8,}\.0+)"
    r"|(?P<grouped>[0-9]{1,3}(?:,[0-9]{3})+(?:\.0+)?)"
    r"|(?P<nothing>nan|NaN|NAN|null|NULL|None|undefined|n/a|N/A)"
    r"|(?P<total>(?i:(?:grand |sub-?)?totals?|totale|total g[eé]n[eé]ral|(?:zwischen)?summe|gesamt(?:summe)?|sum):?)"
    rf"|(?P<date>[0-9]{{1,2}}(?:[-. ]|\. )(?:{_MONTHS})\.?(?:[-. ][0-9]{{2,4}})?|(?:{_MONTHS})\.?[-. ][0-9]{{2,4}}"
    r"|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?:[ T]00:00(?::00(?:\.0+)?)?)?)"
    r"|(?P<replaced>.*\ufffd.*)"
    rf"|(?P<misread>.*(?:[\u00c2\u00c3][{_SECOND}]|\u00e2\u20ac).*)",
    re.DOTALL,
)
_SAID = {
    "apostrophe": "begins with an apostrophe, by which spreadsheets mark text: it is probably not part of the code",
    "text": "is a spreadsheet's formula for the text between its quotes",
    "formula": "is a spreadsheet's formula, not a code",
    "error": "is an error of a spreadsheet's cell, not a code",
    "power": "is a number that a spreadsheet has shortened: the code's last digits are lost",
    "decimal": "is a number with a decimal point, made by a program that took the code for one",
    "grouped": "is a number with commas between its thousands, made by a program that took the code for one",
    "nothing": "is how a program writes that there is none",
    "total": "is probably the row of a total, not a code",
    "date": "is a date, probably made by a spreadsheet of a code such as 3-4",
    "replaced": "has a replacement character: a program before could not read one of its letters",
    "misread": "has letters that a program before read in another encoding than UTF-8, which they were written in",
}


def sku_reader(options: Options) -> Callable[[str], str]:
    """Return what reads a column of SKUs."""
    return code_reader(partial(check_code, length_max=SKU_LENGTH_MAX), options)


def warehouse_reader(options: Options) -> Callable[[str], str]:
    """Return what reads a column of warehouses."""
    return code_reader(partial(check_code, length_max=WAREHOUSE_LENGTH_MAX), options)


def code_reader(check: Callable[[str], str], options: Options) -> Callable[[str], str]:
    """Return what reads a column of codes; `check` refuses what can be none."""
    kept = dict[str, str]()

    def read(text: str) -> str:
        code = kept.get(text)
        if code is None:
            code = _read(text, check, options)
            if len(kept) < KEPT_MAX and len(text) <= KEPT_CHARS_MAX:
                kept[text] = code
        return code

    return read


def _read(text: str, check: Callable[[str], str], options: Options) -> str:
    if not text:
        raise ValueError("is empty")
    damage = _DAMAGE.fullmatch(text)
    if damage is None:
        return check(text)
    if not options.codes_as_is:
        raise ValueError(f"{_SAID[damage.lastgroup or '']} ({options.ways.codes_as_is} takes it)")
    # No code has quotes: what is meant by a formula is the text between them.
    return check(text[2:-1] if damage["text"] else text)
