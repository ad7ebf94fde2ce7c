"""Why a store did not do what it was asked, as a sentence for a person: no name of a driver or of a class."""

import os
import re
import socket
import ssl
from collections.abc import Mapping

import asyncpg
from hiredis import ReplyError
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from sqlalchemy.exc import DBAPIError

from app.addresses import postgres, redis
from app.errors import SellableError

_ERRNO = re.compile(r"\[Errno -?\d+\] ?")
_CONNECTING = re.compile(r"^Error connecting to \S+$")
_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING"}
)
"""What OpenSSL says of a server that does not answer with TLS."""

REFUSED_STATES: Mapping[str, str] = {
    "28P01": f"the user or the password of {postgres.SETTING} is wrong",
    "28000": "this user may not connect from here (the server's pg_hba.conf decides)",
    "3D000": "there is no such database",
    "42501": "this user lacks a right",
    "42P01": "a table of the ledger is missing (`sellable ledger check` names what is not as it must be)",
    "42P10": "a primary key or unique index of the ledger is missing (`sellable ledger check` names it)",
    "42703": "a column of the ledger is missing (`sellable ledger check` names what is not as it must be)",
    "42704": "a type of the ledger is missing (`sellable ledger check` names what is not as it must be)",
    "42883": "a function of the ledger is missing (`sellable ledger check` names what is not as it must be)",
    "3F000": "the schema of the ledger's tables is missing",
}
"""SQLSTATEs of a server that answers, and will refuse us until a person has done something about it."""


def driver_error(error: BaseException) -> BaseException:
    """Return what the driver of Postgres raised, of an error that SQLAlchemy may have wrapped."""
    if isinstance(error, DBAPIError):
        return error.driver_exception or error
    return error


def state_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error, '' if it has none."""
    return str(getattr(driver_error(error), "sqlstate", None) or "")


def sentence_of(error: BaseException) -> str:
    """Return a sentence about an error of either store, or of our own."""
    if isinstance(error, SellableError):
        return str(error)
    if isinstance(error, RedisError | ReplyError):
        return redis_sentence(error)
    if isinstance(error, DBAPIError | asyncpg.PostgresError | asyncpg.InterfaceError):
        return postgres_sentence(error)
    return "no answer came in time" if isinstance(error, TimeoutError) else _words(error)


def postgres_sentence(error: BaseException) -> str:
    """Return a sentence about an error that a call of Postgres raised."""
    if isinstance(error, SellableError):
        return str(error)
    error = driver_error(error)
    if refused := REFUSED_STATES.get(state_of(error)):
        return f"Postgres refuses us: {refused}: {_first_line(error)}"
    if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, OSError):
        return "Postgres cannot be reached: the connection broke"  # the driver tells only of its own state
    if isinstance(error, asyncpg.InternalClientError):
        return "Postgres cannot be reached: its answer makes no sense"
    return f"Postgres cannot be reached: {_words(error)}{_place(error)}"


def redis_sentence(error: BaseException) -> str:
    """Return a sentence about an error that a call of Redis raised, or that is its answer."""
    if isinstance(error, SellableError):
        return str(error)
    if isinstance(error.__cause__, RedisError):  # over a socket's file they come wrapped
        error = error.__cause__
    if _is_login(error):
        return f"Redis refuses us: {_login(str(error))}"
    if is_refusal(error):
        return f"Redis refuses us: {_right(str(error))}"
    if isinstance(error, ResponseError | ReplyError):
        return f"Redis answers with an error: {_first_line(error)}"
    cause = error.__cause__ or error.__context__
    told = cause if isinstance(error, RedisError) and isinstance(cause, OSError) else error
    return f"Redis cannot be reached: {_words(told)}{_place(error)}"


def is_refusal(error: BaseException) -> bool:
    """Whether Redis answers, but will not let us in or do what we ask until a person has done something about it."""
    text = str(error)
    is_about_rights = isinstance(error, NoPermissionError) or "NOPERM" in text or "ACL failure" in text
    return is_about_rights or _is_login(error)


def _is_login(error: BaseException) -> bool:
    return isinstance(error, AuthenticationError) or str(error).startswith(("WRONGPASS", "NOAUTH"))


def _login(text: str) -> str:
    if "pair" in text or "disabled" in text:
        return f"the user or the password of {redis.SETTING} is wrong, or the user is off"
    return f"it asks for a password, and {redis.SETTING} names none"


def _right(text: str) -> str:
    if "key" in text and "command" not in text:
        return (
            f"the user of {redis.SETTING} may not use our keys: its key pattern must be ~{{s0}}:*, with the "
            "SELLABLE_PREFIX before the s0 if there is one"
        )
    command = re.search(r"'([\w|]+)'", text)
    named = f"run {command[1]}" if command else "do what is needed"
    return f"the user of {redis.SETTING} may not {named}"


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return _tls_words(error)
    if isinstance(error, socket.gaierror):
        return "the name of its host is not known"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    text = _first_line(error)
    return "it takes no TLS connections, and sslmode asks for one" if "rejected SSL upgrade" in text else text


def _place(error: BaseException) -> str:
    """Return where the server was looked for, in brackets, as far as the error tells."""
    found = re.search(r"(?:connecting to|reading from|writing to) (\S+?)\.?(?:\s|$)", str(error))
    place = next(iter(getattr(error, "__notes__", ())), "") or (found[1] if found else "")
    return f" ({place})" if place and place != "server" else ""


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message.rstrip('.')}"
    reason = str(error.reason or "")
    if reason in _NO_TLS:
        return "the server does not speak TLS there"
    return reason.replace("_", " ").lower() or "the handshake failed"


def _first_line(error: BaseException) -> str:
    lines = _CONNECTING.sub("", _ERRNO.sub("", str(error))).strip().splitlines()
    return lines[0] if lines else "it gave no reason"
