"""The quarantine: what the ledger could not book, tried again or given up."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.domain.commands import Compensate
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.errors import SellableError, UnavailableError
from app.hotstore.store import HotStore
from app.ledger.quarantine import Parked

DROPPED_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05


class Rows(Protocol):
    """The part of the ledger that keeps the quarantine."""

    async def parked(self, subject: str | None = None) -> list[Parked]:
        """Return what is parked, the oldest first."""
        ...

    async def lacks_events(self) -> bool:
        """Whether there is an event that could not be read, dropped or not."""
        ...

    async def versions(self, sku: str) -> Mapping[str, int]:
        """Return the version of a SKU's last booked move, by warehouse."""
        ...

    async def has(self, position: Position) -> bool:
        """Whether the ledger has got as far."""
        ...

    async def drop_event(self, position: Position, reason: str) -> bool:
        """Let an unreadable event go, for this reason; return whether there was one."""
        ...

    async def retry(self, part: str, subject: str) -> int:
        """Book what is parked of a subject as far as it can be; return how many parts were."""
        ...


class Retried(NamedTuple):
    """What a retry came to: parts booked, and what is still parked (None: nothing)."""

    parked: Parked
    booked: int
    left: Parked | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What a person does about poison. Raises `UnavailableError` while Postgres is away."""

    hot: HotStore
    rows: Rows

    async def parked(self) -> Sequence[Parked]:
        """Return what stands still, and behind which event."""
        return await self.rows.parked()

    async def retry(self, subject: str | None = None) -> list[Retried]:
        """Try to book what is parked, of one subject or of all, each in order.

        Raises `SellableError` if nothing is parked of the one that is named.
        """
        retried = []
        found = await self.rows.parked(subject)
        if subject is not None and not found:
            raise SellableError(f"nothing is parked of {subject!r} (see `sellable quarantine list`)")
        for parked in found:
            booked = await self.rows.retry(parked.part, parked.subject)
            left = [one for one in await self.rows.parked(parked.subject) if one.part == parked.part]
            retried.append(Retried(parked, booked, left[0] if left else None))
        return retried

    async def drop(self, sku: str, reason: str, who: str) -> tuple[int, str]:
        """Give a SKU's parked moves up: the ledger books the difference to the hot store instead, for this reason.

        Returns how many moves were dropped and the position of the compensating event, once the worker has booked
        it. Where an event could not be read, a SKU needs no parked move: it may be the one that the event moved.
        Raises `SellableError` if none are parked, and `UnavailableError` if no worker books it in time.
        """
        parked = await self._moves_of(sku)
        if parked is None and not await self.rows.lacks_events():
            raise SellableError(f"no move of SKU {sku} is parked (see `sellable quarantine list`)")
        first, parts = (parked.first_position, parked.parts) if parked else (uuid.uuid4().hex, 0)
        op = f"drop:{sku}:{first}:{parts}"
        known = await self.rows.versions(sku)
        version = max(known.values(), default=0) + parts
        answer = await self.hot.execute(Compensate(sku, op, reason, version, tuple(sorted(known))), who)
        if answer.outcome not in {Outcome.COMPENSATED, Outcome.REPEATED}:
            raise SellableError(f"the hot store does not know SKU {sku}: {answer.outcome}")
        try:
            async with asyncio.timeout(DROPPED_SECONDS_MAX):
                await self._booked(Position.parse(answer.position))
                await self._gone(sku, first)
        except TimeoutError:
            raise UnavailableError(
                f"event {answer.position} drops it, but no worker has booked that yet"
            ) from None
        return parts, answer.position

    async def drop_event(self, position: Position, reason: str) -> bool:
        """Give an event up that cannot be read, for this reason; its text is kept. Return whether there was one.

        What it did is booked by dropping the SKUs that `verify` then tells of: which those are, nobody else knows.
        """
        return await self.rows.drop_event(position, reason)

    async def _booked(self, position: Position) -> None:
        while not await self.rows.has(position):  # noqa: ASYNC110 - the worker that books it is another process
            await asyncio.sleep(POLL_SECONDS)

    async def _gone(self, sku: str, first_position: str) -> None:
        while (left := await self._moves_of(sku)) and left.first_position == first_position:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)  # the worker that books it is another process

    async def _moves_of(self, sku: str) -> Parked | None:
        return next((one for one in await self.rows.parked(sku) if one.part == "move"), None)
