"""How sourcing ranks warehouses where a request does not say: one for all that ask the hot store, kept up to date."""

from collections.abc import Sequence

from app.domain.arguments import Arguments
from app.domain.warehouses import Warehouse, by_rank

_NOWHERE = ("",)
"""No warehouse is called this: where all are closed, nothing can be promised anywhere."""


class Ranking:
    """The setting's order if there is one, else the ranks of the list; warehouses without one follow by code.

    While any is closed, an order that names no warehouses may be taken from `candidates` alone; () for all.
    """

    def __init__(self, order: Sequence[str] = ()) -> None:
        self._setting = tuple(order)
        self.order: Arguments = ranked(order)
        self.candidates: tuple[str, ...] = ()

    def follow(self, listed: Sequence[Warehouse]) -> None:
        """Take over the list as it is now."""
        first = list(self._setting) or by_rank(listed)
        self.order = ranked(first)
        closed = {one.code for one in listed if one.closed}
        codes = sorted(one.code for one in listed)
        left = [code for code in dict.fromkeys((*first, *codes)) if code not in closed]
        self.candidates = (tuple(left) or _NOWHERE) if closed else ()


def ranked(order: Sequence[str]) -> Arguments:
    """Return warehouses in rank order as functions take them: a count, then codes."""
    return [len(order), *order]
