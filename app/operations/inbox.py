"""The inbox: what warehouse systems tell, each event once, for ever, in whatever order and however often it comes.

An event is booked at once, or it is kept in Postgres: parked until its turn or its document has come (the worker
tries it again, and books it at last whatever is missing), or quarantined for a person.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import structlog
from msgspec import structs

from app.domain.answers import Answer
from app.domain.codes import UnknownCode, key_of
from app.domain.commands import Fact
from app.domain.documents import Sums, is_accounted_for
from app.domain.inbox import Result, Row, Rules, Status
from app.domain.outcomes import Outcome
from app.domain.times import OCCURRED_DAYS_MAX
from app.domain.words import Durability
from app.errors import UnavailableError
from app.hotstore.store import HotStore
from app.ledger.inbox import InboxRows
from app.ledger.ledger import Ledger
from app.operations.codes import Codes
from app.operations.durability import Durabilities
from app.operations.inbox_counts import CountItem, InboxCounts
from app.operations.past_documents import PastDocuments
from app.operations.warehouse_events import MalformedError, WarehouseEvent
from app.turns import gather_few, in_turns

_log = structlog.get_logger()

CHUNK = 256
"""Calls after which an error ends the rest."""
CLAIMED_MAX = 1_000
"""Parked events tried again at once."""
EARLY_ROUNDS_MAX = 10
MARGIN_MS = 60_000
"""What may be forgotten between asking up to when it is and asking for an event."""
_DAY_MS = 86_400_000
_WAITS = {
    Outcome.EARLY: "others come before it in the sequence",
    Outcome.UNKNOWN_LOCK: "no lock is called this",
    Outcome.UNKNOWN_TRANSFER: "no transfer is called this",
    Outcome.INSUFFICIENT_DAMAGED: "fewer units are damaged",
}
DISPUTED = "other reporters of its document say otherwise: see the mismatches"
_FOR_A_PERSON = {
    Outcome.OTHER_CONTENT: "line_id: was used with other content",
    Outcome.QUANTITY_TOO_LARGE: "a count would grow too large",
}
_NO_ORDER = "no purchase order is called this"
REUSED = "event_id: was used with other content"


@dataclass(slots=True)
class _Item:
    """One event on its way: `status` None until something is known; `is_forced`: book it whatever is missing."""

    event: WarehouseEvent
    fact: Fact
    is_forced: bool = False
    is_approved: bool = False
    status: Status | None = None
    detail: str = ""
    waits_early: bool = False
    is_disputed: bool = False
    position: str = ""

    def settle(self, status: Status, detail: str = "") -> None:
        self.status, self.detail = status, detail

    @property
    def is_count(self) -> bool:
        return self.event.type == "counted"

    @property
    def command(self) -> Fact:
        """What is asked of the hot store now: one that waits for a person, and a count, only take their turn."""
        if self.status is not None or self.is_count:
            return structs.replace(self.fact, mode="pass" if self.is_forced else "hold")
        if self.is_forced:
            odd = _NO_ORDER if self.detail == _NO_ORDER else None
            return structs.replace(self.fact, mode="force", odd=odd)
        return self.fact


class Taken(NamedTuple):
    """An answer for each event, in their order, and the durability that those reached which were booked."""

    results: list[Result]
    durability: Durability


@dataclass(frozen=True, slots=True)
class Inbox:
    """Raises what `HotStore` raises, and `UnavailableError` when an event has to be kept, or is old, without Postgres.

    All of it can be repeated: what was booked is a duplicate then.
    """

    hot: HotStore
    ledger: Ledger
    rows: InboxRows
    counts: InboxCounts
    past: PastDocuments
    durabilities: Durabilities
    codes: Codes
    rules: Rules
    wait_seconds: float

    async def take(
        self,
        source: str,
        given: Sequence[WarehouseEvent | MalformedError],
        wanted: Durability,
        *,
        who: str = "",
    ) -> Taken:
        """Take events of one source, and say of each what became of it; a bad one stops no other."""
        events = (event for event in given if isinstance(event, WarehouseEvent))
        items = await in_turns(events, lambda event: self._item(event, source))
        await self._settle(items, who)
        await self._keep([item for item in items if item.status in _KEPT and not item.is_disputed], who)
        done = iter(items)
        results = await in_turns(given, lambda one: _result_of(one, done))
        last = max((item.position for item in items if item.position), key=_order, default="")
        reached = await self.durabilities.reach(last, wanted if last else "memory")
        return Taken(results, reached)

    async def retry_parked(self) -> bool:
        """Try parked events again; book those whose time is over. Return whether there may be more."""
        claimed = await self.rows.claim(CLAIMED_MAX)
        if not claimed:
            return False
        now = _now_ms()
        items = [self._item_of(row, is_forced=now >= row.until) for row in claimed]
        await self._settle(items, "inbox")
        for item, row in zip(items, claimed, strict=True):
            if item.is_forced and item.status is Status.APPLIED:
                _log.error(
                    "inbox.overdue",
                    source=row.source,
                    event_id=row.event_id,
                    why=row.why,
                    booked=item.detail or "as it is",
                )
                item.detail = item.detail or row.why
        await self._note(items)
        # Those behind one that has had its turn are next, however long they were to be left alone.
        moved = {(item.fact.source, item.fact.warehouse) for item in items if _has_had_its_turn(item)}
        woken = await self.rows.wake(moved)
        return woken or len(claimed) == CLAIMED_MAX

    async def list(self, after: tuple[str, str], items_max: int) -> Sequence[Row]:
        """Return the next events that wait, by source and event_id."""
        return await self.rows.open_after(after, items_max)

    async def retry(self, source: str, event_id: str, *, who: str = "") -> Result | None:
        """Book an event that waits, whatever is missing, because a person says so; None if there is none."""
        row = await self.rows.find(source, event_id)
        if row is None or row.status not in _KEPT:
            return None
        item = self._item_of(row, is_forced=True, is_approved=True)
        await self._settle([item], who)
        await self._note([item])
        return _result(item)

    async def drop(self, source: str, event_id: str, reason: str, *, who: str = "") -> Result | None:
        """Never book an event that waits; None if there is none. Sent again, it is a duplicate."""
        row = await self.rows.find(source, event_id)
        if row is None or row.status not in _KEPT:
            return None
        command = structs.replace(self._item_of(row).fact, mode="drop", odd=reason)
        answer = await self.hot.execute(command, who)
        status = Status.DROPPED if answer.outcome is Outcome.DROPPED else Status.DUPLICATE
        await self.rows.change([(source, event_id, status, reason)])
        return Result(event_id, status, reason)

    # Steps

    def _item(self, event: WarehouseEvent, source: str) -> _Item:
        limits = self.rules.of(source)
        return _Item(event, event.fact(source, reporter=limits.reporter, totals=limits.totals))

    def _item_of(self, row: Row, *, is_forced: bool = False, is_approved: bool = False) -> _Item:
        item = self._item(msgspec.convert(row.event, WarehouseEvent), row.source)
        item.is_forced, item.is_approved = is_forced, is_approved
        return item

    async def _settle(self, items: Sequence[_Item], who: str) -> None:
        """Find out what becomes of each item, and book what can be booked."""
        now = _now_ms()
        await in_turns(items, lambda item: self._judge(item, now))
        since = await self._remembers_since(items, now)
        await self._ask_ledger([item for item in items if item.fact.occurred_at <= since])
        await self._ask_codes([item for item in items if item.status is None and not item.is_approved])
        await self._ask_documents([item for item in items if item.status is None], since)
        await self._ask_orders([item for item in items if item.status is None])
        await self._book(items, who)
        await self._count([item for item in items if item.is_count and item.status is None], who)

    def _judge(self, item: _Item, now: int) -> None:
        """Leave to a person what no clock or warehouse is likely to have meant."""
        limits = self.rules.of(item.fact.source)
        if item.is_approved:
            return
        if item.fact.occurred_at > now + limits.skew_seconds * 1000:
            item.settle(Status.QUARANTINED, "occurred_at: is in the future")
        elif item.fact.occurred_at < now - OCCURRED_DAYS_MAX * _DAY_MS:
            item.settle(Status.QUARANTINED, f"occurred_at: is more than {OCCURRED_DAYS_MAX} days ago")
        elif item.event.units > limits.units_max:
            item.settle(Status.QUARANTINED, f"it is about more than {limits.units_max} units")

    async def _remembers_since(self, items: Sequence[_Item], now: int) -> int:
        """Return since when the hot store remembers what happened, in ms: of what was before only the ledger knows."""
        skew_ms = 1000 * max((self.rules.of(item.fact.source).skew_seconds for item in items), default=0)
        horizon = now - int(self.past.horizon_seconds * 1000)
        return max(horizon, await self.hot.read_forgotten()) + skew_ms + MARGIN_MS

    async def _ask_ledger(self, old: Sequence[_Item]) -> None:
        """Find those that were known before the hot store's memory begins, and what they still wait for."""
        if not old:
            return
        known = await self.ledger.find_ops([item.fact.op for item in old])
        repeated = []
        for item in old:
            if found := known.get(item.fact.op):
                same = found.fingerprint == item.fact.fingerprint
                item.settle(*((Status.DUPLICATE,) if same else (Status.REJECTED, REUSED)))
                repeated += [item] if same and item.fact.family else []
        if repeated:
            documents = await self.ledger.find_documents(list({item.fact.family for item in repeated}))
            for item in repeated:
                sums = documents.get(item.fact.family, {}).get(item.fact.sku)
                if sums is not None and not _is_settled(item.fact, sums):
                    _dispute(item)

    async def _ask_codes(self, items: Sequence[_Item]) -> None:
        """Keep what names an unknown warehouse or SKU: until that is known, or for a person if it looks like another.

        Goods that came in, or were counted, bring a SKU into being: those that look like no other are taken.
        """
        unknown = await self.codes.warehouses.unknown_among({item.fact.warehouse for item in items})
        _leave_unknown(items, "warehouse", unknown)
        known_there = [item for item in items if item.status is None]
        unknown = await self.codes.known_skus.unknown_among({item.fact.sku for item in known_there})
        _leave_unknown(known_there, "sku", _not_brought(known_there, unknown))

    async def _ask_documents(self, items: Sequence[_Item], since: int) -> None:
        """Let the hot store remember what the ledger knows of their documents; a lock or transfer has its own with it.

        Without Postgres, only what happened within the hot store's memory is booked.
        """
        own = [item for item in items if item.fact.family and item.event.type in _OWN_DOCUMENTS]
        if not own:
            return
        try:
            await self.past.rehydrate({item.fact.family for item in own})
        except UnavailableError:
            if any(item.fact.occurred_at <= since for item in own):
                raise

    async def _ask_orders(self, items: Sequence[_Item]) -> None:
        """Park what came in for an order that nobody has planned; without Postgres nobody can say, so book it."""
        of_orders = [item for item in items if item.event.purchase_order_id]
        if not of_orders:
            return
        try:
            unknown = await self.rows.unknown_orders(list({item.fact.document_id for item in of_orders}))
        except UnavailableError:
            return
        for item in of_orders:
            if item.fact.document_id in unknown:
                item.detail = _NO_ORDER
                if not item.is_forced:
                    item.status = Status.PARKED

    async def _book(self, items: Sequence[_Item], who: str) -> None:
        """Send what has a turn to take or moves to make, in the order of the sequences, then of the request."""
        waiting = sorted(
            (item for item in items if _has_a_call(item)), key=lambda item: item.fact.sequence or 0
        )
        for _ in range(EARLY_ROUNDS_MAX):  # more than one only where calls overtake each other
            before = len(waiting)
            for first in range(0, len(waiting), CHUNK):
                chunk = waiting[first : first + CHUNK]
                answers = await gather_few(self.hot.execute(item.command, who) for item in chunk)
                for item, answer in zip(chunk, answers, strict=True):
                    if isinstance(answer, BaseException):
                        raise answer
                    _note_answer(item, answer)
            waiting = [item for item in waiting if item.waits_early]
            if not waiting or len(waiting) == before:
                break
        for item in waiting:
            item.settle(Status.PARKED, _WAITS[Outcome.EARLY])
        await self._ask_past(items, who)

    async def _ask_past(self, items: Sequence[_Item], who: str) -> None:
        """A lock or transfer beyond the horizon is taken as the ledger knows it."""
        recalled: dict[tuple[Outcome, str], bool] = {}
        for outcome, recall in (
            (Outcome.UNKNOWN_LOCK, self.past.recall_lock),
            (Outcome.UNKNOWN_TRANSFER, self.past.recall_transfer),
        ):
            for item in items:
                if item.detail != _WAITS[outcome]:
                    continue
                named = (outcome, item.fact.document_id)
                try:
                    if named not in recalled:
                        recalled[named] = await recall(item.fact.document_id)
                except UnavailableError:  # it waits anyway, which needs Postgres: that will say so
                    return
                if recalled[named]:
                    item.status = None
                    _note_answer(item, await self.hot.execute(item.command, who))

    async def _count(self, items: Sequence[_Item], who: str) -> None:
        if not items:
            return
        counting = [
            CountItem(
                item.event, item.fact, None if item.is_approved else self.rules.of(item.fact.source).units_max
            )
            for item in items
        ]
        await self.counts.book(counting, who)
        for item, count in zip(items, counting, strict=True):
            if count.twin:
                item.settle(Status.REJECTED, count.twin)
            elif count.answer is None:
                units = sum(map(abs, count.difference))
                item.settle(Status.QUARANTINED, f"it differs by {units} units from what was expected")
            else:
                _note_answer(item, count.answer)

    async def _keep(self, items: Sequence[_Item], who: str) -> None:
        """Make durable what waits; an event that is kept already keeps its time, and its end."""
        if not items:
            return
        until = _now_ms() + int(self.wait_seconds * 1000)
        rows: dict[str, Row] = {}
        for item in items:  # of one id with several contents the first stands
            rows.setdefault(item.fact.event_id, _row_of(item, until, who))
        kept = await self.rows.keep(list(rows.values()))
        for item in items:
            row = kept[item.fact.event_id]
            if row.fingerprint != item.fact.fingerprint:
                item.settle(Status.REJECTED, REUSED)
            elif row.status in _KEPT:
                item.settle(row.status, row.why)
            else:
                item.settle(Status.DUPLICATE, row.why)

    async def _note(self, items: Iterable[_Item]) -> None:
        """Tell the rows what became of them; what was refused as it is waits for a person."""
        await self.rows.change(
            (
                item.fact.source,
                item.fact.event_id,
                _ended_as(item),
                item.detail,
            )
            for item in items
        )


