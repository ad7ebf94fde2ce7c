"""A store's URL taken apart. What cannot be read is one sentence, which never repeats a password."""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from app.errors import ConfigurationError

PORT_MAX = 65_535
MASK = "********"
_SECRETS = frozenset({"password", "sslpassword", "ssl_password"})
"""Parameters whose value must not be read over a shoulder."""
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED = "write special characters of a user or password percent-encoded: %40 for @, %2F for /, %25 for %"


class Endpoint(NamedTuple):
    """A host and its port (0: none was given)."""

    host: str
    port: int


class Parts(NamedTuple):
    """What a URL says, percent-decoded; `endpoints` is empty if it names no host."""

    scheme: str
    user: str
    password: str
    endpoints: tuple[Endpoint, ...]
    path: str
    query: dict[str, str]


class UrlReader:
    """Reads the URL of one setting; every error names that setting."""

    def __init__(self, setting: str) -> None:
        self._setting = setting

    def refuse(self, why: str) -> ConfigurationError:
        """Return the error that refuses this URL."""
        return ConfigurationError(f"{self._setting} {why}")

    def read(self, url: str) -> Parts:
        """Take a URL apart; raise `ConfigurationError` if it is none."""
        url = url.strip()
        if not url.isprintable() or any(letter.isspace() for letter in url):
            raise self.refuse("holds a blank, a line break or a control character")
        scheme, separator, rest = url.partition("://")
        if not separator:
            raise self.refuse("is no URL: it begins with no scheme, such as redis:// or postgresql://")
        if "#" in rest:
            raise self.refuse(f"has a # in it: {_ENCODED}")
        before, _, query = rest.partition("?")
        authority, slash, path = before.partition("/")
        if "@" in path or "@" in query:  # behind an unencoded / or ? of a password
            raise self.refuse(f"has an @ behind its host: {_ENCODED}")
        who, _, where = authority.rpartition("@")
        user, _, password = who.partition(":")
        return Parts(
            scheme.lower(),
            self._decoded(user),
            self._decoded(password),
            tuple(self._endpoint(one) for one in where.split(",")) if where else (),
            self._decoded(slash + path),
            self._query(query),
        )

    def check_names(self, query: Mapping[str, str], known: Collection[str]) -> None:
        """Raise `ConfigurationError` if a parameter is not one of `known`."""
        for name in query:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                names = ", ".join(sorted(known)) or "none"
                raise self.refuse(f"has a parameter {name!r} that is not known{meant}; known are: {names}")

    def choose(self, name: str, value: str, choices: Collection[str]) -> str:
        """Return a parameter's value; raise `ConfigurationError` unless it is one of `choices`."""
        if value not in choices:
            raise self.refuse(f"has {name}={value}, which must be one of: {', '.join(choices)}")
        return value

    def seconds(self, name: str, value: str) -> float:
        """Return a time-out; raise `ConfigurationError` unless it is more than 0 and at most 60 seconds."""
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", value) or not 0 < float(value) <= 60:
            raise self.refuse(
                f"has {name}={value}, which must be a number of seconds, more than 0 and at most 60"
            )
        return float(value)

    def port(self, text: str) -> int:
        """Return a port; raise `ConfigurationError` unless it is one."""
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= PORT_MAX:
            # Not repeated: behind an unencoded special character it is a part of the password.
            raise self.refuse(f"has a port that is no number from 1 to {PORT_MAX}; {_ENCODED}")
        return int(text)

    def _endpoint(self, text: str) -> Endpoint:
        if text.startswith("["):
            host, bracket, port = text[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise self.refuse("has an IPv6 address without its closing bracket, as in [::1]:5432")
            port = port[1:]
        else:
            host, _, port = text.partition(":")
            if ":" in port:
                raise self.refuse(f"has more than one colon behind its host: an IPv6 address stands in brackets, "
                                  f"as in [::1]:5432; {_ENCODED}")  # fmt: skip
        return Endpoint(self._decoded(host), self.port(port) if port else 0)

    def _query(self, text: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in filter(None, text.split("&")):
            name, equals, value = part.partition("=")
            name = self._decoded(name)
            if not equals:
                raise self.refuse(
                    "has a parameter without a value behind its ?, where name=value&name=value stands"
                )
            if name in found:
                raise self.refuse(f"has the parameter {name!r} twice")
            found[name] = self._decoded(value)
        return found

    def _decoded(self, text: str) -> str:
        if _BAD_PERCENT.search(text):
            raise self.refuse("has a % that begins no percent-encoded character: write a % itself as %25")
        try:
            decoded = unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise self.refuse("has percent-encoded bytes that are no UTF-8 text") from None
        if "\0" in decoded:
            raise self.refuse("has a character of code 0 in it")
        return decoded


def masked(url: str) -> str:
    """Return a URL without its passwords, for people to read; of one that cannot be read nothing stays."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return MASK if "@" in url or "=" in url else url
    before, question, query = rest.partition("?")
    who, at, where = before.rpartition("@")
    user, colon, _ = who.partition(":")
    if "@" in query:  # behind an unencoded ? of a password
        return f"{scheme}://{MASK}"
    parts = [
        f"{name}={MASK}" if unquote(name).strip().lower() in _SECRETS else part
        for part in query.split("&")
        for name in [part.partition("=")[0]]
    ]
    return f"{scheme}://{user}{colon}{MASK if colon else ''}{at}{where}{question}{'&'.join(parts)}"
