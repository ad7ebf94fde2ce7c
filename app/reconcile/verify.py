"""`verify`: hot store = projection = sum of the moves, for every SKU, state and lock. Safe on a live system.

On a hot SKU the stores are never compared "now": the hot store's (version, counts) are held against the counts
that this very version's moves left, once the ledger has them. Memory stays flat: everything is read in slices.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from app.domain.events import Counts
from app.domain.records import opened_of, status_of, without_opened
from app.domain.words import OPEN_STATUSES, STATE_WORDS, TRANSFER_ENDED, TransferStatus
from app.errors import RefusedError
from app.hotstore.replies import Stock
from app.hotstore.scan import Scan
from app.ledger.audit import Audit, Projected, ProjectedRecord

SLICE = 500
SLICE_MOVES = 20_000
"""A slice takes no further SKU once those in it have this many moves: summing so many takes a fifth of a second."""
IN_FLIGHT_SECONDS_MAX = 10.0
POLL_SECONDS = 0.05
SETTLED_TRIES = 20
"""How often what differs is looked at again when the ledger has caught up each time."""
_WHAT = {"move": "SKU ", "event": "event "}
"""What stands before the subject of a part that is parked; that of a document says itself what it is."""


class Difference(NamedTuple):
    """Two figures that should be one. `what` is the SKU or lock, `place` where, and both figures with their names."""

    what: str
    place: str
    left: str
    left_figure: Any
    right: str
    right_figure: Any

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return f"{self.what} {self.place}: {self.left} {self.left_figure}, {self.right} {self.right_figure}"


class Slice(NamedTuple):
    """A part of a comparison: all that was looked at (as `Difference.what` says it), and what differs of it."""

    looked_at: tuple[str, ...]
    differences: tuple[Difference, ...]


class _Kind(NamedTuple):
    """Records of one kind: how each store tells of them, and the states in which neither may miss one."""

    name: str
    walk: Callable[..., AsyncIterator[list[str]]]
    hot: Callable[[Sequence[str]], Awaitable[dict[str, dict[str, Any]]]]
    projected: Callable[[Sequence[str]], Awaitable[dict[str, ProjectedRecord]]]
    open_after: Callable[[str, int], Awaitable[list[str]]]
    open_statuses: frozenset[str]


class _BehindError(Exception):
    """The ledger does not catch up: what is on its way cannot be told from what differs."""


class Verify:
    """Compares one shard's stores. `progress` is told what is compared and how much was.

    `settled` waits until the ledger has all that the hot store had when it was called, and says whether it has.
    Without it, what does not come in time differs: so a person is told, who waits for an answer.
    """

    def __init__(
        self,
        scan: Scan,
        audit: Audit,
        *,
        progress: Callable[[str, int], None] = lambda _what, _count: None,
        settled: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._settled = settled
        self._scan = scan
        self._audit = audit
        self._progress = progress
        self._parked: set[str] = set()
        self._kinds = (
            _Kind(
                "lock",
                scan.all_locks,
                scan.locks,
                audit.locks,
                audit.open_locks_after,
                frozenset(OPEN_STATUSES),
            ),
            _Kind(
                "transfer",
                scan.all_transfers,
                scan.transfers,
                audit.transfers,
                audit.open_transfers_after,
                frozenset(TransferStatus) - TRANSFER_ENDED,
            ),
        )

    async def differences(self) -> AsyncIterator[Difference]:
        """Yield every difference; raise `UnavailableError` or a Redis error if it cannot be compared."""
        unlike = await self._schema()
        for difference in unlike:
            yield difference
        try:
            async for difference in self._figures():
                yield difference
        except RefusedError as error:
            if not unlike:
                raise
            yield Difference("all else", "compared", "database", f"cannot: {error}", "must be", "compared")

    async def _schema(self) -> list[Difference]:
        return [
            Difference(one.what, one.part, "database", one.found or "none", "must be", one.must_be or "none")
            for one in await self._audit.schema.unlike()
        ]

    async def _figures(self) -> AsyncIterator[Difference]:
        parts = (
            self._sums,
            self._versions,
            self._locked,
            self._in_transit,
            self._receipts,
            self._shortages,
            self._stock,
        )
        async for difference in self._in_quarantine():
            yield difference
        for part in parts:
            async for difference in part():
                if difference.what not in self._parked:
                    yield difference
        for kind in self._kinds:
            async for difference in self._records(kind):
                if difference.what not in self._parked:
                    yield difference

    async def _in_quarantine(self) -> AsyncIterator[Difference]:
        """Tell what is parked, once each: what else differs there follows from it."""
        async for row in self._audit.rows("audit_parked"):
            what = _WHAT.get(row.part, "") + row.subject
            self._parked.add(what)
            yield Difference(what, f"{row.part}s parked", "in quarantine", row.parts, "to be expected", 0)

    async def slices(self) -> AsyncIterator[Slice]:
        """Compare everything once, a slice at a time; raise as `differences` does.

        A slice that cannot be compared because the ledger is behind is left out: nothing was looked at.
        """
        self._parked.clear()
        unlike = await self._schema()
        yield Slice(tuple(self._audit.schema.subjects), tuple(unlike))
        async for _ in self._in_quarantine():
            pass  # it has an alarm of its own, and what else differs there follows from it
        after = ""
        while skus := await self._audit.skus_after(after, SLICE, moves_max=SLICE_MOVES):
            yield await self._slice_of_stock(skus)
            after = skus[-1]
        async for found in self._scan.all_skus(count=SLICE):
            projected = await self._audit.stock(found)
            if unknown := [sku for sku in found if sku not in projected]:
                yield await self._slice_of_stock(unknown)
        for kind in self._kinds:
            async for ids in kind.walk(count=SLICE):
                yield await self._slice_of_records(kind, ids)
            after = ""
            while ids := await kind.open_after(after, SLICE):
                yield await self._slice_of_records(kind, ids)
                after = ids[-1]

    async def _slice_of_stock(self, skus: Sequence[str]) -> Slice:
        within = [
            Difference(
                f"SKU {row.sku}", f"{row.warehouse} {row.place}".strip(),
                "projection", _figure(row.projected), "sum of moves", _figure(row.units),
            )
            for row in await self._audit.sums_of(skus)
            if f"SKU {row.sku}" not in self._parked
        ]  # fmt: skip
        try:
            between = [difference async for difference in self._stock_slice(skus)]
        except _BehindError:
            return Slice((), ())
        return Slice(tuple(f"SKU {sku}" for sku in skus), (*within, *between))

    async def _slice_of_records(self, kind: _Kind, ids: Sequence[str]) -> Slice:
        try:
            differences = [difference async for difference in self._record_slice(kind, ids)]
        except _BehindError:
            return Slice((), ())
        return Slice(tuple(f"{kind.name} {one}" for one in ids), tuple(differences))

    # Within the ledger

    async def _sums(self) -> AsyncIterator[Difference]:
        self._progress("sums of moves", 0)
        async for row in self._audit.rows("audit_sums"):
            for state in STATE_WORDS:
                projected, moved = getattr(row, state), getattr(row, f"{state}_moved")
                if projected != moved:
                    place = f"{row.warehouse} {state}"
                    figures = "projection", _figure(projected), "sum of moves", _figure(moved)
                    yield Difference(f"SKU {row.sku}", place, *figures)

    async def _versions(self) -> AsyncIterator[Difference]:
        async for row in self._audit.rows("audit_versions"):
            moves = "none" if row.count is None else f"{row.count} up to version {row.highest}"
            yield Difference(f"SKU {row.sku}", "version", "projection", _figure(row.version), "moves", moves)

    async def _locked(self) -> AsyncIterator[Difference]:
        async for row in self._audit.rows("audit_locked"):
            place = f"{row.warehouse} locked"
            figures = "projection", _figure(row.locked), "open locks and transfers", _figure(row.held)
            yield Difference(f"SKU {row.sku}", place, *figures)

    async def _in_transit(self) -> AsyncIterator[Difference]:
        async for row in self._audit.rows("audit_in_transit"):
            place = f"{row.warehouse} in_transit"
            figures = _figure(row.in_transit), _figure(row.due)
            yield Difference(f"SKU {row.sku}", place, "projection", figures[0], "open transfers", figures[1])

    async def _receipts(self) -> AsyncIterator[Difference]:
        async for row in self._audit.rows("audit_receipts"):
            what = f"purchase order {row.purchase_order_id}"
            for state in ("good", "damaged"):
                noted, moved = getattr(row, state), getattr(row, f"{state}_moved")
                if noted != moved:
                    yield Difference(what, f"{row.sku} {state}", "receipts", noted, "sum of moves", moved)

    async def _shortages(self) -> AsyncIterator[Difference]:
        async for row in self._audit.rows("audit_shortages"):
            place = f"{row.warehouse} short"
            yield Difference(f"SKU {row.sku}", place, "open case", row.units, "projection", row.short)

    # Hot store and ledger: stock

    async def _stock(self) -> AsyncIterator[Difference]:
        after, count = "", 0
        while skus := await self._audit.skus_after(after, SLICE, moves_max=SLICE_MOVES):
            async for difference in self._stock_slice(skus):
                yield difference
            after, count = skus[-1], count + len(skus)
            self._progress("SKUs", count)
        async for found in self._scan.all_skus(count=SLICE):
            projected = await self._audit.stock(found)
            async for difference in self._stock_slice([sku for sku in found if sku not in projected]):
                yield difference

    async def _stock_slice(self, skus: Sequence[str]) -> AsyncIterator[Difference]:
        skus = [sku for sku in skus if f"SKU {sku}" not in self._parked]
        if not skus:
            return
        projected = await self._audit.stock(skus)
        hot = await self._scan.stock(skus)  # after the projection: so it can only be newer
        for sku in skus:
            there, here = projected.get(sku, Projected(0, {})), hot.get(sku)
            if here is None or here.version < there.version:
                version = here.version if here else "none"
                yield Difference(f"SKU {sku}", "version", "hot store", version, "projection", there.version)
            elif here.version == there.version:
                for difference in _compare(here, there.warehouses, "projection"):
                    yield difference
            else:
                async for difference in self._in_flight(here):
                    yield difference

    async def _in_flight(self, here: Stock) -> AsyncIterator[Difference]:
        """Wait until the ledger has this version, and compare with the counts that its moves left."""
        version = 0
        await self._settle()
        for _ in range(self._tries()):
            version = (await self._audit.stock([here.sku])).get(here.sku, Projected(0, {})).version
            if version >= here.version:
                for difference in _compare(
                    here, await self._audit.stock_at(here.sku, here.version), "moves up to its version"
                ):
                    yield difference
                return
            await asyncio.sleep(POLL_SECONDS)
        yield Difference(f"SKU {here.sku}", "version", "hot store", here.version, "projection", version)

    async def _settle(self) -> None:
        if self._settled is not None and not await self._settled():
            raise _BehindError

    def _tries(self) -> int:
        """How often to look again: the time that a person waits, or as often as one record may change meanwhile."""
        return int(IN_FLIGHT_SECONDS_MAX / POLL_SECONDS) if self._settled is None else SETTLED_TRIES

    # Hot store and ledger: locks and transfers

    async def _records(self, kind: _Kind) -> AsyncIterator[Difference]:
        count = 0
        async for found in kind.walk(count=SLICE):
            async for difference in self._record_slice(kind, found):
                yield difference
            count += len(found)
            self._progress(f"{kind.name}s", count)
        after = ""
        while ids := await kind.open_after(after, SLICE):
            there = await kind.hot(ids)
            async for difference in self._record_slice(kind, [one for one in ids if one not in there]):
                yield difference
            after = ids[-1]

    async def _record_slice(self, kind: _Kind, ids: Sequence[str]) -> AsyncIterator[Difference]:
        waiting = [one for one in ids if f"{kind.name} {one}" not in self._parked]
        differing: list[Difference] = []
        for _ in range(self._tries()):
            hot = await kind.hot(waiting)
            await self._settle()
            projected = await kind.projected(waiting)
            differing = []
            again = []
            for one in waiting:
                found = list(_compare_records(kind, one, hot.get(one), projected.get(one)))
                differing += found
                again += [one] if found else []
            if not again:
                return
            waiting = again  # a change may be in flight: only what stays different is told
            await asyncio.sleep(POLL_SECONDS)
        for difference in differing:
            yield difference


def _figure(number: Any) -> int | str:
    """Return a count as JSON takes it too (a sum comes as a decimal); a row that is missing has none."""
    return "none" if number is None else int(number)


def _compare(here: Stock, there: Mapping[str, Counts], name: str) -> list[Difference]:
    differences = []
    for warehouse in sorted(here.warehouses.keys() | there.keys()):
        hot, other = here.warehouses.get(warehouse, Counts()), there.get(warehouse, Counts())
        differences += [
            Difference(f"SKU {here.sku}", f"{warehouse} {state}", "hot store", left, name, right)
            for state, left, right in zip(Counts._fields, hot, other, strict=True)
            if left != right
        ]
    return differences


def _compare_records(
    kind: _Kind, record_id: str, here: dict[str, Any] | None, there: ProjectedRecord | None
) -> list[Difference]:
    what = f"{kind.name} {record_id}"
    if here is None and there is None:
        return []  # forgotten between two reads
    if here is None or there is None:
        if there is not None and status_of(there.record) not in kind.open_statuses:
            return []  # ended and forgotten
        figures = [("none" if one is None else status_of(one)) for one in (here, there and there.record)]
        return [Difference(what, "status", "hot store", figures[0], "projection", figures[1])]
    opened, here = opened_of(here), without_opened(here)
    if opened != there.opened:
        return [Difference(what, "opened at", "hot store", str(opened), "projection", str(there.opened))]
    return [
        Difference(what, f"field {name}", "hot store", here.get(name), "projection", there.record.get(name))
        for name in sorted(here.keys() | there.record.keys())
        if here.get(name) != there.record.get(name)
    ]