_KEPT = frozenset({Status.PARKED, Status.QUARANTINED})
_OWN_DOCUMENTS = frozenset({"received", "returned", "adjusted"})
"""Types of events whose documents are no lock's or transfer's."""


_BRING_SKUS = frozenset({"received", "counted"})
"""Types of events of goods that are there: they bring their SKU into being."""


def _not_brought(items: Sequence[_Item], unknown: Sequence[UnknownCode]) -> list[UnknownCode]:
    """Return the unknown SKUs without those that events of goods bring: of new ones that are alike, the first."""
    strange = {one.code for one in unknown if not one.near}
    brought = dict[str, str]()
    for item in items:
        if item.event.type in _BRING_SKUS and item.fact.sku in strange:
            brought.setdefault(key_of(item.fact.sku), item.fact.sku)
    left = [one for one in unknown if brought.get(key_of(one.code)) != one.code]
    return [
        one._replace(near=one.near or [brought[key]]) if (key := key_of(one.code)) in brought else one
        for one in left
    ]


def _leave_unknown(
    items: Sequence[_Item], kind: Literal["warehouse", "sku"], unknown: Sequence[UnknownCode]
) -> None:
    """Keep events whose code of this kind names nothing; for a person if it looks like another, or waited too long."""
    found = {one.code: one for one in unknown}
    for item in items:
        one = found.get(getattr(item.fact, kind))
        if one is None:
            continue
        likely = f", but {' and '.join(one.near)} {'is' if len(one.near) == 1 else 'are'}" if one.near else ""
        status = Status.QUARANTINED if one.near or item.is_forced else Status.PARKED
        item.settle(status, f"{kind}: {one.code} is not known{likely}")


