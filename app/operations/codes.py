"""Codes that a request names: whether they name anything, and what they were probably meant to be."""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.codes import UnknownCode
from app.domain.commands import Lock, Transfer
from app.domain.outcomes import Outcome
from app.domain.purchase_orders import Plan
from app.errors import UnavailableError
from app.hotstore.store import HotStore
from app.ledger.ledger import Ledger
from app.ledger.purchase_orders import PurchaseOrderRows
from app.operations.skus import Skus
from app.operations.warehouses import Warehouses

Named = tuple[str, str]
"""A field, and the code in it."""


class BadCodes(NamedTuple):
    """Why a request is refused: codes that name nothing, or warehouses that are closed; the first kind alone."""

    warehouses: Sequence[UnknownCode] = ()
    closed: Collection[str] = ()
    skus: Sequence[UnknownCode] = ()


@dataclass(frozen=True, slots=True)
class Codes:
    """Checks codes before anything is booked. Raises what `HotStore` raises, where SKUs are asked about."""

    warehouses: Warehouses
    known_skus: Skus
    hot: HotStore
    ledger: Ledger
    plans: PurchaseOrderRows

    async def bad_in(
        self, warehouses: Iterable[Named], receivers: Iterable[Named] = (), skus: Iterable[Named] = ()
    ) -> BadCodes | None:
        """Return what is wrong with the codes of a request; None for nothing."""
        if unknown := await self.warehouses.unknown_among(code for _, code in warehouses):
            return BadCodes(warehouses=unknown)
        if closed := await self.warehouses.closed_among(code for _, code in receivers):
            return BadCodes(closed=closed)
        if unknown := await self.known_skus.unknown_among(code for _, code in skus):
            return BadCodes(skus=unknown)
        return None

    async def is_repeat(self, command: object) -> bool:
        """Return whether a command's id was used before: its repeat is answered as before, whatever its codes name.

        Without Postgres only locks and transfers are known.
        """
        match command:
            case Lock(lock_id=lock_id):
                return (await self.hot.read_lock(lock_id)).outcome is Outcome.READ
            case Transfer(transfer_id=transfer_id):
                return (await self.hot.read_transfer(transfer_id)).outcome is Outcome.READ
        op = getattr(command, "op", "")
        with contextlib.suppress(UnavailableError):
            if isinstance(command, Plan):
                return await self.plans.find(command.purchase_order_id) is not None
            return bool(op) and op in await self.ledger.find_ops([op])
        return False
