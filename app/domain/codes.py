"""Codes: the texts that name things (SKUs, warehouses, documents), checked once, at the edge.

The forbidden characters have reasons: braces would change a key's shard, and quotes, backslashes and control
characters would have to be escaped in every event.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

SKU_LENGTH_MAX = 64
WAREHOUSE_LENGTH_MAX = 24
ID_LENGTH_MAX = 128
REASON_LENGTH_MAX = 500
CACHED_MAX = 131_072
"""Codes of each kind whose check is remembered: the same come again and again."""
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:/-]*")
PLAIN_DIGITS = re.compile(r"[0-9]{1,10}")
"""How a quantity is written in a file: nothing that Python reads as a number beyond that."""
_SHOWN_CHARS_MAX = 80
_FORBIDDEN = frozenset('{}"\\')


_KEPT_APART = str.maketrans("", "", " '`\u2018\u2019\u00b4")
"""Blanks and apostrophes, the curved ones among them: what programs add to a code or drop from it."""
NEAR_MAX = 10
"""Codes that are named where an unknown one is refused."""


class UnknownCode(NamedTuple):
    """A code that names nothing, and those that do and look like it."""

    code: str
    near: Sequence[str]


def key_of(code: str) -> str:
    """Return what makes codes alike: their letters without case, blanks, apostrophes and zeros at the front."""
    return code.casefold().translate(_KEPT_APART).lstrip("0")


def check_code(text: str, length_max: int) -> str:
    """Return `text` unchanged, or raise `ValueError` with the sentence that says what is wrong with it."""
    if len(text) <= length_max and _PLAIN.fullmatch(text):
        return text  # most are, and this is asked on every request
    if not 1 <= len(text) <= length_max:
        raise ValueError(f"must have 1 to {length_max} characters")
    if text in {".", ".."}:
        raise ValueError("must not be '.' or '..'")
    if text != text.strip():
        raise ValueError("must not begin or end with a blank")
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    if not _FORBIDDEN.isdisjoint(text):
        raise ValueError('must not contain any of { } " \\')
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("must be in Unicode's normal form C (NFC)")
    return text


@lru_cache(maxsize=CACHED_MAX)
def check_sku(text: str) -> str:
    """Return the SKU, or raise `ValueError`: 1-64 printable characters in NFC."""
    return check_code(text, SKU_LENGTH_MAX)


@lru_cache(maxsize=CACHED_MAX)
def check_warehouse(text: str) -> str:
    """Return the warehouse's code, or raise `ValueError`: 1-24 printable characters in NFC."""
    return check_code(text, WAREHOUSE_LENGTH_MAX)


def check_id(text: str) -> str:
    """Return a document's id (lock, shipment, …), or raise `ValueError`: 1-128 printable characters in NFC."""
    return check_code(text, ID_LENGTH_MAX)


def check_reason(text: str) -> str:
    """Return free text, or raise `ValueError` for control characters.

    Postgres cannot keep NUL, and no log should be rewritten by a reason.
    """
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not contain control characters")
    return text


def shown(text: str) -> str:
    """Return `text` in quotes, as it can stand in a message of one line."""
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…")
