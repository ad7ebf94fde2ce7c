"""Which durability a write reached: never more is claimed than is so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.domain.answers import Answer
from app.domain.events import Position
from app.domain.outcomes import AGAIN, WRITTEN
from app.domain.words import Durability
from app.errors import LedgerBehindError, OutcomeUnknownError, SellableError, UnavailableError

LASTING = WRITTEN | AGAIN
"""Outcomes that tell of something written; refusals wait for nothing."""


class Told(NamedTuple):
    """An answer and the durability it reached; None with a refusal, which wrote nothing."""

    answer: Answer
    durability: Durability | None


class Watch(Protocol):
    """What hears how far the ledger is."""

    @property
    def trouble(self) -> str:
        """Return why nothing is heard; '' while it is."""
        ...

    async def reached(self, position: Position) -> bool:
        """Wait until the ledger is as far; return whether it has this event. `UnavailableError`: not known."""
        ...


class Held(Protocol):
    """What the replicas said: of which epoch, and whether all of them."""

    @property
    def epoch(self) -> int:
        """Return the epoch of the memory that was asked."""
        ...

    @property
    def by_all(self) -> bool:
        """Whether all replicas have all that this memory had when it was asked."""
        ...


async def _no_replicas() -> Held | None:
    return None


@dataclass(frozen=True, slots=True)
class Durabilities:
    """Waits until an event is as safe as was asked for.

    `hot_level` tells what the hot store's own reply is worth (memory or disk), `watch` hears of the ledger, and
    `replicas` asks all of them (None: it could not ask, or this is not the memory that was checked).
    """

    hot_level: Callable[[], Durability]
    watch: Watch
    wait_seconds: float
    replicas: Callable[[], Awaitable[Held | None]] = _no_replicas
    has_replicas: Callable[[], bool] = lambda: False

    async def settle(self, answer: Answer, wanted: Durability) -> Told:
        """Return the answer with the level it reached, waiting for `wanted` if that takes time; see `reach`."""
        if answer.outcome not in LASTING:
            return Told(answer, None)
        again = answer.outcome in AGAIN
        return Told(answer, await self.reach(answer.position, wanted, again=again))

    async def reach(self, position: str, wanted: Durability, *, again: bool = False) -> Durability:
        """Return the level that the event at `position` reached.

        memory and disk: what the hot store's reply is worth, which may be more than was asked for.
        replica and ledger: waits, at most `wait_seconds`; then the honest lower level is told. After a change of
        epoch the ledger is asked for the event itself; while it cannot say, `memory` is told. If it says that the
        event is lost, `OutcomeUnknownError` is raised, but for what the hot store answered `again`.
        """
        hot = self.hot_level()
        if wanted in {"memory", "disk"}:
            return hot
        at, moved = Position.parse(position), False
        try:
            async with asyncio.timeout(self.wait_seconds):
                if wanted == "replica":
                    if hot != "disk" or not self.has_replicas():
                        return hot
                    held = await self.replicas()
                    if held is not None and held.epoch == at.epoch:
                        return self._lower("replica" if held.by_all else hot)
                    moved = True
                in_ledger = await self.watch.reached(at)
        except (TimeoutError, SellableError):
            return "memory" if moved else self._lower(hot)
        if not in_ledger and not again:
            raise OutcomeUnknownError("the hot store lost it before it was as safe as asked for: repeat it")
        return "ledger" if in_ledger else self._lower(hot)

    async def wait_for_ledger(self, position: str) -> None:
        """Wait until the ledger has the event at `position`.

        `LedgerBehindError` if it has not in `wait_seconds`, and `UnavailableError` if nothing is heard of it.
        """
        if await self.reach(position, "ledger") != "ledger":
            if self.watch.trouble:
                raise UnavailableError(self.watch.trouble)
            raise LedgerBehindError(f"the ledger is too far behind: it does not have event {position} yet")

    def _lower(self, level: Durability) -> Durability:
        """Whatever was reached, a hot store that no longer keeps what it is told is worth `memory`."""
        return level if self.hot_level() != "memory" else "memory"
