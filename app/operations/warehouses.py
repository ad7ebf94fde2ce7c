"""Warehouses: which codes name one, known in each process without asking anybody."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import structlog

from app.domain.codes import NEAR_MAX, UnknownCode, key_of
from app.domain.warehouses import Stocked, Warehouse
from app.errors import UnavailableError
from app.ledger.warehouses import WarehouseRows

_log = structlog.get_logger()

REFRESH_SECONDS = 5.0
"""How old the list may become: until then another process's change may not be known here."""
ASK_SECONDS_MAX = 2.0
PAUSE_SECONDS = 1.0
"""After a question that was not answered: those that come meanwhile do not wait for the next one."""
KNOWN_SECONDS = REFRESH_SECONDS + ASK_SECONDS_MAX + PAUSE_SECONDS
"""When a change of the list is known to every process that reaches Postgres."""


class Warehouses:
    """The list, as it was last read. `takes_any`: every code names a warehouse.

    Before anybody is refused the list is read again. While Postgres is away the last one counts; if there was none,
    every code is taken: sales go on, and what is booked is listed later.
    """

    def __init__(
        self,
        rows: WarehouseRows,
        *,
        takes_any: bool,
        on_read: Callable[[Sequence[Warehouse]], None] = lambda _listed: None,
    ) -> None:
        self._rows = rows
        self._takes_any = takes_any
        self._on_read = on_read
        self._known: dict[str, Warehouse] | None = None
        self._reading = asyncio.Lock()
        self._began_at = float("-inf")
        self._failed_at = float("-inf")

    def is_open(self, code: str) -> bool:
        """Whether a code surely names a warehouse that takes promises; asks nobody."""
        known = None if self._known is None else self._known.get(code)
        return not known.closed if known else self._takes_any

    async def unknown_among(self, codes: Iterable[str]) -> list[UnknownCode]:
        """Return the codes that name no warehouse, each with those that look like it."""
        asked = list(dict.fromkeys(codes))
        if not self._missing(asked) or (self._takes_any and self._known is not None):
            return []
        await self._read()
        missing = self._missing(asked)
        if self._takes_any or not missing:
            return []
        alike = dict[str, list[str]]()
        for code in sorted(self._known or ()):
            alike.setdefault(key_of(code), []).append(code)
        return [UnknownCode(code, alike.get(key_of(code), [])[:NEAR_MAX]) for code in missing]

    async def closed_among(self, codes: Iterable[str]) -> list[str]:
        """Return those of known codes whose warehouses are closed; read again before that is said."""
        asked = list(dict.fromkeys(codes))
        if self._closed(asked):
            await self._read()
        return self._closed(asked)

    async def add(self, codes: Iterable[str]) -> None:
        """List warehouses. Raises `UnavailableError`, as all do that follow."""
        await self._rows.add(list(codes))
        await self._read()

    async def put(
        self, code: str, *, name: str | None, closed: bool | None, rank: int | None, sets_rank: bool
    ) -> Warehouse:
        """List a warehouse, or change what is given of it; `sets_rank`: `rank` is given, be it None."""
        done = await self._rows.put(code, name=name, closed=closed, rank=rank, sets_rank=sets_rank)
        await self._read()
        return done

    async def refresh(self) -> None:
        """Read the list now; without Postgres the last one stays."""
        await self._read()

    async def stocked_after(self, after: str, items_max: int) -> list[Stocked]:
        """Return the next warehouses by code, with what the ledger says is there."""
        return await self._rows.stocked_after(after, items_max)

    async def stocked(self, code: str) -> Stocked | None:
        """Return one with what is there, or None."""
        return await self._rows.stocked(code)

    async def new_in_import(
        self, codes: Iterable[str], *, demo_skus: Sequence[str]
    ) -> tuple[list[str], list[UnknownCode]]:
        """Return which unknown warehouses an import may make, and which it must not without being told.

        It makes them as long as nothing but the demo was ever booked, unless they look like one that is known, or like
        each other.
        """
        unknown = _with_each_other(await self.unknown_among(codes))
        if not unknown or await self._rows.has_stock_beside(demo_skus):
            return [], unknown
        return [one.code for one in unknown if not one.near], [one for one in unknown if one.near]

    async def keep(self) -> None:
        """Read the list again and again."""
        while True:
            try:
                await self._read()
            except Exception:  # noqa: BLE001 - a list that nobody reads any more would pass for the present one
                _log.exception("warehouses.failed")
            await asyncio.sleep(REFRESH_SECONDS)

    def _missing(self, codes: Sequence[str]) -> list[str]:
        """The codes that the last list lacks; all of them if there is none yet and it can be asked for."""
        if self._known is None:
            return list(codes) if time.monotonic() >= self._failed_at + PAUSE_SECONDS else []
        return [code for code in codes if code not in self._known]

    def _closed(self, codes: Sequence[str]) -> list[str]:
        known = self._known or {}
        return [code for code in codes if code in known and known[code].closed]

    async def _read(self) -> None:
        """Read the list, beginning after this call; without Postgres the last one stays."""
        called_at = time.monotonic()
        if called_at < self._failed_at + PAUSE_SECONDS:
            return
        async with self._reading:
            if self._began_at >= called_at:
                return  # somebody has read it meanwhile
            self._began_at = time.monotonic()
            try:
                async with asyncio.timeout(ASK_SECONDS_MAX):
                    listed = await self._rows.all()
            except (UnavailableError, TimeoutError):
                self._failed_at = time.monotonic()
                return
            self._failed_at = float("-inf")
            self._known = {one.code: one for one in listed}
            self._on_read(listed)


def _with_each_other(unknown: Sequence[UnknownCode]) -> list[UnknownCode]:
    """Unknown codes that look like each other: which of them is meant is not known either."""
    alike = dict[str, list[str]]()
    for one in unknown:
        alike.setdefault(key_of(one.code), []).append(one.code)
    others = {one.code: [code for code in alike[key_of(one.code)] if code != one.code] for one in unknown}
    return [UnknownCode(one.code, [*one.near, *others[one.code]][:NEAR_MAX]) for one in unknown]
