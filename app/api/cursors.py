"""Cursors of lists whose order has several parts: opaque to callers, checked when they come back."""

import base64
import binascii
import json
from collections.abc import Sequence

from app.api.problems import ProblemError, invalid
from app.domain.words import BIGINT_MAX


def cursor_of(parts: Sequence[str | int]) -> str:
    """Return the parts as one text that a query string can carry."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def parts_of(cursor: str, kinds: Sequence[type]) -> list[str | int]:
    """Return the parts of a cursor, or raise `ProblemError` if it is none of ours."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise ProblemError(invalid(("after", "is not what an answer gave as `next`")))
    if any(isinstance(part, int) and abs(part) > BIGINT_MAX for part in parts):
        raise ProblemError(invalid(("after", "is not what an answer gave as `next`")))
    if any(isinstance(part, str) and ("\x00" in part or not _is_utf8(part)) for part in parts):
        raise ProblemError(invalid(("after", "is not what an answer gave as `next`")))
    return parts


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
