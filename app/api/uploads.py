"""Snapshots as they come in over HTTP: streamed, bounded, a few at a time."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from app.api.api_keys import ApiKey
from app.api.media import Media, charset_of, media_of
from app.api.problems import Problem, ProblemError, invalid, too_many_requests
from app.api.strict import too_large
from app.domain.times import time_ms
from app.files.options import HTTP, Options, check_encoding, preset_of, read_names
from app.operations.snapshots.csv_lines import COLUMNS, CsvLines
from app.operations.snapshots.formats import Format, JsonBody, NdjsonLines
from app.operations.snapshots.spool import SNAPSHOT_BYTES_MAX, Asked, Spool

UPLOADS_MAX = 2
"""Snapshots that one process reads at once: each takes a file on disk and a share of the processor."""
SLOW_SECONDS = 5.0
SLOW_BYTES_PER_SECOND = 16_384
"""An upload that is slower after SLOW_SECONDS ends when others wait for its place, at its next bytes."""
AGAIN_SECONDS = 10.0
"""When a key may try again that sends too many: a body of which nothing comes for so long has ended."""
SLICE_BYTES = 16_384
"""Read between two turns of the loop: about a millisecond's work, so that locks need not wait for a snapshot."""


@dataclass(slots=True)
class Upload:
    """A snapshot that comes in: whose it is, since when, and how much of it has come."""

    name: str
    began: float
    taken: int = 0
    gives_way: bool = False

    def is_slow(self, now: float) -> bool:
        """Whether it may lose its place to another."""
        seconds = now - self.began
        return seconds > SLOW_SECONDS and self.taken < seconds * SLOW_BYTES_PER_SECOND

    def note(self, count: int) -> None:
        """Note that so many bytes came; raise `ProblemError` if it has lost its place."""
        self.taken += count
        if self.gives_way:
            detail = f"it came in at less than {SLOW_BYTES_PER_SECOND:,} bytes a second, and others waited"
            raise ProblemError(Problem("request_timeout", detail))


class Uploads:
    """The snapshots that come in now."""

    def __init__(self) -> None:
        self._all: list[Upload] = []

    @contextmanager
    def one(self, key: ApiKey | None) -> Iterator[Upload]:
        """Take a place, or raise `ProblemError`; `key` is None without keys."""
        name, now = key.name if key else "", time.monotonic()
        if key is not None and sum(one.name == name for one in self._all) >= key.limits.uploads:
            detail = f"the key {name} may send {key.limits.uploads:,} snapshots at the same time"
            policy = f'"uploads";q={key.limits.uploads}'
            raise ProblemError(too_many_requests(detail, AGAIN_SECONDS, '"uploads"', policy), who=name)
        if len(self._all) >= UPLOADS_MAX:
            for other in self._all:
                other.gives_way = other.gives_way or other.is_slow(now)
            detail = f"{UPLOADS_MAX} snapshots come in already; send it again when they are through"
            raise ProblemError(Problem("busy", detail))
        upload = Upload(name, now)
        self._all.append(upload)
        try:
            yield upload
        finally:
            self._all.remove(upload)


def format_of(
    request: Request, spool: Spool, asked: Asked | None, options: Options, *, is_partial: bool, adds_up: bool
) -> Format:
    """Return what reads a body of this type, or raise `ProblemError`; `options` are about CSV."""
    media = media_of(request)
    if media is Media.JSON:
        return JsonBody(spool, time_ms, is_partial=is_partial, adds_up=adds_up)
    if media is None:
        detail = "send Content-Type: text/csv, application/x-ndjson or application/json"
        raise ProblemError(Problem("unsupported_media_type", detail))
    if asked is None:
        raise ProblemError(invalid(("warehouse", "Field required"), ("as_of", "Field required")))
    return CsvLines(spool, asked, options) if media is Media.CSV else NdjsonLines(spool, asked)


def options_of(
    request: Request, *, names: Sequence[str], form: str | None, codes: str | None, accepts_last_line: bool
) -> Options:
    """Return how a CSV body is to be read, or raise `ProblemError`."""
    try:
        theirs = read_names(names, COLUMNS)
    except ValueError as error:
        raise ProblemError(invalid(("map", str(error)))) from None
    charset = charset_of(request) if media_of(request) is Media.CSV else ""
    try:
        encoding = check_encoding(charset) if charset else ""
    except ValueError as error:
        raise ProblemError(Problem("unsupported_media_type", f"charset: {error}")) from None
    return Options(
        encoding=encoding,
        names=theirs,
        preset=preset_of(form) if form else None,
        codes_as_is=codes == "as-is",
        accepts_last_line=accepts_last_line,
        ways=HTTP,
    )


async def read_snapshot(request: Request, form: Format, upload: Upload) -> Asked:
    """Read a body to its end; raise `SnapshotError`, `ProblemError` if too large or slow, ClientDisconnect if cut."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > SNAPSHOT_BYTES_MAX:
        raise too_large(SNAPSHOT_BYTES_MAX, "a snapshot")
    async for chunk in request.stream():
        upload.note(len(chunk))
        if upload.taken > SNAPSHOT_BYTES_MAX:
            raise too_large(SNAPSHOT_BYTES_MAX, "a snapshot")
        for first in range(0, len(chunk), SLICE_BYTES):
            form.feed(chunk[first : first + SLICE_BYTES])
            await asyncio.sleep(0)
    return form.finish()
