"""Media types of bodies: what a request says that it sends."""

import re
from enum import Enum

from fastapi import Request


class Media(Enum):
    """What bodies may be."""

    JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
    NDJSON = re.compile(r"application/(?:x-)?(?:ndjson|jsonlines|jsonl)\s*(?:;.*)?", re.IGNORECASE)
    CSV = re.compile(r"text/csv\s*(?:;.*)?", re.IGNORECASE)


_CHARSET = re.compile(r';\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


def charset_of(request: Request) -> str:
    """Return what the body's text is encoded as, if its type says so; else ''."""
    found = _CHARSET.search(request.headers.get("content-type", ""))
    return (found[1] or found[2] or "") if found else ""


def media_of(request: Request) -> Media | None:
    """Return what the body is; None: nothing that is taken anywhere. JSON needs not be said."""
    given = request.headers.get("content-type")
    if not given:
        return Media.JSON
    return next((media for media in Media if media.value.fullmatch(given)), None)