def _result_of(given: WarehouseEvent | MalformedError, items: Iterator[_Item]) -> Result:
    """Return the result of an event: the next item's, or why it is none."""
    if isinstance(given, MalformedError):
        return Result(given.event_id, Status.REJECTED, str(given))
    return _result(next(items))


def _now_ms() -> int:
    return int(time.time() * 1000)


def _order(position: str) -> tuple[int, ...]:
    return tuple(map(int, position.split("-")))


def _has_a_call(item: _Item) -> bool:
    """One that is to be kept may be known, or have a turn to take; of a count its booking says whether it is known."""
    if item.status in {Status.DUPLICATE, Status.REJECTED}:
        return False
    return item.status is not None or item.fact.sequence is not None or not item.is_count


def _has_had_its_turn(item: _Item) -> bool:
    return item.fact.sequence is not None and item.status is not Status.PARKED


def _ended_as(item: _Item) -> Status:
    """What an event that waited has become; what reporters disagree on waits elsewhere from now on."""
    if item.is_disputed:
        return Status.APPLIED
    return Status.QUARANTINED if item.status in {None, Status.REJECTED} else item.status


def _is_settled(fact: Fact, sums: Sums) -> bool:
    shipped = fact.type in {"shipped", "transfer_shipped"}
    return is_accounted_for(sums, fact.document, fact.warehouse, fact.word_of, shipped=shipped)


