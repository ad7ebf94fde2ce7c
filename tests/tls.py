"""Certificates of authorities of our own, and servers behind real TLS where their builds have none."""

import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.proxy import Proxy

SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
"""What a client of Postgres sends to ask for TLS."""


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form: an authority, what it signed for 127.0.0.1, ::1 and localhost, and another authority."""

    authority: Path
    stranger: Path
    server: Path
    elsewhere: Path
    """Signed by the authority, for the name of another host."""
    client: Path
    client_key: Path

    def context(self, *, server: Path | None = None, wants_client: bool = False) -> ssl.SSLContext:
        """What a server shows; with `wants_client` a client has to show a certificate as well."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server or self.server)
        if wants_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_certificates(place: Path) -> Certificates:
    authority, stranger = trustme.CA(), trustme.CA()
    client = authority.issue_cert("client.test", common_name="sellable")
    made = {
        "authority.pem": authority.cert_pem,
        "stranger.pem": stranger.cert_pem,
        "server.pem": authority.issue_cert("127.0.0.1", "::1", "localhost").private_key_and_cert_chain_pem,
        "elsewhere.pem": authority.issue_cert("elsewhere.test").private_key_and_cert_chain_pem,
        "client.pem": client.cert_chain_pems[0],
        "client.key": client.private_key_pem,
    }
    for name, blob in made.items():
        blob.write_to_path(str(place / name))
    return Certificates(*(place / name for name in made))


class PostgresBehindTls(Proxy):
    """Answers the question for TLS as Postgres does, and speaks to the server behind it without.

    `upgrade` None: a server that has no TLS.
    """

    def __init__(self, socket: str, upgrade: ssl.SSLContext | None) -> None:
        super().__init__(socket, 0)
        self._upgrade = upgrade

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        asked = await reader.readexactly(len(SSL_REQUEST))
        if asked != SSL_REQUEST:  # who comes without TLS gets nothing
            writer.close()
            return
        writer.write(b"N" if self._upgrade is None else b"S")
        await writer.drain()
        if self._upgrade is not None:
            try:
                await writer.start_tls(self._upgrade)
            except OSError:  # the client does not trust us
                writer.transport.abort()
                return
        await super()._serve(reader, writer)


@asynccontextmanager
async def running(proxy: Proxy, host: str = "127.0.0.1") -> AsyncIterator[Proxy]:
    proxy.listens_on = host
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
