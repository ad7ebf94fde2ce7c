"""How sourcing ranks warehouses where a request does not say: one for all that ask the hot store, kept up to date."""

from collections.abc import Callable, Sequence

from app.domain.arguments import Arguments
from app.domain.warehouses import Warehouse, by_rank


class Ranking:
    """The setting's order if there is one, else the ranks of the list; warehouses without one follow by code.

    Nothing new is promised in those that are closed, whatever a lock asked for when it was made. `arguments` are both
    as functions take them. Each of `on_closed` is called once another set of warehouses is closed.
    """

    def __init__(self, order: Sequence[str] = (), closed: Sequence[str] = ()) -> None:
        self._setting = tuple(order)
        self.closed = frozenset(closed)
        self.arguments = _arguments(order, closed)
        self.on_closed: list[Callable[[], None]] = []

    def follow(self, listed: Sequence[Warehouse]) -> None:
        """Take over the list as it is now."""
        closed = frozenset(one.code for one in listed if one.closed)
        self.arguments = _arguments(list(self._setting) or by_rank(listed), sorted(closed))
        if closed == self.closed:
            return
        self.closed = closed
        for react in self.on_closed:
            react()


def _arguments(order: Sequence[str], closed: Sequence[str]) -> Arguments:
    """Return the ranked warehouses, then those that promise nothing new: of each a count, then codes."""
    return [len(order), *order, len(closed), *closed]
