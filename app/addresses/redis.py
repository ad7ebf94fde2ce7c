"""SELLABLE_REDIS_URL: how every connection to the hot store is made, redis-py's and the pipelined one."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.addresses.tls import TlsFiles, TlsNames, client_context
from app.addresses.url import Parts, UrlReader

SETTING = "SELLABLE_REDIS_URL"
PORT = 6379
CONNECT_SECONDS = 2.0
DATABASE_MAX = 1_000_000
_TLS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_ca_data",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_password",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    }
)
_PLAIN = frozenset({"db", "username", "password", "socket_connect_timeout"})
KNOWN = {"redis": _PLAIN, "unix": _PLAIN, "rediss": _PLAIN | _TLS}
"""The parameters of each scheme."""
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")
P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the hot store is, and how it is reached: by `path`, the file of a socket, or else `host` and `port`."""

    host: str
    port: int
    path: str
    user: str
    password: str = field(repr=False)
    database: int
    tls: ssl.SSLContext | None
    connect_seconds: float

    def client(self, *, connections_max: int) -> Redis:
        """Return a client that never retries by itself; nothing is sent yet."""
        options: dict[str, Any] = {"path": self.path} if self.path else {"host": self.host, "port": self.port}
        kind: type[Any] = UnixDomainSocketConnection if self.path else Connection
        if self.tls is not None:
            kind, options = _TlsConnection, options | {"tls": self.tls}
        pool = ConnectionPool(
            connection_class=kind,
            max_connections=connections_max,
            username=self.user or None,
            password=self.password or None,
            db=self.database,
            decode_responses=True,
            encoding_errors="surrogateescape",  # one wrong letter in an event must not hide all read with it
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            socket_connect_timeout=self.connect_seconds,
            socket_timeout=None,
            driver_info=None,  # CLIENT SETINFO is unknown before Redis 7.2, and one more right to give
            **options,
        )
        return Redis.from_pool(pool)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")

    async def open(self, make: Callable[[], P]) -> P:
        """Connect a protocol of asyncio's, and return it: `greeting` is the first thing to send."""
        loop = asyncio.get_running_loop()
        try:
            if self.path:
                return (await loop.create_unix_connection(make, self.path))[1]
            return (await loop.create_connection(make, self.host, self.port, ssl=self.tls))[1]
        except OSError as error:
            error.add_note(self.place)
            raise

    def greeting(self, client_name: str) -> list[tuple[str | int, ...]]:
        """Return the commands that begin a connection which speaks RESP3."""
        hello: tuple[str | int, ...] = ("HELLO", 3)
        if self.user or self.password:
            hello += ("AUTH", self.user or "default", self.password)
        commands = [(*hello, "SETNAME", client_name)]
        return commands + ([("SELECT", self.database)] if self.database else [])


def read_redis(url: str) -> RedisAddress:
    """Read a URL; raise `ConfigurationError`, one sentence, if it cannot be used."""
    reader = UrlReader(SETTING)
    parts = reader.read(url)
    if parts.scheme not in KNOWN:
        raise reader.refuse(
            f"begins with {parts.scheme}://, which is not supported: it must be redis://, rediss:// (TLS) or unix://"
        )
    query = parts.query
    if parts.scheme == "redis" and (tls := sorted(_TLS & query.keys())):
        raise reader.refuse(f"has {tls[0]}, which belongs to a URL that begins with rediss://")
    reader.check_names(query, KNOWN[parts.scheme])
    host, port, path = _where(reader, parts)
    connect_seconds = CONNECT_SECONDS
    if "socket_connect_timeout" in query:
        connect_seconds = reader.seconds("socket_connect_timeout", query["socket_connect_timeout"])
    return RedisAddress(
        host=host,
        port=port,
        path=path,
        user=query.get("username") or parts.user,
        password=query.get("password") or parts.password,
        database=_database(reader, parts),
        tls=_context(reader, query) if parts.scheme == "rediss" else None,
        connect_seconds=connect_seconds,
    )


def _where(reader: UrlReader, parts: Parts) -> tuple[str, int, str]:
    if parts.scheme == "unix":
        if parts.endpoints or not parts.path.startswith("/"):
            raise reader.refuse(
                "must name the file of a socket behind unix://, as in unix:///run/redis/redis.sock"
            )
        return "", 0, parts.path
    if len(parts.endpoints) > 1:
        raise reader.refuse("names more than one host")
    if not parts.endpoints or not parts.endpoints[0].host:
        raise reader.refuse(f"names no host: it is {parts.scheme}://user:password@host:6379/0")
    endpoint = parts.endpoints[0]
    return endpoint.host, endpoint.port or PORT, ""


def _database(reader: UrlReader, parts: Parts) -> int:
    named = {parts.query["db"]} if parts.query.get("db") else set()
    if parts.scheme != "unix" and parts.path not in {"", "/"}:
        named.add(parts.path.removeprefix("/"))
    if len(named) > 1:
        raise reader.refuse("names two databases, one in its path and one as db")
    text = named.pop() if named else "0"
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > DATABASE_MAX:
        raise reader.refuse(f"names the database {text!r}, which must be a number, as in redis://host:6379/0")
    return int(text)


def _context(reader: UrlReader, query: Mapping[str, str]) -> ssl.SSLContext:
    # `optional` is `required` for a client: servers always show a certificate.
    reqs = reader.choose(
        "ssl_cert_reqs", query.get("ssl_cert_reqs", "required"), ("required", "optional", "none")
    )
    checks = reader.choose(
        "ssl_check_hostname", query.get("ssl_check_hostname", "true").lower(), _TRUE + _FALSE
    )
    return client_context(
        reader,
        TlsNames("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
        TlsFiles(
            authorities=query.get("ssl_ca_certs", ""),
            authorities_folder=query.get("ssl_ca_path", ""),
            authorities_text=query.get("ssl_ca_data", ""),
            certificate=query.get("ssl_certfile", ""),
            key=query.get("ssl_keyfile", ""),
            key_password=query.get("ssl_password", ""),
        ),
        verify=reqs != "none",
        check_host=checks in _TRUE,
    )


class _TlsConnection(SSLConnection):
    """A connection of redis-py's over the context that all our connections share."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls
