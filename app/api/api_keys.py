"""The keys of SELLABLE_API_KEYS and SELLABLE_API_KEYS_FILE: who may call, what for, and how much of it.

An entry is `name:secret:scope+scope`, or `name:sha256:<hex of the secret's SHA-256>:scope+scope`, and maybe
`:YYYYMMDD`, the last day (UTC) on which the key works. Limits of its own follow behind a blank: ` rate=50 burst=100`.
Entries stand one a line, or are separated by commas. Whatever could be read as two things is refused.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.domain.codes import check_code
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.settings import Settings

Scope = Literal["read", "checkout", "warehouse", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "checkout", "warehouse", "admin")

SECRET_CHARS_MIN = 16
"""Shorter secrets are refused where other machines can try them."""
NAME_CHARS_MAX = 64
FILE_BYTES_MAX = 1_048_576
HASHED = "sha256"

_VARIABLE, _FILE_VARIABLE = "SELLABLE_API_KEYS", "SELLABLE_API_KEYS_FILE"
_SECRET = re.compile(r"[!-9<-{}~]+")
"""Visible ASCII without `:` and `;` and `|`, which separate things here or look as if they did."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"\d{8}")
NEVER = float("inf")

Keys = Mapping[bytes, "ApiKey"]
"""Each key by the SHA-256 of its secret."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a key may do. Each field is the name of a limit in an entry; those of locks are not for admin keys."""

    rate: int = 10_000
    """Requests a second, of one process."""
    burst: int = 20_000
    """Requests at once, of one process."""
    uploads: int = 1
    """Bodies over 1 MiB that come in at the same time, of one process."""
    lock_lines: int = 2_000
    lock_units: int = 1_000_000
    """Units in all lines of a lock."""
    open_locks: int = 1_000_000
    """Locks of the installation that hold stock, as the ledger knows them."""
    ttl_seconds: int = 2_592_000
    unending: int = 0
    """1: its locks may last for ever (`"ttl_seconds": null`)."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may call: a name for the events, and what it may do. `admin` may do everything.

    `expires_at` is in seconds since 1970. `secret_chars` is how long the secret is; None: only its hash is known.
    """

    name: str
    scopes: frozenset[str]
    expires_at: float = NEVER
    limits: Limits = DEFAULT_LIMITS
    secret_chars: int | None = None

    def may(self, scope: Scope) -> bool:
        """Whether this key covers a scope."""
        return scope in self.scopes or "admin" in self.scopes

    @property
    def is_admin(self) -> bool:
        """Whether it may do everything: then only its rate is limited, and its uploads."""
        return "admin" in self.scopes


def digest_of(secret: bytes) -> bytes:
    """Return what a key is known by: nobody can go back from there to the secret."""
    return hashlib.sha256(secret).digest()


def load_api_keys(
    text: str | None, file: str | None = None, *, secret_chars_min: int = 1
) -> dict[bytes, ApiKey]:
    """Return the keys of both settings; `text` and `file` are None where a setting is not set at all.

    No keys only if neither is set. Raises `ConfigurationError` if one cannot be read, or is set and yields no key.
    """
    keys: dict[bytes, ApiKey] = {}
    if text is not None:
        keys |= read_api_keys(text, _VARIABLE)
    if file is not None:
        more = read_api_keys(_content(file), f"{_FILE_VARIABLE} ({file})")
        if not keys.keys().isdisjoint(more):
            raise ConfigurationError(f"{_FILE_VARIABLE} is not usable: a secret stands in {_VARIABLE}, too")
        keys |= more
    _refuse_short(keys, secret_chars_min)
    return keys


def keys_of(settings: "Settings", *, secret_chars_min: int = 1) -> dict[bytes, ApiKey]:
    """Return the keys that the settings name, as `load_api_keys` does."""
    given = settings.model_fields_set
    text = settings.api_keys.get_secret_value() if "api_keys" in given else None
    file = settings.api_keys_file if "api_keys_file" in given else None
    return load_api_keys(text, file, secret_chars_min=secret_chars_min)


def read_api_keys(text: str, where: str = _VARIABLE) -> dict[bytes, ApiKey]:
    """Return the keys in `text`; raise `ConfigurationError` if there is none, or one cannot be read."""
    keys: dict[bytes, ApiKey] = {}
    for entry in _entries(text):
        try:
            digest, key = _key_of(entry)
        except ValueError as error:
            raise ConfigurationError(f"{where} is not usable: {error}") from None
        if digest in keys:
            raise ConfigurationError(f"{where} is not usable: two keys have the same secret")
        keys[digest] = key
    if not keys:
        raise ConfigurationError(
            f"{where} is set but holds no key: each is name:secret:scope+scope (or do not set it)"
        )
    return keys


