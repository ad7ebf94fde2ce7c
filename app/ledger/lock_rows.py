"""Lists of locks, as the ledger has them."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.answers import LockView
from app.domain.records import LockRecord
from app.domain.words import OPEN_STATUSES, LockStatus
from app.ledger import database
from app.ledger.queries import statement
from app.turns import in_turns

LOOKED_AT_MAX = 20_000
"""Locks that are looked at for one page, however few of them belong on it."""
LINES_MAX = 20_000
"""Lines on one page; a lock that has more is alone on its page."""


class LockPage(NamedTuple):
    """Locks in the order of their ids; `following`: the id after which to go on, None at the end."""

    locks: list[LockView]
    following: str | None


def _listed(row: Any) -> tuple[LockView, int]:
    """Return a lock, and how many lines the page has up to it."""
    return LockRecord.of(row.record).view(row.lock_id), row.lines_so_far


class LockRows:
    """Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, *, looked_at_max: int = LOOKED_AT_MAX) -> None:
        self._engine = engine
        self._looked_at_max = looked_at_max

    async def page(
        self, statuses: Collection[LockStatus], sku: str | None, after: str, items_max: int
    ) -> LockPage:
        """Return the next locks that are in one of the states and have the SKU (None: any); the newest of each id."""
        open_alone = OPEN_STATUSES.issuperset(statuses)
        look_at = "look_at_open_locks" if open_alone else "look_at_locks"
        listing = "list_open_locks" if open_alone else "list_locks"
        values = {"after": after, "looked_at_max": self._looked_at_max}
        async with database.snapshot(self._engine) as connection:
            seen = (await connection.execute(statement(look_at), values)).one()
            if seen.until is None:
                return LockPage([], None)
            values = {"after": after, "until": seen.until, "items_max": items_max, "lines_max": LINES_MAX}
            asked = {"statuses": [status.value for status in statuses], "sku": sku}
            found = await connection.execute(statement(listing), values | asked)
            # A row is taken apart when it is fetched: one lock may have as many lines as a thousand others.
            rows = await in_turns(iter(found.fetchone, None), _listed, slice_items=1)
        is_cut = bool(rows) and (len(rows) == items_max or rows[-1][1] >= LINES_MAX)
        goes_on = seen.looked_at == self._looked_at_max
        locks = [lock for lock, _ in rows]
        return LockPage(locks, locks[-1].lock_id if is_cut else seen.until if goes_on else None)

    async def at_limit(self, limits: Mapping[str, int]) -> list[str]:
        """Return which keys have opened as many of the open locks as these limits say, or more.

        Locks are counted in all first: as long as those are fewer than the smallest limit, that is all of the work.
        """
        async with database.snapshot(self._engine) as connection:
            if (await connection.execute(statement("count_open_locks"))).scalar_one() < min(limits.values()):
                return []
            values = {"names": list(limits), "limits": list(limits.values())}
            rows = await connection.execute(statement("open_locks_of_keys"), values)
            return [row.name for row in rows]
