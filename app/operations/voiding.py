"""Voiding shipments that never left: what one took is read from the ledger, and taken back in the hot store."""

from dataclasses import dataclass

from msgspec import structs

from app.domain.answers import Answer
from app.domain.commands import Void
from app.domain.documents import NO_UNITS
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.errors import LedgerBehindError
from app.hotstore.store import HotStore
from app.ledger.shipments import Shipment, ShipmentRows
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments


class UnknownShipmentError(Exception):
    """The lock has no such shipment."""


@dataclass(frozen=True, slots=True)
class Voiding:
    """Raises `UnavailableError` without Postgres, `LedgerBehindError` if it lags too far, what `HotStore` raises."""

    hot: HotStore
    rows: ShipmentRows
    durabilities: Durabilities
    past: PastDocuments

    async def void(self, command: Void, wanted: Durability, *, who: str = "") -> Told:
        """Take a shipment back; of a lock that the hot store has forgotten, too. A refusal is an answer.

        Raises `UnknownShipmentError` if nothing shipped under this id.
        """
        await self.durabilities.wait_for_ledger(await self.hot.read_last())
        shipment = await self.rows.find(command)
        if shipment is None:
            return Told(Answer(Outcome.UNKNOWN_LOCK), None)
        if shipment.is_in_quarantine:
            raise LedgerBehindError("some of the shipment is in quarantine: what it took cannot be told")
        return await self.durabilities.settle(await self._void(command, shipment, who), wanted)

    async def _void(self, command: Void, shipment: Shipment, who: str) -> Answer:
        family = (await self.past.rehydrate([command.family])).get(command.family, {})
        if not shipment.is_voided and (shipment.is_reported or not shipment.lines):
            said = (
                claim for sums in family.values() for claim in sums.claims if claim.document == command.key
            )
            if shipment.is_reported or any(claim.units != NO_UNITS for claim in said):
                return Answer(Outcome.SHIPMENT_REPORTED)
            raise UnknownShipmentError(command.key)
        lines = () if shipment.is_voided else shipment.lines
        whole = structs.replace(command, lines=lines, occurred_at=shipment.occurred_at)
        answer = await self.hot.execute(whole, who)
        if answer.outcome is Outcome.UNKNOWN_LOCK and await self.past.recall_lock(command.lock_id):
            answer = await self.hot.execute(whole, who)
        return answer
