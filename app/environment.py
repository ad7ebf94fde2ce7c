"""What of the caller's environment reaches our connections, our servers and our own processes."""

import os
import re
from collections.abc import Mapping, MutableMapping

SETTINGS_PREFIX = "SELLABLE_"

# The loader's paths, because some Pythons do not start without them, and every child is started by one.
_FOR_ANY_PROGRAM = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_\w+|TZ|TZDIR|TMPDIR|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH"
)
# Defaults that asyncpg, httpx, OpenSSL and uvicorn take from the environment, in either case as they do.
_FOR_OTHER_CLIENTS = re.compile(
    r"PG[A-Z]+|[A-Z]+_PROXY|SSL_CERT_(FILE|DIR)|SSLKEYLOGFILE|WEB_CONCURRENCY", re.IGNORECASE
)


def has_settings(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is any variable that looks like a setting of ours."""
    return any(name.upper().startswith(SETTINGS_PREFIX) for name in environ)


def forget_defaults(environ: MutableMapping[str, str] = os.environ) -> None:
    """Remove what would be a default of our own connections: servers, passwords, proxies and certificates.

    Our connections take all that from their URL. To be called once, before anything connects.
    """
    for name in [name for name in environ if _FOR_OTHER_CLIENTS.fullmatch(name)]:
        del environ[name]


def for_server(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what an embedded server gets: no settings, no keys, no defaults of its clients."""
    return {name: value for name, value in environ.items() if _FOR_ANY_PROGRAM.fullmatch(name)}


def for_own_process(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a process of ours gets: the settings, too. Python's text is UTF-8 whatever the locale is."""
    settings = {name: value for name, value in environ.items() if name.startswith(SETTINGS_PREFIX)}
    return {**for_server(environ), **settings, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
