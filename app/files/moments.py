"""Times in files: exact ones, with their offset from UTC. One that is local, or a number, may be any hour: refused."""

import re
from datetime import datetime

_EXACT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})? ?([Zz]|UTC|[+-][0-9]{2}:?[0-9]{2})"
)
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?")
_NUMBER = re.compile(r"[0-9]+([.,][0-9]+)?")
EXAMPLE = "2025-01-31T08:30:00Z"


def seconds_of(text: str) -> float:
    """Return a time in seconds since 1970, or raise `ValueError`: the end of a sentence about the text."""
    exact = _EXACT.fullmatch(text)
    if exact is None:
        raise ValueError(_what_is_wrong(text))
    day, time, fraction, offset = exact.groups()
    zone = "+00:00" if offset in {"Z", "z", "UTC"} else f"{offset[:3]}:{offset[-2:]}"
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{zone}").timestamp()
    except (ValueError, OverflowError):
        raise ValueError("is no time of any calendar") from None
    return whole + float(fraction or "0")


def _what_is_wrong(text: str) -> str:
    if not text:
        return "is empty"
    if _LOCAL.fullmatch(text):
        return "is a local time: say how far it is from UTC, as in 2025-01-31T09:30:00+01:00"
    if _NUMBER.fullmatch(text):
        return f"is a number, of a spreadsheet or of seconds: write a time such as {EXAMPLE}"
    return f"is not a time such as {EXAMPLE}"
