"""Times as callers write them: RFC 3339, exact to the millisecond."""

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


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
