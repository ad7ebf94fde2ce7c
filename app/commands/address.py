"""Addresses to listen on: without keys everybody who reaches one may do everything, so only loopback will do."""

import ipaddress
import socket
from typing import Any

from app.errors import ConfigurationError


def check_host(host: str, *, has_keys: bool) -> None:
    """Raise `ConfigurationError` if an API without keys would be reachable from other machines."""
    if not has_keys and not _is_loopback(host):
        raise ConfigurationError(
            f"no API keys are set (SELLABLE_API_KEYS), so {host} is refused: use a loopback address"
        )


def resolve(host: str, port: int) -> list[Any]:
    """Return what a socket can be bound to, as `getaddrinfo` does; `ConfigurationError` if there is nothing."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConfigurationError(f"the address {host} cannot be listened on: {error}") from error


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address, whichever of its meanings is taken."""
    addresses = {str(found[4][0]).partition("%")[0] for found in resolve(host, 0)}
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)
