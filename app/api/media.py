"""Media types of bodies: what a request says that it sends, and in which encodings."""

import re
from enum import Enum

from fastapi import Request

from app.api.problems import Problem, ProblemError


class Media(Enum):
    """What bodies may be."""

    JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
    NDJSON = re.compile(r"application/(?:x-)?(?:ndjson|jsonlines|jsonl)\s*(?:;.*)?", re.IGNORECASE)
    CSV = re.compile(r"text/csv\s*(?:;.*)?", re.IGNORECASE)


_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]*)', re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8"})


def charset_of(request: Request) -> str:
    """Return what the body's text is encoded as, if its type says so; else ''."""
    found = _CHARSET.search(request.headers.get("content-type", ""))
    return found[1] if found else ""


def media_of(request: Request) -> Media | None:
    """Return what the body is; None: nothing that is taken anywhere. JSON needs not be said, and is UTF-8."""
    given = request.headers.getlist("content-type")
    if not any(given):
        return Media.JSON
    if len(given) > 1:
        return None
    media = next((media for media in Media if media.value.fullmatch(given[0])), None)
    if media is Media.CSV:
        return media  # it may say its charset
    return media if {charset.lower() for charset in _CHARSET.findall(given[0])} <= _UTF8 else None


def check_encoding(request: Request) -> None:
    """Raise `ProblemError` for a body that is compressed, or otherwise encoded."""
    given = ",".join(request.headers.getlist("content-encoding"))
    if any(coding.strip().lower() not in {"", "identity"} for coding in given.split(",")):
        headers = {"Accept-Encoding": "identity"}
        raise ProblemError(
            Problem("unsupported_encoding", "send it without Content-Encoding", headers=headers)
        )
