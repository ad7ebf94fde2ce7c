"""By which names the service may be called while it has no keys: pages of other sites must not reach it.

A page of another site can let its own name mean 127.0.0.1 (DNS rebinding) and then reads and writes here as if it were
ours. Its name still stands in Host and Origin. With keys none of this is needed: such a page has none.
"""

import ipaddress
import re
from collections.abc import Sequence

import httptools

from app.api.problems import Problem

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_WITHOUT_DOT = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*")
"""A machine's or a container's name: no site of the internet has one without a dot."""
_OPEN = frozenset({b"/livez", b"/readyz"})
"""Balancers ask these by whatever name."""
KNOWN_MAX = 1_000

Headers = Sequence[tuple[bytes, bytes]]


class Hosts:
    """Names that are right: loopback ones, those without a dot, and those of `allowed` (SELLABLE_ALLOWED_HOSTS)."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = frozenset(name.lower().encode() for name in allowed)
        self.known: set[bytes] = set()
        """Host fields that were found right, as they were sent."""

    def problem_of(self, host: bytes, target: bytes, headers: Headers) -> Problem | None:
        """Return what is wrong with a request's Host, target or Origin; None: nothing."""
        path = target.partition(b"?")[0]
        if path in _OPEN:
            return None
        if not self._is_right(host) or not self._is_target_right(target):
            shown = host.decode("latin-1")
            detail = (
                f"it has no keys, so it is not called {shown!r}; SELLABLE_ALLOWED_HOSTS names its other names"
            )
            return Problem("forbidden_host", detail)
        origins = [value for name, value in headers if name == b"origin"]
        if any(origin.partition(b"://")[2].lower() != host.lower() for origin in origins):
            detail = (
                "it has no keys, so it refuses what a browser sends for another site; set SELLABLE_API_KEYS"
            )
            return Problem("forbidden", detail)
        if not origins:
            if len(self.known) >= KNOWN_MAX:
                self.known.clear()
            self.known.add(host)
        return None

    def _is_target_right(self, target: bytes) -> bool:
        """Whether a target names no host, or a right one."""
        if target.startswith(b"/"):
            return True
        try:
            host = httptools.parse_url(target).host
        except httptools.HttpParserError:
            return True  # such as *
        return host is None or self._is_right(b"[%b]" % host if b":" in host else host)

    def _is_right(self, host: bytes) -> bool:
        if not host:
            return False
        found = _HOST.fullmatch(host)
        if not found:
            return False
        name = found[1].lower().rstrip(b".")
        if name == b"localhost" or name.endswith(b".localhost") or _WITHOUT_DOT.fullmatch(found[1]):
            return True
        return self._is_named(host.lower(), name)

    def _is_named(self, host: bytes, name: bytes) -> bool:
        if name in self._allowed or host in self._allowed:
            return True
        try:
            return ipaddress.ip_address(name.strip(b"[]").decode()).is_loopback
        except ValueError:
            return False
