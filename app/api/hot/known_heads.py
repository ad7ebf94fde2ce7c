"""Header blocks that were parsed before: the requests of one client differ in their first line and body alone.

What a header block means depends on its bytes and on nothing else, once the first line is known to be that of an
HTTP/1.1 request. So a block that llhttp has parsed, as one whole request of the short way that keeps its connection,
need not be parsed again: the same bytes between such a first line and a body of the length that they state
mean the same. Anything else (a cut request, several in one segment, a body that goes on, a block that
was not met) is for the parser.
"""

import re
from typing import NamedTuple

from app.api.hot.handlers import CLOSER_LOOK_HEADERS

Headers = list[tuple[bytes, bytes]]

HEADS_MAX = 512
HEAD_BYTES_MAX = 2048
_VERSION = b" HTTP/1.1"
_SAFE_TARGET = re.compile(rb"/[A-Za-z0-9._~/%?=&:+,-]*")
"""What any parser takes for a target as it is; others are left to llhttp."""
_CHANGING = frozenset({b"if-none-match"})
"""Each page has its own: such blocks are rarely met twice."""


class Head(NamedTuple):
    """What a header block says: its headers, names in lower case, and the length of the body, in bytes."""

    headers: Headers
    length: int
    is_plain: bool
    """Whether it has none of CLOSER_LOOK_HEADERS."""


class Whole(NamedTuple):
    """One whole request."""

    method: bytes
    target: bytes
    head: Head
    body: bytes


class KnownHeads:
    """The header blocks that the connections of a process have met; forgets all of them when there are too many."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Whole | None:
        """Return the request that `data` is, if it is exactly one and its header block is known."""
        head, end, body = data.partition(b"\r\n\r\n")
        line, _, block = head.partition(b"\r\n")
        known = self._known.get(block)
        if known is None or not end or len(body) != known.length or line[-9:] != _VERSION:
            return None
        method, _, target = line[:-9].partition(b" ")
        return Whole(method, target, known, body)

    def learn(self, data: bytes, method: bytes, target: bytes, headers: Headers, length: int) -> None:
        """Note the header block of `data`, which llhttp has just found to be one whole request with these parts."""
        head, end, body = data.partition(b"\r\n\r\n")
        line, _, block = head.partition(b"\r\n")
        if not end or not block or len(block) > HEAD_BYTES_MAX or len(body) != length:
            return
        names = {name for name, _ in headers}
        if line != b"%b %b%b" % (method, target, _VERSION) or not names.isdisjoint(_CHANGING):
            return
        if len(self._known) >= HEADS_MAX:
            self._known.clear()
        self._known[block] = Head(headers, length, names.isdisjoint(CLOSER_LOOK_HEADERS))


def is_safe(target: bytes) -> bool:
    """Whether any parser takes this for a target, as it is."""
    return _SAFE_TARGET.fullmatch(target) is not None
