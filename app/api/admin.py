"""What is for those who run the service: figures and the description of the API, on a port of their own if one is set.

Without such a port they stand beside the rest, and need a key that may read where keys are set.
"""

from starlette.types import Scope

from app.api.auth import ApiKeys, address_of
from app.api.docs_page import STATIC
from app.api.problems import Problem, ProblemError

PATHS = frozenset({"/metrics", "/docs", "/openapi.json"})
FOLDER = f"{STATIC}/"
"""The scripts of /docs."""
HEALTH = frozenset({"/livez", "/readyz"})


class AdminDoor:
    """Says who may ask for what, by the port that a request came in at; `port` 0: there is none of its own."""

    def __init__(self, keys: ApiKeys, port: int) -> None:
        self._keys = keys
        self._port = port

    def check(self, scope: Scope) -> None:
        """Raise `ProblemError` for a request that is at the wrong door, or has no key for it."""
        path = scope["path"]
        is_admin = path in PATHS or path.startswith(FOLDER)
        if self._port:
            server = scope.get("server") or ("", 0)
            is_here = server[1] == self._port
            if is_admin != is_here and path not in HEALTH:
                raise ProblemError(Problem("not_found", "it is served at another port"))
        elif is_admin and not self._keys.open:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            key = self._keys.check(given[0] if len(given) == 1 else None, "read", address_of(scope))
            scope.setdefault("state", {})["who"] = key.name if key else ""
