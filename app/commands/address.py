"""Addresses to listen on: without keys everybody who reaches one may do everything, so only loopback will do."""

import contextlib
import errno
import ipaddress
import os
import socket
from typing import Any

from app.errors import ConfigurationError

_ADVICE = {
    errno.EADDRINUSE: "stop what uses it, or choose another with --port (0 takes a free one)",
    errno.EACCES: "ports this low are for the system; choose one above 1023 with --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own with --host",
}


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


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Return sockets that have the port of every address of a host, and do not listen yet.

    `shared`: other processes of this user may have it as well; the kernel deals connections out to them.
    Raises `ConfigurationError` if another process has it.
    """
    bound: list[socket.socket] = []
    failure: Exception | None = None
    with contextlib.ExitStack() as on_failure:
        for family, kind, protocol, _, address in dict.fromkeys(resolve(host, port)):
            one = on_failure.enter_context(socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind(address)
            except (OSError, OverflowError) as error:
                failure = error
                if not (isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL):
                    break
                continue  # a name may have an address that this machine has not: ::1 where there is no IPv6
            bound.append(one)
            failure = None
        if failure is not None:
            raise refuse_address(host, port, failure) from failure
        on_failure.pop_all()
    return bound


def refuse_address(host: str, port: int, error: Exception) -> ConfigurationError:
    """Return the error that says why an address cannot be listened on, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    # The error's own text names the address a second time.
    reason = os.strerror(number) if number else str(error)
    advice = f": {_ADVICE[number]}" if number in _ADVICE else ""
    return ConfigurationError(f"the port {port} of {host} cannot be listened on: {reason}{advice}")


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


def _is_of_this_machine(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
