"""How a file is to be read: what its caller said about it, and the presets for well-known exports."""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


class OrderSkip(NamedTuple):
    """Orders that a preset leaves out as a whole, since one of their rows has one of `values` (any, if there are none).

    `column` is where, and `why` says what they are. They are kept if that row has one of `kept` in the column
    `kept_by`. Case does not matter.
    """

    column: str
    why: str
    values: frozenset[str] = frozenset()
    kept_by: str = ""
    kept: frozenset[str] = frozenset()

    def is_meant(self, known: Mapping[str, Any]) -> bool:
        """Whether it leaves out the order of a row with these fields."""
        value = (known.get(self.column) or "").casefold()
        if not value or (self.values and value not in self.values):
            return False
        return (known.get(self.kept_by) or "").casefold() not in self.kept


@dataclass(frozen=True, slots=True)
class Preset:
    """A well-known export: the names that it gives our columns, the best first, and the rows and orders to leave out.

    `is_of_all_places`: it has the stock of every warehouse, whichever one is asked about.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    skips: tuple[Skip, ...] = ()
    order_skips: tuple[OrderSkip, ...] = ()
    is_of_all_places: bool = False

    def order_columns(self) -> Sequence[str]:
        """Return the columns that say whether an order is left out."""
        named = [name for skip in self.order_skips for name in (skip.column, skip.kept_by) if name]
        return list(dict.fromkeys(named))

    def why_left_out(self, known: Mapping[str, Any]) -> str:
        """Return why the order of a row with these fields is left out; '' if this row does not say so."""
        return next((skip.why for skip in self.order_skips if skip.is_meant(known)), "")


_ON_HAND = ("On hand (current)", "On hand")
_SENT = frozenset({"fulfilled", "partial", "partially_fulfilled"})
SHOPIFY = Preset(
    "shopify",
    {
        "sku": ("SKU", "Lineitem sku", "Variant SKU"),
        "warehouse": ("Location",),
        "on_hand": _ON_HAND,
        "quantity": (*_ON_HAND, "Lineitem quantity"),
        "order_id": ("Name",),
        "occurred_at": ("Created at",),
        "cancelled_at": ("Cancelled at",),
        "financial_status": ("Financial Status",),
        "fulfillment_status": ("Fulfillment Status",),
    },
    (
        Skip("quantity", "not stocked", "not stocked"),
        Skip("on_hand", "not stocked", "not stocked"),
        Skip("sku", "", "without a SKU"),
    ),
    (
        OrderSkip("cancelled_at", "of cancelled orders"),
        *(
            OrderSkip(
                "financial_status",
                f"of orders that were {status} before anything was sent",
                frozenset({status}),
                "fulfillment_status",
                _SENT,
            )
            for status in ("voided", "refunded")
        ),
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
