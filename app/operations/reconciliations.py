"""Reconciliations: taking a snapshot in, and telling what its comparison came to."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.codes import shown
from app.domain.events import Position
from app.domain.reconciliation import Cause, Day, Discrepancy, Freshness, Reconciliation, Repeated
from app.domain.words import BIGINT_MAX
from app.hotstore.store import HotStore
from app.ledger.reconciliations import ReconciliationRows
from app.ledger.snapshots import Begun, Content, Duplicate, DuplicateLinesError, Snapshots, Twice
from app.operations.snapshots.spool import Asked, SnapshotError, Spool

DAYS_MAX = 30
"""Reconciliations that one is compared with."""
WORST_MAX = 50
"""Differences shown in a report."""


class Refused(StrEnum):
    """Why a snapshot that is whole cannot be compared."""

    FUTURE = "future"
    TOO_OLD = "too_old"
    UNKNOWN_WAREHOUSE = "unknown_warehouse"


@dataclass(frozen=True, slots=True)
class Report:
    """What a reconciliation came to, beside earlier ones; `sizes` as `ReconciliationRows.sizes` tells them."""

    reconciliation: Reconciliation
    worst: Sequence[Discrepancy]
    repeated: Sequence[Repeated]
    days: Sequence[Day]
    sizes: Sequence[tuple[bool, int, int]]
    treatments: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reconciliations:
    """Every step raises `UnavailableError` without Postgres; taking in raises what `HotStore` raises too."""

    hot: HotStore
    snapshots: Snapshots
    rows: ReconciliationRows

    async def check(self, asked: Asked) -> Refused | None:
        """Say why a snapshot of this warehouse and time cannot be compared, before its lines are read."""
        if asked.as_of > time.time() * 1000:
            return Refused.FUTURE
        if not await self.rows.knows(asked.warehouse):
            return Refused.UNKNOWN_WAREHOUSE
        begins_at = await self.rows.begins_at()
        return Refused.TOO_OLD if begins_at is None or asked.as_of < begins_at else None

    async def begin(self, asked: Asked, spool: Spool, *, who: str = "") -> Begun:
        """Take a snapshot in that was read to its end; the same one again is the reconciliation that it was.

        Raises `SnapshotError` when SKUs come twice in a snapshot that is taken as a whole. In others they are not
        compared for that, and the spool names them, unless they are to be added up.
        """
        lines = Twice.NOT_COMPARED if spool.takes_lines else Twice.REFUSED
        twice = Twice.ADDED_UP if asked.adds_up else lines
        content = Content(
            asked.warehouse, asked.as_of, spool.fingerprint, spool.lines, spool.counts_damaged, spool.whole,
            spool.rewound(), asked.is_partial, spool.lines_bad, twice,
        )  # fmt: skip
        position = Position.parse(await self.hot.read_last())
        try:
            begun = await self.snapshots.begin(content, position, who)
        except DuplicateLinesError as error:
            raise SnapshotError(*(_of_duplicate(one, spool) for one in error.duplicates)) from None
        spool.errors += [_of_duplicate(one, spool) for one in begun.duplicates]
        return begun

    async def find(self, reconciliation_id: str) -> Reconciliation | None:
        """Return one, or None."""
        return await self.rows.find(reconciliation_id)

    async def before(
        self, cursor: int, items_max: int, warehouse: str | None = None
    ) -> tuple[list[Reconciliation], int]:
        """Return the next ones, newest first, and the cursor after them; 0: from the newest."""
        return await self.rows.before(cursor or BIGINT_MAX, items_max, warehouse)

    async def discrepancies(
        self, reconciliation_id: str, after: tuple[str, str], items_max: int, cause: Cause | None = None
    ) -> list[Discrepancy]:
        """Return the next differences by SKU and state."""
        return await self.rows.discrepancies(reconciliation_id, after, items_max, cause)

    async def report(self, reconciliation_id: str) -> Report | None:
        """Return what one came to, beside the warehouse's earlier ones; None if there is none."""
        found = await self.rows.find(reconciliation_id)
        if found is None:
            return None
        return Report(
            found,
            await self.rows.worst(reconciliation_id, WORST_MAX),
            await self.rows.repeated(reconciliation_id, days_max=DAYS_MAX, items_max=WORST_MAX),
            await self.rows.days(reconciliation_id, DAYS_MAX),
            await self.rows.sizes(reconciliation_id),
            await self.rows.treatments(reconciliation_id),
        )

    async def freshness(self) -> list[Freshness]:
        """Return how each warehouse stands that was ever reconciled."""
        return await self.rows.freshness()


def _of_duplicate(found: Duplicate, spool: Spool) -> tuple[str, str]:
    *before, last = (spool.place_of(line) for line in found.lines)
    result = f": none of them is compared{spool.how_to_add_up}" if spool.takes_lines else ""
    return last, f"sku {shown(found.sku)} was given in {', '.join(before)} already{result}"
