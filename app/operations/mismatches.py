"""Mismatches: what reporters of one document disagree on, for a person to decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.domain.answers import Answer
from app.domain.commands import Accept
from app.domain.documents import other_word
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.errors import SellableError
from app.hotstore.store import HotStore
from app.ledger.documents import Mismatch, MismatchRows
from app.operations.durability import LASTING, Durabilities
from app.operations.past_documents import PastDocuments

Decision = Literal["accepted", "dropped"]


class Decided(NamedTuple):
    """What became of a case; `answer` where something was asked of the hot store, which may have refused it."""

    case: Mismatch
    decision: Decision
    answer: Answer | None = None
    durability: Durability = "ledger"

    @property
    def is_refused(self) -> bool:
        """Whether nothing was decided, since what is booked cannot follow."""
        return self.answer is not None and self.answer.outcome not in LASTING


@dataclass(frozen=True, slots=True)
class Mismatches:
    """Every step raises `UnavailableError` without Postgres, and what `HotStore` raises."""

    hot: HotStore
    rows: MismatchRows
    past: PastDocuments
    durabilities: Durabilities

    async def list(self, after: int, items_max: int) -> Sequence[Mismatch]:
        """Return the next open cases by their number."""
        return await self.rows.open_after(after, items_max)

    async def accept(
        self, mismatch_id: int, reason: str, wanted: Durability, *, who: str = ""
    ) -> Decided | None:
        """Take the word that what is booked does not follow yet, and book it; None if there is no such case.

        Where nothing is beyond what is booked, that is confirmed. A case that was decided stays so.
        """
        case = await self.rows.find(mismatch_id)
        if case is None or case.decision or case.is_closed:
            return case and _as_it_is(case)
        reporter = other_word(case.family, case.sums)
        if not reporter:
            await self.rows.decide(case, "accepted", reason, who)
            return Decided(case, "accepted")
        command = Accept(str(mismatch_id), case.family, case.sku, reporter, reason, case.lock_id or "")
        answer = await self._ask(command, who)
        if answer.outcome not in LASTING:
            return Decided(case, "accepted", answer)
        durability = await self.durabilities.reach(answer.position, wanted)
        await self.rows.decide(case, "accepted", reason, who)
        return Decided(case, "accepted", answer, durability)

    async def drop(self, mismatch_id: int, reason: str, *, who: str = "") -> Decided | None:
        """Leave what is booked as it is, and close the case; None if there is none."""
        case = await self.rows.find(mismatch_id)
        if case is None or case.decision or case.is_closed:
            return case and _as_it_is(case)
        await self.rows.decide(case, "dropped", reason, who)
        return Decided(case, "dropped")

    async def _ask(self, command: Accept, who: str) -> Answer:
        """Take the word in the hot store, which may have forgotten what it is about."""
        await self.past.rehydrate([command.family])
        kind, _, name = command.family.partition(":")
        answer = await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_LOCK and kind == "deduct" and await self.past.recall_lock(name):
            return await self.hot.execute(command, who)
        if answer.outcome is Outcome.UNKNOWN_TRANSFER and await self.past.recall_transfer(name):
            return await self.hot.execute(command, who)
        if answer.outcome in {Outcome.UNKNOWN_LOCK, Outcome.UNKNOWN_TRANSFER, Outcome.UNKNOWN_SKU}:
            raise SellableError(f"nothing is known of {command.family} any more")
        return answer


def _as_it_is(case: Mismatch) -> Decided:
    return Decided(case, "dropped" if case.decision == "dropped" else "accepted")
