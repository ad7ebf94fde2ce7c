"""Snapshots in the ledger: a table each while it is compared, and what the comparison files."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import Enum
from typing import IO, Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Position
from app.domain.reconciliation import TREATED, Action, Rule, Treatment
from app.domain.times import moment
from app.ledger import database
from app.ledger.queries import sql, sql_of_found

DUPLICATES_MAX = 100
"""SKUs named that a snapshot has twice."""
_COLUMNS = ("line", "sku", "on_hand", "damaged")


class CauseStep(NamedTuple):
    """A statement that finds differences with one cause, and the evidence.

    `window`: it is told how far from the snapshot's time it looks; `status`: of which events of the inbox.
    """

    statement: str
    window: bool = False
    status: str = ""


CAUSES = (
    CauseStep("cause_waiting", status="parked"),
    CauseStep("cause_waiting", status="quarantined"),
    CauseStep("cause_mismatch"),
    CauseStep("cause_applied_twice"),
    CauseStep("cause_in_transit"),
    CauseStep("cause_shipped_after_cut", window=True),
    CauseStep("cause_count_before_move", window=True),
    CauseStep("cause_count_after_move", window=True),
    CauseStep("cause_missing_shipment"),
    CauseStep("cause_missing_receipt"),
    CauseStep("cause_missing_transfer"),
    CauseStep("cause_missing_sequence"),
    CauseStep("cause_unexplained"),
)
"""In order of precedence: the first that fits is told."""


class Twice(Enum):
    """What is done about a SKU that a snapshot has on several lines: they all say what one of them would."""

    REFUSED = "refused"
    NOT_COMPARED = "not compared"
    ADDED_UP = "added up"


class Content(NamedTuple):
    """A snapshot that was read to its end; `as_of` in ms since 1970, `file` has its lines as COPY reads them.

    A line with fewer than 0 units says that its SKU is not compared. `is_partial`: nor are SKUs that it does not name.
    `lines_bad` could not be read.
    """

    warehouse: str
    as_of: int
    fingerprint: str
    lines: int
    counts_damaged: bool
    whole: bool
    file: IO[bytes]
    is_partial: bool = False
    lines_bad: int = 0
    twice: Twice = Twice.REFUSED


class Duplicate(NamedTuple):
    """A SKU that a snapshot has on two lines, or more."""

    sku: str
    lines: Sequence[int]


class DuplicateLinesError(Exception):
    """A snapshot has SKUs more than once."""

    def __init__(self, duplicates: Sequence[Duplicate]) -> None:
        super().__init__("SKUs come more than once")
        self.duplicates = duplicates


class Begun(NamedTuple):
    """The reconciliation of a snapshot; not `new`: the same snapshot came before.

    `duplicates`: SKUs that are not compared because they come more than once, the first 100 of them.
    """

    reconciliation_id: str
    new: bool
    duplicates: Sequence[Duplicate] = ()


class Claim(NamedTuple):
    """A reconciliation whose time has come; nobody else runs it while its transaction lasts."""

    number: int
    reconciliation_id: str
    warehouse: str
    as_of: datetime
    lines: int
    counts_damaged: bool
    whole: bool
    read: dict[str, Any]
    """What was noted when it was read: `partial`, `lines_bad`, `skus_skipped`."""


class Policy(NamedTuple):
    """What is done about differences: rules in order, and when a person must look at all of them."""

    rules: tuple[Rule, ...]
    apply_units_max: int
    differing_share_max: float
    window: timedelta


class Snapshots:
    """One shard's. Raises `UnavailableError` while Postgres is away."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard

    async def begin(self, content: Content, position: Position, who: str) -> Begun:
        """Keep a snapshot until the ledger has passed `position`; raise `DuplicateLinesError`: nothing is kept then."""
        identity = (content.warehouse, moment(content.as_of), content.fingerprint)
        async with database.driver_transaction(self._engine) as pg:
            row = await pg.fetchrow(
                sql("begin_reconciliation"), *identity, content.lines, content.counts_damaged, content.whole,
                who, self._shard, *position,
            )  # fmt: skip
            if row is None:
                return Begun(await pg.fetchval(sql("find_same_reconciliation"), *identity), new=False)
            table = _table(row["number"])
            await pg.execute("SELECT make_snapshot_table($1)", row["number"])
            await pg.copy_to_table(table, source=content.file, columns=_COLUMNS)
            duplicates = await self._settle_duplicates(pg, table, content.twice)
            read = await pg.fetchrow(_about("count_snapshot", table))
            noted = {
                "partial": content.is_partial,
                "lines_bad": content.lines_bad,
                "skus_skipped": read["skipped"],
            }
            text = msgspec.json.encode(noted).decode()
            await pg.execute(sql("note_reading"), row["number"], read["lines"], text)
            await pg.execute("SELECT take_statistics($1)", table)
        return Begun(row["reconciliation_id"], new=True, duplicates=duplicates)

    async def _settle_duplicates(self, pg: Any, table: str, twice: Twice) -> Sequence[Duplicate]:
        """Let each SKU have one line; return those that are not compared for that."""
        found = await pg.fetch(_about("find_duplicate_lines", table), DUPLICATES_MAX)
        if not found:
            return ()
        duplicates = [Duplicate(one["sku"], one["lines"]) for one in found]
        if twice is Twice.REFUSED:
            raise DuplicateLinesError(duplicates)
        adds_up = twice is Twice.ADDED_UP
        await pg.execute(_about("merge_duplicate_lines", table), adds_up)
        return () if adds_up else duplicates

    @asynccontextmanager
    async def claimed(self, reconciliation_id: str | None = None) -> AsyncIterator["Comparison | None"]:
        """Take the oldest reconciliation whose time has come, or this one; None if there is none.

        All that is read and filed meanwhile is one snapshot, and nothing of it is seen before the end.
        """
        async with database.driver_transaction(self._engine, isolation="repeatable_read") as pg:
            row = await pg.fetchrow(sql("claim_reconciliation"), reconciliation_id)
            yield None if row is None else Comparison(pg, Claim(*row))

    async def fail(self, number: int, why: str) -> None:
        """Give a reconciliation up."""
        async with database.driver_transaction(self._engine) as pg:
            await pg.execute(sql("fail_reconciliation"), number, why)
            await pg.execute("SELECT drop_snapshot_table($1)", number)


