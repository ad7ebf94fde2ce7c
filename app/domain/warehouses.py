"""Warehouses: the list of them, and how sourcing ranks them."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Warehouse(NamedTuple):
    """One of the list. `rank`: the lowest is asked first, None after all that have one; `closed`: no new promises."""

    code: str
    name: str = ""
    rank: int | None = None
    closed: bool = False


class Units(NamedTuple):
    """What is in a warehouse: how many SKUs, and their units by state."""

    skus: int
    available: int
    locked: int
    damaged: int
    in_transit: int

    @property
    def on_hand(self) -> int:
        """Return the good units on its shelves."""
        return self.available + self.locked


class Stocked(NamedTuple):
    """A warehouse, with what is there."""

    warehouse: Warehouse
    units: Units


def closed_mark(closed: Iterable[str]) -> str:
    """Return what the tag of a page ends with for those of its warehouses that are closed; '' for none."""
    codes = "\t".join(sorted(closed))
    return f"-{hashlib.sha256(codes.encode()).hexdigest()[:8]}" if codes else ""


def by_rank(warehouses: Sequence[Warehouse]) -> list[str]:
    """Return the codes of those that have a rank, the first to be asked first."""
    ranked = [(one.rank, one.code) for one in warehouses if one.rank is not None]
    return [code for _, code in sorted(ranked)]
