"""Giving back whole locks: one, or many in a call, also of ids that no lock has yet."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.domain.answers import Answer
from app.domain.commands import Remember, Unlock
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.records import LockRecord, status_of
from app.domain.words import Durability, LockStatus
from app.errors import NotReadyError, UnavailableError
from app.hotstore.store import HotStore
from app.ledger.ledger import EndedLock, Ledger
from app.operations.durability import LASTING, Durabilities, Told
from app.turns import gather_few

CHUNK = 256
"""Calls after which an error ends the rest."""
TRIES_MAX = 5
"""How often an id whose lock comes and goes meanwhile is tried again."""


class Unlocked(NamedTuple):
    """An answer for each id, in their order (None: only the ledger could know, and it is away).

    `position` is that of the newest event, and `durability` the level that it reached.
    """

    answers: list[Answer | None]
    position: str
    durability: Durability


@dataclass(frozen=True, slots=True)
class Unlocking:
    """Raises what `HotStore` raises; a refusal is an answer. All of it can be repeated."""

    hot: HotStore
    ledger: Ledger
    durabilities: Durabilities

    async def one(self, command: Unlock, wanted: Durability, *, who: str = "") -> Told:
        """Give back all that is left of a lock; an id that no lock has is remembered as released."""
        answer: Answer | None = await self.hot.execute(command, who)
        if answer and answer.outcome is Outcome.UNKNOWN_LOCK:
            (answer,) = await self._of_unknown([command.lock_id], who, remember=True)
        return await self.durabilities.settle(answer or Answer(Outcome.UNKNOWN_LOCK), wanted)

    async def many(
        self, lock_ids: Sequence[str], wanted: Durability, *, who: str = "", remember: bool = False
    ) -> Unlocked:
        """Give back all that is left of each lock."""
        answers: list[Answer | None] = [*await self._each(self._unlock, lock_ids, who)]
        unknown = [i for i, one in enumerate(answers) if one and one.outcome is Outcome.UNKNOWN_LOCK]
        found = await self._of_unknown([lock_ids[i] for i in unknown], who, remember=remember)
        for i, answer in zip(unknown, found, strict=True):
            answers[i] = answer
        positions = [one.position for one in answers if one and one.outcome in LASTING and one.position]
        last = max(positions, key=Position.parse, default="") or await self.hot.read_last()
        return Unlocked(answers, last, await self.durabilities.reach(last, wanted))

    async def _of_unknown(
        self, lock_ids: Sequence[str], who: str, *, remember: bool
    ) -> Sequence[Answer | None]:
        """What becomes of ids that the hot store does not know: locks of long ago, or ids that no lock has yet."""
        if not lock_ids:
            return []
        try:
            ended = await self.ledger.find_ended_locks(lock_ids)
        except UnavailableError:
            # With `remember` a creation that is on its way must hold nothing, whatever Postgres does.
            return await self._each(self._remember, lock_ids, who) if remember else [None] * len(lock_ids)
        known = {lock_id: _answer_of_ended(lock_id, lock) for lock_id, lock in ended.items()}
        if not remember:
            return [known.get(lock_id, Answer(Outcome.UNKNOWN_LOCK)) for lock_id in lock_ids]
        shipped = {one for one in known if status_of(ended[one].record) == LockStatus.DEDUCTED}
        new = [lock_id for lock_id in lock_ids if lock_id not in shipped]
        noted = dict(zip(new, await self._each(self._remember, new, who), strict=True))
        return [noted[lock_id] if lock_id in noted else known[lock_id] for lock_id in lock_ids]

    async def _each(
        self, step: Callable[[str, str], Coroutine[Any, Any, Answer]], lock_ids: Sequence[str], who: str
    ) -> list[Answer]:
        """Do a step for each, as many at once as a chunk has; raise the first error once all of a chunk are done."""
        answers: list[Answer] = []
        for first in range(0, len(lock_ids), CHUNK):
            calls = (step(lock_id, who) for lock_id in lock_ids[first : first + CHUNK])
            for done in await gather_few(calls):
                if isinstance(done, BaseException):
                    raise done
                answers.append(done)
        return answers

    async def _unlock(self, lock_id: str, who: str) -> Answer:
        return await self.hot.execute(Unlock(lock_id), who)

    async def _remember(self, lock_id: str, who: str) -> Answer:
        for _ in range(TRIES_MAX):
            answer = await self.hot.execute(Remember(lock_id), who)
            if answer.outcome is not Outcome.UNCHANGED:
                return answer
            answer = await self._unlock(lock_id, who)  # it was created meanwhile
            if answer.outcome is not Outcome.UNKNOWN_LOCK:
                return answer
        raise NotReadyError(f"the lock {lock_id} comes and goes faster than it can be given back")


def _answer_of_ended(lock_id: str, lock: EndedLock) -> Answer:
    """Return what the hot store would answer if it had the lock still."""
    view = LockRecord.of(lock.record).view(lock_id)
    if LockRecord.of(lock.record).ended_by == "unlock":
        return Answer(Outcome.UNCHANGED, view)
    expired = view.status is LockStatus.EXPIRED
    return Answer(Outcome.LOCK_EXPIRED if expired else Outcome.LOCK_NOT_HELD, view)
