"""Who may call what: `Authorization: Bearer <secret>`."""

import hashlib
import hmac
from collections.abc import Mapping

from fastapi import Request
from fastapi.security import HTTPBearer

from app.api.api_keys import ApiKey, Scope
from app.api.problems import Problem, ProblemError

_FOREIGN = frozenset({"cross-site", "same-site"})
_READS = frozenset({"GET", "HEAD"})


class ApiKeys:
    """The keys of SELLABLE_API_KEYS; without any, everybody may do everything."""

    def __init__(self, keys: Mapping[str, ApiKey]) -> None:
        self._keys = [(_digest(secret.encode()), key) for secret, key in keys.items()]

    @property
    def open(self) -> bool:
        """Whether everybody may do everything."""
        return not self._keys

    def check(self, authorization: bytes | None, scope: Scope) -> str:
        """Return the name of the key ('' without keys), or raise `ProblemError`: unauthorized, forbidden."""
        if self.open:
            return ""
        key = self._find(authorization)
        if key is None:
            detail = "send a known key as `Authorization: Bearer …`"
            raise ProblemError(Problem("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"}))
        if not key.may(scope):
            raise ProblemError(
                Problem("forbidden", f"this needs a key with the scope {scope}", {"scope": scope})
            )
        return key.name

    def _find(self, authorization: bytes | None) -> ApiKey | None:
        """Compare with every key, in constant time: neither place nor content of a key shows."""
        scheme, _, secret = (authorization or b"").partition(b" ")
        given, found = _digest(secret.strip()), None
        for digest, key in self._keys:
            if hmac.compare_digest(digest, given):
                found = key
        return found if scheme.lower() == b"bearer" else None


class Needs(HTTPBearer):
    """A route's scope. `StrictRoute` checks it before it reads the body; here it is only described."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scheme_name="key", description="A key of SELLABLE_API_KEYS", auto_error=False)
        self.scope: Scope = scope

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Do nothing: it was checked before the body was read."""

    def check(self, request: Request) -> None:
        """Note who calls; raise `ProblemError` if they may not."""
        given = [value for name, value in request.scope["headers"] if name == b"authorization"]
        keys: ApiKeys = request.app.state.keys
        if keys.open and request.headers.get("sec-fetch-site") in _FOREIGN and request.method not in _READS:
            detail = (
                "this service has no API keys, so it refuses writes that a browser sends for another site;"
                " set SELLABLE_API_KEYS"
            )
            raise ProblemError(Problem("forbidden", detail))
        request.state.who = keys.check(given[0] if len(given) == 1 else None, self.scope)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
