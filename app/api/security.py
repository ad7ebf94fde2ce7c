"""The security log: who was refused, where and from where. A flood of refusals does not become a flood of lines."""

from time import monotonic
from typing import Any

import structlog

from app.api.rates import Rate
from app.api.request_ids import Headers, traceparent_of

_log = structlog.get_logger("app.security")

REFUSALS = frozenset({401, 403, 429})
LINES_PER_SECOND = 20
LINES_AT_ONCE = 200
FORWARDED_CHARS_MAX = 200


class SecurityLog:
    """Writes a line a refusal, up to 20 a second; the next line says how many were left out."""

    def __init__(self) -> None:
        self._rate = Rate(LINES_PER_SECOND, LINES_AT_ONCE)
        self._left_out = 0

    def refused(
        self,
        status: int,
        method: str,
        route: str,
        *,
        key: str,
        address: str,
        request_id: str,
        headers: Headers = (),
    ) -> None:
        """Note a refusal; `key` is the name of a known key, '' without one. No secret is ever noted."""
        if self._rate.take(monotonic()):
            self._left_out += 1
            return
        more: dict[str, Any] = {}
        if self._left_out:
            more["left_out"], self._left_out = self._left_out, 0
        headers = list(headers)
        if traceparent := traceparent_of(headers):
            more["traceparent"] = traceparent
        if forwarded := b", ".join(value for name, value in headers if name == b"x-forwarded-for"):
            more["forwarded_for"] = forwarded[:FORWARDED_CHARS_MAX].decode("latin-1")
        _log.warning(
            "security.refused",
            status=status,
            method=method,
            route=route,
            key=key or None,
            address=address,
            request_id=request_id,
            **more,
        )
