"""Sourcing: from which warehouses an order's lines are taken.

One warehouse for the whole order if one can; else the fewest that do (up to `EXACT_MAX` candidates exactly,
beyond that greedily), earlier in rank on a tie. A line is split only when no chosen warehouse holds it whole.
Warehouses that named lines use anyway cost nothing more. The same rules as `lua/shared/sourcing.lua`.

The work is bounded. A choice is a line that names no warehouse with a warehouse it may come from: one that is asked
for, else one where its SKU is known. An order of several lines with more choices, one with more candidates, or one that
takes too many warehouses or lines, is refused.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from app.domain.lines import Line

EXACT_MAX = 8
CHOICES_MAX = 20_000
CANDIDATES_MAX = 2_000
PICKING_MAX = 300_000
"""What is looked at while warehouses are picked greedily: each pick looks at every candidate, and at those of the lines
that it changes."""
SOURCED_MAX = 2_000
"""Lines that a lock has then, of which some named no warehouse."""

Room = Callable[[str, str], int]
"""(sku, warehouse) -> units that may be taken there."""


class Shortage(NamedTuple):
    """What an order wanted and could not have; `warehouse` is '' where any would have done."""

    sku: str
    warehouse: str
    requested: int
    sellable: int
    unknown: bool = False


class TooManyChoices(NamedTuple):
    """An order that would hold up all others for too long."""


class _Free(NamedTuple):
    """A line without a warehouse: its need, and what each candidate has left for it."""

    line: Line
    left: Mapping[str, int]


def merge(lines: Iterable[Line]) -> list[Line]:
    """Sum lines of the same SKU and warehouse, in order of first appearance."""
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        sums[line.sku, line.warehouse] = sums.get((line.sku, line.warehouse), 0) + line.quantity
    return [Line(sku, quantity, warehouse) for (sku, warehouse), quantity in sums.items()]


def rank_of(asked: Sequence[str], order: Sequence[str], present: Iterable[str]) -> list[str]:
    """Candidates in rank order: those asked for; else of those present, the setting's order, then by code."""
    if asked:
        return list(dict.fromkeys(asked))
    there = set(present)
    first = [warehouse for warehouse in dict.fromkeys(order) if warehouse in there]
    return first + sorted(there.difference(first))


def source(
    lines: Sequence[Line],
    rank: Sequence[str],
    room: Room,
    known: Callable[[str], bool],
    choices_of: Callable[[str], int] | None = None,
) -> list[Line] | list[Shortage] | TooManyChoices:
    """Return where each unit comes from, merged per SKU and warehouse, or every shortage.

    `choices_of` says in how many warehouses a SKU may be looked for; in all of `rank` if it is left out.
    """
    entries = merge(lines)
    free_skus = [entry.sku for entry in entries if not entry.warehouse]
    choices = sum(choices_of(sku) if choices_of else len(rank) for sku in free_skus)
    if len(entries) > 1 and choices > CHOICES_MAX:
        return TooManyChoices()
    free, shortages = _survey(entries, rank, room, known)
    if len(entries) == len(free) and not shortages and (whole := _whole(free, rank)):
        return [Line(entry.sku, entry.quantity, whole) for entry in entries]
    if free and len(rank) > CANDIDATES_MAX:
        return TooManyChoices()
    if shortages:
        return shortages
    chosen = _choose(list(free.values()), rank, {entry.warehouse for entry in entries} - {""})
    if chosen is None:
        return TooManyChoices()
    sourced: list[Line] = []
    for entry in entries:
        sourced += [entry] if entry.warehouse else _allocate(free[entry.sku], chosen)
    sourced = merge(sourced)
    return TooManyChoices() if free and len(sourced) > SOURCED_MAX else sourced


def _whole(free: Mapping[str, _Free], rank: Sequence[str]) -> str | None:
    """Return the first warehouse that serves every line alone, if there is one: that takes no choosing."""
    served = (w for w in rank if all(item.left[w] >= item.line.quantity for item in free.values()))
    return next(served, None)


