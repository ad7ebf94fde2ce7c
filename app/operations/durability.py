"""Which durability a write reached: never more is claimed than is so."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.answers import Answer
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.errors import SellableError
from app.settings import Durability

POLL_SECONDS = 0.02
"""How often the ledger's position is asked for while somebody waits for it."""
ASK_SECONDS_MAX = 2.0
"""How long one such question may take."""

LASTING = frozenset(
    {
        Outcome.REPEATED,
        Outcome.UNCHANGED,
        Outcome.LOCKED,
        Outcome.CONFIRMED,
        Outcome.EXTENDED,
        Outcome.UNLOCKED,
        Outcome.DEDUCTED,
        Outcome.REPLACED,
        Outcome.RECEIVED,
        Outcome.RETURNED,
        Outcome.ADJUSTED,
        Outcome.EXCHANGED,
        Outcome.TRANSFER_REQUESTED,
        Outcome.TRANSFER_SHIPPED,
        Outcome.TRANSFER_RECEIVED,
        Outcome.TRANSFER_CANCELLED,
        Outcome.BUFFERED,
        Outcome.BOOKED,
        Outcome.DROPPED,
    }
)
"""Outcomes that tell of something written; refusals wait for nothing."""


class Told(NamedTuple):
    """An answer and the durability it reached; None with a refusal, which wrote nothing."""

    answer: Answer
    durability: Durability | None


@dataclass(slots=True, eq=False)
class _Waiter:
    position: Position
    reached: "asyncio.Future[bool]"


class Durabilities:
    """Waits until a position is as safe as was asked for.

    `hot_level` tells what the hot store's own reply is worth (memory or disk), `persisted` the ledger's
    position as `<epoch>-<n>` ('' for none). One background task asks for all who wait; it ends with them.
    """

    def __init__(
        self,
        *,
        hot_level: Callable[[], Durability],
        persisted: Callable[[], Awaitable[str]],
        wait_seconds: float,
    ) -> None:
        self._hot_level = hot_level
        self._persisted = persisted
        self._wait_seconds = wait_seconds
        self._waiters: set[_Waiter] = set()
        self._poller: asyncio.Task[None] | None = None

    async def settle(self, answer: Answer, wanted: Durability) -> Told:
        """Return the answer with the level it reached, waiting for `wanted` if that takes time."""
        if answer.outcome not in LASTING:
            return Told(answer, None)
        return Told(answer, await self.reach(answer.position, wanted))

    async def reach(self, position: str, wanted: Durability) -> Durability:
        """Return the level that the event at `position` reached.

        memory and disk: what the hot store's reply is worth, which may be more than was asked for.
        replica: not waited for yet; the honest lower level is told.
        ledger: waits, at most `wait_seconds`; then the lower level is told. If the epoch changes meanwhile,
        nobody knows what became of the event's memory: `memory` is told.
        """
        if wanted != "ledger":
            return self._hot_level()
        try:
            async with asyncio.timeout(self._wait_seconds):
                return "ledger" if await self._wait_for(Position.parse(position)) else "memory"
        except TimeoutError:
            return self._hot_level()

    async def close(self) -> None:
        """Stop asking; whoever still waits is told the lower level when its time is over."""
        if self._poller:
            self._poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poller

    async def _wait_for(self, position: Position) -> bool:
        """Return True once the ledger is there, False if it went on in another epoch."""
        waiter = _Waiter(position, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="durability")
        try:
            return await waiter.reached
        finally:
            self._waiters.discard(waiter)

    async def _poll(self) -> None:
        """Ask while somebody waits: every waiter leaves after `wait_seconds`, so this ends."""
        while self._waiters:
            ledger = await self._ask()
            if ledger:
                self._tell(ledger)
            await asyncio.sleep(POLL_SECONDS)

    async def _ask(self) -> Position | None:
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                text = await self._persisted()
        except (SellableError, OSError, TimeoutError):  # Postgres is away: the waiters' time decides
            return None
        return Position.parse(text) if text else None

    def _tell(self, ledger: Position) -> None:
        for waiter in self._waiters:
            if ledger >= waiter.position and not waiter.reached.done():
                waiter.reached.set_result(ledger.epoch == waiter.position.epoch)
