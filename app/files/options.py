"""How a file is to be read: what its caller said about it, and the presets for well-known exports."""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.codes import shown

_ENCODINGS = frozenset(
    {
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-32-le",
        "utf-32-be",
        "ascii",
        "iso8859-1",
    }
    | {f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)}
    | {f"cp{number}" for number in (437, 850, 852, 855, 858, 862, 866, 874, 932, 936, 949, 950)}
    | {f"cp{number}" for number in range(1250, 1259)}
    | {
        "mac-roman",
        "koi8-r",
        "koi8-u",
        "tis-620",
        "gb2312",
        "gbk",
        "gb18030",
        "big5",
        "shift_jis",
        "euc_jp",
        "euc_kr",
    }
)
"""Encodings of text alone: Python knows others, which are no such thing."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a caller can say something about a file: the words for it in messages."""

    encoding: str
    codes_as_is: str
    accept_last_line: str
    sum: str
    map: str
    format: str


COMMAND_LINE = Ways(
    encoding="--encoding {}",
    codes_as_is="--codes as-is",
    accept_last_line="--accept-last-line",
    sum="--sum",
    map='--map {}="…"',
    format="--format {}",
)
HTTP = Ways(
    encoding="Content-Type: text/csv; charset={}",
    codes_as_is="?codes=as-is",
    accept_last_line="?accept_last_line=true",
    sum="?sum=true",
    map="?map={}=…",
    format="?format={}",
)


class Skip(NamedTuple):
    """Rows that a preset leaves out: `column` has this `value`, in any case; `why` says what they are."""

    column: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A well-known export: the names that it gives our columns, the best first, and the rows to leave out.

    `is_of_all_places`: it has the stock of every warehouse, whichever one is asked about.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    skips: tuple[Skip, ...] = ()
    is_of_all_places: bool = False


_ON_HAND = ("On hand (current)", "On hand")
SHOPIFY = Preset(
    "shopify",
    {
        "sku": ("SKU", "Lineitem sku", "Variant SKU"),
        "warehouse": ("Location",),
        "on_hand": _ON_HAND,
        "quantity": (*_ON_HAND, "Lineitem quantity"),
        "order_id": ("Name",),
        "occurred_at": ("Created at",),
    },
    (
        Skip("quantity", "not stocked", "not stocked"),
        Skip("on_hand", "not stocked", "not stocked"),
        Skip("sku", "", "without a SKU"),
    ),
    is_of_all_places=True,
)
PRESETS = {preset.name: preset for preset in (SHOPIFY,)}


@dataclass(frozen=True, slots=True)
class Options:
    """What was said about a file; `names` are its names of our columns, `encoding` '' is by its mark, or UTF-8."""

    encoding: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    preset: Preset | None = None
    codes_as_is: bool = False
    accepts_last_line: bool = False
    ways: Ways = COMMAND_LINE


def check_encoding(name: str) -> str:
    """Return an encoding's name as Python writes it, or raise `ValueError`."""
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    if known not in _ENCODINGS and known.replace("_", "-") not in _ENCODINGS:
        raise ValueError(f"{shown(name)} is no encoding that is taken; cp1252 and utf-8 are the most common")
    return known


def read_names(pairs: Iterable[str], columns: Iterable[str]) -> dict[str, str]:
    """Read `ours=Theirs` pairs, or raise `ValueError`; `columns` are the names that can be ours."""
    known, names = list(columns), dict[str, str]()
    for pair in pairs:
        ours, is_pair, theirs = pair.partition("=")
        ours, theirs = ours.strip().lower(), theirs.strip()
        if not is_pair or not theirs:
            raise ValueError(f'{shown(pair)} is not written as ours="Theirs"')
        if ours not in known:
            raise ValueError(f"{shown(ours)} is no column of this file: they are {', '.join(known)}")
        if ours in names:
            raise ValueError(f"{shown(ours)} is given twice")
        names[ours] = theirs
    return names


def preset_of(name: str) -> Preset:
    """Return a preset, or raise `ValueError`."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"{shown(name)} is no format that is known: {', '.join(PRESETS)}") from None
