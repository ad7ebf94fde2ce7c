"""Shortages: less is on the shelf than is promised. A person decides which promise is broken; here is a choice."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Choice = Literal["latest", "largest"]
"""Which promises to break first: those made last, or the largest ones, which are the fewest orders."""


class Promise(NamedTuple):
    """Units that an open lock holds of the SKU in the warehouse."""

    lock_id: str
    status: str
    units: int


class ShortageCase(NamedTuple):
    """A case: `units` short now, 0 once closed; times in ms since 1970; promises latest first."""

    shortage_id: int
    sku: str
    warehouse: str
    units: int
    opened_at: int
    closed_at: int | None = None
    promises: tuple[Promise, ...] = ()


class Remedy(NamedTuple):
    """Units that another warehouse can spare: a transfer from there would fill the gap, in part or all of it."""

    warehouse: str
    units: int


def remedies(shortage: ShortageCase, sellable: Mapping[str, int]) -> list[Remedy]:
    """Return what other warehouses can sell of the SKU, up to what is short, the fullest first."""
    others = ((warehouse, units) for warehouse, units in sellable.items() if warehouse != shortage.warehouse)
    found = [Remedy(warehouse, min(units, shortage.units)) for warehouse, units in others if units > 0]
    return sorted(found, key=lambda remedy: (-remedy.units, remedy.warehouse))


def suggested(shortage: ShortageCase, choice: Choice) -> list[str]:
    """Return the locks to break: as many as it takes until nothing is short, or all of them."""
    found: list[str] = []
    short = shortage.units
    for promise in _ranked(shortage.promises, choice):
        if short <= 0:
            break
        found.append(promise.lock_id)
        short -= promise.units
    return found


def _ranked(promises: Sequence[Promise], choice: Choice) -> Sequence[Promise]:
    if choice == "largest":
        return sorted(promises, key=lambda promise: -promise.units)  # stable: the latest of equal ones first
    return promises
