"""The keys of SELLABLE_API_KEYS: who may call, and what they may do."""

from typing import Literal

from app.domain.codes import check_code
from app.errors import ConfigurationError

Scope = Literal["read", "checkout", "warehouse", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "checkout", "warehouse", "admin")


class ApiKey:
    """Who may call: a name for the events, and what it may do. `admin` may do everything."""

    __slots__ = ("name", "scopes")

    def __init__(self, name: str, scopes: frozenset[str]) -> None:
        self.name = name
        self.scopes = scopes

    def may(self, scope: Scope) -> bool:
        """Whether this key covers a scope."""
        return scope in self.scopes or "admin" in self.scopes


def read_api_keys(text: str) -> dict[str, ApiKey]:
    """Read SELLABLE_API_KEYS into {secret: key}; raise `ConfigurationError` if it cannot be read."""
    keys: dict[str, ApiKey] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = entry.partition(":")
        secret, _, scopes = rest.rpartition(":")
        known = frozenset(scopes.split("+"))
        if not secret or not known <= set(SCOPES):
            raise ConfigurationError("SELLABLE_API_KEYS is not usable: each key is name:secret:scope+scope")
        try:
            check_code(name, 64)
        except ValueError as error:
            raise ConfigurationError(f"SELLABLE_API_KEYS is not usable: a key's name {error}") from None
        if secret in keys:
            raise ConfigurationError("SELLABLE_API_KEYS is not usable: two keys have the same secret")
        keys[secret] = ApiKey(name, known)
    return keys