class Comparison:
    """The comparison of one snapshot, in the transaction that has claimed it."""

    def __init__(self, pg: Any, claim: Claim) -> None:
        self._pg = pg
        self.claim = claim

    async def is_there(self) -> bool:
        """Whether the snapshot still has all of its lines: its table does not survive a crash of Postgres."""
        if await self._pg.fetchval("SELECT to_regclass($1)", self._table) is None:
            return False
        # The table's name is ours: a word of ours and a number.
        there: int = await self._pg.fetchval(f"SELECT count(*) FROM {self._table}")  # noqa: S608
        return there == self.claim.lines

    async def compare(self) -> None:
        """File every difference."""
        claim = self.claim
        values = (claim.number, claim.warehouse, claim.as_of, claim.counts_damaged, self.is_partial)
        await self._pg.execute(_about("compare_snapshot", self._table), *values)
        await self._pg.execute("SELECT take_statistics('discrepancy')")

    async def explain(self, window: timedelta, step: Callable[[str], None]) -> None:
        """Find the likely cause of each; `step` is told which is looked for."""
        for cause in CAUSES:
            step(cause.statement)
            more = (window,) if cause.window else (cause.status,) if cause.status else ()
            await self._pg.execute(sql_of_found("file_causes", cause.statement), self.claim.number, *more)

    async def treat(self, policy: Policy, *, by_itself: bool) -> None:
        """Decide what is done about each; not `by_itself`: what would be applied is proposed."""
        number = self.claim.number
        for rule in policy.rules:
            action = Action.PROPOSE if rule.action is Action.APPLY and not by_itself else rule.action
            values = (number, str(rule.cause), rule.units_max, str(TREATED[action]))
            await self._pg.execute(sql("treat_by_rule"), *values)
        await self._pg.execute(sql("treat_by_rule"), number, None, None, str(Treatment.PROPOSED))
        if await self._pg.fetchval(sql("approved_units"), number) > policy.apply_units_max:
            await self._pg.execute(sql("propose_approved"), number)

    async def figures(self) -> tuple[Any, list[Any]]:
        """Return how many SKUs were compared, and the differences by cause and kind."""
        number = self.claim.number
        skus = await self._pg.fetchrow(
            _about("total_skus", self._table), number, self.claim.warehouse, self.is_partial
        )
        return skus, await self._pg.fetch(sql("total_discrepancies"), number)

    async def finish(self, totals: dict[str, Any]) -> None:
        """Say what it came to, and throw the snapshot away."""
        text = msgspec.json.encode(totals | self.claim.read).decode()
        await self._pg.execute(sql("finish_reconciliation"), self.claim.number, text)
        await self._pg.execute("SELECT drop_snapshot_table($1)", self.claim.number)

    @property
    def _table(self) -> str:
        return _table(self.claim.number)

    @property
    def is_partial(self) -> bool:
        """Whether it says nothing about the SKUs that it does not name."""
        return bool(self.claim.read.get("partial"))


def _table(number: int) -> str:
    return f"snapshot_line_{number}"


def _about(name: str, table: str) -> str:
    """Return a statement about one snapshot's own table."""
    return sql(name).replace("snapshot_line", table)
