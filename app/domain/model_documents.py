"""Documents in the model: what reporters said of them, and the times of what was booked by their word."""

from collections.abc import Iterable
from copy import deepcopy
from typing import NamedTuple

from app.domain.documents import NO_UNITS, Booked, Sums, Units
from app.domain.model_shelves import Shelves
from app.domain.words import Place

_SHELVES = (Place.AVAILABLE, Place.DAMAGED)


class Kept(NamedTuple):
    """What there was before something was tried."""

    places: dict[str, dict[str, dict[Place, int]]]
    versions: dict[str, int]
    sums: dict[str, Sums] | None


class Documents(Shelves):
    """What every document that may be reported several times stands on."""

    __slots__ = ()

    def _sums(self, family: str, sku: str) -> Sums:
        """Return a SKU's sums, to be changed."""
        return self.documents.setdefault(family, {}).setdefault(sku, Sums())

    def _kept(self, skus: Iterable[str], family: str) -> Kept:
        """Return what there is of some SKUs, and of a family, to be put back."""
        places = {sku: {w: dict(p) for w, p in self.stock.get(sku, {}).items()} for sku in skus}
        versions = {sku: self.versions.get(sku, 0) for sku in places}
        sums = None if family not in self.documents else deepcopy(self.documents[family])
        return Kept(places, versions, sums)

    def _put_back(self, kept: Kept, moved: int, family: str) -> None:
        """Take back what was noted since."""
        del self.moves[moved:]
        for sku, places in kept.places.items():
            self.stock.pop(sku, None)
            self.versions.pop(sku, None)
            if places:
                self.stock[sku], self.versions[sku] = places, kept.versions[sku]
        self.documents.pop(family, None)
        if kept.sums is not None:
            self.documents[family] = kept.sums

    def _known_sums(self, family: str, sku: str) -> Sums | None:
        return self.documents.get(family, {}).get(sku)

    def _note_times(
        self,
        sku: str,
        sums: Sums,
        place: tuple[str, str],
        said: Units,
        change: Units,
        *,
        at: int | None,
        now: int,
        gone: bool = False,
    ) -> None:
        """Keep the assumed times, given what a reporter said now and by how much what is booked there changed."""
        for state in range(3):
            units, moved = said[state], change[state]
            new = min(abs(units), abs(moved)) if units * moved > 0 else 0
            if moved and units * moved <= 0:
                sums.take_assumed(*place, state + 1, abs(moved))
            if at is not None:
                self._redate(sku, sums, place, state, abs(units) - new, at=at, gone=gone or units < 0)
            elif new:
                sums.assume(*place, state + 1, new, now)

    def _redate(
        self, sku: str, sums: Sums, place: tuple[str, str], state: int, units: int, *, at: int, gone: bool
    ) -> None:
        """A time was given for units that had an assumed one: what was counted in between must stand."""
        if state >= len(_SHELVES) or units <= 0:
            return
        ends = (_SHELVES[state], Place.ADJUSTMENT) if gone else (Place.ADJUSTMENT, _SHELVES[state])
        for some, assumed in sums.take_assumed(*place, state + 1, units):
            if assumed != at:
                self._fact_move(sku, place[1], *ends, some, at=at)
                self._fact_move(sku, place[1], *ends[::-1], some, at=assumed, occurred_at=assumed)

    def _forget_times(
        self, sku: str, sums: Sums, change: Booked, *, at: int | None, now: int, gone: bool = False
    ) -> None:
        """What others than the one that reports now had booked has changed."""
        self._note_times(sku, sums, change[:2], NO_UNITS, change.units, at=at, now=now, gone=gone)
