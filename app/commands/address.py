"""Addresses to listen on: without keys everybody who reaches one may do everything, so only loopback will do."""

import errno
import ipaddress
import os
import socket
from typing import Any

from app.errors import ConfigurationError


def check_host(host: str, *, has_keys: bool) -> None:
    """Raise `ConfigurationError` if an API without keys would be reachable from other machines."""
    if not has_keys and not is_loopback(host):
        raise ConfigurationError(
            f"no API keys are set (SELLABLE_API_KEYS), so {host} is refused: use a loopback address"
        )


def resolve(host: str, port: int) -> list[Any]:
    """Return what a socket can be bound to, as `getaddrinfo` does; `ConfigurationError` if there is nothing."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConfigurationError(f"the address {host} cannot be listened on: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address, whichever of its meanings is taken."""
    addresses = {str(found[4][0]).partition("%")[0] for found in resolve(host, 0)}
    return all(_is_of_this_machine(address) for address in addresses)


def check_listener(listener: socket.socket, *, has_keys: bool) -> None:
    """Raise `ConfigurationError` if an API without keys would be reachable by a socket that is bound."""
    if not has_keys and not listens_here_only(listener):
        raise ConfigurationError(
            "no API keys are set (SELLABLE_API_KEYS), so a socket is refused that listens on"
            f" {listener.getsockname()[0]}: use a loopback address"
        )


def listens_here_only(listener: socket.socket) -> bool:
    """Whether only this machine can reach a socket that is bound."""
    if listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return True  # a Unix socket
    return _is_of_this_machine(str(listener.getsockname()[0]).partition("%")[0])


def bound(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of a host, bound and not listening; `ConfigurationError` if there is none."""
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in dict.fromkeys((found[0], found[4]) for found in resolve(host, port)):
        try:
            listeners.append(_bound(family, address))
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRNOTAVAIL and isinstance(error, OSError):
                absent = error  # such as ::1 on a machine without IPv6: another meaning of the name may do
                continue
            for listener in listeners:
                listener.close()
            raise _unusable(host, port, error) from error
    if not listeners:
        raise _unusable(host, port, absent or OSError("it has no address"))
    return listeners


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # else it would take the address of IPv4, too
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def _unusable(host: str, port: int, error: OSError | OverflowError) -> ConfigurationError:
    # The error's own text names the address a second time.
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
    return ConfigurationError(f"the port {port} of {host} cannot be listened on: {reason}")


def _is_of_this_machine(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