def _dispute(item: _Item) -> None:
    """It is noted, and what is not booked of it waits for a person among the mismatches."""
    item.is_disputed = True
    item.settle(Status.QUARANTINED, DISPUTED)


def _note_answer(item: _Item, answer: Answer) -> None:
    item.waits_early = answer.outcome is Outcome.EARLY
    match answer.outcome:
        case Outcome.BOOKED | Outcome.ADJUSTED:
            item.settle(Status.APPLIED, answer.detail)
            item.position = answer.position
        case Outcome.REPEATED:
            item.settle(Status.DUPLICATE)
            item.position = answer.position
        case Outcome.DISPUTED:
            _dispute(item)
            item.position = answer.position
        case Outcome.ID_REUSED:
            item.settle(Status.REJECTED, REUSED)
        case Outcome.HELD | Outcome.EARLY:
            return
        case _ if answer.outcome in _WAITS:
            item.settle(Status.PARKED, _WAITS[answer.outcome])
        case _ if answer.outcome in _FOR_A_PERSON:
            item.settle(Status.QUARANTINED, _FOR_A_PERSON[answer.outcome])
        # What waits for a person may be such that nobody else makes sense of it.
        case _ if item.status is None:
            item.settle(Status.REJECTED, "the hot store refused its arguments; nothing was changed")


def _result(item: _Item) -> Result:
    return Result(item.fact.event_id, item.status or Status.REJECTED, item.detail)


def _row_of(item: _Item, until: int, who: str) -> Row:
    fact = item.fact
    return Row(
        fact.source,
        fact.event_id,
        item.status or Status.QUARANTINED,
        item.detail,
        msgspec.to_builtins(item.event),
        fact.fingerprint,
        fact.warehouse,
        fact.sequence,
        who,
        0,
        until,
    )