def last_day(text: str) -> str:
    """Return YYYYMMDD of a day (YYYY-MM-DD) or a time (its day in UTC); raise `ValueError` for one that is over."""
    at = datetime.fromisoformat(text)
    day = at.astimezone(UTC).date() if at.tzinfo else at.date()
    if day < datetime.now(UTC).date():
        raise ValueError("is over")
    return day.strftime("%Y%m%d")


def entry_of(name: str, secret: str, scopes: str, expires_on: str = "") -> str:
    """Return the entry of a new key, hashed; raise `ValueError` if a name, scope or day is none."""
    digest = digest_of(secret.encode()).hex()
    entry = ":".join([name, HASHED, digest, scopes, *filter(None, [expires_on])])
    _key_of(entry)
    return entry


def _entries(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            yield from filter(None, (part.strip() for part in line.split(",")))


def _key_of(entry: str) -> tuple[bytes, ApiKey]:
    name, *parts = entry.split(":")
    if not 2 <= len(parts) <= 4:
        raise ValueError("each key is name:secret:scope+scope, or name:sha256:<hex>:scope+scope[:YYYYMMDD]")
    check_name(name)
    last, *limits = parts.pop().split() or [""]
    parts.append(last)
    digest, secret_chars, rest = _secret_of(name, parts)
    scopes, day = rest[0], rest[1] if len(rest) > 1 else ""
    return digest, ApiKey(
        name,
        _scopes_of(name, scopes),
        expires_at=_end_of(name, day) if day else NEVER,
        limits=_limits_of(name, limits),
        secret_chars=secret_chars,
    )


def check_name(name: str) -> str:
    """Return a key's name, or raise `ValueError`."""
    if not {",", ":"}.isdisjoint(name):
        raise ValueError("a key's name must not contain a comma or a colon")
    try:
        return check_code(name, NAME_CHARS_MAX)
    except ValueError as error:
        raise ValueError(f"a key's name {error}") from None


def _secret_of(name: str, parts: list[str]) -> tuple[bytes, int | None, list[str]]:
    """Return the digest, the secret's length if it is known, and the parts behind: scopes, and maybe a day."""
    if parts[0] == HASHED:
        if len(parts) < 3 or not _DIGEST.fullmatch(parts[1].lower()):
            raise ValueError(f"the key {name} needs 64 hexadecimal digits behind sha256:")
        return bytes.fromhex(parts[1]), None, parts[2:]
    secret, *rest = parts
    if len(rest) > 2:
        raise ValueError(f"the key {name} has a part too many: a secret must not contain a colon")
    if not _SECRET.fullmatch(secret):
        raise ValueError(
            f"the secret of the key {name} must have visible ASCII characters only, and none of : ; | ,"
        )
    return digest_of(secret.encode()), len(secret), rest


def _scopes_of(name: str, text: str) -> frozenset[str]:
    scopes = frozenset(text.split("+"))
    if not scopes <= set(SCOPES):
        raise ValueError(f"the scopes of the key {name} must be some of {', '.join(SCOPES)}, joined by +")
    return scopes


def _end_of(name: str, day: str) -> float:
    """Return the first second after a day, in UTC."""
    try:
        at = datetime.strptime(day if _DAY.fullmatch(day) else "", "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"the key {name} ends on no day: it must be YYYYMMDD") from None
    return (at + timedelta(days=1)).timestamp()


def _limits_of(name: str, texts: list[str]) -> Limits:
    known = {one.name for one in fields(Limits)}
    given: dict[str, int] = {}
    for text in texts:
        limit, _, value = text.partition("=")
        if limit not in known or limit in given:
            raise ValueError(
                f"the key {name} has {text!r} behind its scopes: limits are {', '.join(sorted(known))}"
            )
        if not value.isascii() or not value.isdigit() or len(value) > 10:
            raise ValueError(f"the limit {limit} of the key {name} must be a whole number")
        given[limit] = int(value)
    limits = replace(DEFAULT_LIMITS, **given)
    if not limits.rate or not limits.burst:
        raise ValueError(f"the limits rate and burst of the key {name} must be 1 or more")
    return limits


def _content(file: str) -> str:
    if not file:
        raise ConfigurationError(f"{_FILE_VARIABLE} is set but names no file (or do not set it)")
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ConfigurationError(f"{_FILE_VARIABLE} ({file}) has more than {FILE_BYTES_MAX:,} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{_FILE_VARIABLE} ({file}) cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_FILE_VARIABLE} ({file}) is not UTF-8") from None


def _refuse_short(keys: Keys, secret_chars_min: int) -> None:
    for key in keys.values():
        if key.secret_chars is not None and key.secret_chars < secret_chars_min:
            raise ConfigurationError(
                f"the secret of the key {key.name} has {key.secret_chars} characters: other machines can reach this"
                f" address, so it needs {secret_chars_min} (`sellable keys new` makes one)"
            )
