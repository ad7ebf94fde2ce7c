"""How sourcing ranks warehouses where a request does not say: one for all that ask the hot store, kept up to date."""

from collections.abc import Sequence

from app.domain.warehouses import Warehouse, by_rank
from app.hotstore import calls
from app.hotstore.calls import Args


class Ranking:
    """The setting's order if there is one, else the ranks of the list; warehouses without one follow by code.

    Nothing new is promised in those that are closed, whatever a lock asked for when it was made.
    """

    def __init__(self, order: Sequence[str] = (), closed: Sequence[str] = ()) -> None:
        self._setting = tuple(order)
        self.order: Args = calls.ranked(order, closed)

    def follow(self, listed: Sequence[Warehouse]) -> None:
        """Take over the list as it is now."""
        closed = sorted(one.code for one in listed if one.closed)
        self.order = calls.ranked(list(self._setting) or by_rank(listed), closed)