class Holding(NamedTuple):
    """Units of a SKU that a lock holds in a warehouse."""

    sku: str
    warehouse: str
    units: int


def stay(lines: Sequence[Line], held: Sequence[Holding], may_stay: Container[str] | None) -> list[Line]:
    """Return the lines of a lock that is changed, where units of those that name no warehouse stay with the lock.

    They stay in the order of `held`, in all warehouses or those of `may_stay`, and become lines that name theirs;
    what is still to be found remains a line without a warehouse.
    """
    entries = merge(lines)
    named = {(line.sku, line.warehouse): line.quantity for line in entries if line.warehouse}
    stayed: list[Line] = []
    for line in entries:
        if line.warehouse:
            stayed.append(line)
            continue
        missing = line.quantity
        for sku, warehouse, units in held:
            allowed = sku == line.sku and (may_stay is None or warehouse in may_stay)
            taken = min(missing, units - named.get((sku, warehouse), 0)) if allowed else 0
            if taken > 0:
                stayed.append(Line(sku, taken, warehouse))
                missing -= taken
        if missing:
            stayed.append(Line(line.sku, missing))
    return merge(stayed)


def _survey(
    entries: Sequence[Line], rank: Sequence[str], room: Room, known: Callable[[str], bool]
) -> tuple[dict[str, _Free], list[Shortage]]:
    named = {(entry.sku, entry.warehouse): entry.quantity for entry in entries}
    free: dict[str, _Free] = {}
    shortages = []
    for entry in entries:
        if entry.warehouse:
            sellable = room(entry.sku, entry.warehouse)
        else:
            left = {w: max(0, room(entry.sku, w) - named.get((entry.sku, w), 0)) for w in rank}
            free[entry.sku] = _Free(entry, left)
            sellable = sum(left.values())
        if sellable < entry.quantity:
            shortages.append(
                Shortage(entry.sku, entry.warehouse, entry.quantity, sellable, not known(entry.sku))
            )
    return free, shortages


def _covers(free: Sequence[_Free], chosen: Iterable[str]) -> bool:
    taken = list(chosen)
    return all(sum(item.left[w] for w in taken) >= item.line.quantity for item in free)


def _choose(free: Sequence[_Free], rank: Sequence[str], named: set[str]) -> list[str] | None:
    base = [w for w in rank if w in named]
    others = [w for w in rank if w not in named and any(item.left[w] for item in free)]
    for count in range((len(others) if len(others) <= EXACT_MAX else 1) + 1):
        for more in combinations(others, count):
            if _covers(free, [*base, *more]):
                return [w for w in rank if w in base or w in more]
    return _choose_greedily(free, rank, base, others)


def _choose_greedily(
    free: Sequence[_Free], rank: Sequence[str], base: list[str], others: Sequence[str]
) -> list[str] | None:
    chosen, work = list(base), 0
    while not _covers(free, chosen):
        missing = [_missing(item, chosen) for item in free]

        def gain(warehouse: str, missing: Sequence[int] = missing) -> int:
            return sum(min(m, item.left[warehouse]) for m, item in zip(missing, free, strict=True))

        best = max((w for w in others if w not in chosen), key=gain)
        chosen.append(best)
        work += len(others)
        for item, before in zip(free, missing, strict=True):
            if before and item.left[best] and _missing(item, chosen) < max(item.left.values()):
                work += sum(units > 0 for units in item.left.values())
        if work > PICKING_MAX:
            return None
    return [w for w in rank if w in chosen]


def _missing(item: _Free, chosen: Iterable[str]) -> int:
    return max(0, item.line.quantity - sum(item.left[w] for w in chosen))


def _allocate(item: _Free, chosen: Sequence[str]) -> list[Line]:
    sku, need = item.line.sku, item.line.quantity
    whole = next((w for w in chosen if item.left[w] >= need), None)
    if whole is not None:
        return [Line(sku, need, whole)]
    parts = []
    for warehouse in chosen:
        units = min(need, item.left[warehouse])
        if units > 0:
            parts.append(Line(sku, units, warehouse))
            need -= units
    return parts
