"""What a request is called in answers and logs: `X-Request-ID` as it was given, or one of ours."""

import re
import secrets
from collections.abc import Iterable

NAME = b"x-request-id"
_GIVEN = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Headers = Iterable[tuple[bytes, bytes]]


def request_id_of(headers: Headers) -> str:
    """Return the id that a request brings, if it can stand in a log as it is; else a new one."""
    for name, value in headers:
        if name == NAME and _GIVEN.fullmatch(value):
            return value.decode()
    return secrets.token_hex(16)


def traceparent_of(headers: Headers) -> str | None:
    """Return the caller's trace (W3C Trace Context), as it was sent; None without one."""
    for name, value in headers:
        if name == b"traceparent" and _TRACEPARENT.fullmatch(value):
            return value.decode()
    return None
