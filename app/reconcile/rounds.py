"""The check that never ends: hot store = projection = sum of the moves, a slice at a time, round after round.

It only finds and files: what is to be done about a drift is recovery's business, or a person's.
"""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from app.ledger.drift import Drift, DriftRows
from app.reconcile.verify import Slice, Verify

_log = structlog.get_logger()

LEASE_SECONDS = 120.0
TOLD_MAX = 20
"""How many new differences of one slice are logged one by one; all are filed."""


class Rounds:
    """Compares one slice a call. `epoch` tells the hot store's, and raises `NotReadyError` while its gate is shut."""

    def __init__(self, verify: Verify, rows: DriftRows, epoch: Callable[[], Awaitable[str]]) -> None:
        self._verify = verify
        self._rows = rows
        self._epoch = epoch
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._slices: AsyncIterator[Slice] | None = None

    async def run_once(self) -> bool:
        """Compare and file the next slice; nothing while another process is at it. Never more at once."""
        if not await self._rows.take(self._holder, seconds=LEASE_SECONDS):
            self._slices = None
            return False
        epoch = await self._epoch()
        try:
            part = await self._next()
        except BaseException:
            self._slices = None  # a generator that raised is at its end: begin again
            raise
        if part is None:
            compared = await self._rows.finish()
            _log.info("check.round_done", compared=compared)
        elif await self._epoch() == epoch:  # else the memory that was compared is another one now
            await self._file(part)
        return False

    async def _next(self) -> Slice | None:
        if self._slices is None:
            await self._rows.begin()
            self._slices = self._verify.slices()
        part = await anext(self._slices, None)
        if part is None:
            self._slices = None
        return part

    async def _file(self, part: Slice) -> None:
        found = [
            Drift(one.what, one.place, one.left, str(one.left_figure), one.right, str(one.right_figure))
            for one in part.differences
        ]
        new = await self._rows.file(part.looked_at, found)
        for drift in new[:TOLD_MAX]:
            _log.error("drift.found", **drift._asdict())
        if len(new) > TOLD_MAX:
            _log.error("drift.found_more", differences=len(new), table="drift")
