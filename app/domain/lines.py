"""The lines of commands: units of a SKU, and between which places they go."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from app.domain.arguments import Arguments, json_text
from app.domain.words import Place


class Line(msgspec.Struct, frozen=True, gc=False):
    """Units of a SKU; `warehouse` is '' where sourcing may choose."""

    sku: str
    quantity: int
    warehouse: str = ""


class Booking(msgspec.Struct, frozen=True, gc=False):
    """Units of a SKU from one place to another, one of them inside the warehouse."""

    sku: str
    source: Place
    target: Place
    quantity: int
    reason: str | None = None


class OpeningRow(msgspec.Struct, frozen=True, gc=False):
    """What a SKU shall have on hand in a warehouse, in units; `buffer` None leaves the buffer as it is.

    Unless so many are on hand already, it is set only where what is there is what is `expected`: a number of units,
    or `new`, where the SKU is not known there; None: whatever it is.
    """

    sku: str
    warehouse: str
    on_hand: int
    buffer: int | None = None
    expected: int | Literal["new"] | None = None


class Arrival(NamedTuple):
    """Units of a SKU at the end of a transfer: `quantity` good ones, damaged and lost ones in addition."""

    sku: str
    quantity: int
    damaged: int = 0
    lost: int = 0


def sum_arrivals(lines: tuple[Arrival, ...]) -> list[Arrival]:
    """Sum lines of the same SKU, in order of SKU."""
    sums: dict[str, Arrival] = {}
    for line in lines:
        known = sums.get(line.sku, Arrival(line.sku, 0))
        units = (known.quantity + line.quantity, known.damaged + line.damaged, known.lost + line.lost)
        sums[line.sku] = Arrival(line.sku, *units)
    return [sums[sku] for sku in sorted(sums)]


def lines_content(lines: tuple[Line, ...] | None) -> str:
    """The lines as a fingerprint has them: summed per SKU and warehouse, in no order of their own."""
    if lines is None:
        return "all"
    if len(lines) == 1:
        return f"{lines[0].sku}\t{lines[0].warehouse}\t{lines[0].quantity}"
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        sums[line.sku, line.warehouse] = sums.get((line.sku, line.warehouse), 0) + line.quantity
    return "\n".join(f"{sku}\t{warehouse}\t{sums[sku, warehouse]}" for sku, warehouse in sorted(sums))


def line_arguments(lines: Sequence[Line] | None) -> Arguments:
    """Return the lines as arguments, after their count; none at all for None."""
    if lines is None:
        return []
    args: Arguments = [len(lines)]
    for line in lines:
        args += [line.sku, line.quantity, line.warehouse]
    return args


def booking_arguments(lines: Sequence[Booking]) -> Arguments:
    """Return the bookings as arguments, after their count."""
    args: Arguments = [len(lines)]
    for line in lines:
        args += [line.sku, line.source.value, line.target.value, line.quantity, json_text(line.reason)]
    return args
