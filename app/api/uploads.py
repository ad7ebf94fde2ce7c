"""Snapshots as they come in over HTTP: streamed, bounded, a few at a time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from app.api.media import Media, media_of
from app.api.problems import Problem, ProblemError, invalid
from app.api.strict import too_large
from app.domain.times import time_ms
from app.operations.snapshots.formats import CsvLines, Format, JsonBody, NdjsonLines
from app.operations.snapshots.spool import SNAPSHOT_BYTES_MAX, Asked, Spool

UPLOADS_MAX = 2
"""Snapshots that one process reads at once: each takes a file on disk and a share of the processor."""
SLICE_BYTES = 16_384
"""Read between two turns of the loop: about a millisecond's work, so that locks need not wait for a snapshot."""


class Uploads:
    """How many snapshots come in now."""

    def __init__(self) -> None:
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place, or raise `ProblemError`."""
        if self._count >= UPLOADS_MAX:
            detail = f"{UPLOADS_MAX} snapshots come in already; send it again when they are through"
            raise ProblemError(Problem("busy", detail))
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


def format_of(request: Request, spool: Spool, asked: Asked | None) -> Format:
    """Return what reads a body of this type, or raise `ProblemError`."""
    media = media_of(request)
    if media is Media.JSON:
        return JsonBody(spool, time_ms)
    if media is None:
        detail = "send Content-Type: text/csv, application/x-ndjson or application/json"
        raise ProblemError(Problem("unsupported_media_type", detail))
    if asked is None:
        raise ProblemError(invalid(("warehouse", "Field required"), ("as_of", "Field required")))
    return CsvLines(spool, asked) if media is Media.CSV else NdjsonLines(spool, asked)


async def read_snapshot(request: Request, form: Format) -> Asked:
    """Read a body to its end; raise `SnapshotError`, `ProblemError` beyond 256 MiB, ClientDisconnect if it is cut."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > SNAPSHOT_BYTES_MAX:
        raise too_large(SNAPSHOT_BYTES_MAX, "a snapshot")
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > SNAPSHOT_BYTES_MAX:
            raise too_large(SNAPSHOT_BYTES_MAX, "a snapshot")
        for first in range(0, len(chunk), SLICE_BYTES):
            form.feed(chunk[first : first + SLICE_BYTES])
            await asyncio.sleep(0)
    return form.finish()
