"""Codes that a request names: whether they name anything, and what they were probably meant to be."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.codes import UnknownCode
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
