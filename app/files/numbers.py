"""Whole numbers as programs write them: `12`, `12.0`, ` 12`. What may mean something else is refused, never guessed."""

import re

from app.domain.codes import shown
from app.domain.words import QUANTITY_MAX
from app.files.errors import AmbiguousError

_PLAIN = re.compile(r"[0-9]{1,10}")
_SIGNED = re.compile(r"[+-][0-9]{1,10}")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_POINT = re.compile(r"([+-]?)([0-9]+)\.([0-9]+)")
_GROUPED_POINT = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+|[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+|[+-]?[0-9]{1,3}(\.[0-9]{3}){2,}")
_SEPARATED = re.compile(r"[+-]?[0-9]+([ .,'_\u2019\u00a0\u2009\u202f][0-9]+)+")
_POWER = re.compile(r"[+-]?[0-9]+([.,][0-9]*)?[eE][+-]?[0-9]+")
_NEGATIVE = re.compile(r"-[0-9]+([.,][0-9]*)?|\([0-9.,]+\)|[0-9]+([.,][0-9]*)?-")
_PLUS = re.compile(r"\+[0-9]+([.,][0-9]*)?")
_BELOW = re.compile(r"([0-9]+)-|\(([0-9]+)\)|\u2212([0-9]+)")
_DATE = re.compile(
    r"[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{4}|[0-9]{4}-[0-9]{2}-[0-9]{2}.*"
    r"|[0-9]{1,2}[-. ]+[^\W\d]{3,4}\.?|[^\W\d]{3,4}\.?[-. ]+[0-9]{1,2}"
)
_UNIT = re.compile(r"([0-9]{1,10}) ?([^\W\d_]{1,6}\.?|%)")
_BLANKS = " \t"
_NOT_WHOLE = "is not a whole number in plain digits"
KEPT_MAX = 65_536
"""Texts of one column that are remembered: the same numbers come again and again."""
KEPT_CHARS_MAX = 24


class Whole:
    """The numbers of one column: `least` to 1,000,000,000, or as many below 0 if `signed`.

    A point before exactly three digits may separate thousands. So `1.250` raises `AmbiguousError` until another
    number of the column proves that its points are decimal ones; after `close()` it is refused like any other.
    """

    def __init__(self, *, least: int = 0, signed: bool = False) -> None:
        self._least = -QUANTITY_MAX if signed else least
        self._signed = signed
        self._kept: dict[str, int] = {}
        self._has_point = self._has_comma = self._is_closed = False

    def __call__(self, text: str) -> int:
        """Return the number; `ValueError` says what is wrong, as the end of a sentence about the text."""
        number = self._kept.get(text)
        if number is None:
            number = self._read(text.strip(_BLANKS))
            if len(self._kept) < KEPT_MAX and len(text) <= KEPT_CHARS_MAX:
                self._kept[text] = number
        return number

    def close(self) -> None:
        """The column has ended: what is ambiguous now stays so."""
        self._is_closed = True

    def _read(self, text: str) -> int:
        if _PLAIN.fullmatch(text) or (self._signed and _SIGNED.fullmatch(text)):
            return self._bounded(int(text))
        if point := _POINT.fullmatch(text):
            return self._of_point(text, *point.groups())
        self._note(text)
        raise ValueError(_what_is_wrong(text, signed=self._signed))

    def _of_point(self, text: str, sign: str, whole: str, fraction: str) -> int:
        is_certain = len(fraction) != 3 or len(whole) > 3 or whole.startswith("0")
        self._has_point = self._has_point or is_certain
        if sign and not self._signed:
            raise ValueError(_what_is_wrong(text, signed=False))
        if not is_certain and not (self._has_point and not self._has_comma):
            if not self._is_closed:
                raise AmbiguousError
            raise ValueError(
                f"is ambiguous: it may be {whole}{fraction} or {_without_zeros(f'{whole}.{fraction}')};"
                " write it without a separator"
            )
        if fraction.strip("0"):
            either = "" if is_certain else ", unless its point separates thousands"
            raise ValueError(f"is not a whole number{either}")
        return self._bounded(int(f"{sign}{whole}")) if len(whole) <= 10 else self._bounded(QUANTITY_MAX + 1)

    def _note(self, text: str) -> None:
        self._has_point = self._has_point or _GROUPED_POINT.fullmatch(text) is not None
        self._has_comma = self._has_comma or _COMMA.fullmatch(text) is not None

    def _bounded(self, number: int) -> int:
        if number > QUANTITY_MAX:
            raise ValueError(f"is above {QUANTITY_MAX:,}")
        if number < self._least:
            raise ValueError(f"is below {self._least:,}")
        return number


def _what_is_wrong(text: str, *, signed: bool) -> str:
    if not text:
        return "is empty"
    if not signed and _NEGATIVE.fullmatch(text):
        return "must not be negative"
    if not signed and _PLUS.fullmatch(text):
        return f"{_NOT_WHOLE}: a count has no sign"
    if _DIGITS.fullmatch(text):
        return f"is {'below -' if text.startswith('-') else 'above '}{QUANTITY_MAX:,}"
    if _SEPARATED.fullmatch(text) and not _POINT.fullmatch(text) and not _DATE.fullmatch(text):
        return _of_separated(text)
    return f"{_NOT_WHOLE}{_why_not_plain(text)}"


def _why_not_plain(text: str) -> str:
    """What is probably meant by `03-Apr`, `12 EA`, `12-` and `1E+3`."""
    if _DATE.fullmatch(text):
        return ": a spreadsheet has probably made a date of it"
    if after := _BELOW.fullmatch(text):
        return f": if it is below zero, write -{after[after.lastindex or 1]}"
    if unit := _UNIT.fullmatch(text):
        return f": write {unit[1]}, without {shown(unit[2])}"
    return ": a spreadsheet probably shortened it" if _POWER.fullmatch(text) else ""


def _of_separated(text: str) -> str:
    """What `1,250`, `1 250` and `12,0` may be."""
    digits = re.sub(r"[^0-9+-]", "", text)
    if len(digits) > KEPT_CHARS_MAX:
        return _NOT_WHOLE
    if "," in text and text.count(",") == 1:
        return (
            f"is ambiguous: its comma may separate thousands ({digits}) or be a decimal comma"
            f" ({_without_zeros(re.sub(r'[^0-9+,-]', '', text).replace(',', '.'))}); write it without a separator"
        )
    return f"has separators between its digits: if it is {digits}, write it so"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") or "0"
