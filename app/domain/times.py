"""Times, exact to the millisecond: as callers write them (RFC 3339), as a number, and as Python has them."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

OCCURRED_DAYS_MAX = 1_826
"""How long ago something may have happened that is told now: five years."""
SKEW_SECONDS_MAX = 300
"""How far a caller's clock may be ahead of ours."""


def time_ms(text: str) -> int:
    """Return an RFC 3339 time as ms since 1970, or raise `ValueError`."""
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ValueError("must be an RFC 3339 time such as 2025-11-28T09:30:00Z")
    date, time, fraction, offset = match.groups()
    zone = "+00:00" if offset in "Zz" else offset
    try:
        whole = datetime.fromisoformat(f"{date}T{time}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no time of any calendar") from None
    if whole.year < 1970:
        raise ValueError("must not be before 1970")
    return int(whole.timestamp()) * 1000 + int((fraction or ".0")[1:4].ljust(3, "0"))


def time_text(ms: int | None) -> str | None:
    """Return ms since 1970 as RFC 3339 UTC, None for never."""
    if ms is None:
        return None
    return f"{_second_text(ms // 1000)}.{ms % 1000:03}Z"


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")


def moment(ms: int) -> datetime:
    """Return ms since 1970 as a time in UTC; raise `OverflowError` beyond the calendar."""
    return _EPOCH + timedelta(milliseconds=ms)


def ms_of(at: datetime) -> int:
    """Return a time as ms since 1970, rounded down."""
    return (at - _EPOCH) // _MS
