"""SELLABLE_DATABASE_URL: how every connection to the ledger is made.

The URL is libpq's (https://www.postgresql.org/docs/current/libpq-connect.html), with the parameters of `KNOWN`.
Nothing else is taken into account: no PG… variable, no password file, no file below ~/.postgresql.
"""

import os
import pwd
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from app.addresses.tls import TlsFiles, TlsNames, client_context
from app.addresses.url import Endpoint, Parts, UrlReader

SETTING = "SELLABLE_DATABASE_URL"
PORT = 5432
CONNECT_SECONDS = 5.0
APPLICATION_NAME = "sellable"
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSIONS = ("any", "read-write", "primary")
KNOWN = frozenset(
    {
        "host",
        "port",
        "user",
        "password",
        "dbname",
        "sslmode",
        "ssl",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslpassword",
        "connect_timeout",
        "application_name",
        "target_session_attrs",
    }
)
_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_SYSTEM = "system"
"""As sslrootcert: the authorities that the system trusts, as libpq has it."""

# To be told within half a minute that nobody is at the other end any more.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25_000))


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the ledger is, and how it is reached. A host that begins with a / is the directory of a socket."""

    endpoints: tuple[Endpoint, ...]
    user: str
    password: str = field(repr=False)
    database: str
    ways: tuple[ssl.SSLContext | None, ...]
    """What is tried in turn: TLS, or None for none."""
    connect_seconds: float
    application_name: str
    session: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return ", ".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.endpoints
        )

    async def connect(self, *, part: str = "", server_settings: Mapping[str, str] | None = None) -> Any:
        """Return a connection of asyncpg; `part` is said behind the application's name.

        Raises what asyncpg raises; see `app.addresses.reasons`.
        """
        *earlier, last = self.ways
        for way in earlier:
            try:
                return await self._connect(way, part, server_settings)
            except asyncpg.InvalidPasswordError:
                raise
            except (
                OSError,
                asyncpg.InvalidAuthorizationSpecificationError,
                asyncpg.ConnectionDoesNotExistError,
            ):
                continue  # no TLS there, or not without it: the other way will tell
        try:
            return await self._connect(last, part, server_settings)
        except OSError as error:
            error.add_note(self.place)
            raise

    async def _connect(
        self, way: ssl.SSLContext | None, part: str, server_settings: Mapping[str, str] | None
    ) -> Any:
        # Whatever is left out here, asyncpg takes from variables and files of whoever started this process.
        connection = await asyncpg.connect(
            host=[endpoint.host for endpoint in self.endpoints],
            port=[endpoint.port for endpoint in self.endpoints],
            user=self.user,
            password=self.password,
            database=self.database,
            ssl=way or False,
            direct_tls=False,
            target_session_attrs=self.session,
            krbsrvname="postgres",
            gsslib="gssapi",
            timeout=self.connect_seconds,
            server_settings={
                "application_name": f"{self.application_name} {part}".strip(),
                **(server_settings or {}),
            },
        )
        _keep_alive(connection)
        return connection


def read_postgres(url: str) -> PostgresAddress:
    """Read a URL; raise `ConfigurationError`, one sentence, if it cannot be used."""
    reader = UrlReader(SETTING)
    parts = reader.read(url)
    if parts.scheme not in _SCHEMES:
        raise reader.refuse(f"begins with {parts.scheme}://, which must be postgresql://")
    query = parts.query
    reader.check_names(query, KNOWN)
    user = query.get("user") or parts.user or _own_name(reader)
    connect_seconds = CONNECT_SECONDS
    if "connect_timeout" in query:
        connect_seconds = reader.seconds("connect_timeout", query["connect_timeout"])
    session = reader.choose("target_session_attrs", query.get("target_session_attrs", "any"), SESSIONS)
    return PostgresAddress(
        endpoints=_endpoints(reader, parts),
        user=user,
        password=query.get("password") or parts.password,
        database=query.get("dbname") or parts.path.removeprefix("/") or user,
        ways=_ways(reader, query),
        connect_seconds=connect_seconds,
        application_name=query.get("application_name") or APPLICATION_NAME,
        session=session,
    )


def _endpoints(reader: UrlReader, parts: Parts) -> tuple[Endpoint, ...]:
    """Hosts of the query stand in for those of the URL; one port is for all, or each has its own."""
    endpoints = parts.endpoints
    if parts.query.get("host"):
        endpoints = tuple(Endpoint(host, 0) for host in parts.query["host"].split(","))
    ports = [reader.port(port) for port in parts.query["port"].split(",")] if parts.query.get("port") else []
    if len(ports) == 1:
        ports *= len(endpoints)
    if ports and len(ports) != len(endpoints):
        raise reader.refuse(f"names {len(endpoints)} hosts and {len(ports)} ports")
    if not endpoints or not all(endpoint.host for endpoint in endpoints):
        raise reader.refuse(
            "names no host: it is postgresql://user:password@host:5432/database, or …@/database?host=/run/postgresql "
            "for the directory of a socket"
        )
    return tuple(
        Endpoint(endpoint.host, port or endpoint.port or PORT)
        for endpoint, port in zip(endpoints, ports or [0] * len(endpoints), strict=True)
    )


def _ways(reader: UrlReader, query: Mapping[str, str]) -> tuple[ssl.SSLContext | None, ...]:
    named = {query[name].replace("_", "-") for name in ("sslmode", "ssl") if name in query}
    if len(named) > 1:
        raise reader.refuse("has sslmode and ssl, which say different things: leave ssl out")
    mode = reader.choose("sslmode", named.pop() if named else "prefer", SSL_MODES)
    root = query.get("sslrootcert", "")
    if root == _SYSTEM:
        mode = "verify-full" if mode in {"require", "verify-ca"} else mode
    elif root and mode == "require":
        mode = "verify-ca"  # as libpq has it: whoever names an authority wants it to count
    if mode == "disable":
        return (None,)
    context = client_context(
        reader,
        TlsNames("sslrootcert", "sslcert", "sslkey"),
        TlsFiles(
            authorities="" if root == _SYSTEM else root,
            certificate=query.get("sslcert", ""),
            key=query.get("sslkey", ""),
            key_password=query.get("sslpassword", ""),
        ),
        verify=mode in {"verify-ca", "verify-full"},
        check_host=mode == "verify-full",
    )
    return {"allow": (None, context), "prefer": (context, None)}.get(mode, (context,))


def _own_name(reader: UrlReader) -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise reader.refuse("names no user, and this process's own has no name") from None


def _keep_alive(connection: Any) -> None:
    """Let the kernel notice within half a minute that nobody is at the other end any more."""
    channel = connection._transport.get_extra_info("socket")  # noqa: SLF001 - it has no other door
    if channel is None or channel.family == socket.AF_UNIX:
        return
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not every system knows each
            channel.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
