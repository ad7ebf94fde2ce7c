"""Openings: set on_hand (and buffers) absolutely, booking the difference; a rerun changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.commands import OpeningRow
from app.domain.outcomes import Outcome
from app.errors import SellableError
from app.hotstore.store import HotStore

__all__ = ["ROWS_MAX", "OpeningRow", "Openings"]

ROWS_MAX = 500
"""Rows of one command: more would keep the hot store from everybody else."""


@dataclass(frozen=True, slots=True)
class Openings:
    """Books openings; a SKU in a warehouse should have one row."""

    hot: HotStore

    async def book(self, rows: Sequence[OpeningRow], *, who: str = "") -> int:
        """Book the rows and return how many changed something.

        Raises what `HotStore` raises; the rows before were booked then, and a rerun books only the rest.
        """
        changed = 0
        for first in range(0, len(rows), ROWS_MAX):
            changed += await self._book(rows[first : first + ROWS_MAX], who)
        return changed

    async def _book(self, rows: Sequence[OpeningRow], who: str) -> int:
        answer, changed = await self.hot.opening(rows, who)
        if answer.outcome not in {Outcome.OPENED, Outcome.UNCHANGED}:
            raise SellableError(f"the opening was refused: {answer.outcome}")
        return changed
