"""Who may call what, and how much: `Authorization: Bearer <secret>`."""

import ipaddress
import math
from collections.abc import Callable, Mapping
from time import monotonic, time

from fastapi import Request
from fastapi.security import HTTPBearer

from app.api.api_keys import NEVER, ApiKey, Keys, Scope, digest_of
from app.api.problems import Problem, ProblemError, too_many_requests
from app.api.rates import Rate, Recent

_FOREIGN = frozenset({"cross-site", "same-site"})
_READS = frozenset({"GET", "HEAD"})

WRONG_KEYS_MAX = 20
WRONG_KEYS_SECONDS = 10.0
ADDRESSES_MAX = 10_000
"""Addresses whose wrong keys are counted: about 5 MB."""
MET_MAX = 1_000
"""Headers that were found to carry a key: whoever has one may write it in more than one way."""


class ApiKeys:
    """The keys of the settings, which may be exchanged while we run; without any, everybody may do everything.

    `on_wrong_key` is called for each key that is none of ours.
    """

    def __init__(self, keys: Keys | None = None, *, on_wrong_key: Callable[[], None] = lambda: None) -> None:
        self._keys: Keys = {}
        self._rates: dict[str, Rate] = {}
        self._met: dict[bytes, tuple[ApiKey, Rate]] = {}
        self._wrong = Recent(WRONG_KEYS_MAX, WRONG_KEYS_SECONDS, callers_max=ADDRESSES_MAX)
        self.on_wrong_key = on_wrong_key
        self.replace(keys or {})
        self.open = not self._keys
        """Whether everybody may do everything. It stays so, or not, as long as the process lives."""
        self.holding_all: frozenset[str] = frozenset()
        """Names of keys that hold as many open locks as they may; see `limits.LockCounts`."""

    def replace(self, keys: Keys) -> bool:
        """Take other keys from now on; return whether anything is different.

        A key's rate goes on where it was if its limits are the same.
        """
        if keys == self._keys:
            return False
        rates: dict[str, Rate] = {}
        for key in keys.values():
            limits, before = key.limits, self._rates.get(key.name)
            if before is None or (before.per_second, before.burst) != (limits.rate, limits.burst):
                before = Rate(limits.rate, limits.burst)
            rates.setdefault(key.name, before)
        self._keys, self._rates, self._met = keys, rates, {}
        return True

    @property
    def names(self) -> set[str]:
        """Return the names of the keys."""
        return {key.name for key in self._keys.values()}

    def open_locks_limits(self) -> dict[str, int]:
        """Return how many open locks each key may hold that can make some, by name; of several of a name the least."""
        limits: dict[str, int] = {}
        for key in self._keys.values():
            if key.may("checkout") and not key.is_admin:
                limits[key.name] = min(key.limits.open_locks, limits.get(key.name, key.limits.open_locks))
        return limits

    def find(self, authorization: bytes | None) -> ApiKey | None:
        """Return the key that a header carries; None if it is none of ours, or has expired."""
        found = self._find(authorization) if authorization is not None else None
        return found[0] if found else None

    def check(
        self, authorization: bytes | None, scope: Scope, address: str = "", *, is_counted: bool = False
    ) -> ApiKey | None:
        """Return the key (None without keys), or raise `ProblemError`: unauthorized, forbidden, too_many_requests.

        `is_counted`: this request was counted against the key's rate before.
        """
        if self.open:
            return None
        found = self._find(authorization) if authorization is not None else None
        if found is None:
            raise ProblemError(self._unauthorized(authorization, address))
        key, rate = found
        if not key.may(scope):
            detail = f"this needs a key with the scope {scope}"
            raise ProblemError(Problem("forbidden", detail, {"scope": scope}), who=key.name)
        if not is_counted and (wait := rate.take(monotonic())):
            raise ProblemError(_too_often(key, wait), who=key.name)
        return key

    def _find(self, authorization: bytes) -> tuple[ApiKey, Rate] | None:
        """Look a key up by its hash: how long that takes says nothing about any secret. A header is hashed once."""
        found = self._met.get(authorization)
        if found is None:
            found = self._meet(authorization)
        if found is None or (found[0].expires_at != NEVER and time() >= found[0].expires_at):
            return None
        return found

    def _meet(self, authorization: bytes) -> tuple[ApiKey, Rate] | None:
        scheme, _, secret = authorization.partition(b" ")
        key = self._keys.get(digest_of(secret.strip()))
        if key is None or scheme.lower() != b"bearer":
            return None
        if len(self._met) >= MET_MAX:
            self._met.clear()
        found = self._met[authorization] = key, self._rates[key.name]
        return found

    def _unauthorized(self, authorization: bytes | None, address: str) -> Problem:
        if authorization is not None:
            self.on_wrong_key()
            wait = self._wrong.add(_network(address), monotonic())
            if wait:
                policy = f'"wrong-keys";q={WRONG_KEYS_MAX};w={WRONG_KEYS_SECONDS:.0f}'
                detail = "too many wrong keys came from this address; a known key is served all the same"
                return too_many_requests(detail, wait, '"wrong-keys"', policy)
        detail = "send a known key as `Authorization: Bearer …`"
        return Problem("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _too_often(key: ApiKey, wait_seconds: float) -> Problem:
    rate, burst = key.limits.rate, key.limits.burst
    detail = f"the key {key.name} may send {rate:,} requests a second, {burst:,} at once"
    return too_many_requests(detail, wait_seconds, '"key"', f'"key";q={burst};w={math.ceil(burst / rate)}')


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
        # Several are none: which of them counts would be a guess.
        authorization = given[0] if len(given) == 1 else None
        is_counted = bool(getattr(request.state, "is_counted", False))
        try:
            key = keys.check(authorization, self.scope, address_of(request.scope), is_counted=is_counted)
        except ProblemError as error:
            request.state.who = error.who
            raise
        request.state.key = key
        request.state.who = key.name if key else ""


def address_of(scope: Mapping[str, object]) -> str:
    """Return where a request comes from: the other end of the connection, whatever a header says."""
    client = scope.get("client")
    return str(client[0]) if isinstance(client, tuple) else ""


def _network(address: str) -> str:
    """Return what one caller has: an IPv4 address, or the 64 bits of an IPv6 network."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False)
    except ValueError:
        return address
    return str(network)
